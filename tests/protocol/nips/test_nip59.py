from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent, VerifiedEvent, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip13, nip17, nip40, nip44, nip59
from podium_protocol.nips.nip59 import Unwrapped, WrapFlaw, WrapRejected
from podium_protocol.tags import Tags
from tests.support.events import NOW, key_of, seeded, verify_or_fail

SENDER, RECIPIENT, MALLORY = key_of(1), key_of(2), key_of(3)
RUMOR = nip17.write_message(SENDER.pubkey, RECIPIENT.pubkey, "Tomorrow: Algebra at 18:00", created_at=NOW)


def entropy_of(seed: int) -> bytes:
    return b"".join(seeded("entropy", seed, n) for n in range(6))[: nip59.ENTROPY_BYTES]


ENTROPY = entropy_of(0)


def opened(wrap: SignedEvent, secret: SecretKey = RECIPIENT, now: int = NOW) -> Unwrapped | WrapRejected:
    return nip59.unwrap(verify_or_fail(wrap), secret, now=now)


def gift(rumor: UnsignedEvent = RUMOR, *, expiration: int | None = None) -> SignedEvent:
    return nip59.gift_wrap(rumor, SENDER, RECIPIENT.pubkey, now=NOW, entropy=ENTROPY, expiration=expiration)


# -- writing and reading -----------------------------------------------------------------------------------------------


def test_a_gift_arrives() -> None:
    """The recipient learns the sender and gets the rumor, unchanged."""
    assert opened(gift()) == Unwrapped(SENDER.pubkey, RUMOR)


def test_a_gift_wrap_shows_only_its_recipient() -> None:
    """Signed by a key that is neither's, dated in the last two days, one tag."""
    wrap = gift()
    assert wrap.pubkey not in (SENDER.pubkey, RECIPIENT.pubkey)
    assert (wrap.kind, wrap.tags) == (kinds.GIFT_WRAP, (("p", RECIPIENT.pubkey),))
    assert NOW - 2 * 86_400 <= wrap.created_at <= NOW
    assert SENDER.pubkey.encode() not in wrap.to_json()


def test_an_expiring_gift_says_so_outside() -> None:
    """Relays delete it; the seal stays without tags."""
    wrap = gift(expiration=NOW + 3600)
    assert nip40.expiration(wrap) == NOW + 3600
    assert opened(wrap) == Unwrapped(SENDER.pubkey, RUMOR)


def test_the_same_entropy_makes_the_same_gift() -> None:
    """Nothing random is taken from anywhere else, so a test and a retry can repeat it."""
    assert gift() == gift()
    other = nip59.gift_wrap(RUMOR, SENDER, RECIPIENT.pubkey, now=NOW, entropy=ENTROPY[::-1])
    assert other.pubkey != gift().pubkey
    assert opened(other) == opened(gift())


def test_each_random_byte_is_used_once() -> None:
    """A byte used twice, such as one nonce for two things, would leave another one without effect."""
    for place in range(nip59.ENTROPY_BYTES):
        entropy = bytearray(ENTROPY)
        entropy[place] ^= 1
        other = nip59.gift_wrap(RUMOR, SENDER, RECIPIENT.pubkey, now=NOW, entropy=bytes(entropy))
        assert other != gift(), place


def test_a_kept_conversation_key_makes_the_same_gift() -> None:
    """The fast path for a recipient who is written to again."""
    key = nip44.conversation_key(SENDER, RECIPIENT.pubkey)
    fast = nip59.gift_wrap(RUMOR, SENDER, RECIPIENT.pubkey, now=NOW, entropy=ENTROPY, conversation_key=key)
    assert fast == gift()


def test_seal_and_wrap_are_the_two_steps_of_a_gift() -> None:
    """Each step takes its own randomness and time."""
    sealed = nip59.seal(RUMOR, SENDER, RECIPIENT.pubkey, created_at=NOW - 5, nonce=seeded("nonce"), aux=seeded("aux"))
    assert (sealed.kind, sealed.tags, sealed.pubkey, sealed.created_at) == (13, (), SENDER.pubkey, NOW - 5)
    wrap = nip59.wrap(
        sealed,
        RECIPIENT.pubkey,
        ephemeral_secret=seeded("ephemeral"),
        created_at=NOW - 9,
        nonce=seeded("nonce 2"),
        aux=seeded("aux 2"),
    )
    assert wrap.created_at == NOW - 9
    assert wrap.pubkey == SecretKey(seeded("ephemeral")).pubkey
    assert opened(wrap) == Unwrapped(SENDER.pubkey, RUMOR)


