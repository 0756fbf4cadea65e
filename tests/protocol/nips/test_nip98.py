from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.nips import nip98
from podium_protocol.nips.nip98 import HttpLogin, LoginRefusal
from podium_protocol.tags import Tags
from tests.support.events import NOW, key_of, signed, verify_or_fail

KEY = key_of(1)
URL = "https://podium.example/api/sessions?limit=5"
BODY = b'{"title":"Algebra"}'
BODY_HASH = hashlib.sha256(BODY).hexdigest()


def sign(draft: UnsignedEvent) -> VerifiedEvent:
    return verify_or_fail(KEY.sign(draft, bytes(32)))


def login(*tags: tuple[str, ...], kind: int = kinds.HTTP_AUTH, created_at: int = NOW) -> VerifiedEvent:
    rows: Tags = tags or (("u", URL), ("method", "POST"), ("payload", BODY_HASH))
    return sign(UnsignedEvent(KEY.pubkey, created_at, kind, rows, ""))


def check(event: VerifiedEvent, *, body: bytes | None = BODY, now: int = NOW) -> HttpLogin | LoginRefusal:
    return nip98.check(event, url=URL, method="POST", body=body, now=now)


def test_a_login_for_this_very_call_is_accepted() -> None:
    """Its author, id and time are what the caller needs to see to it that it is used once."""
    event = sign(nip98.write(KEY.pubkey, URL, "POST", BODY, NOW))
    assert event.kind == 27235
    assert check(event) == HttpLogin(KEY.pubkey, event.id, NOW)


@pytest.mark.parametrize("body", [None, b""])
def test_a_call_without_a_body_needs_no_payload(body: bytes | None) -> None:
    """And gets none."""
    event = sign(nip98.write(KEY.pubkey, URL, "POST", body, NOW))
    assert event.tags == (("u", URL), ("method", "POST"))
    assert isinstance(check(event, body=body), HttpLogin)


def test_further_tags_are_signed_with_it() -> None:
    """A join proof carries its own beside the login's."""
    event = nip98.write(KEY.pubkey, URL, "POST", BODY, NOW, [("nonce", "n1")])
    assert event.tags == (("u", URL), ("method", "POST"), ("payload", BODY_HASH), ("nonce", "n1"))


@pytest.mark.parametrize("tag", [("u", "https://other.example"), ("method", "GET"), ("payload", "0" * 64)])
def test_further_tags_cannot_contradict_the_login(tag: tuple[str, ...]) -> None:
    """What the login says of the call comes from the call."""
    with pytest.raises(LocalProtocolError, match="once"):
        nip98.write(KEY.pubkey, URL, "POST", BODY, NOW, [tag])


@pytest.mark.parametrize("method", ["post", "Post", "", "PO ST", "POST\n"])
def test_a_method_is_written_in_capitals(method: str) -> None:
    """HTTP methods are case-sensitive."""
    with pytest.raises(LocalProtocolError, match="capitals"):
        nip98.write(KEY.pubkey, URL, method, BODY, NOW)


U, METHOD, PAYLOAD = ("u", URL), ("method", "POST"), ("payload", BODY_HASH)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (login(kind=1), "kind 1,"),
        (login(METHOD, PAYLOAD), "not for this URL"),
        (login(("u",), METHOD, PAYLOAD), "not for this URL"),
        (login(("u", URL + "/"), METHOD, PAYLOAD), "not for this URL"),
        (login(("u", URL.split("?", maxsplit=1)[0]), METHOD, PAYLOAD), "not for this URL"),
        (login(("u", URL.replace("https", "http")), METHOD, PAYLOAD), "not for this URL"),
        (login(("u", URL.upper()), METHOD, PAYLOAD), "not for this URL"),
        (login(("u", "https://evil.example/api/sessions?limit=5"), METHOD, PAYLOAD), "not for this URL"),
        (login(U, U, METHOD, PAYLOAD), "twice"),
        (login(U, ("u", "https://evil.example"), METHOD, PAYLOAD), "twice"),
        (login(U, METHOD, ("method", "GET"), PAYLOAD), "twice"),
        (login(U, METHOD, PAYLOAD, ("payload",)), "twice"),
        (login(U, PAYLOAD), "method POST"),
        (login(U, ("method", "GET"), PAYLOAD), "method POST"),
        (login(U, ("method", "post "), PAYLOAD), "method POST"),
        (login(U, ("method", "po\u017ft"), PAYLOAD), "method POST"),
        (login(U, ("method",), PAYLOAD), "method POST"),
        (login(U, METHOD), "has a body"),
        (login(U, METHOD, ("payload", hashlib.sha256(b"{}").hexdigest())), "SHA-256"),
        (login(U, METHOD, ("payload", BODY_HASH.upper())), "SHA-256"),
        (login(created_at=NOW - 61), "61 s ago"),
        (login(created_at=NOW + 61), "61 s ahead"),
        (login(created_at=0), "ago"),
    ],
)
def test_a_login_for_anything_else_is_refused_with_the_reason(event: VerifiedEvent, reason: str) -> None:
    """Kind, URL to the letter, method, body, time; and nothing twice, since two readers could take different values."""
    result = check(event)
    assert isinstance(result, LoginRefusal)
    assert reason in result.reason


