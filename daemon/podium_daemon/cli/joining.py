"""`podium join`: a seat in a session's room, from a terminal."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.cli.options import SessionReference, can_ask, helped
from podium_daemon.cli.output import note, say
from podium_daemon.cli.session_view import plain_reference
from podium_protocol.errors import InvalidInput
from podium_protocol.live.guests import door_name

if TYPE_CHECKING:
    from podium_daemon.api.rooms import ChallengeOut
    from podium_daemon.cli.caller import CommandCaller
    from podium_daemon.client import RoomSeat
    from podium_daemon.client.seat import RoomMessage

_PATIENCE: Final = 24 * 3600.0  # seconds in the waiting room; Ctrl-C ends it before
_OF_NAMES: Final = ("name-taken", "bad-name")
app = typer.Typer()
Name = Annotated[
    str | None, typer.Option("--name", help="What to call you in this session, if your profile has no name.")
]
ToRecording = Annotated[
    bool | None, typer.Option("--consent/--no-consent", help="Your answer to the recording policy, if one is shown.")
]


@app.command(
    short_help="Take a seat in a session's room.",
    help=helped(
        "Take a seat in a session's room without camera and microphone, and keep it until Ctrl-C or the session's end. "
        "Where the meeting is on another server, its address is printed; `podium open` opens the session's page.",
        "podium join knots",
        "podium join knots --name Ana",
        "podium join knots --consent",
    ),
)
def join(context: typer.Context, session: SessionReference, name: Name = None, consent: ToRecording = None) -> None:
    if name is not None and door_name(name) is None:
        raise InvalidInput("--name: a name has 1 to 40 characters, and is no key")
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    shown = caller.run(podium.challenge(reference))
    note(shown.notice)
    answer = _consent(shown, consent)

    def take(called: str | None) -> Coroutine[Any, Any, RoomSeat]:
        return podium.join(reference, consent=answer, name=called, shown=shown, patience=_PATIENCE, heard=_tell)

    caller.run(_stay(_seat(caller, take, name)))


def _consent(shown: ChallengeOut, given: bool | None) -> bool | None:
    if not shown.recording_policy:
        return None
    note(f"This session may be recorded. {shown.recording_policy}")
    if given is None and not can_ask():
        raise CommandFailed("say --consent or --no-consent: there is no terminal to answer on", Exit.USAGE)
    return typer.confirm("Do you agree to be recorded?") if given is None else given


def _seat(
    caller: CommandCaller, join: Callable[[str | None], Coroutine[Any, Any, RoomSeat]], name: str | None
) -> RoomSeat:
    """Join; where the name is refused and there is a terminal, say why and ask for another."""
    from podium_daemon.client import ApiProblem

    while True:
        try:
            return caller.run(join(name))
        except ApiProblem as problem:
            if problem.slug not in _OF_NAMES:
                raise
            if not can_ask():
                raise CommandFailed(f"{problem}\nGive another one with --name.", Exit.USAGE) from None
            note(str(problem))
            name = _asked_name()


def _asked_name() -> str:
    while door_name(found := typer.prompt("Your name in this session")) is None:
        note("A name has 1 to 40 characters, and is no key.")
    return str(found)


async def _stay(seat: RoomSeat) -> None:
    try:
        note("You are in the room. Ctrl-C leaves it.")
        if seat.meeting_url is not None:
            say(seat.meeting_url)
        await seat.until_closed()
        while not seat.has_ended and seat.removed_because is None:
            note("The line is lost. Trying again.")
            seat = await seat.come_back(patience=_PATIENCE)
            await seat.until_closed()
    finally:
        await seat.leave()
    if seat.removed_because is not None:
        raise CommandFailed(f"you were removed from the room: {seat.removed_because}")
    note("The session has ended.")


def _tell(message: RoomMessage) -> None:
    if message.type in ("waiting", "notice") and message.text:
        note(message.text)
