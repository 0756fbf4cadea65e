from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import msgspec
import pytest
from nostr_sdk import Keys

from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.keys import SecretKey
from tests.support.events import NOW, key_of, seeded, verify_or_fail

KEY = key_of(1)
SECRET = KEY.expose()
DRAFT = UnsignedEvent(KEY.pubkey, NOW, 1, (), "hello")


def leaks(text: str) -> bool:
    """Whether the secret stands in the text as hex, as bytes or as a number."""
    number = str(int.from_bytes(SECRET, "big"))
    return SECRET.hex() in text.lower() or repr(SECRET)[2:-1] in text or number in text


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r:>90}".format,
        "{:>200}".format,
        lambda key: f"{key}",
        lambda key: "%s %r" % (key, key),  # noqa: UP031  (old code formats so, and must not leak either)
        lambda key: repr([key, {"key": key}, (key,)]),
        lambda key: repr(key._keypair),
        lambda key: repr(vars(type(key))),
        lambda key: repr(dir(key)),
    ],
)
def test_a_secret_key_shows_its_public_key_at_most(show: object) -> None:
    """However it is printed."""
    assert not leaks(show(KEY))  # type: ignore[operator]  # one of several functions


def test_it_says_whose_key_it_is() -> None:
    """That much helps a person who reads a log."""
    assert KEY.pubkey in repr(KEY)
    assert format(KEY, ">100").strip() == str(KEY)


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_key_is_not_pickled_or_copied(leave: object) -> None:
    """It would travel without anybody meaning it."""
    with pytest.raises(TypeError, match="not pickled") as caught:
        leave(KEY)  # type: ignore[operator]  # one of several functions
    assert not leaks(str(caught.value))


@pytest.mark.parametrize("encode", [json.dumps, msgspec.json.encode])
def test_a_secret_key_does_not_end_in_json(encode: object) -> None:
    """Encoders refuse it and say nothing of it."""
    with pytest.raises(TypeError) as caught:
        encode({"key": KEY})  # type: ignore[operator]  # one of several functions
    assert not leaks(str(caught.value))


def test_no_traceback_shows_a_secret_key() -> None:
    """Canary: errors of signing and of ECDH, with the variables of each frame as some loggers show them."""
    for fail in (
        lambda: KEY.sign(msgspec.structs.replace(DRAFT, pubkey=key_of(2).pubkey), bytes(32)),
        lambda: KEY.sign(DRAFT, b""),
        lambda: KEY.shared_x(Pubkey("f" * 64)),
    ):
        with pytest.raises(LocalProtocolError) as caught:
            fail()
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert KEY.pubkey in "".join(shown.format())
        assert not leaks("".join(shown.format()))


def test_no_log_shows_a_secret_key(caplog: pytest.LogCaptureFixture) -> None:
    """Canary: logged by mistake, it shows its public key."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("canary").error("lost %s of %r", KEY, {"key": KEY})
    assert KEY.pubkey in caplog.text
    assert not leaks(caplog.text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET.hex()[:-1],
        SECRET.hex() + "0",
        SECRET.hex().upper(),
        " " + SECRET.hex(),
        SECRET.hex() + "\n",
        "0x" + SECRET.hex()[2:],
        SECRET.hex()[:-2] + "zz",
        "0" * 64,
        "f" * 64,
        "nsec1" + "q" * 58,
        "npub1" + "q" * 58,
        "٠" * 64,
    ],
)
def test_a_bad_secret_is_refused_and_not_echoed(text: str) -> None:
    """Pynostr takes an npub where an nsec belongs; we take 64 lowercase digits in range."""
    with pytest.raises(LocalProtocolError) as caught:
        SecretKey.from_hex(text)
    assert not text or text.strip() not in str(caught.value)
    assert not leaks("".join(traceback.format_exception(caught.value)))


def test_a_key_that_is_kept_is_derived_twice() -> None:
    """By libsecp256k1 and by pynostr; a key on which they disagree is refused."""
    key = key_of(1)
    key.cross_check()
    key.pubkey = key_of(2).pubkey
    with pytest.raises(LocalProtocolError, match="disagree") as caught:
        key.cross_check()
    assert not leaks(str(caught.value))


def test_hex_gives_the_same_key() -> None:
    """And it can be had again on purpose."""
    again = SecretKey.from_hex(SECRET.hex())
    assert (again, again.pubkey, again.expose()) == (KEY, KEY.pubkey, SECRET)
    assert hash(again) == hash(KEY)
    assert again != key_of(2)
    assert again != SECRET


def test_a_signed_event_verifies() -> None:
    """With the fields of the draft, its id, and the author's signature."""
    event = verify_or_fail(KEY.sign(DRAFT, seeded("aux")))
    assert (event.id, event.pubkey, event.created_at, event.kind) == (DRAFT.id, KEY.pubkey, NOW, 1)
    assert (event.tags, event.content) == ((), "hello")


def test_fresh_randomness_gives_another_signature() -> None:
    """And the same randomness the same one."""
    assert KEY.sign(DRAFT, bytes(32)) == KEY.sign(DRAFT, bytes(32))
    assert KEY.sign(DRAFT, bytes(32)).sig != KEY.sign(DRAFT, seeded("aux")).sig


def test_nobody_signs_for_another_author() -> None:
    """Relays would refuse it, and the mistake is ours."""
    with pytest.raises(LocalProtocolError, match="another author"):
        key_of(2).sign(DRAFT, bytes(32))


def test_text_without_a_utf8_form_is_not_signed() -> None:
    """A lone surrogate has no id."""
    with pytest.raises(LocalProtocolError, match="UTF-8"):
        KEY.sign(msgspec.structs.replace(DRAFT, content="\ud800"), bytes(32))


@pytest.mark.parametrize("peer", ["", "f" * 64, "0" * 64, KEY.pubkey.upper(), KEY.pubkey[:-1], "nonsense"])
def test_nothing_is_shared_with_what_is_no_key(peer: str) -> None:
    """ECDH with a point off the curve could give the secret away."""
    with pytest.raises(LocalProtocolError, match="curve"):
        KEY.shared_x(Pubkey(peer))


def test_both_sides_share_the_same_secret() -> None:
    """The party that computes it."""
    assert KEY.shared_x(key_of(2).pubkey) == key_of(2).shared_x(KEY.pubkey)


def test_nostr_sdk_derives_the_same_public_key() -> None:
    """An independent implementation agrees, for a hundred keys."""
    for number in range(100):
        key = key_of(number)
        assert Keys.parse(key.expose().hex()).public_key().to_hex() == key.pubkey
