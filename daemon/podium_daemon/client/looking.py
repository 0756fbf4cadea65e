"""The check of events that a daemon composed: a key must not sign any event that a server sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from podium_protocol import kinds, tags
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.live.session_spec import DEFAULT_LIMITS
from podium_protocol.tags import Tag
from podium_protocol.text import single_line

_MAX_SKEW: Final = 600  # a later revision may be dated a second or more ahead; relays do not accept ten minutes

Expectation = tuple[int, Sequence[Tag]]
"""The kind of one event, and tags it must have with exactly these values and no other."""


def revision_tags(
    title: str, begins: int, minutes: int | None, *, private: bool, attendance: str | None
) -> tuple[Tag, ...]:
    """The tags that a revision of a session must have, exactly.

    Args:
        title: as it was asked for.
        begins: Unix seconds.
        minutes: its length; None where the end stays as it was.
        private: only people who are named may see it.
        attendance: what was asked for of the records; those of a private session are sealed in any case.
    """
    found = [("title", single_line(title, DEFAULT_LIMITS.max_title)), ("start", str(begins))]  # as they are written
    if minutes is not None:
        found.append(("end", str(begins + minutes * 60)))
    if private:
        found += [("visibility", "private"), ("attendance", "private")]
    elif attendance is not None:
        found.append(("attendance", attendance))
    return tuple(found)


def flaw_of(events: Sequence[UnsignedEvent], expected: Sequence[Expectation], author: Pubkey, now: int) -> str | None:
    """Return why `author` must not sign `events`, in words, or None."""
    if len(events) != len(expected):
        return f"{len(events)} events instead of {len(expected)}"
    for event, expectation in zip(events, expected, strict=True):
        if flaw := _flaw_of_one(event, expectation, author, now) or _flaw_of_deletion(event, events):
            return flaw
    return None


def _flaw_of_one(event: UnsignedEvent, expectation: Expectation, author: Pubkey, now: int) -> str | None:
    kind, wanted = expectation
    if event.pubkey != author:
        return "an event of another author than this key"
    if event.kind != kind:
        return f"an event of kind {event.kind} instead of {kind}"
    if abs(event.created_at - now) > _MAX_SKEW:
        return "an event dated far from now (check this machine's clock and the daemon's)"
    for name, *values in wanted:
        found = [tag[1:] for tag in tags.named(event.tags, name)]
        if [list(tag[: len(values)]) for tag in found] != [values]:
            return f"an event whose {name!r} is not what was asked for"
    return None


def _flaw_of_deletion(event: UnsignedEvent, together: Sequence[UnsignedEvent]) -> str | None:
    """A deletion may name the revision signed beside it and the one before: a longer list would delete other things."""
    if event.kind != kinds.DELETION:
        return None
    others = set(tags.values(event.tags, "e")) - {one.id for one in together}
    return "a deletion of further events" if len(others) > 1 else None
