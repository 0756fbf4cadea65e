"""`podium instructors`: who may hold sessions at this service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, Yes, confirm, helped, pubkey_of
from podium_daemon.cli.output import print_answers, table

if TYPE_CHECKING:
    from podium_daemon.api.instructors import InstructorOut

app = typer.Typer(no_args_is_help=True, help="Who may hold sessions here: show, add and remove them.")
Person = Annotated[str, typer.Argument(metavar="NPUB", help="Their npub, nprofile or 64 hex digits.")]


@app.command(
    "list", short_help="List the instructors.", help=helped("List the instructors.", "podium instructors list")
)
def list_(context: typer.Context, as_json: Json = False) -> None:
    caller = caller_of(context)
    _print(caller.run(caller.reading().instructors()), as_json=as_json)


@app.command(
    short_help="Add an instructor.",
    help=helped(
        "Add an instructor at once, without a restart. The call is signed by the service's key.",
        "podium instructors add npub1...",
    ),
)
def add(context: typer.Context, person: Person, as_json: Json = False) -> None:
    caller = caller_of(context)
    pubkey = pubkey_of(person, "NPUB")
    _print(caller.run(caller.signing().add_instructor(pubkey)), as_json=as_json)


@app.command(
    short_help="Remove an instructor.",
    help=helped(
        "Remove an instructor who was added here. Their sessions stay, and no new one of theirs is taken.",
        "podium instructors remove npub1...",
        "podium instructors remove npub1... --yes",
    ),
)
def remove(context: typer.Context, person: Person, yes: Yes = False, as_json: Json = False) -> None:
    caller = caller_of(context)
    pubkey = pubkey_of(person, "NPUB")
    confirm("Remove this instructor?", yes=yes)
    _print(caller.run(caller.signing().remove_instructor(pubkey)), as_json=as_json)


def _print(found: Sequence[InstructorOut], *, as_json: bool) -> None:
    if as_json:
        print_answers("instructors", found)
        return
    # an npub is 63 wide, and is what `remove` takes: the name, which may be long, stands last
    rows = ((one.npub, "file" if one.listed_in == "configuration" else "list", one.name) for one in found)
    table(("npub", "from", "name"), rows, empty="Nobody is listed.", whole=("npub",))
