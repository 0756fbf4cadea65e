"""What the service writes down for itself of what people said."""

from __future__ import annotations

import msgspec
import pytest

from podium_protocol import kinds
from podium_protocol.events import EventId, UnsignedEvent
from podium_protocol.live.rsvp import Reply
from podium_protocol.live.said import ALL, Said, read_said, write_said
from tests.support.events import NOW, key_of

SERVICE, ADA, INSTRUCTOR = key_of(1).pubkey, key_of(2).pubkey, key_of(3).pubkey
LESSON = f"{kinds.SESSION}:{INSTRUCTOR}:knots"
SAID = Said(pubkey=ADA, session_address=LESSON, reply=Reply.NO, at=NOW, rumor_id=EventId("a" * 64))


@pytest.mark.parametrize("reply", list(Reply))
def test_what_was_said_is_read_as_it_was_written(reply: Reply) -> None:
    """All of it, and the same words make the same rumor: a repetition is none."""
    said = msgspec.structs.replace(SAID, reply=reply, session_address=ALL if reply is Reply.STOP_ALL else LESSON)
    rumor = write_said(said, service=SERVICE)
    assert read_said(rumor) == said
    assert write_said(said, service=SERVICE).id == rumor.id
    assert (rumor.kind, rumor.pubkey, rumor.created_at) == (30078, SERVICE, NOW)


@pytest.mark.parametrize("missing", ["d", "p", "e", "a", "status"])
def test_what_is_incomplete_is_no_memory(missing: str) -> None:
    """Application data of others, and rumors of a version that wrote something else, say nothing."""
    rumor = write_said(SAID, service=SERVICE)
    rows = tuple(row for row in rumor.tags if row[0] != missing)
    assert read_said(UnsignedEvent(SERVICE, NOW, rumor.kind, rows, "")) is None


@pytest.mark.parametrize("change", [("p", "ada"), ("e", "x"), ("a", "30313:x:y"), ("status", "yes"), ("d", "settings")])
def test_what_is_broken_is_no_memory(change: tuple[str, str]) -> None:
    """Keys, ids, addresses and words are checked, ours or not."""
    rumor = write_said(SAID, service=SERVICE)
    rows = tuple(change if row[0] == change[0] else row for row in rumor.tags)
    assert read_said(UnsignedEvent(SERVICE, NOW, rumor.kind, rows, "")) is None
    assert read_said(UnsignedEvent(SERVICE, NOW, kinds.RSVP, rumor.tags, "")) is None
