"""The login of each call: a token that was issued for one signed login, or NIP-98 on each request.

Each signed event is good for one call, or for the reads of one second. Tokens travel in `Authorization` alone: no
cookie, so no other site can have a browser send them.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections import deque
from collections.abc import Callable
from typing import Annotated, Final, Literal, cast

import msgspec
from fastapi import Depends, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.security.http import HTTPBase
from starlette.requests import HTTPConnection

from podium_daemon.runtime.allowances import Buckets, Rate
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.runtime.secret_table import digest_of, new_secret
from podium_daemon.web.head_requests import method_asked
from podium_daemon.web.problems import Problem
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.live.languages import known_tag
from podium_protocol.nips import nip98
from podium_storage.errors import StoreError
from podium_storage.languages import Languages
from podium_storage.logins import Logins, StoredLogin

WINDOW_SECONDS: Final = 60
LOGIN_SECONDS: Final = 7 * 24 * 3600
"""How long one signed login lasts."""

OF_A_CALLER: Final = Rate(burst=1_000, per_second=10.0)
"""Calls that may write something: a leader's script marks a large session in one go, and no page comes near it."""

_MAX_TOKEN: Final = 64  # characters
_MAX_LANGUAGES_HEADER: Final = 200  # characters: browsers send some ten languages at most
_WEIGHT: Final = re.compile(r"(?:\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")
_BEARER: Final = "bearer "
_READS: Final = frozenset({"GET", "HEAD"})
_NEXT_STEP: Final = (
    "Sign a fresh kind 27235 event for this URL, method and body (NIP-98) and send it as `Authorization: Nostr ...`."
)


