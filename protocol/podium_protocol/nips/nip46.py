"""NIP-46: asking a remote signer ("bunker") over relays. URLs, requests and responses; nothing here waits or connects.

A request is a kind 24133 event from the client's key to the signer's, encrypted under NIP-44; so is the response. Text
from the other side is read strictly: one response must not have two meanings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from podium_protocol import kinds, relay_url, tags
from podium_protocol.errors import InvalidInput, LocalProtocolError, RemoteProtocolError
from podium_protocol.events import Pubkey, Rejected, UnsignedEvent, VerifiedEvent, pubkey_or_none, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.limits import MAX_DM_RELAYS
from podium_protocol.nips import nip44
from podium_protocol.strict_json import read_json
from podium_protocol.tags import Tags

MAX_ID_CHARS: Final = 256
MAX_SECRET_CHARS: Final = 256
_Message = TypeVar("_Message", "Request", "Response")
_MAX_URL_CHARS: Final = 8192


class BunkerUrl(msgspec.Struct, frozen=True):
    """`bunker://`: where a signer listens. `secret` lets one client in, once; it is never shown."""

    signer: Pubkey
    relays: tuple[str, ...]
    secret: str | None = None

    def __repr__(self) -> str:
        return f"<BunkerUrl of {self.signer} on {', '.join(self.relays)}>"


class ClientUrl(msgspec.Struct, frozen=True, kw_only=True):
    """`nostrconnect://`: where a client listens for a signer, which proves with `secret` that it was shown this.

    `name`, `url` and `image` are the client's own words, for display only.
    """

    client: Pubkey
    relays: tuple[str, ...]
    secret: str
    perms: tuple[str, ...] = ()
    name: str = ""
    url: str = ""
    image: str = ""

    def __repr__(self) -> str:
        return f"<ClientUrl of {self.client} on {', '.join(self.relays)}>"


class Request(msgspec.Struct, frozen=True):
    """A request of a client."""

    id: str
    method: str
    params: tuple[str, ...] = ()


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signer's response. With the result `auth_url`, `error` is the page where a person has to agree."""

    id: str
    result: str | None = None
    error: str | None = None


class Granted(msgspec.Struct, frozen=True):
    """The signer did what was asked; `result` is unchanged."""

    result: str


class BunkerRefused(msgspec.Struct, frozen=True):
    """The signer refused. Its words are unchanged and come from a stranger."""

    words: str


class ApprovalNeeded(msgspec.Struct, frozen=True):
    """A person has to open this page; then a second response to the same request may follow.

    The URL comes from the signer and is not checked: show it only if it is http(s).
    """

    url: str


Answer = Granted | BunkerRefused | ApprovalNeeded


# -- URLs --------------------------------------------------------------------------------------------------------------


def parse_bunker(text: str) -> BunkerUrl:
    """Read `bunker://<pubkey>?relay=...&secret=...`.

    Raises:
        InvalidInput: anything else; the text is not repeated, since its secret would be.
    """
    pubkey, query = _parts(text, "bunker")
    relays = _relays(query)
    secret = _single(query, "secret") or None
    if secret is not None and len(secret) > MAX_SECRET_CHARS:
        raise InvalidInput(f"the secret of a bunker URL has at most {MAX_SECRET_CHARS} characters")
    return BunkerUrl(pubkey, relays, secret)


def write_bunker(bunker: BunkerUrl) -> str:
    """The URL."""
    query = [("relay", url) for url in bunker.relays] + ([("secret", bunker.secret)] if bunker.secret else [])
    return f"bunker://{bunker.signer}?{urlencode(query, quote_via=quote)}"


def parse_client(text: str) -> ClientUrl:
    """Read `nostrconnect://<pubkey>?relay=...&secret=...&perms=...`.

    Raises:
        InvalidInput: anything else, or a missing secret, without which anybody could answer.
    """
    pubkey, query = _parts(text, "nostrconnect")
    secret = _single(query, "secret")
    if not 1 <= len(secret) <= MAX_SECRET_CHARS:
        raise InvalidInput("a nostrconnect URL has a secret, or anybody could pass for the signer")
    return ClientUrl(
        client=pubkey,
        relays=_relays(query),
        secret=secret,
        perms=tuple(filter(None, _single(query, "perms").split(","))),
        name=_single(query, "name"),
        url=_single(query, "url"),
        image=_single(query, "image"),
    )


def write_client(client: ClientUrl) -> str:
    """The URL."""
    optional = {"perms": ",".join(client.perms), "name": client.name, "url": client.url, "image": client.image}
    query = [("relay", url) for url in client.relays] + [("secret", client.secret)]
    query += [(name, value) for name, value in optional.items() if value]
    return f"nostrconnect://{client.client}?{urlencode(query, quote_via=quote)}"


# -- messages ----------------------------------------------------------------------------------------------------------


def write_event(message: Request | Response, sender: SecretKey, to: Pubkey, *, now: int, nonce: bytes) -> UnsignedEvent:
    """The kind 24133 event with `message`, for `sender` to sign; `nonce` is 32 fresh random bytes."""
    text = msgspec.json.encode(message).decode()
    content = nip44.encrypt(text, nip44.conversation_key(sender, to), nonce)
    return UnsignedEvent(sender.pubkey, now, kinds.REMOTE_SIGNING, (("p", to),), content)


def read_response(event: VerifiedEvent, client: SecretKey) -> Response:
    """Decrypt the response in an event to `client`. The caller checks who sent it (`event.pubkey`).

    Raises:
        RemoteProtocolError: the event is not for `client`, does not decrypt, or holds no response.
    """
    return _read(event, client, Response)


