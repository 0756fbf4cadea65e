"""The message about a revision that cannot be read."""

from __future__ import annotations

from podium_protocol.live.message_texts import Unread, write_unread
from tests.support.events import NOW, key_of

SERVICE, INSTRUCTOR = key_of(1), key_of(2)


def test_it_names_the_session_the_reason_and_what_holds() -> None:
    """The instructor reads which session, what was wrong, that it stays as it was, and where to edit it."""
    told = Unread(
        title="Knots\nInjected: line",
        starts_at=1_796_000_000,
        timezone="Europe/Berlin",
        reason="end is no Unix time after start",
        page="https://podium.example.org/s/naddr1x",
    )
    rumor = write_unread(told, service=SERVICE.pubkey, recipient=INSTRUCTOR.pubkey, created_at=NOW)
    assert (rumor.kind, rumor.pubkey, rumor.created_at) == (14, SERVICE.pubkey, NOW)
    assert ("p", INSTRUCTOR.pubkey) in [tag[:2] for tag in rumor.tags]
    first, reason, holds, place = rumor.content.split("\n\n")
    assert first == "Your last change could not be read: Knots Injected: line"
    assert reason == "Reason: end is no Unix time after start."
    assert "stays as it was" in holds
    assert "2026" in holds
    assert place.endswith("https://podium.example.org/s/naddr1x")
    again = write_unread(told, service=SERVICE.pubkey, recipient=INSTRUCTOR.pubkey, created_at=NOW)
    assert again.id == rumor.id
