from __future__ import annotations

import nostr_sdk
import pytest

from podium_protocol import kinds
from podium_protocol.errors import LocalProtocolError
from podium_protocol.nips import nip17
from tests.support.events import NOW, key_of, signed, verified

SENDER, RECIPIENT = key_of(1), key_of(2)


def test_a_message_names_its_recipient() -> None:
    """Kind 14, plain text, one `p` tag."""
    rumor = nip17.write_message(SENDER.pubkey, RECIPIENT.pubkey, "hello\n", created_at=NOW)
    assert (rumor.pubkey, rumor.created_at, rumor.kind, rumor.content) == (SENDER.pubkey, NOW, 14, "hello\n")
    assert rumor.tags == (("p", RECIPIENT.pubkey),)


def test_a_message_may_have_a_subject_and_a_parent() -> None:
    """`subject` names the conversation, `e` the message it answers."""
    parent = signed(SENDER).id
    rumor = nip17.write_message(
        SENDER.pubkey, RECIPIENT.pubkey, "yes", created_at=NOW, subject="Algebra", reply_to=parent
    )
    assert rumor.tags == (("p", RECIPIENT.pubkey), ("e", parent), ("subject", "Algebra"))


@pytest.mark.parametrize(
    ("text", "fits"),
    [("a" * 16_384, True), ("a" * 16_385, False), ("é" * 8192, True), ("é" * 8193, False), ("", False)],
)
def test_a_message_has_up_to_16_kib(text: str, fits: bool) -> None:
    """Bytes of UTF-8, not characters; and an empty one says nothing."""
    if fits:
        assert nip17.write_message(SENDER.pubkey, RECIPIENT.pubkey, text, created_at=NOW).content == text
        return
    with pytest.raises(LocalProtocolError, match="16384 bytes"):
        nip17.write_message(SENDER.pubkey, RECIPIENT.pubkey, text, created_at=NOW)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((("relay", "wss://a.example/"), ("relay", "ws://b.example:7777")), ("wss://a.example", "ws://b.example:7777")),
        ((("relay", "wss://a.example"), ("relay", "WSS://A.example:443/")), ("wss://a.example",)),
        ((("relay", "http://a.example"), ("relay", ""), ("relay",), ("r", "wss://c.example")), ()),
        ((), ()),
        (tuple(("relay", f"wss://r{n}.example") for n in range(50)), tuple(f"wss://r{n}.example" for n in range(10))),
    ],
)
def test_the_relays_of_a_person_are_read(tags: tuple[tuple[str, ...], ...], expected: tuple[str, ...]) -> None:
    """Valid ones in their order, each once, and not more than ten of a stranger's choice."""
    assert nip17.read_dm_relays(verified(RECIPIENT, kind=kinds.DM_RELAY_LIST, tags=tags)) == expected


def test_another_kind_names_no_relays() -> None:
    """A NIP-65 list is not where messages go."""
    event = verified(RECIPIENT, kind=kinds.RELAY_LIST, tags=(("relay", "wss://a.example"),))
    assert nip17.read_dm_relays(event) == ()


def test_our_own_list_is_written_and_read() -> None:
    """By us, and by an independent client."""
    draft = nip17.write_dm_relays(SENDER.pubkey, ["wss://A.example/", "ws://127.0.0.1:7777"], created_at=NOW)
    event = verified(SENDER, kind=draft.kind, tags=draft.tags, content=draft.content)
    assert draft.kind == kinds.DM_RELAY_LIST
    assert nip17.read_dm_relays(event) == ("wss://a.example", "ws://127.0.0.1:7777")
    theirs = nostr_sdk.nip17_extract_relay_list(nostr_sdk.Event.from_json(event.to_json().decode()))
    assert len(theirs) == 2


@pytest.mark.parametrize("relays", [[], ["nonsense"], [f"wss://r{n}.example" for n in range(11)]])
def test_a_list_nobody_could_use_is_our_error(relays: list[str]) -> None:
    """Empty, malformed or too long."""
    with pytest.raises(LocalProtocolError):
        nip17.write_dm_relays(SENDER.pubkey, relays, created_at=NOW)
