"""Edits of a date and all that follow, which were stopped midway: the same command goes on where it stopped.

The daemon moves the dates that follow as far as the first one. Once that one is moved, a second draft of the same edit
would move the others by nothing: what is left, and when it is to begin, is kept here until it is signed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from podium_daemon.cli.caller import CommandCaller, sign_and_send
from podium_daemon.cli.output import clean, note
from podium_daemon.cli.times import shown_time
from podium_protocol import kinds, tags

if TYPE_CHECKING:
    from podium_daemon.api.sessions import DraftOut, SessionEditIn, SessionOut
    from podium_daemon.client import PodiumClient

_GO_ON: Final = "The same command goes on with the rest."


class PlannedDate(msgspec.Struct, frozen=True):
    """A date that is still to be changed: when it begins now and when it is to begin, in Unix seconds."""

    session: str
    before: int
    after: int


class Unfinished(msgspec.Struct, frozen=True):
    """What is left of an edit, the next date first, and how many dates are done."""

    left: tuple[PlannedDate, ...]
    done: int


class UnfinishedEdits:
    """One file for each edit that was stopped, in the state directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> Unfinished | None:
        """What was left of this edit, or None: it was not begun, or its file is damaged."""
        try:
            found = msgspec.json.decode(self._file(key).read_bytes(), type=Unfinished)
        except (OSError, msgspec.DecodeError):
            return None
        return found if found.left else None

    def keep(self, key: str, left: Unfinished) -> None:
        """Keep what is left; where that cannot be written, the person has been told what it is."""
        temporary = self._folder / f".{secrets.token_hex(8)}"
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(msgspec.json.encode(left))
            temporary.replace(self._file(key))

    def forget(self, key: str) -> None:
        """Forget an edit that is done."""
        with contextlib.suppress(OSError):
            self._file(key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def edit_following(caller: CommandCaller, podium: PodiumClient, before: SessionOut, wish: SessionEditIn) -> DraftOut:
    """Sign and send an edit of a date and all that follow, from where the same edit was stopped.

    Raises:
        PodiumError: a signature or its submission failed; what is left is kept for the next call.
    """
    edits = UnfinishedEdits(caller.config().state_directory / "unfinished")
    key = "\n".join((podium.signed_url, before.lesson_id, wish.model_dump_json(exclude_unset=True)))
    stopped = edits.find(key)
    first = before if stopped is None else caller.run(_next_date(podium, stopped))
    draft = caller.run(podium.draft_edit(first, _wish_for(first, stopped, wish)))
    done_before = 0 if stopped is None else stopped.done
    if stopped is not None:
        note(f"Going on where it stopped, with {_named(first)}.")
    starts = {one.lesson_id: one.scheduled_at for one in caller.run(podium.series(first.naddr)).dates}
    dates = _dates_of(draft, starts, podium.pubkey or "")

    def keep(done: int) -> None:
        # the calendar stands last: where only that is left, it is drafted with the last date
        left = dates[min(done, len(dates) - 1) :]
        edits.keep(key, Unfinished(tuple(left), done_before + min(done, len(dates) - 1)))
        names = ", ".join(one.session.split(":", 2)[-1] for one in dates[done:]) or "the calendar"
        note(f"{done_before + min(done, len(dates))} dates are changed. Left: {names}.")

    caller.run(sign_and_send(podium, draft, go_on=_GO_ON, stopped=keep))
    edits.forget(key)
    return draft


def _dates_of(draft: DraftOut, starts: dict[str, int], author: str) -> list[PlannedDate]:
    found = []
    for event in draft.events:
        if event.kind == kinds.SESSION:
            rows = event.unsigned().tags
            session = f"{kinds.SESSION}:{author}:{tags.first(rows, 'd')}"
            after = int(tags.first(rows, "start") or 0)
            found.append(PlannedDate(session, starts.get(session, after), after))
    return found


async def _next_date(podium: PodiumClient, stopped: Unfinished) -> SessionOut:
    """The first date that is still to be changed: the daemon may have taken the last one that had no answer."""
    first, *others = stopped.left
    found = await podium.session(first.session)
    is_moved = found.scheduled_at == first.after != first.before
    return await podium.session(others[0].session) if is_moved and others else found


def _wish_for(first: SessionOut, stopped: Unfinished | None, wish: SessionEditIn) -> SessionEditIn:
    """The same wish for the date at which it goes on, at the time that was planned for that one."""
    is_moving = wish.scheduled_at is not None or "timezone" in wish.model_fields_set
    if stopped is None or not is_moving:
        return wish
    planned = {one.session: one.after for one in stopped.left}
    return wish.model_copy(update={"scheduled_at": planned.get(first.lesson_id, first.scheduled_at)})


def _named(one: SessionOut) -> str:
    return f"date {one.series_number}: {clean(one.title)}, {shown_time(one.scheduled_at, one.timezone)}"