def test_the_longest_message_fits() -> None:
    """16 KiB of characters that JSON escapes sixfold go through both layers."""
    rumor = nip17.write_message(SENDER.pubkey, RECIPIENT.pubkey, "\x01" * 16_384, created_at=NOW)
    assert opened(gift(rumor)) == Unwrapped(SENDER.pubkey, rumor)


def test_a_random_source_that_is_broken_is_noticed() -> None:
    """Nothing but zeros is no key."""
    with pytest.raises(LocalProtocolError, match="secret key"):
        nip59.gift_wrap(RUMOR, SENDER, RECIPIENT.pubkey, now=NOW, entropy=bytes(nip59.ENTROPY_BYTES))


@pytest.mark.parametrize("length", [0, nip59.ENTROPY_BYTES - 1, nip59.ENTROPY_BYTES + 1])
def test_too_little_randomness_is_our_error(length: int) -> None:
    """A short slice would reuse a nonce or a key."""
    with pytest.raises(LocalProtocolError, match="random bytes"):
        nip59.gift_wrap(RUMOR, SENDER, RECIPIENT.pubkey, now=NOW, entropy=bytes(length))


def test_nobody_seals_for_another_author() -> None:
    """The seal's signature vouches for the rumor's author."""
    with pytest.raises(LocalProtocolError, match="own author"):
        nip59.gift_wrap(RUMOR, MALLORY, RECIPIENT.pubkey, now=NOW, entropy=ENTROPY)


def test_a_recipient_off_the_curve_is_our_error() -> None:
    """Nobody could open it."""
    with pytest.raises(LocalProtocolError, match="curve"):
        nip59.gift_wrap(RUMOR, SENDER, Pubkey("f" * 64), now=NOW, entropy=ENTROPY)
    sealed = nip59.seal(RUMOR, SENDER, RECIPIENT.pubkey, created_at=NOW, nonce=bytes(32), aux=bytes(32))
    for nobody in ("f" * 64, "nonsense"):
        with pytest.raises(LocalProtocolError, match="curve"):
            nip59.wrap(
                sealed,
                Pubkey(nobody),
                ephemeral_secret=seeded("e"),
                created_at=NOW,
                nonce=bytes(32),
                aux=bytes(32),
            )


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=8, max_size=8))
def test_times_lie_in_the_last_two_days(random: bytes) -> None:
    """Whatever the random bytes."""
    assert NOW - 2 * 86_400 <= nip59.backdated(NOW, random) <= NOW


def test_times_are_spread() -> None:
    """Both ends are reached, and seal and wrap differ."""
    assert nip59.backdated(NOW, bytes(8)) == NOW
    assert nip59.backdated(NOW, (2 * 86_400).to_bytes(8, "big")) == NOW - 2 * 86_400
    assert nip59.backdated(NOW, (2 * 86_400 + 1).to_bytes(8, "big")) == NOW
    assert nip59.backdated(NOW, ENTROPY[:8]) != nip59.backdated(NOW, ENTROPY[8:16])


def test_the_example_of_the_nip_is_opened() -> None:
    """The rumor of NIP-59's example, sealed and wrapped with the keys printed there."""
    sender = SecretKey.from_hex("0beebd062ec8735f4243466049d7747ef5d6594ee838de147f8aab842b15e273")
    recipient = SecretKey.from_hex("e108399bd8424357a710b606ae0c13166d853d327e47a6e5e038197346bdbf45")
    rumor = UnsignedEvent(sender.pubkey, 1691518405, 1, (), "Are you going to the party tonight?")
    assert rumor.id == "9dd003c6d3b73b74a85a9ab099469ce251653a7af76f523671ab828acd2a0ef9"
    wrap = nip59.gift_wrap(rumor, sender, recipient.pubkey, now=1703021488, entropy=ENTROPY)
    assert opened(wrap, recipient) == Unwrapped(sender.pubkey, rumor)


# -- hostile gifts -----------------------------------------------------------------------------------------------------