def read_request(event: VerifiedEvent, signer: SecretKey) -> Request:
    """Decrypt the request in an event to `signer`. The caller checks who sent it (`event.pubkey`).

    Raises:
        RemoteProtocolError: the event is not for `signer`, does not decrypt, or holds no request.
    """
    return _read(event, signer, Request)


def answer_of(response: Response) -> Answer:
    """Interpret a response. An empty `error` counts as no error: some signers always send the field."""
    if response.result == "auth_url":
        return ApprovalNeeded(response.error or "")
    if response.error or response.result is None:
        return BunkerRefused(response.error or "")
    return Granted(response.result)


# -- what is signed ----------------------------------------------------------------------------------------------------


class _Draft(msgspec.Struct):
    kind: int
    content: str
    tags: Tags
    created_at: int
    pubkey: Pubkey


def sign_params(event: UnsignedEvent) -> tuple[str]:
    """The parameter of `sign_event`. It names the author too, so that a signer with several keys knows which to use."""
    draft = _Draft(event.kind, event.content, event.tags, event.created_at, event.pubkey)
    return (msgspec.json.encode(draft).decode(),)


def read_signed(result: str, asked: UnsignedEvent) -> VerifiedEvent:
    """Read the event that a signer returned, and compare it with the one it was asked to sign.

    Raises:
        RemoteProtocolError: it does not verify, or it is another event than `asked`: words, tags or times that a signer
            changed must not be published under a person's name.
    """
    signed = verify_json(_utf8(result))
    if isinstance(signed, Rejected):
        raise RemoteProtocolError(f"the signer returned no valid event ({signed.reason.value})")
    for field in ("pubkey", "kind", "content", "tags", "created_at"):
        if getattr(signed, field) != getattr(asked, field):
            raise RemoteProtocolError(f"the signer returned an event with another {field} than was asked for")
    return signed


def read_user(result: str) -> Pubkey:
    """Read the answer to `get_public_key`.

    Raises:
        RemoteProtocolError: it is no public key.
    """
    user = pubkey_or_none(result)
    if user is None:
        raise RemoteProtocolError("the signer answered with something that is no public key")
    return user


def write_metadata(name: str, url: str = "") -> str:
    """The fourth parameter of `connect`: the name under which the signer shows us, and our page if we have one."""
    return msgspec.json.encode({"name": name} | ({"url": url} if url else {})).decode()


def read_relays(result: str) -> tuple[str, ...]:
    """Read the answer to `switch_relays`: the signer's relays from now on; empty if nothing changes.

    Raises:
        RemoteProtocolError: it is no list of relays.
    """
    try:
        urls = msgspec.json.decode(result, type=tuple[str, ...] | None)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise RemoteProtocolError("the signer answered with something that is no list of relays") from None
    found = relay_url.normalise_all(urls or (), MAX_DM_RELAYS)
    if urls and not found:
        raise RemoteProtocolError("the signer named no relay that can be used")
    return found


def write_perms(signed_kinds: Iterable[int]) -> str:
    """The third parameter of `connect`: the kinds that we will ask it to sign."""
    return ",".join(f"sign_event:{kind}" for kind in signed_kinds)


def _read(event: VerifiedEvent, secret: SecretKey, kind: type[_Message]) -> _Message:
    if event.kind != kinds.REMOTE_SIGNING or secret.pubkey not in tags.values(event.tags, "p"):
        raise RemoteProtocolError("the event is no remote signing message to us")
    try:
        text = nip44.decrypt(event.content, nip44.conversation_key(secret, event.pubkey))
    except LocalProtocolError:
        raise RemoteProtocolError("the sender's key is not on the curve") from None
    try:
        message = msgspec.json.decode(text, type=kind)
        read_json(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise RemoteProtocolError("the content is no remote signing message") from None
    if not 1 <= len(message.id) <= MAX_ID_CHARS:
        raise RemoteProtocolError("the message has no usable id")
    return message


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise RemoteProtocolError("the signer returned text that has no UTF-8 form") from None


def _parts(text: str, scheme: str) -> tuple[Pubkey, list[tuple[str, str]]]:
    trimmed = text.strip()
    try:
        url = urlsplit(trimmed)
        query = parse_qsl(url.query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise InvalidInput(f"not a {scheme} URL: copy all of it again") from None
    is_plain = len(trimmed) <= _MAX_URL_CHARS and trimmed.isascii() and trimmed.isprintable() and " " not in trimmed
    if not is_plain or url.scheme != scheme or url.path not in ("", "/") or url.fragment:
        raise InvalidInput(f"not a {scheme} URL: it looks like {scheme}://<public key>?relay=wss://...")
    pubkey = pubkey_or_none(url.netloc)
    if pubkey is None:
        raise InvalidInput(f"a {scheme} URL names a public key of 64 lowercase hex digits after {scheme}://")
    return pubkey, query


def _relays(query: list[tuple[str, str]]) -> tuple[str, ...]:
    try:
        return relay_url.require_all((value for name, value in query if name == "relay"), MAX_DM_RELAYS)
    except LocalProtocolError as error:
        raise InvalidInput(f"the URL's relays cannot be used: {error}") from None


def _single(query: list[tuple[str, str]], name: str) -> str:
    values = [value for key, value in query if key == name]
    if len(values) > 1:
        raise InvalidInput(f"the URL has several values for {name}: copy it again")
    return values[0] if values else ""
