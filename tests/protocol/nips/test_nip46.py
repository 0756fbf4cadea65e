"""NIP-46: URLs, requests, responses and what a signer returns."""

from __future__ import annotations

import json
import os
from typing import Any

import nostr_sdk as sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.errors import InvalidInput, RemoteProtocolError
from podium_protocol.events import UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip44, nip46
from podium_protocol.nips.nip46 import BunkerUrl, ClientUrl, Request, Response
from tests.support.relays import new_key

NOW = 1_800_000_000
SIGNER = "fa984bd7dbb282f07e16e7ae87b26a2a7b9b90b7246a44771f0cf5ae58018f52"  # of the NIP's example
RELAYS = ("wss://relay.example.org", "ws://127.0.0.1:7777")


@pytest.fixture
def client() -> SecretKey:
    """The client's key."""
    return new_key()


@pytest.fixture
def signer() -> SecretKey:
    """The signer's key."""
    return new_key()


def sealed(content: str, sender: SecretKey, to: SecretKey, /, **changes: Any) -> VerifiedEvent:
    """A verified event whose plaintext is `content`."""
    cipher = nip44.encrypt(content, nip44.conversation_key(sender, to.pubkey), os.urandom(32))
    fields = {"kind": kinds.REMOTE_SIGNING, "tags": (("p", to.pubkey),), "content": cipher} | changes
    draft = UnsignedEvent(sender.pubkey, NOW, fields["kind"], fields["tags"], fields["content"])
    event = verify(sender.sign(draft, os.urandom(32)))
    assert isinstance(event, VerifiedEvent)
    return event


# -- URLs


def test_a_bunker_url_is_read_and_written(signer: SecretKey) -> None:
    """Every part comes back, in any order of the parameters; nostr-sdk reads what we write."""
    url = BunkerUrl(signer.pubkey, RELAYS, "0s8j2&djs=")
    assert nip46.parse_bunker(nip46.write_bunker(url)) == url
    assert nip46.parse_bunker(f"  bunker://{SIGNER}?secret=x&relay=wss%3A%2F%2Fa.example\n") == BunkerUrl(
        nip46.parse_bunker(f"bunker://{SIGNER}?relay=wss://a.example").signer, ("wss://a.example",), "x"
    )
    assert sdk.NostrConnectUri.parse(nip46.write_bunker(url))


def test_a_client_url_is_read_and_written(client: SecretKey) -> None:
    """Every part comes back, and nostr-sdk reads what we write."""
    url = ClientUrl(
        client=client.pubkey,
        relays=RELAYS,
        secret="0s8j2djs",
        perms=("nip44_encrypt", "sign_event:13"),
        name="My Client & Söhne",
        url="https://client.example",
        image="https://client.example/i.png",
    )
    assert nip46.parse_client(nip46.write_client(url)) == url


def test_the_example_of_the_nip_is_read() -> None:
    """The nostrconnect URL that NIP-46 prints."""
    url = nip46.parse_client(
        "nostrconnect://83f3b2ae6aa368e8275397b9c26cf550101d63ebaab900d19dd4a4429f5ad8f5?relay=wss%3A%2F%2Frelay1.exampl"
        "e.com&perms=nip44_encrypt%2Cnip44_decrypt%2Csign_event%3A13%2Csign_event%3A14%2Csign_event%3A1059&name=My+Client"
        "&secret=0s8j2djs&relay=wss%3A%2F%2Frelay2.example2.com"
    )
    assert url.relays == ("wss://relay1.example.com", "wss://relay2.example2.com")
    assert (url.name, url.secret, len(url.perms)) == ("My Client", "0s8j2djs", 5)