class UsedLogins:
    """Ids of login events seen inside the window, so that an attacker cannot replay a captured header.

    Kept in memory: events signed before the daemon started are refused instead, which closes the gap of a restart.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = int(clock.now())
        self._ids: dict[EventId, float] = {}
        self._order: deque[tuple[float, EventId]] = deque()

    def __len__(self) -> int:
        return len(self._ids)

    def use_login(self, event: VerifiedEvent, *, reads: bool = False) -> bool:
        """Note a use of the event; whether it is allowed, that is, the first one.

        A call that only `reads` may come again within a second: without a nonce, whose place NIP-98 does not name, a
        client that asks twice in one second signs the same event twice.
        """
        now = self._clock.now()
        while self._order and self._order[0][0] < now:
            self._ids.pop(self._order.popleft()[1], None)
        if (used_at := self._ids.get(event.id)) is not None:
            return reads and now - used_at < 1
        if event.created_at < self._started - 1:
            return False
        self._ids[event.id] = now
        # an event may be dated a window ahead and stays acceptable for a window after that
        self._order.append((now + 2 * WINDOW_SECONDS + 1, event.id))
        return True


Assurance = Literal["key", "link", "guest"]
"""How a person was known: by their own signature, by a link that was sent to them alone, or by a name they gave."""


class Caller(msgspec.Struct, frozen=True):
    """Who made a call. A login by link or as a guest is valid only for the session `session_address`.

    `login_id` is of the login that their token stands for, `event_id` of the event with which they signed the call.
    """

    pubkey: Pubkey
    assurance: Assurance = "key"
    session_address: str | None = None
    login_id: int | None = None
    event_id: EventId | None = None

    @property
    def has_key(self) -> bool:
        """Whether the caller signed, now or at the login: only then may they act as instructor or co-host."""
        return self.assurance == "key"


class IssuedLogin(msgspec.Struct, frozen=True):
    """A token, which is sent only once; it expires at `expires_at` (Unix seconds)."""

    token: str
    expires_at: int

    def __repr__(self) -> str:
        return f"<IssuedLogin until {self.expires_at}>"


class LoginTokens:
    """Issues, checks and revokes the tokens that stand for a login."""

    def __init__(
        self, logins: Logins, clock: Clock, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        """Keep the digests of tokens in `logins`."""
        self._logins = logins
        self._clock = clock
        self._random_bytes = random_bytes

    async def issue(self, caller: Caller, expires_at: int | None = None) -> IssuedLogin:
        """Issue a token for this caller, valid for a week or until `expires_at` (Unix seconds)."""
        now = int(self._clock.now())
        token = new_secret(self._random_bytes)
        login = StoredLogin(
            digest=digest_of(token),
            pubkey=caller.pubkey,
            assurance=caller.assurance,
            lesson=caller.session_address,
            created_at=now,
            expires_at=expires_at or now + LOGIN_SECONDS,
        )
        await self._logins.add(login)
        return IssuedLogin(token, login.expires_at)

    async def find(self, token: str) -> Caller:
        """Return the caller of a token.

        Raises:
            Problem: 401, the token is unknown, has expired or was revoked; it names the last two.
        """
        found = await self._logins.find(digest_of(token)) if len(token) <= _MAX_TOKEN else None
        if found is None:
            raise _unauthorised("this login is not known here")
        if found.revoked_at is not None:
            raise _unauthorised("this login was signed out")
        if found.expires_at <= self._clock.now():
            raise _unauthorised("this login has ended")
        return Caller(Pubkey(found.pubkey), cast("Assurance", found.assurance), found.lesson, found.id)

    async def revoke(self, caller: Caller, *, everywhere: bool) -> None:
        """Revoke the login of this call, or all logins of the person.

        A person who came by a link ends only the logins for that session: the link may have been passed on.
        """
        now = int(self._clock.now())
        if everywhere:
            await self._logins.revoke_all(caller.pubkey, now, lesson=caller.session_address)
        elif caller.login_id is not None:
            await self._logins.revoke(caller.login_id, now)

    async def end_links(self, caller: Caller) -> None:
        """End the links in the messages that the caller was sent so far, as far as their login reaches."""
        await self._logins.end_links(caller.pubkey, int(self._clock.now()), lesson=caller.session_address)


class LoginDoor:
    """Checks the Authorization header of requests against the configured public URL."""

    def __init__(self, *, public_url: str, clock: Clock, tokens: LoginTokens, languages: Languages) -> None:
        self._languages = languages
        self._public_url = public_url.rstrip("/")
        self._clock = clock
        self._used = UsedLogins(clock)
        self._writes = Buckets[Pubkey](OF_A_CALLER)
        self.tokens = tokens

    def url_of(self, request: Request) -> str:
        """The absolute URL that the caller must have signed: built from the configuration, never from the Host header.

        The path is the one that was sent: unescaped, a `%3F` in it would pass for the beginning of a query.
        """
        path = bytes(request.scope["raw_path"]).decode("latin-1")
        query = bytes(request.scope["query_string"]).decode("latin-1")
        return f"{self._public_url}{path}{f'?{query}' if query else ''}"

    async def caller(self, request: Request) -> Caller:
        """Return who made the call, by the token or by the signed login of this call.

        Raises:
            Problem: 401, with the check that failed; 429, the person wrote too often.
        """
        header = request.headers.get("authorization", "")
        if header[: len(_BEARER)].lower() == _BEARER:
            found = await self.tokens.find(header[len(_BEARER) :].strip())
            self._count(request, found.pubkey)
        else:
            event = await self.check(request)
            found = Caller(event.pubkey, event_id=event.id)
        if found.assurance != "guest":  # no message reaches guests
            await self.note_language(request, found.pubkey)
        return found

    async def note_language(self, request: Request, pubkey: Pubkey) -> None:
        """Note the language of the page that made this call for a person: they are written to in it.

        It is no part of what the call is for, which goes on if it cannot be stored.
        """
        if (tag := language_asked(request)) is not None:
            with contextlib.suppress(StoreError):
                await self._languages.note_page(pubkey, tag, int(self._clock.now()))

    async def check_before_body(self, request: Request, *, token: bool) -> None:
        """Check what the head of a call says of its login, so that no stranger's body is waited for.

        `token`: whether a token will do.

        Raises:
            Problem: 401, with the check that failed.
        """
        header = request.headers.get("authorization", "")
        if token and header[: len(_BEARER)].lower() == _BEARER:
            await self.tokens.find(header[len(_BEARER) :].strip())
        else:
            self._event_of(request)

    def _event_of(self, request: Request) -> VerifiedEvent:
        """The login event in the head of a call, checked but for the body's hash and a second use."""
        known: VerifiedEvent | None = getattr(request.state, "login_event", None)
        if known is not None:
            return known
        header = request.headers.get("authorization")
        if header is None:
            raise _unauthorised("this call needs a signed login")
        event = nip98.read_header(header)
        if isinstance(event, nip98.LoginRefusal):
            raise _unauthorised(event.reason)
        now, url, method = int(self._clock.now()), self.url_of(request), method_asked(request)
        flaw = nip98.flaw_before_body(event, url=url, method=method, now=now, window=WINDOW_SECONDS)
        if flaw is not None:
            raise _unauthorised(flaw)
        request.state.login_event = event
        return event

    async def check(self, request: Request) -> VerifiedEvent:
        """Check the signed login (NIP-98) of this call and return its event.

        Raises:
            Problem: 401, with the check that failed; 429, the person wrote too often.
        """
        event = self._event_of(request)
        body = await request.body()
        now = int(self._clock.now())
        url, method = self.url_of(request), method_asked(request)
        login = nip98.check(event, url=url, method=method, body=body or None, now=now, window=WINDOW_SECONDS)
        if isinstance(login, nip98.LoginRefusal):
            raise _unauthorised(login.reason)
        if not self._used.use_login(event, reads=method in _READS):
            raise _unauthorised("this login event was used before, or was signed before the daemon started")
        self._count(request, event.pubkey)
        return event

    def _count(self, request: Request, caller: Pubkey) -> None:
        if method_asked(request) in _READS or self._writes.take_tokens(caller, self._clock.monotonic()):
            return
        raise Problem(Slug.TOO_MANY, "you sent too much in a short time", "Wait a minute, then try again.")


