"""Private sessions: who belongs to one, the copies of its events, and the invitation in words."""

from __future__ import annotations

import os

import msgspec
import pytest

from podium_protocol import kinds, tags
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, Rejected, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.live import private
from podium_protocol.nips import nip59

NOW = 1_800_000_000
SERVICE, INSTRUCTOR, GUEST = (SecretKey(os.urandom(32)) for _ in range(3))


class Named(msgspec.Struct, frozen=True):
    """A session as far as it is guarded."""

    visibility: str = "private"
    instructor_pubkey: str = "i"
    co_hosts: tuple[str, ...] = ("c", "i")
    invited: tuple[str, ...] = ("a", "c", "b")


def event(kind: int = kinds.SESSION, content: str = "", *rows: tuple[str, ...]) -> VerifiedEvent:
    """An event of the instructor's, really signed."""
    draft = UnsignedEvent(INSTRUCTOR.pubkey, NOW, kind, (("d", "knots"), *rows), content)
    found = verify(INSTRUCTOR.sign(draft, os.urandom(32)))
    assert not isinstance(found, Rejected)
    return found


def test_everybody_named_is_counted_once() -> None:
    """A guest who is invited twice, or leads and is invited, is one person."""
    assert private.people_of(Named()) == ("i", "c", "a", "b")


@pytest.mark.parametrize(
    ("visibility", "pubkey", "expected"),
    [
        ("private", "i", True),
        ("private", "c", True),
        ("private", "a", True),
        ("private", "x", False),
        ("private", None, False),
        ("public", "x", True),
        ("public", None, True),
    ],
)
def test_a_private_session_is_for_those_it_names(visibility: str, pubkey: str | None, expected: bool) -> None:
    """A public one is for everybody, also for those who do not say who they are."""
    assert private.may_attend(Named(visibility), pubkey) is expected


def test_a_copy_keeps_the_authors_signature() -> None:
    """What comes out is the event that went in, verified, though the service wrote the copy."""
    session = event(kinds.SESSION, 'text with "quotes"\n')
    copy = private.write_copy(session, service=SERVICE.pubkey)
    assert (copy.kind, copy.pubkey) == (16, SERVICE.pubkey)
    assert tags.first(copy.tags, "a") == f"31923:{INSTRUCTOR.pubkey}:knots"
    assert private.read_copy(copy) == session


def test_a_repeated_copy_is_the_same_message() -> None:
    """Clients drop what they know by its id, so a copy that is sent again has the same one."""
    session = event()
    assert (
        private.write_copy(session, service=SERVICE.pubkey).id == private.write_copy(session, service=SERVICE.pubkey).id
    )


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "null", '{"id": 1}', "\ud800", "not json"],
)
def test_what_is_no_event_is_no_copy(content: str) -> None:
    """A stranger's kind 16 may hold anything."""
    assert private.read_copy(UnsignedEvent(GUEST.pubkey, NOW, kinds.GENERIC_REPOST, (), content)) is None


def test_a_copy_that_was_changed_is_none() -> None:
    """The service that passes an event on cannot change a word of it."""
    copy = private.write_copy(event(kinds.SESSION, "at six"), service=SERVICE.pubkey)
    assert private.read_copy(msgspec.structs.replace(copy, content=copy.content.replace("six", "ten"))) is None


@pytest.mark.parametrize("kind", [1, 0, kinds.DM_RELAY_LIST, kinds.ATTENDANCE, kinds.MEETING])
def test_only_what_belongs_to_a_session_travels_so(kind: int) -> None:
    """Nobody's other events are taken in by way of a copy."""
    assert private.read_copy(private.write_copy(event(kind), service=SERVICE.pubkey)) is None


def test_an_event_outside_a_copy_is_none() -> None:
    """A rumor of another kind is no copy, whatever it contains."""
    rumor = UnsignedEvent(GUEST.pubkey, NOW, kinds.PRIVATE_MESSAGE, (), event().to_json().decode())
    assert private.read_copy(rumor) is None


def test_the_largest_copy_passes_relays_that_refuse_64_kib() -> None:
    """Sealed and wrapped, a rumor of just the size that is allowed stays below it; one byte more is refused."""
    empty = event()
    size = len(msgspec.json.encode(private.write_copy(empty, service=SERVICE.pubkey)))
    room = private.MAX_COPY_BYTES - size
    largest = event(kinds.SESSION, "x" * room)
    private.check_size(largest, service=SERVICE.pubkey)
    wrap = nip59.gift_wrap(
        private.write_copy(largest, service=SERVICE.pubkey),
        SERVICE,
        GUEST.pubkey,
        now=NOW,
        entropy=os.urandom(nip59.ENTROPY_BYTES),
        expiration=NOW,
    )
    assert len(wrap.to_json()) < 64 * 1024
    with pytest.raises(InvalidInput, match="invite fewer"):
        private.check_size(event(kinds.SESSION, "x" * (room + 1)), service=SERVICE.pubkey)


def test_the_size_is_known_before_anybody_signs() -> None:
    """A draft is measured as long as it will be with its signature."""
    draft = UnsignedEvent(INSTRUCTOR.pubkey, NOW, kinds.SESSION, (("d", "knots"),), "x" * 40_000)
    with pytest.raises(InvalidInput):
        private.check_size(draft, service=SERVICE.pubkey)


def invitation(**changes: object) -> UnsignedEvent:
    """An invitation to one guest."""
    told = private.Invitation(
        title="Knots", starts_at=NOW, timezone="Europe/Berlin", page="https://x.example/s/1", inviter="Rosa"
    )
    told = msgspec.structs.replace(told, **changes)
    return private.write_invitation(told, service=SERVICE.pubkey, recipient=Pubkey(GUEST.pubkey), created_at=NOW - 3600)


def test_an_invitation_says_what_when_and_where() -> None:
    """Any client that shows private messages shows all that is needed to come."""
    rumor = invitation()
    assert (rumor.kind, rumor.created_at) == (14, NOW - 3600)
    assert tags.first(rumor.tags, "p") == GUEST.pubkey
    assert tags.first(rumor.tags, "subject") == "You are invited: Knots"
    for words in (
        "You are invited: Knots",
        "Rosa invites you.",
        "Friday, 15 January 2027",
        "https://x.example/s/1",
        "Reply yes, maybe or no",
    ):
        assert words in rumor.content


def test_a_cancelled_invitation_says_so() -> None:
    """Who was invited and has not answered is told that nothing takes place, and where that stands."""
    rumor = invitation(cancelled=True, changed=True)
    assert tags.first(rumor.tags, "subject") == "Cancelled: Knots"
    assert "The session's page: https://x.example/s/1" in rumor.content
    assert "invites you" not in rumor.content
    assert "Reason: I am ill." in invitation(cancelled=True, cancel_reason="I am ill.").content


def test_a_changed_invitation_says_so() -> None:
    """The second message about a session is not taken for another invitation."""
    assert tags.first(invitation(changed=True).tags, "subject") == "Invitation changed: Knots"


def test_a_strangers_title_cannot_play_with_the_message() -> None:
    """Line ends and direction marks in a title stay out of the headline."""
    assert tags.first(invitation(title="Knots\nand \u202ebad").tags, "subject") == "You are invited: Knots and bad"