@pytest.mark.parametrize("method", ["post", "Post", "POST"])
def test_the_case_of_a_method_does_not_matter(method: str) -> None:
    """Clients sign what their caller wrote: `getToken(url, "post")`."""
    assert isinstance(check(login(U, ("method", method), PAYLOAD)), HttpLogin)


def test_a_payload_must_be_right_even_without_a_body() -> None:
    """A login for a body does not serve for a call without one."""
    assert isinstance(check(login(), body=None), LoginRefusal)


@pytest.mark.parametrize("offset", [-60, 0, 60])
def test_the_window_is_inclusive(offset: int) -> None:
    """A minute either way, for clocks that differ."""
    assert isinstance(check(login(created_at=NOW + offset)), HttpLogin)


def test_the_window_can_be_set() -> None:
    """The caller may be stricter."""
    result = nip98.check(login(created_at=NOW - 11), url=URL, method="POST", body=BODY, now=NOW, window=10)
    assert isinstance(result, LoginRefusal)


def test_a_header_survives_the_trip() -> None:
    """`Nostr` and the event in base64."""
    header = nip98.write_header(login())
    assert header.startswith("Nostr ")
    assert nip98.read_header(header) == login()
    assert nip98.read_header(header.replace("Nostr", "nostr")) == login()


HEADER = nip98.write_header(login())
ENCODED = HEADER.removeprefix("Nostr ")


def encoded(raw: bytes) -> str:
    return "Nostr " + base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Nostr",
        "Nostr ",
        ENCODED,
        "Bearer " + ENCODED,
        "Nostr  " + ENCODED[:-4],
        "Nostr " + ENCODED + " ",
        "Nostr " + ENCODED + "\n",
        "Nostr " + ENCODED[:40] + "\n" + ENCODED[40:],
        "Nostr " + ENCODED + "====",
        "Nostr " + ENCODED.rstrip("=") + "é",
        "Nostr , " + ENCODED,
        "Nostr A",
        encoded(b""),
        encoded(b"hello"),
        encoded(b"{}"),
        encoded(b"[" * 10_000),
        encoded(login().to_json()[:-1]),
        encoded(login().to_json().replace(b"POST", b"HEAD")),
        encoded(login().to_json().replace(b'"content":""', b'"content":"","content":""')),
        "Nostr " + "A" * 20_000,
    ],
    ids=range(21),
)
def test_a_bad_header_is_refused(header: str) -> None:
    """No scheme, no strict base64, no event, a changed event, too long: each with a reason and no exception."""
    result = nip98.read_header(header)
    assert isinstance(result, LoginRefusal)
    assert result.reason


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(encoded))
def test_any_header_gives_a_value(header: str) -> None:
    """Whatever a stranger sends."""
    assert isinstance(nip98.read_header(header), LoginRefusal)


def test_a_header_that_is_too_long_is_not_even_decoded() -> None:
    """However good the event in it."""
    header = nip98.write_header(signed(KEY, kind=kinds.HTTP_AUTH, content="x" * 20_000))
    result = nip98.read_header(header)
    assert isinstance(result, LoginRefusal)
    assert "longer" in result.reason


def test_a_login_by_another_signer_is_no_login() -> None:
    """The signature is checked before anything else."""
    forged = signed(KEY, kind=kinds.HTTP_AUTH).to_json().replace(KEY.pubkey.encode(), key_of(2).pubkey.encode())
    assert nip98.read_header(encoded(forged)) == LoginRefusal("the login event is not valid: bad_id")