def rumor_json(**changes: object) -> bytes:
    """The rumor's JSON with some fields replaced, or left out where the change is None."""
    fields = {"id": RUMOR.id, **msgspec.to_builtins(RUMOR)} | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def with_right_id(**changes: object) -> bytes:
    """As `rumor_json`, with the id of the changed rumor."""
    changed = msgspec.structs.replace(RUMOR, **changes)
    return rumor_json(id=changed.id, **msgspec.to_builtins(changed) | changes)


def sealed_raw(rumor: bytes, *, kind: int = kinds.SEAL, tags: Tags = (), created_at: int = NOW) -> SignedEvent:
    """A seal over any bytes, as a malicious sender can make it."""
    content = nip44.encrypt_bytes(rumor, nip44.conversation_key(SENDER, RECIPIENT.pubkey), seeded("n"))
    return SENDER.sign(UnsignedEvent(SENDER.pubkey, created_at, kind, tags, content), bytes(32))


def wrapped_raw(
    seal: bytes, *, kind: int = kinds.GIFT_WRAP, tags: Tags | None = None, created_at: int = NOW
) -> SignedEvent:
    """A wrap over any bytes."""
    content = nip44.encrypt_bytes(seal, nip44.conversation_key(MALLORY, RECIPIENT.pubkey), seeded("n"))
    rows = (("p", RECIPIENT.pubkey),) if tags is None else tags
    return MALLORY.sign(UnsignedEvent(MALLORY.pubkey, created_at, kind, rows, content), bytes(32))


def around(rumor: bytes) -> SignedEvent:
    return wrapped_raw(sealed_raw(rumor).to_json())


GOOD_SEAL = sealed_raw(rumor_json())
SELF_SEALED = MALLORY.sign(
    UnsignedEvent(
        MALLORY.pubkey,
        NOW,
        kinds.SEAL,
        (),
        nip44.encrypt_bytes(rumor_json(), nip44.conversation_key(MALLORY, RECIPIENT.pubkey), seeded("m")),
    ),
    bytes(32),
)


def test_the_forger_of_these_tests_makes_good_gifts_too() -> None:
    """What follows is refused for the one thing that is changed."""
    assert opened(around(rumor_json())) == Unwrapped(SENDER.pubkey, RUMOR)
    assert opened(around(with_right_id(content="x"))) == Unwrapped(
        SENDER.pubkey, msgspec.structs.replace(RUMOR, content="x")
    )


@pytest.mark.parametrize(
    "odd",
    [
        rumor_json(sig=""),  # 0xchat, go-nostr
        rumor_json()[:-1] + b', "sig": null}',
        rumor_json(id=None),
        rumor_json(id=""),
        rumor_json(ots=""),
    ],
)
def test_what_proves_nothing_is_taken_as_clients_write_it(odd: bytes) -> None:
    """The seal says whose the rumor is, and its id is computed: an empty signature or a missing id harms nobody."""
    assert opened(around(odd)) == Unwrapped(SENDER.pubkey, RUMOR)


