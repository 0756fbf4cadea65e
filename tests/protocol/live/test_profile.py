"""Kind 0: what strangers write of themselves."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.live.profile import MAX_NAME, Profile, read_profile
from tests.support.relays import new_key

KEY: SecretKey = new_key()


def told(content: str, kind: int = kinds.METADATA) -> VerifiedEvent:
    """A profile event with this content."""
    signed = KEY.sign(UnsignedEvent(KEY.pubkey, 1_800_000_000, kind, (), content), os.urandom(32))
    verified = verify(signed)
    assert isinstance(verified, VerifiedEvent)
    return verified


def profile(**fields: object) -> Profile | None:
    """What is read of a profile with these fields."""
    return read_profile(told(json.dumps(fields)))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Profile()),
        ({"name": "ada"}, Profile("ada")),
        ({"name": "ada", "display_name": "Ada L."}, Profile("Ada L.")),
        ({"name": "ada", "display_name": ""}, Profile("ada")),
        ({"name": "ada", "display_name": 5}, Profile("ada")),
        ({"name": ["ada"], "nip05": "ada@example.org"}, Profile("", "ada@example.org")),
        ({"name": None, "picture": "https://evil.example/x.png", "about": {}}, Profile()),
        ({"name": " Ada \n\t L. "}, Profile("Ada L.")),
        ({"name": "Ada\u202egpj.exe\x1b[2J\x9b"}, Profile("Adagpj.exe[2J")),
        ({"name": "\u202e\u200f"}, Profile()),
        ({"nip05": "Ada@Example.org"}, Profile("", "ada@example.org")),
        ({"nip05": "_@example.org"}, Profile("", "_@example.org")),
    ],
)
def test_a_profile_is_read_as_far_as_it_makes_sense(fields: dict[str, object], expected: Profile) -> None:
    """A good field counts whatever the others are; controls and line breaks go."""
    assert profile(**fields) == expected


@pytest.mark.parametrize(
    "claim",
    [
        *("", "ada", "example.org", "@example.org", "ada@", "ada@localhost", "ada@example.org\n", "a da@example.org"),
        *("ada@example.org/x", "ada@example.org:8080", "ada@127.0.0.1/", "ada@@example.org", "ada@exa_mple.org"),
        *("äda@example.org", "ada@example..org", "ada?name=x@example.org", "a" * 65 + "@example.org", 5, None, ["x"]),
    ],
)
def test_what_is_no_name_of_nip_05_is_no_claim(claim: object) -> None:
    """Nothing is asked about a text that could be an address of another kind; surrounding space alone is forgiven."""
    found = profile(name="ada", nip05=claim)
    expected = "ada@example.org" if claim == "ada@example.org\n" else None
    assert found == Profile("ada", expected)


@pytest.mark.parametrize(
    "content", ["", "x", "[]", "null", '"ada"', '{"name": "a"', "[" * 5000, '{"name": "' + "x" * 70_000]
)
def test_what_is_no_profile_is_none(content: str) -> None:
    """Broken, foreign and overlong contents are no profile."""
    assert read_profile(told(content)) is None


def test_another_kind_is_no_profile() -> None:
    """A note that looks like a profile is a note."""
    assert read_profile(told('{"name": "ada"}', kind=1)) is None


@given(st.text(max_size=300))
def test_a_name_is_one_short_line(text: str) -> None:
    """Whatever is written, what is shown is one line of bounded length without controls."""
    found = profile(name=text)
    assert found is not None
    assert len(found.name) <= MAX_NAME
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in found.name)
