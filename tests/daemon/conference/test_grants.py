"""Room tokens: bound, single use, short-lived, bounded, and hashed."""

from __future__ import annotations

import gc

from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.conference.events import RoomId
from podium_daemon.conference.grants import MAX_DEVICES, GrantBook, SeatGrant
from podium_daemon.runtime.secret_table import SECRET_BYTES
from tests.support.conference import new_person, new_pubkey, seeded_bytes

ROOM = RoomId("r1")
PEOPLE = [new_pubkey() for _ in range(3)]


def _grant(device: str = "laptop", *, room: RoomId = ROOM, until: float = 300.0, who: int = 0) -> SeatGrant:
    return SeatGrant(room, new_person(PEOPLE[who], device), until)


def test_a_token_gives_back_its_grant_once() -> None:
    """What was bound comes back unchanged, the first time only."""
    book = GrantBook(seeded_bytes())
    token = book.issue(_grant())
    assert book.redeem(token, 0) == _grant()
    assert book.redeem(token, 0) is None
    assert len(book) == 0


def test_a_token_ends_at_its_time() -> None:
    """The last moment is outside; a token that was tried too late is spent all the same."""
    book = GrantBook(seeded_bytes())
    token = book.issue(_grant(until=300.0))
    assert book.redeem(token, 300.0) is None
    assert book.redeem(token, 299.0) is None
    assert book.redeem(book.issue(_grant(until=300.0)), 299.9) is not None


def test_tokens_hold_256_bits_of_the_given_source() -> None:
    """The randomness is the caller's, none is made up, and none is used twice."""
    asked = []

    def counting(size: int) -> bytes:
        asked.append(size)
        return len(asked).to_bytes(size)

    book = GrantBook(counting)
    tokens = {book.issue(_grant(str(number))) for number in range(5)}
    assert asked == [SECRET_BYTES] * 5
    assert SECRET_BYTES == 32
    assert len(tokens) == 5


def test_a_token_is_not_kept() -> None:
    """Nothing that the book reaches holds the token or its bytes, only a hash."""
    book = GrantBook(seeded_bytes(7))
    token = book.issue(_grant())
    reached: list[object] = []
    queue: list[object] = [book.__dict__]
    while queue:
        thing = queue.pop()
        reached.append(thing)
        queue.extend(gc.get_referents(thing) if isinstance(thing, dict | tuple | list | SeatGrant) else [])
    assert len(reached) > 5
    assert not any(token == thing or token.encode() == thing for thing in reached)
    assert seeded_bytes(7)(32) not in reached


def test_asking_again_replaces_the_devices_grant() -> None:
    """A device holds one unredeemed grant, the newest."""
    book = GrantBook(seeded_bytes())
    old, new = book.issue(_grant()), book.issue(_grant())
    assert book.redeem(old, 0) is None
    assert book.redeem(new, 0) is not None


def test_a_person_who_asks_for_ever_costs_three_grants() -> None:
    """New device names without end take no memory: the newest three stay good."""
    book = GrantBook(seeded_bytes())
    tokens = [book.issue(_grant(f"d{number}")) for number in range(500)]
    assert len(book) == MAX_DEVICES
    assert [book.redeem(token, 0) is not None for token in tokens] == [False] * 497 + [True] * 3


def test_revoking_spares_other_people_and_rooms() -> None:
    """A person's grants for a room go, or a room's; nobody else's."""
    book = GrantBook(seeded_bytes())
    other_room = RoomId("r2")
    mine = [book.issue(_grant(device)) for device in ("a", "b")]
    theirs = book.issue(_grant(who=1))
    elsewhere = book.issue(_grant(room=other_room))
    assert book.revoke(ROOM, PEOPLE[0]) == 2
    assert book.revoke(ROOM, PEOPLE[2]) == 0
    assert [book.redeem(token, 0) for token in mine] == [None, None]
    assert book.revoke(ROOM) == 1
    assert book.redeem(theirs, 0) is None
    assert book.redeem(elsewhere, 0) is not None


def test_expiring_forgets_only_what_is_too_old() -> None:
    """What nobody used goes with the next sweep."""
    book = GrantBook(seeded_bytes())
    book.issue(_grant("a", until=10))
    token = book.issue(_grant("b", until=11))
    book.expire(10)
    assert len(book) == 1
    assert book.redeem(token, 10) is not None
    assert book._by_room == {}


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("issue", "redeem", "revoke", "close", "expire")), st.integers(0, 2), st.integers(0, 4)
        ),
        max_size=40,
    )
)
def test_the_two_indexes_agree_after_anything(steps: list[tuple[str, int, int]]) -> None:
    """By token and by person, the same grants are known, and never more than three a person."""
    book, tokens = GrantBook(seeded_bytes()), [""]
    for now, (step, who, device) in enumerate(steps):
        if step == "issue":
            tokens.append(book.issue(_grant(f"d{device}", until=now + device, who=who)))
        elif step == "redeem":
            book.redeem(tokens[device % len(tokens)], now)
        elif step == "expire":
            book.expire(now)
        else:
            book.revoke(ROOM, PEOPLE[who] if step == "revoke" else None)
        held = [
            digest for people in book._by_room.values() for devices in people.values() for digest in devices.values()
        ]
        assert sorted(held) == sorted(book._grants)
        assert all(0 < len(devices) <= MAX_DEVICES for people in book._by_room.values() for devices in people.values())