@pytest.mark.family("NIP-46 and NIP-49")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "bunker://",
        f"bunker://{SIGNER}",
        f"bunker://{SIGNER}?secret=s3cr3t",
        f"bunker://{SIGNER}?relay=",
        f"bunker://{SIGNER}?relay=https://a.example&secret=s3cr3t",
        f"bunker://{SIGNER}?relay=wss://user:pw@a.example&secret=s3cr3t",
        f"bunker://{SIGNER}?relay=wss://a.example&secret=s3cr3t&secret=s3cr3t2",
        f"bunker://{SIGNER}?relay=wss://a.example&secret={'s3cr3t' * 50}",
        f"bunker://{SIGNER}?relay=wss://a.example&secret=s3cr3t#x",
        f"bunker://{SIGNER}/path?relay=wss://a.example&secret=s3cr3t",
        f"bunker://{SIGNER.upper()}?relay=wss://a.example&secret=s3cr3t",
        f"bunker://{SIGNER[:-1]}?relay=wss://a.example&secret=s3cr3t",
        f"bunker://{'f' * 64}?relay=wss://a.example&secret=s3cr3t",
        f"bunker://user@{SIGNER}?relay=wss://a.example&secret=s3cr3t",
        f"bunker://{SIGNER}:80?relay=wss://a.example&secret=s3cr3t",
        f"nostrconnect://{SIGNER}?relay=wss://a.example&secret=s3cr3t",
        f"bunker://{SIGNER}?relay=wss://a.example&secret=s3cr3t\x00",
        f"bunker://{SIGNER}?relay=wss://a.example&secret=s3c\nr3t",
        f"bunker://{SIGNER}?relay=wss://a.example&secret=s3cr3t%ff",
        f"bunker://{SIGNER}?relay=wss://a.example&secrät=s3cr3t",
        f"bunker://{SIGNER}?relay=wss://a.example&{'x=s3cr3t&' * 60}",
        f"bunker://{SIGNER}?" + "&".join(f"relay=wss://{number}.example" for number in range(11)),
        f"bunker://[{SIGNER}?relay=wss://a.example&secret=s3cr3t",
        "npub1" + "q" * 58,
        "x" * 10_000,
    ],
)
def test_what_is_no_bunker_url_is_refused_and_not_repeated(text: str) -> None:
    """Each is refused in words that hold no secret."""
    with pytest.raises(InvalidInput) as caught:
        nip46.parse_bunker(text)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("secret", ["", "&secret=", f"&secret={'s' * 257}", "&secret=a&secret=b"])
def test_a_client_url_without_one_good_secret_is_refused(secret: str) -> None:
    """Without it anybody could pass for the signer (NIP-46)."""
    with pytest.raises(InvalidInput):
        nip46.parse_client(f"nostrconnect://{SIGNER}?relay=wss://a.example{secret}")


def test_neither_url_shows_its_secret(signer: SecretKey) -> None:
    """In a log or a traceback stands whose URL it is, and not what lets one in."""
    for url in (
        BunkerUrl(signer.pubkey, RELAYS, "s3cr3t"),
        ClientUrl(client=signer.pubkey, relays=RELAYS, secret="s3cr3t"),
    ):
        assert "s3cr3t" not in f"{url} {url!r}"
        assert signer.pubkey in repr(url)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever is given, it is a URL or a refusal."""
    for read in (nip46.parse_bunker, nip46.parse_client):
        with pytest.raises(InvalidInput):
            read(f"bunker:{text}" if read is nip46.parse_bunker else text)


# -- messages


def test_a_request_and_its_response_are_read_by_the_other_side(client: SecretKey, signer: SecretKey) -> None:
    """Both directions, encrypted to the reader and tagged with the reader's key."""
    request = Request("1f", "sign_event", ("{}", "ü"))
    draft = nip46.write_event(request, client, signer.pubkey, now=NOW, nonce=os.urandom(32))
    assert (draft.kind, draft.tags, "sign_event" in draft.content) == (24133, (("p", signer.pubkey),), False)
    event = verify(client.sign(draft, os.urandom(32)))
    assert isinstance(event, VerifiedEvent)
    assert nip46.read_request(event, signer) == request
    for response in (
        Response("1f", result="ack"),
        Response("1f", error="no"),
        Response("1f", "auth_url", "https://x.y"),
    ):
        draft = nip46.write_event(response, signer, client.pubkey, now=NOW, nonce=os.urandom(32))
        event = verify(signer.sign(draft, os.urandom(32)))
        assert isinstance(event, VerifiedEvent)
        assert nip46.read_response(event, client) == response


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"id":"1","result":"ack"}', nip46.Granted("ack")),
        ('{"id":"1","result":"ack","error":""}', nip46.Granted("ack")),
        ('{"id":"1","result":"ack","error":null,"more":[1]}', nip46.Granted("ack")),
        ('{"id":"1","result":""}', nip46.Granted("")),
        ('{"id":"1","result":"error","error":"not authorised"}', nip46.BunkerRefused("not authorised")),
        ('{"id":"1","error":"no"}', nip46.BunkerRefused("no")),
        ('{"id":"1","result":null}', nip46.BunkerRefused("")),
        ('{"id":"1"}', nip46.BunkerRefused("")),
        ('{"id":"1","result":"auth_url","error":"https://a.example/ok"}', nip46.ApprovalNeeded("https://a.example/ok")),
        ('{"id":"1","result":"auth_url"}', nip46.ApprovalNeeded("")),
    ],
)
def test_what_a_response_means(client: SecretKey, signer: SecretKey, text: str, expected: nip46.Answer) -> None:
    """A result, a refusal or a page to agree on, in the spellings that signers use."""
    assert nip46.answer_of(nip46.read_response(sealed(text, signer, client), client)) == expected


