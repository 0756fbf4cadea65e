"""`podium guests`: personal links for people without a Nostr key."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from podium_daemon.cli.caller import CommandCaller, caller_of
from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import Json, SessionReference, Yes, confirm, helped, write_new_file
from podium_daemon.cli.output import clean, note, print_answer, say, table
from podium_daemon.cli.session_view import plain_reference
from podium_protocol.errors import InvalidInput

if TYPE_CHECKING:
    from podium_daemon.api.guests import GuestOut

app = typer.Typer(no_args_is_help=True, help="Personal links for people without a Nostr key.")

_MOST: int = 200  # names in one call, as the interface has it
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # where a spreadsheet would calculate
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="One person each, 1 to 40 characters.")]
NamesFile = Annotated[
    Path | None, typer.Option("--csv", exists=True, dir_okay=False, help="Names from a CSV file: its first column.")
]
LinksFile = Annotated[Path | None, typer.Option("--links", help="Write names and links to a new CSV file.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The guest's name, or npub.")]


@app.command(
    short_help="Make a personal link for each person.",
    help=helped(
        "Make a personal link for each person. It is shown now and never again, and is good for the first browser that "
        "opens it, until the session's end.",
        "podium guests add knots Ana Bea",
        "podium guests add knots --csv class.csv --links links.csv",
    ),
)
def add(
    context: typer.Context,
    session: SessionReference,
    names: Names = None,
    *,
    names_file: NamesFile = None,
    links: LinksFile = None,
    as_json: Json = False,
) -> None:
    wanted = [*(names or ()), *(_read(names_file) if names_file else ())]
    if not 1 <= len(wanted) <= _MOST:
        raise InvalidInput(f"NAME: give 1 to {_MOST} names, or --csv with as many")
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    made = caller.run(podium.guests.invite(reference, wanted))
    if links is not None:
        write_new_file(links, _written(made.guests))
        note(f"{len(made.guests)} links: {links}. Whoever has one comes as that person: keep the file safe.")
    elif as_json:
        print_answer(made)
    else:
        for one in made.guests:
            say(f"{clean(one.name)}: {one.link or ''}")  # no table: a link is longer than a line, and is copied whole


@app.command(
    "list",
    short_help="Who comes without a key.",
    help=helped("The guests of a session, for those who lead it.", "podium guests list knots"),
)
def list_guests(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    found = caller.run(podium.guests.list(caller.run(plain_reference(podium, session))))
    if as_json:
        print_answer(found)
        return
    rows = [(one.name, one.assurance, one.state, one.npub) for one in found.guests]
    table(("name", "assurance", "state", "npub"), rows, empty=f"No guests. Who may come: {found.policy}.")


@app.command(
    short_help="A new link for a person who moved to another device.",
    help=helped(
        "Make a new link; the old one, and the browser that opened it, are signed out.",
        "podium guests renew knots Ana",
        "podium guests renew knots Ana --yes",
    ),
)
def renew(context: typer.Context, session: SessionReference, name: Name, yes: Yes = False) -> None:
    confirm(f"Make a new link for {clean(name)}, so that the old one stops working?", yes=yes)
    caller = caller_of(context)
    after = _change(caller, session, name, "renew")
    say(f"{clean(after.name)}: {after.link or 'the link in their message can be opened once more'}")


@app.command(
    short_help="Take a link back.",
    help=helped("Take a link back: its person is signed out and leaves the room.", "podium guests revoke knots Ana"),
)
def revoke(context: typer.Context, session: SessionReference, name: Name, yes: Yes = False) -> None:
    confirm(f"Take back the link of {clean(name)}?", yes=yes)
    caller = caller_of(context)
    say(f"{clean(_change(caller, session, name, 'revoke').name)}: taken back")


def _change(caller: CommandCaller, session: str, name: str, what: Literal["renew", "revoke"]) -> GuestOut:
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    named = [one for one in caller.run(podium.guests.list(reference)).guests if name in (one.name, one.npub)]
    # a name is free again once its link was taken back
    chosen = [one for one in named if one.state != "revoked"] or named[-1:]
    if len(chosen) != 1:
        raise CommandFailed(f"no guest of this session is called {clean(name)}: see `podium guests list`")
    return caller.run(podium.guests.change(reference, chosen[0].pubkey, what))


def _read(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [row[0].strip() for row in csv.reader(io.StringIO(text)) if row and row[0].strip()]
    except (OSError, UnicodeError, csv.Error) as error:
        raise InvalidInput(f"--csv: {path} cannot be read: {error}") from None
    return rows[1:] if rows and rows[0].casefold() == "name" else rows


def _written(guests: tuple[GuestOut, ...] | list[GuestOut]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("name", "link"))
    writer.writerows((f"'{one.name}" if one.name.startswith(_FORMULA) else one.name, one.link) for one in guests)
    return out.getvalue().encode()