HOSTILE: list[tuple[str, WrapFlaw, Callable[[], SignedEvent]]] = [
    ("another kind", WrapFlaw.NOT_A_WRAP, lambda: wrapped_raw(GOOD_SEAL.to_json(), kind=21059)),
    ("no recipient", WrapFlaw.NOT_FOR_US, lambda: wrapped_raw(GOOD_SEAL.to_json(), tags=())),
    ("empty recipient", WrapFlaw.NOT_FOR_US, lambda: wrapped_raw(GOOD_SEAL.to_json(), tags=(("p",),))),
    (
        "another recipient",
        WrapFlaw.NOT_FOR_US,
        lambda: wrapped_raw(GOOD_SEAL.to_json(), tags=(("p", SENDER.pubkey),)),
    ),
    (
        "two recipients",
        WrapFlaw.NOT_FOR_US,
        lambda: wrapped_raw(GOOD_SEAL.to_json(), tags=(("p", RECIPIENT.pubkey), ("p", SENDER.pubkey))),
    ),
    (
        "recipient in capitals",
        WrapFlaw.NOT_FOR_US,
        lambda: wrapped_raw(GOOD_SEAL.to_json(), tags=(("p", RECIPIENT.pubkey.upper()),)),
    ),
    (
        "wrap content is plain text",
        WrapFlaw.UNREADABLE,
        lambda: MALLORY.sign(
            UnsignedEvent(
                MALLORY.pubkey, NOW, kinds.GIFT_WRAP, (("p", RECIPIENT.pubkey),), GOOD_SEAL.to_json().decode()
            ),
            bytes(32),
        ),
    ),
    (
        "seal encrypted to somebody else",
        WrapFlaw.UNREADABLE,
        lambda: wrapped_raw(
            nip59.seal(RUMOR, SENDER, MALLORY.pubkey, created_at=NOW, nonce=bytes(32), aux=bytes(32)).to_json()
        ),
    ),
    ("seal is no JSON", WrapFlaw.BAD_SEAL, lambda: wrapped_raw(b"hello")),
    ("seal is not UTF-8", WrapFlaw.BAD_SEAL, lambda: wrapped_raw(b"\xff\xfe")),
    ("seal is deep", WrapFlaw.BAD_SEAL, lambda: wrapped_raw(b"[" * 50_000)),
    ("seal is the bare rumor", WrapFlaw.BAD_SEAL, lambda: wrapped_raw(rumor_json())),
    (
        "seal signature is bad",
        WrapFlaw.BAD_SEAL,
        lambda: wrapped_raw(msgspec.structs.replace(GOOD_SEAL, sig=signature_of_another()).to_json()),
    ),
    (
        "seal id is bad",
        WrapFlaw.BAD_SEAL,
        lambda: wrapped_raw(msgspec.structs.replace(GOOD_SEAL, created_at=NOW - 1).to_json()),
    ),
    ("seal of kind 14", WrapFlaw.BAD_SEAL, lambda: wrapped_raw(sealed_raw(rumor_json(), kind=14).to_json())),
    (
        "seal with tags, which others accept",
        WrapFlaw.BAD_SEAL,
        lambda: wrapped_raw(sealed_raw(rumor_json(), tags=(("p", RECIPIENT.pubkey),)).to_json()),
    ),
    ("rumor is no JSON", WrapFlaw.BAD_RUMOR, lambda: around(b"hello")),
    ("rumor is a list", WrapFlaw.BAD_RUMOR, lambda: around(b'["sig"]')),
    ("rumor is deep", WrapFlaw.BAD_RUMOR, lambda: around(b'{"x":' + b"[" * 50_000)),
    ("rumor with a wrong id, which others accept", WrapFlaw.BAD_RUMOR, lambda: around(rumor_json(content="changed"))),
    ("rumor with a signature", WrapFlaw.BAD_RUMOR, lambda: around(rumor_json(sig="0" * 128))),
    ("rumor with a number for a signature", WrapFlaw.BAD_RUMOR, lambda: around(rumor_json(sig=0))),
    (
        "rumor with a repeated key",
        WrapFlaw.BAD_RUMOR,
        lambda: around(rumor_json()[:-1] + b', "content": "Tomorrow: Algebra at 18:00"}'),
    ),
    ("rumor with a fraction", WrapFlaw.BAD_RUMOR, lambda: around(rumor_json(created_at=NOW + 0.0))),
    ("rumor with NaN", WrapFlaw.BAD_RUMOR, lambda: around(rumor_json()[:-1] + b', "x": NaN}')),
    ("rumor of a text kind", WrapFlaw.BAD_RUMOR, lambda: around(rumor_json(kind="14"))),
    ("rumor of kind 65536", WrapFlaw.BAD_RUMOR, lambda: around(with_right_id(kind=65_536))),
    ("rumor that is a seal", WrapFlaw.BAD_RUMOR, lambda: around(with_right_id(kind=kinds.SEAL))),
    ("rumor that is a wrap", WrapFlaw.BAD_RUMOR, lambda: around(with_right_id(kind=kinds.GIFT_WRAP))),
    ("rumor with a tag of numbers", WrapFlaw.BAD_RUMOR, lambda: around(rumor_json(tags=[["p", 5]]))),
    ("rumor with an empty tag", WrapFlaw.BAD_RUMOR, lambda: around(with_right_id(tags=((),)))),
    ("forged sender", WrapFlaw.FORGED_SENDER, lambda: wrapped_raw(SELF_SEALED.to_json())),
    ("rumor from the future", WrapFlaw.BAD_TIME, lambda: around(with_right_id(created_at=NOW + 601))),
    (
        "seal from the future",
        WrapFlaw.BAD_TIME,
        lambda: wrapped_raw(sealed_raw(rumor_json(), created_at=NOW + 601).to_json()),
    ),
    ("wrap from the future", WrapFlaw.BAD_TIME, lambda: wrapped_raw(GOOD_SEAL.to_json(), created_at=NOW + 601)),
]