@pytest.mark.family("NIP-46 and NIP-49")
@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        "{}",
        '"1"',
        '{"result":"ack"}',
        '{"id":1,"result":"ack"}',
        '{"id":"","result":"ack"}',
        f'{{"id":"{"x" * 257}","result":"ack"}}',
        '{"id":"1","result":{"id":"x"}}',
        '{"id":"1","result":true}',
        '{"id":"1","result":"ack","result":"other"}',
        '{"id":"1","id":"2","result":"ack"}',
        '{"id":"1","result":"ack","error":["no"]}',
        '{"id":"1","result":"ack","more":NaN}',
        '{"id":"1","result":"ack"} ',
        '{"id":"1","result":"ack"}x',
        "[" * 5000,
    ],
)
def test_what_is_no_response_is_refused(client: SecretKey, signer: SecretKey, text: str) -> None:
    """Shape, types, repeated keys and what follows are looked at; white space after the value alone is JSON."""
    event = sealed(text, signer, client)
    if text.endswith(" "):
        assert nip46.read_response(event, client).result == "ack"
        return
    with pytest.raises(RemoteProtocolError):
        nip46.read_response(event, client)


def test_an_event_that_is_no_message_to_us_is_refused(client: SecretKey, signer: SecretKey) -> None:
    """Another kind, another addressee, another key's ciphertext, no ciphertext."""
    good = '{"id":"1","result":"ack"}'
    stranger = new_key()
    for event, reader in (
        (sealed(good, signer, client, kind=24134), client),
        (sealed(good, signer, client, tags=(("p", stranger.pubkey),)), client),
        (sealed(good, signer, client, tags=()), client),
        (sealed(good, signer, stranger, tags=(("p", client.pubkey),)), client),
        (sealed(good, signer, client, content="AAAA"), client),
        (sealed(good, signer, client, content=good), client),
    ):
        with pytest.raises(RemoteProtocolError):
            nip46.read_response(event, reader)


# -- signing


def asked_of(user: SecretKey) -> UnsignedEvent:
    """An event to be signed."""
    return UnsignedEvent(user.pubkey, NOW, 31925, (("d", "x"), ("a", "y", "z")), "Grüße \n")


def test_what_is_asked_for_is_what_the_nip_says(signer: SecretKey) -> None:
    """Kind, content, tags and time as a JSON string, and the author whose signature is meant."""
    event = asked_of(signer)
    (param,) = nip46.sign_params(event)
    assert json.loads(param) == {
        "kind": 31925,
        "content": "Grüße \n",
        "tags": [["d", "x"], ["a", "y", "z"]],
        "created_at": NOW,
        "pubkey": signer.pubkey,
    }


