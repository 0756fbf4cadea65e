"""Who may come without a signer, and what guests may be called."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.guests import MAX_NAME, comparable_name, door_name, guest_name, guests_of, is_taken
from podium_protocol.live.names import own_name, short_npub, shown_names
from podium_protocol.live.session import GuestPolicy, Visibility
from tests.support.events import key_of

ANA = key_of(1)


class Said(msgspec.Struct):
    """The part of a session that counts."""

    guests: str | None = None
    visibility: str = Visibility.PUBLIC
    e2ee_required: bool = False


@pytest.mark.parametrize(
    ("session", "default", "who"),
    [
        (Said(), GuestPolicy.INVITED, GuestPolicy.INVITED),
        (Said(), GuestPolicy.ANYONE, GuestPolicy.ANYONE),
        (Said("off"), GuestPolicy.ANYONE, GuestPolicy.OFF),
        (Said("anyone"), GuestPolicy.OFF, GuestPolicy.ANYONE),
        (Said("anyone", Visibility.PRIVATE), GuestPolicy.OFF, GuestPolicy.INVITED),
        (Said(None, Visibility.PRIVATE), GuestPolicy.ANYONE, GuestPolicy.INVITED),
        (Said("off", Visibility.PRIVATE), GuestPolicy.ANYONE, GuestPolicy.OFF),
        (Said("anyone", e2ee_required=True), GuestPolicy.ANYONE, GuestPolicy.OFF),
    ],
)
def test_who_may_come(session: Said, default: GuestPolicy, who: GuestPolicy) -> None:
    """What the session says, else the service's default; none by name to private ones, none to encrypted ones."""
    assert guests_of(session, default) is who


@given(st.text(max_size=80))
def test_a_name_is_short_and_seen(text: str) -> None:
    """Whatever is typed: 1 to 40 characters on one line, or no name; and the same again when it is read once more."""
    name = guest_name(text)
    if name is not None:
        assert 1 <= len(name) <= MAX_NAME
        assert "\n" not in name
        assert guest_name(name) == name


@pytest.mark.parametrize("one", ["Ana", "ANA", "\uff21na", "A\u200bna", "a\u200dna"])
def test_names_that_look_alike_are_one(one: str) -> None:
    """Case, width and what is not seen tell nobody apart."""
    assert comparable_name(one) == comparable_name("ana")


@given(st.text(max_size=80) | st.sampled_from(["Ana (…abcdef)", "npub1abc", "NPUB1", "\u200d (…x)", "n\u200bpub1"]))
def test_a_name_at_the_door_is_shown_as_it_is_kept(text: str) -> None:
    """It is a guest's name, and a list of people shows the whole of it: nothing of it poses as a part of a key."""
    name = door_name(text)
    if name is not None:
        assert guest_name(name) == name
        assert own_name(name) == name
        assert shown_names({ANA.pubkey: name}) == {ANA.pubkey: name}
        assert is_taken(name, [name])


def test_a_key_is_no_name() -> None:
    """Neither a short npub nor the mark that tells equal names apart is kept of what is typed."""
    assert door_name(short_npub(ANA.pubkey)) is None
    assert door_name("Ana (…abcdef)") == "Ana"
    assert is_taken("ana", ["", "Ben", "ANA (…abcdef)"])
    assert not is_taken("Ana", ["", "Anna"])