def signature_of_another() -> str:
    return sealed_raw(rumor_json(content="another")).sig


@pytest.mark.family("gift wraps")
@pytest.mark.parametrize(("flaw", "make"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_hostile_gift_is_a_value_with_the_reason(flaw: WrapFlaw, make: Callable[[], SignedEvent]) -> None:
    """Each check of NIP-59 and NIP-17, and the two that other clients leave out."""
    result = opened(make())
    assert isinstance(result, WrapRejected)
    assert result.flaw is flaw, result


def test_a_gift_is_for_its_recipient_alone() -> None:
    """Not even the sender opens it."""
    assert opened(gift(), SENDER) == WrapRejected(WrapFlaw.NOT_FOR_US, "it is not addressed to us, and to us alone")


@pytest.mark.parametrize("age", [0, 2 * 86_400, 400 * 86_400])
def test_an_old_gift_is_still_a_gift(age: int) -> None:
    """Times are free in the past: a daemon that was away for a year reads its messages."""
    assert opened(gift(), now=NOW + age) == Unwrapped(SENDER.pubkey, RUMOR)


@pytest.mark.parametrize("kind", [5, 14, 15, 31923, 31925, 31953])
def test_rumors_of_any_sensible_kind_travel(kind: int) -> None:
    """Private sessions, RSVPs and attendance records travel as gifts too."""
    rumor = UnsignedEvent(SENDER.pubkey, NOW, kind, (("d", "x"), ("a", "y", "z")), "\u2028\x7f\x00é😀")
    assert opened(gift(rumor)) == Unwrapped(SENDER.pubkey, rumor)


# -- an independent client ---------------------------------------------------------------------------------------------

_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@settings(max_examples=20, deadline=None)
@given(_texts, st.integers(0, 10**9).map(entropy_of))
def test_nostr_sdk_opens_our_gifts(text: str, entropy: bytes) -> None:
    """It sees our sender and our words."""
    rumor = nip17.write_message(SENDER.pubkey, RECIPIENT.pubkey, text, created_at=NOW, subject="Algebra")
    wrap = nip59.gift_wrap(rumor, SENDER, RECIPIENT.pubkey, now=NOW, entropy=entropy)
    theirs = nostr_sdk.Keys.parse(RECIPIENT.expose().hex())
    gift = nostr_sdk.UnwrappedGift.from_gift_wrap(theirs, nostr_sdk.Event.from_json(wrap.to_json().decode()))
    assert gift.sender().to_hex() == SENDER.pubkey
    assert gift.rumor().content() == text
    their_id = gift.rumor().id()
    assert their_id is not None
    assert their_id.to_hex() == rumor.id


@settings(max_examples=20, deadline=None)
@given(_texts)
def test_we_open_the_gifts_of_nostr_sdk(text: str) -> None:
    """We see its sender and its words."""
    theirs = nostr_sdk.Keys.parse(SENDER.expose().hex())
    made = nostr_sdk.nip17_make_private_msg(theirs, nostr_sdk.PublicKey.parse(RECIPIENT.pubkey), text)
    wrap = verify_json(made.as_json().encode())
    assert isinstance(wrap, VerifiedEvent)
    result = nip59.unwrap(wrap, RECIPIENT, now=wrap.created_at + 2 * 86_400)
    assert isinstance(result, Unwrapped)
    assert (result.sender, result.rumor.content, result.rumor.kind) == (SENDER.pubkey, text, kinds.PRIVATE_MESSAGE)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 10))
def test_a_wrap_has_the_work_that_was_asked_for(bits: int) -> None:
    """The wrap itself is mined, as a relay sees it (NIP-13); what is in it is read as ever."""
    sender, recipient = key_of(1), key_of(2)
    rumor = nip17.write_message(sender.pubkey, recipient.pubkey, "hello", created_at=NOW)
    entropy = bytes(range(nip59.ENTROPY_BYTES))
    wrapped = verify_or_fail(nip59.gift_wrap(rumor, sender, recipient.pubkey, now=NOW, entropy=entropy, work=bits))
    assert nip13.difficulty(wrapped.id) >= bits
    assert nip59.unwrap(wrapped, recipient, now=NOW) == nip59.Unwrapped(sender.pubkey, rumor)
