"""`podium session watch`: a table that follows a session, or one line a change."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, SessionReference, helped
from podium_daemon.cli.output import clean, is_fancy, note, say, table_lines
from podium_daemon.cli.session_view import plain_reference
from podium_daemon.cli.times import shown_clock, shown_length, shown_time
from podium_protocol.live.lifecycle import OVER

if TYPE_CHECKING:
    from podium_daemon.api.rsvps import RsvpOut
    from podium_daemon.client import PodiumClient
    from podium_daemon.client.watching import SessionNews, WatchedSession

app = typer.Typer()
_HEADS: Final = ("person", "room", "answer", "present", "messages")
_NOTHING: Final = ("",) * (len(_HEADS) - 1)

_Rows = dict[str, tuple[str, ...]]


@app.command(
    short_help="Follow a session as it changes.",
    help=helped(
        "Follow a session until its end: who is in the room, answers, attendance and messages of all people for those "
        "who lead, else your own. On a terminal a table is kept up to date, elsewhere each change is a line, with "
        "--json the stream's events. Ctrl-C ends it.",
        "podium session watch knots",
        "podium session watch knots --json | jq .event",
    ),
)
def watch(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    with _watching(as_json=as_json) as show:
        caller.run(_follow(podium, reference, show))


class _Show(Protocol):
    def tell(self, news: SessionNews) -> None: ...


async def _follow(podium: PodiumClient, reference: str, show: _Show) -> None:
    async with contextlib.aclosing(podium.watch(reference)) as changes:
        async for news in changes:
            show.tell(news)
            # the parts come one after the other: the first beat follows the last of them
            if news.name == "beat" and news.view.session is not None and news.view.session.state in OVER:
                return


@contextlib.contextmanager
def _watching(*, as_json: bool) -> Iterator[_Show]:
    if as_json:
        yield _JsonLines()
    elif not is_fancy():
        yield _Lines()
    else:
        with Live(console=Console(file=sys.stdout), auto_refresh=False) as live:
            yield _Screen(live)


class _JsonLines:
    def tell(self, news: SessionNews) -> None:
        if news.data:
            say(json.dumps({"event": news.name, "data": json.loads(news.data)}))  # in ASCII: harmless on a terminal
            sys.stdout.flush()


class _Screen:
    def __init__(self, live: Live) -> None:
        self._live = live

    def tell(self, news: SessionNews) -> None:
        if news.name == "beat":
            return
        rows = [list(row) for row in _rows(news.view).values()]
        lines = [_headline(news.view), *(table_lines(_HEADS, rows) if rows else ["Nobody yet."])]
        if news.name == "lost":
            lines.append("The line is lost. Trying again.")
        self._live.update(Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)


class _Lines:
    def __init__(self) -> None:
        self._state = ""
        self._rows: _Rows = {}

    def tell(self, news: SessionNews) -> None:
        if news.name == "lost":
            note("The line is lost. Trying again.")
        if news.view.session is not None and news.view.session.state != self._state:
            self._state = news.view.session.state
            _line(_headline(news.view))
        before, self._rows = self._rows, _rows(news.view)
        for pubkey, (person, *cells) in self._rows.items():
            known = before.get(pubkey, ("", *_NOTHING))[1:]
            changed = zip(_HEADS[1:], known, cells, strict=True)
            if told := [f"{head}: {now or 'none'}" for head, then, now in changed if then != now]:
                _line(f"{person}: {'; '.join(told)}")


def _line(text: str) -> None:
    say(f"{shown_clock(int(time.time()))}  {text}")
    sys.stdout.flush()


def _headline(view: WatchedSession) -> str:
    one = view.session
    if one is None:
        return ""
    counts = f"{one.counts.confirmed} confirmed, {one.participant_count} in the room"
    return f"{clean(one.title)}: {one.state}, {shown_time(one.scheduled_at, one.timezone)}, {counts}"


def _rows(view: WatchedSession) -> _Rows:
    """The cells of each person, those in the room first."""
    me = view.me
    people = {} if view.room is None else {one.pubkey: one for one in view.room.people}
    rsvps = {one.pubkey: one for one in view.rsvps}
    stays = {one.pubkey: one for one in view.attendance}
    if me is not None and me.rsvp is not None:
        rsvps.setdefault(me.pubkey, me.rsvp)
    if me is not None and me.attendance is not None:
        stays.setdefault(me.pubkey, me.attendance)
    messages: dict[str, Counter[str]] = {}
    for one in view.reminders:
        messages.setdefault(one.pubkey, Counter())[one.state] += 1
    names = {one.pubkey: one.name for one in (*view.reminders, *stays.values(), *rsvps.values(), *people.values())}
    return {
        key: (
            clean(names[key]),
            people[key].state if key in people else "",
            _answer(rsvps[key]) if key in rsvps else "",
            f"{shown_length(stays[key].total_duration)}, {stays[key].percent} %" if key in stays else "",
            ", ".join(f"{count} {state}" for state, count in sorted(messages.get(key, {}).items())),
        )
        for key in dict.fromkeys((*people, *rsvps, *stays, *messages))
    }


def _answer(one: RsvpOut) -> str:
    place = f" {one.position}" if one.position is not None else ""
    return ", ".join(filter(None, (one.status, f"{one.seat}{place}" if one.seat else "")))
