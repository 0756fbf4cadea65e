"""`podium badges`: public badges (NIP-58) for participants who completed a session and asked for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from podium_daemon.cli.caller import caller_of, sign_and_send
from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import Json, SessionReference, Yes, confirm, helped
from podium_daemon.cli.output import clean, print_answer, say, table
from podium_daemon.cli.session_view import plain_reference

if TYPE_CHECKING:
    from podium_daemon.api.badges import AskedBadgeOut
    from podium_daemon.client.podium import PodiumClient

app = typer.Typer(no_args_is_help=True, help="Public badges for participants who ask for one.")


@app.command(
    short_help="Ask for the badge of a session.",
    help=helped(
        "Ask the instructor for the badge of a session that you completed. It is public: everybody sees on Nostr that "
        "you did.",
        "podium badges ask knots",
    ),
)
def ask(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    badge = caller.run(podium.badges.ask(caller.run(plain_reference(podium, session))))
    if as_json:
        print_answer(badge)
    else:
        say("You have the badge." if badge.award_id else "Asked: you have it once the instructor signs it.")


@app.command(
    "list",
    short_help="Who asked for the badge.",
    help=helped("Who asked for the badge of a session, for those who lead it.", "podium badges list knots"),
)
def list_badges(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    found = caller.run(podium.badges.asked(caller.run(plain_reference(podium, session))))
    if as_json:
        print_answer(found)
        return
    rows = [(one.name, "signed" if one.award_id else "waits", one.npub) for one in found.badges]
    table(("name", "badge", "npub"), rows, empty="Nobody asked for a badge.")


@app.command(
    short_help="Sign the badges that participants asked for.",
    help=helped(
        "Sign and publish a badge for each participant who asked for one and waits. Relays keep it, and anybody reads "
        "who completed the session.",
        "podium badges sign knots",
    ),
)
def sign(context: typer.Context, session: SessionReference, yes: Yes = False) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    waiting = caller.run(_waiting(podium, reference))
    if not waiting:
        say("Nobody waits for a badge.")
        return
    names = ", ".join(clean(one.name) for one in waiting[:5]) + (" and others" if len(waiting) > 5 else "")
    confirm(f"Publish {len(waiting)} badge{'s' if len(waiting) > 1 else ''}, for {names}?", yes=yes)
    left = len(waiting)
    while left:  # one draft has a part of them
        caller.run(sign_and_send(podium, caller.run(podium.badges.draft(reference))))
        before, left = left, len(caller.run(_waiting(podium, reference)))
        if left >= before:
            raise CommandFailed("the daemon took the badges and says that they still wait: see its log")
    say(f"Signed: {len(waiting)}.")


async def _waiting(podium: PodiumClient, reference: str) -> list[AskedBadgeOut]:
    return [one for one in (await podium.badges.asked(reference)).badges if one.award_id is None]