def test_the_event_that_was_asked_for_is_taken(signer: SecretKey) -> None:
    """Signed by the user, in whatever order the fields are."""
    event = asked_of(signer)
    signed = json.loads(signer.sign(event, os.urandom(32)).to_json())
    turned = json.dumps(dict(reversed(signed.items())))
    assert nip46.read_signed(turned, event).sig == signed["sig"]


@pytest.mark.family("NIP-46 and NIP-49")
@pytest.mark.parametrize("field", ["pubkey", "kind", "content", "tags", "created_at"])
def test_a_signer_that_signs_something_else_is_refused(signer: SecretKey, field: str) -> None:
    """A good signature on another event is worth nothing; the error names what differs."""
    event, thief = asked_of(signer), new_key()
    changes: dict[str, Any] = {
        "pubkey": thief.pubkey,
        "kind": 1,
        "content": "Grüße",
        "tags": (*event.tags, ("p", thief.pubkey)),
        "created_at": NOW + 1,
    }
    fields = {name: getattr(event, name) for name in event.__struct_fields__} | {field: changes[field]}
    other = (thief if field == "pubkey" else signer).sign(UnsignedEvent(**fields), os.urandom(32))
    with pytest.raises(RemoteProtocolError, match=f"another {field}"):
        nip46.read_signed(other.to_json().decode(), event)


@pytest.mark.family("NIP-46 and NIP-49")
@pytest.mark.parametrize("spoil", ["sig", "id", "json", "repeated", "empty", "surrogate"])
def test_what_is_no_valid_event_is_refused(signer: SecretKey, spoil: str) -> None:
    """A bad signature or id, no JSON, a repeated key, text without a UTF-8 form."""
    event = asked_of(signer)
    signed = json.loads(signer.sign(event, os.urandom(32)).to_json())
    texts = {
        "sig": json.dumps(signed | {"sig": "0" * 128}),
        "id": json.dumps(signed | {"id": "0" * 64}),
        "json": "signed",
        "repeated": json.dumps(signed)[:-1] + ',"kind":1}',
        "empty": "",
        "surrogate": json.dumps(signed)[:-1] + ',"x":"\ud800"}',
    }
    with pytest.raises(RemoteProtocolError):
        nip46.read_signed(texts[spoil], event)


@pytest.mark.parametrize("result", ["", "ack", SIGNER.upper(), SIGNER + " ", "f" * 64, "npub1x"])
def test_the_users_key_is_read_strictly(result: str) -> None:
    """64 lowercase hex digits of a point on the curve, nothing around them."""
    assert nip46.read_user(SIGNER) == SIGNER
    with pytest.raises(RemoteProtocolError):
        nip46.read_user(result)


def test_permissions_and_metadata_are_written_as_the_nip_says() -> None:
    """`sign_event:<kind>` joined by commas, and a JSON object with our name."""
    assert nip46.write_perms([31923, 5]) == "sign_event:31923,sign_event:5"
    assert json.loads(nip46.write_metadata("Podium")) == {"name": "Podium"}
    named = {"name": "Podium", "url": "https://podium.example"}
    assert json.loads(nip46.write_metadata("Podium", "https://podium.example")) == named


@pytest.mark.parametrize(
    ("result", "relays"),
    [
        ("null", ()),
        ("[]", ()),
        ('["wss://Relay.example.org", "nonsense"]', ("wss://relay.example.org",)),
        (json.dumps([f"wss://{number}.example" for number in range(50)]), 10),
    ],
)
def test_a_signer_says_where_it_is_from_now_on(result: str, relays: tuple[str, ...] | int) -> None:
    """`switch_relays`: usable relays in their one spelling, no more than ten; nothing where nothing changes."""
    found = nip46.read_relays(result)
    assert found == relays or len(found) == relays


@pytest.mark.family("NIP-46 and NIP-49")
@pytest.mark.parametrize("result", ["", "ack", "{}", "[1]", '["http://x"]', "[" * 5000, '"\ud800'])
def test_what_is_no_list_of_relays_is_refused(result: str) -> None:
    """Anything else than relays, and a list without one."""
    with pytest.raises(RemoteProtocolError):
        nip46.read_relays(result)