def language_asked(request: HTTPConnection) -> str | None:
    """The tag of the catalogue that a call asks for first (`Accept-Language`, RFC 9110, 12.5.4); None if for none."""
    header = request.headers.get("accept-language", "")[:_MAX_LANGUAGES_HEADER]
    asked: list[tuple[float, str]] = []
    for part in header.split(","):
        tag, _, weight = part.partition(";")
        known, match = known_tag(tag), _WEIGHT.fullmatch(weight)
        if known is not None and match is not None:
            asked.append((float(match[1] or 1), known))
    best = max(asked, key=lambda one: one[0], default=None)
    return best[1] if best is not None and best[0] > 0 else None


def _unauthorised(detail: str) -> Problem:
    return Problem(Slug.LOGIN, detail, _NEXT_STEP)


_scheme = HTTPBase(
    scheme="Nostr",
    description="A signed kind 27235 event in base64 (NIP-98); or `Bearer` and the token of POST /api/login.",
    auto_error=False,
)


async def _any_caller(request: Request, _described: Annotated[object, Security(_scheme)]) -> Caller:
    door: LoginDoor = request.app.state.login_door
    return await door.caller(request)


AnyCaller = Annotated[Caller, Depends(_any_caller)]
"""A signed-in caller, also by a link or as a guest."""


async def _key_caller(caller: AnyCaller) -> Caller:
    if not caller.has_key:
        detail = "this needs a key of your own: you came by a link or as a guest"
        raise Problem(Slug.NEEDS_KEY, detail, "Sign in with your key.")
    return caller


KeyCaller = Annotated[Caller, Depends(_key_caller)]
"""A caller who signed in with their own key."""


async def _signed_call(request: Request, _described: Annotated[object, Security(_scheme)]) -> VerifiedEvent:
    door: LoginDoor = request.app.state.login_door
    event = await door.check(request)
    await door.note_language(request, event.pubkey)
    return event


SignedCall = Annotated[VerifiedEvent, Depends(_signed_call)]
"""The login itself, for calls whose signature is kept as evidence."""


async def _optional_caller(request: Request) -> Caller | None:  # /openapi.json marks what is refused without a login
    door: LoginDoor = request.app.state.login_door
    return await door.caller(request) if "authorization" in request.headers else None


OptionalCaller = Annotated[Caller | None, Depends(_optional_caller)]
"""The caller, or None without a login; an invalid login is refused."""


async def check_login_before_body(request: Request, dependant: Dependant) -> None:
    """Check the login of a call to a route with these dependencies as far as its head tells, before its body is read.

    Raises:
        Problem: 401, with the check that failed.
    """
    calls = _calls_of(dependant)
    is_given = _optional_caller in calls and "authorization" in request.headers
    if is_given or _any_caller in calls or _signed_call in calls:
        door: LoginDoor = request.app.state.login_door
        await door.check_before_body(request, token=_signed_call not in calls)


def _calls_of(dependant: Dependant) -> set[object]:
    return {dependant.call}.union(*(_calls_of(each) for each in dependant.dependencies))


def author_of(caller: Caller | None, pubkey: str | None) -> Pubkey:
    """Return whom a draft is for: the caller, or `pubkey` in a call without a login.

    Raises:
        Problem: 401, it is neither; 400, they are two people.
    """
    if caller is not None and pubkey in (None, caller.pubkey):
        return caller.pubkey
    if caller is not None:
        detail = "the call has the login of one person, and asks for the draft of another"
        raise Problem(Slug.BAD_PUBKEY, detail, "Leave the login or `pubkey` out.")
    if pubkey is None:
        raise _unauthorised("this call needs a signed login, or the `pubkey` of who will sign")
    return Pubkey(pubkey)


def _tokens(request: Request) -> LoginTokens:
    door: LoginDoor = request.app.state.login_door
    return door.tokens


def _door(request: Request) -> LoginDoor:
    door: LoginDoor = request.app.state.login_door
    return door


InLoginDoor = Annotated[LoginDoor, Depends(_door)]

InLogins = Annotated[LoginTokens, Depends(_tokens)]
