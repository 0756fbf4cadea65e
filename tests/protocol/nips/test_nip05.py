"""NIP-05: the names that a service's domain gives."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.nips import nip19
from podium_protocol.nips.nip05 import names_of, root_name, slug_of
from tests.support.events import key_of

SERVICE = key_of(1).pubkey
STAFF = [key_of(number).pubkey for number in range(2, 6)]


def test_staff_are_named_by_their_own_names() -> None:
    """Letters with marks lose them, everything else becomes a dash; the service is the domain itself."""
    names = names_of(SERVICE, {STAFF[0]: "Zoë  Example!", STAFF[1]: "two"})
    assert names == {"_": SERVICE, "zoe-example": STAFF[0], "two": STAFF[1]}


def test_who_has_no_name_of_their_own_is_named_by_their_key() -> None:
    """None, one that is all signs, one that two give themselves: the domain does not say which of them is meant."""
    names = names_of(SERVICE, dict(zip(STAFF, ("", "_", "Same", "same"), strict=True)))
    assert names == {"_": SERVICE} | {nip19.encode_npub(pubkey): pubkey for pubkey in STAFF}


@given(st.lists(st.text(max_size=80), max_size=len(STAFF)))
def test_no_name_takes_anothers(given_names: list[str]) -> None:
    """Whatever people call themselves, each has exactly one name, fit for an address, and none takes the service's."""
    staff = dict(zip(STAFF, given_names, strict=False))
    names = names_of(SERVICE, staff)
    assert names["_"] == SERVICE
    assert sorted(pubkey for name, pubkey in names.items() if name != "_") == sorted(staff)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,64}", name) for name in names)


def test_a_name_that_looks_like_a_key_is_none() -> None:
    """A person called like another one's `npub` would be taken for them."""
    assert slug_of(nip19.encode_npub(STAFF[0])) == ""


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://podium.example.org", "_@podium.example.org"),
        ("https://podium.example.org/", "_@podium.example.org"),
        ("http://podium.example.org", None),
        ("https://podium.example.org:8443", None),
        ("https://podium.example.org/here", None),
        ("https://192.0.2.1", None),
        ("https://[2001:db8::1]", None),
        ("https://localhost", None),
    ],
)
def test_only_a_domain_has_a_name(url: str, name: str | None) -> None:
    """Clients ask `https://<domain>/.well-known/nostr.json`, and nothing else."""
    assert root_name(url) == name
