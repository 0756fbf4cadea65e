from __future__ import annotations

import pytest

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.nips import nip09
from podium_protocol.nips.nip09 import Deletion
from tests.support.events import NOW, key_of, signed, verified

AUTHOR, STRANGER = key_of(1), key_of(2)
SESSION = signed(AUTHOR, kind=kinds.SESSION, tags=(("d", "algebra"),), created_at=NOW)
ADDRESS = Address(kinds.SESSION, AUTHOR.pubkey, "algebra")


def deletion(*tags: tuple[str, ...], created_at: int = NOW) -> Deletion:
    return nip09.read_deletion(verified(AUTHOR, kind=kinds.DELETION, tags=tags, created_at=created_at))


def test_a_deletion_names_events_addresses_and_their_kinds() -> None:
    """Each kind is named once (NIP-09: "SHOULD include a `k` tag")."""
    event = nip09.write_deletion(
        AUTHOR.pubkey,
        created_at=NOW,
        events=[(SESSION.id, kinds.SESSION), (signed(AUTHOR).id, 1)],
        addresses=[ADDRESS],
        reason="moved",
    )
    assert (event.kind, event.created_at, event.content) == (kinds.DELETION, NOW, "moved")
    assert event.tags == (
        ("e", SESSION.id),
        ("e", signed(AUTHOR).id),
        ("a", str(ADDRESS)),
        ("k", "31923"),
        ("k", "1"),
    )


def test_what_was_written_is_read() -> None:
    """The written request comes back as ids and addresses."""
    event = nip09.write_deletion(AUTHOR.pubkey, created_at=NOW, events=[(SESSION.id, 31923)], addresses=[ADDRESS])
    read = nip09.read_deletion(verified(AUTHOR, kind=event.kind, tags=event.tags))
    assert read == Deletion(AUTHOR.pubkey, NOW, (SESSION.id,), (ADDRESS,))


def test_a_deletion_of_nothing_is_our_error() -> None:
    """It would only puzzle relays."""
    with pytest.raises(LocalProtocolError, match="at least one"):
        nip09.write_deletion(AUTHOR.pubkey, created_at=NOW)


def test_nobody_asks_to_delete_anothers_address() -> None:
    """Not even by mistake."""
    with pytest.raises(LocalProtocolError, match="only the author"):
        nip09.write_deletion(STRANGER.pubkey, created_at=NOW, addresses=[ADDRESS])


@pytest.mark.parametrize(
    "tag",
    [
        ("e",),
        ("e", ""),
        ("e", "A" * 64),
        ("e", "a" * 63),
        ("e", "a" * 64 + "\n"),
        ("a",),
        ("a", "31923:algebra"),
        ("a", "031923:" + AUTHOR.pubkey + ":algebra"),
        ("a", f"31923:{STRANGER.pubkey}:algebra"),
        ("a", f"99999:{AUTHOR.pubkey}:algebra"),
        ("p", AUTHOR.pubkey),
    ],
)
def test_malformed_tags_and_strangers_addresses_are_left_out(tag: tuple[str, ...]) -> None:
    """A stranger's kind 5 cannot hide a session, and rubbish beside a good tag does not spoil it."""
    assert deletion(tag) == Deletion(AUTHOR.pubkey, NOW, (), ())
    assert deletion(tag, ("e", SESSION.id)).ids == (SESSION.id,)


def test_names_count_once() -> None:
    """Copies of a tag are one name."""
    assert deletion(*[("e", SESSION.id), ("a", str(ADDRESS))] * 3) == Deletion(
        AUTHOR.pubkey, NOW, (SESSION.id,), (ADDRESS,)
    )


def test_another_kind_deletes_nothing() -> None:
    """A note with `e` tags is a note."""
    assert nip09.read_deletion(verified(AUTHOR, kind=1, tags=(("e", SESSION.id),))).ids == ()
