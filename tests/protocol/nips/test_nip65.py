from __future__ import annotations

import nostr_sdk
import pytest

from podium_protocol import kinds
from podium_protocol.errors import LocalProtocolError
from podium_protocol.nips import nip65
from podium_protocol.nips.nip65 import RelayList
from tests.support.events import NOW, key_of, verified

KEY = key_of(1)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((("r", "wss://a.example"),), RelayList(("wss://a.example",), ("wss://a.example",))),
        ((("r", "wss://a.example", ""),), RelayList(("wss://a.example",), ("wss://a.example",))),
        ((("r", "wss://a.example/", "read"),), RelayList(("wss://a.example",), ())),
        ((("r", "wss://a.example", "write", "x"),), RelayList((), ("wss://a.example",))),
        ((("r", "wss://a.example", "both"),), RelayList()),
        ((("r", "https://a.example"), ("r",), ("relay", "wss://a.example")), RelayList()),
        (
            (("r", "wss://a.example", "read"), ("r", "wss://A.example", "write"), ("r", "wss://b.example")),
            RelayList(("wss://a.example", "wss://b.example"), ("wss://a.example", "wss://b.example")),
        ),
    ],
)
def test_a_list_is_read(tags: tuple[tuple[str, ...], ...], expected: RelayList) -> None:
    """Without a marker a relay is for both; unknown markers and bad URLs are left out."""
    assert nip65.read_relay_list(verified(KEY, kind=kinds.RELAY_LIST, tags=tags)) == expected


def test_a_long_list_is_cut() -> None:
    """A stranger does not make us connect to hundreds of hosts."""
    tags = tuple(("r", f"wss://r{n}.example") for n in range(300))
    assert len(nip65.read_relay_list(verified(KEY, kind=kinds.RELAY_LIST, tags=tags)).read) == 20


def test_another_kind_lists_nothing() -> None:
    """An `r` tag of a note is a reference."""
    assert nip65.read_relay_list(verified(KEY, tags=(("r", "wss://a.example"),))) == RelayList()


def test_our_own_list_is_written_and_read() -> None:
    """By us, and by an independent client, with the same markers."""
    relays = RelayList(read=("wss://b.example", "wss://c.example"), write=("wss://a.example", "wss://b.example"))
    draft = nip65.write_relay_list(KEY.pubkey, relays, created_at=NOW)
    assert draft.tags == (
        ("r", "wss://a.example", "write"),
        ("r", "wss://b.example"),
        ("r", "wss://c.example", "read"),
    )
    event = verified(KEY, kind=draft.kind, tags=draft.tags)
    assert nip65.read_relay_list(event) == relays
    theirs = nostr_sdk.extract_relay_list(nostr_sdk.Event.from_json(event.to_json().decode()))
    assert sorted(str(marker) for marker in theirs.values()) == sorted(
        ["None", str(nostr_sdk.RelayMetadata.READ), str(nostr_sdk.RelayMetadata.WRITE)]
    )


@pytest.mark.parametrize(
    "relays",
    [
        RelayList(),
        RelayList(read=("nonsense",)),
        RelayList(write=("https://a.example",)),
        RelayList(read=tuple(f"wss://r{n}.example" for n in range(21))),
    ],
)
def test_a_list_nobody_could_use_is_our_error(relays: RelayList) -> None:
    """Empty, malformed or too long."""
    with pytest.raises(LocalProtocolError):
        nip65.write_relay_list(KEY.pubkey, relays, created_at=NOW)
