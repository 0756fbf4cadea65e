"""`podium recording`: how a session's recordings stand; start, stop, make once more, export with the consents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
from typer.core import TyperGroup

from podium_daemon.cli.caller import CommandCaller, caller_of
from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import Json, SessionReference, Yes, confirm, helped, new_file, write_new_file
from podium_daemon.cli.output import note, print_answer, say, table
from podium_daemon.cli.session_view import npub_or_hex, plain_reference
from podium_daemon.cli.times import shown_length
from podium_protocol.events import Rejected, verify_json

if TYPE_CHECKING:
    from podium_daemon.api.recordings import ConsentEventsOut, RecordingRunOut, RecordingsOut
    from podium_daemon.client import PodiumClient

    Act = Callable[[PodiumClient, str], Coroutine[Any, Any, RecordingsOut]]

_SHOW: Final = "show"
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist yet.")]


class _ShowsByDefault(TyperGroup):
    """`podium recording knots` is short for `podium recording show knots`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # typer's own signature
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = [_SHOW, *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(cls=_ShowsByDefault, no_args_is_help=True, help="Recordings and the consents to them.")


@app.command(
    _SHOW,
    short_help="How the recordings of a session stand.",
    help=helped(
        "How the recordings of a session stand: one for each run of it.",
        "podium recording show knots",
        "podium recording knots --json",
    ),
)
def show(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _act(context, session, lambda podium, found: podium.recordings.list(found), as_json=as_json)


@app.command(
    short_help="Record from now on.",
    help=helped(
        "Record from now on. It takes everybody in the room to have agreed; the file is made after the end.",
        "podium recording start knots",
    ),
)
def start(context: typer.Context, session: SessionReference) -> None:
    _switch(context, session, on=True)


@app.command(
    short_help="Stop recording, until it is started again.",
    help=helped("Stop recording. It can be started again while the session lasts.", "podium recording stop knots"),
)
def stop(context: typer.Context, session: SessionReference) -> None:
    _switch(context, session, on=False)


@app.command(
    short_help="Make a recording that failed once more.",
    help=helped("Make a recording that failed once more, out of its tracks.", "podium recording retry knots"),
)
def retry(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _act(context, session, lambda podium, found: podium.recordings.retry(found), as_json=as_json)


@app.command(
    short_help="Publish a recording that was looked at.",
    help=helped(
        "Publish what is in review, or was unpublished: people are told, and see it on the session's page.",
        "podium recording publish knots",
    ),
)
def publish(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _act(context, session, lambda podium, found: podium.recordings.publish(found), as_json=as_json)


@app.command(
    short_help="Take a published recording back.",
    help=helped(
        "Take a recording back: its links are removed, only those who lead see it. It can be published again.",
        "podium recording unpublish knots",
    ),
)
def unpublish(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _act(context, session, lambda podium, found: podium.recordings.unpublish(found), as_json=as_json)


@app.command(
    short_help="Delete the recordings of a session.",
    help=helped(
        "Delete the recordings of a session for good: files and links. Those who were told of one are told.",
        "podium recording delete knots --yes",
    ),
)
def delete(context: typer.Context, session: SessionReference, yes: Yes = False, as_json: Json = False) -> None:
    confirm(f"Delete the recordings of {session} for good?", yes=yes)
    _act(context, session, lambda podium, found: podium.recordings.delete(found), as_json=as_json)


@app.command(
    short_help="Save the recordings and the signed consents.",
    help=helped(
        "Save the recordings of a session, and the signed answers of everybody who was asked, into a new folder.",
        "podium recording export knots knots-recording",
    ),
)
def export(context: typer.Context, session: SessionReference, folder: Folder) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    consents = caller.run(podium.recordings.consents(reference))
    runs = caller.run(podium.recordings.list(reference)).recordings
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be made: {error.strerror}") from None
    _save_consents(consents, folder)
    for run in runs:
        if run.sha256 is not None and run.url is not None:
            _save(caller, podium, run, folder / f"{run.sha256}.webm")


def _act(context: typer.Context, session: str, act: Act, *, as_json: bool) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    _print(caller.run(act(podium, reference)), as_json=as_json)


def _switch(context: typer.Context, session: str, *, on: bool) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    caller.run(podium.leading.record(caller.run(plain_reference(podium, session)), on=on))
    say("It is being recorded." if on else "It is not being recorded.")


def _print(found: RecordingsOut, *, as_json: bool) -> None:
    if as_json:
        print_answer(found)
        return
    if found.is_recording:
        say("It is being recorded now.")
    for pubkey in found.undecided:
        note(f"{npub_or_hex(pubkey)} is in the room and has not agreed.")
    table(
        ("run", "state", "length", "size", "recording", "remarks"),
        (
            (
                run.run + 1,
                f"{run.state} {run.progress} %" if run.state == "processing" else run.state,
                "" if run.length is None else shown_length(round(run.length)),
                "" if run.size is None else f"{run.size / 1_000_000:.1f} MB",
                run.url,
                "; ".join(filter(None, (run.reason, *run.notes))),
            )
            for run in found.recordings
        ),
        empty="This session has no recording.",
        details=("recording", "remarks"),
    )


def _save_consents(found: ConsentEventsOut, folder: Path) -> None:
    """Write them as the daemon gave them, and say which of them do not verify: evidence is worth its signature."""
    from podium_daemon.api.base import whole

    write_new_file(folder / "consents.json", msgspec.json.format(msgspec.json.encode(whole(found)), indent=2) + b"\n")
    bad = [one for one in found.consents if isinstance(verify_json(one.event.model_dump_json().encode()), Rejected)]
    for one in bad:
        note(f"The answer of {npub_or_hex(one.pubkey)} has no good signature.")
    note(f"Wrote {len(found.consents)} signed answers to {folder / 'consents.json'}.")


def _save(caller: CommandCaller, podium: PodiumClient, run: RecordingRunOut, path: Path) -> None:
    digest = hashlib.sha256()
    with new_file(path) as temporary, temporary.open("wb") as file:

        def keep(piece: bytes) -> None:
            digest.update(piece)
            file.write(piece)

        caller.run(podium.recordings.download(run, keep))
        if digest.hexdigest() != run.sha256:
            raise CommandFailed(f"what is at {run.url} is not the recording: its hash is another one")
    note(f"Wrote {path}.")
