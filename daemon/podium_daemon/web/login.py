"""The login of each call (NIP-98): a signed event is good for one call, or for the reads of one second."""

from __future__ import annotations

from collections import deque
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security.http import HTTPBase

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.head_requests import method_asked
from podium_daemon.web.problems import Problem
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.nips import nip98

WINDOW_SECONDS: Final = 60
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

    def take(self, event: VerifiedEvent, *, reads: bool = False) -> bool:
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


class LoginDoor:
    """Checks the Authorization header of requests against the configured public URL."""

    def __init__(self, *, public_url: str, clock: Clock) -> None:
        self._public_url = public_url.rstrip("/")
        self._clock = clock
        self._used = UsedLogins(clock)

    def url_of(self, request: Request) -> str:
        """The absolute URL that the caller must have signed: built from the configuration, never from the Host header.

        The path is the one that was sent: unescaped, a `%3F` in it would pass for the beginning of a query.
        """
        path = bytes(request.scope["raw_path"]).decode("latin-1")
        query = bytes(request.scope["query_string"]).decode("latin-1")
        return f"{self._public_url}{path}{f'?{query}' if query else ''}"

    async def check(self, request: Request) -> VerifiedEvent:
        """Check the request's login and return its event.

        Raises:
            Problem: 401, with the check that failed.
        """
        header = request.headers.get("authorization")
        if header is None:
            raise _unauthorised("this call needs a signed login")
        event = nip98.read_header(header)
        if isinstance(event, nip98.LoginRefusal):
            raise _unauthorised(event.reason)
        body = await request.body()
        now = int(self._clock.now())
        url, method = self.url_of(request), method_asked(request)
        login = nip98.check(event, url=url, method=method, body=body or None, now=now, window=WINDOW_SECONDS)
        if isinstance(login, nip98.LoginRefusal):
            raise _unauthorised(login.reason)
        if not self._used.take(event, reads=method in _READS):
            raise _unauthorised("this login event was used before, or was signed before the daemon started")
        return event


def _unauthorised(detail: str) -> Problem:
    return Problem(Slug.LOGIN, detail, _NEXT_STEP)


_scheme = HTTPBase(scheme="Nostr", description="A signed kind 27235 event in base64 (NIP-98).", auto_error=False)


async def _caller(request: Request, _described: Annotated[object, Security(_scheme)]) -> Pubkey:
    door: LoginDoor = request.app.state.login_door
    return (await door.check(request)).pubkey


Caller = Annotated[Pubkey, Depends(_caller)]


async def _signed_call(request: Request, _described: Annotated[object, Security(_scheme)]) -> VerifiedEvent:
    door: LoginDoor = request.app.state.login_door
    return await door.check(request)


SignedCall = Annotated[VerifiedEvent, Depends(_signed_call)]
"""The login itself, for calls whose signature is kept as evidence."""


async def _optional_caller(request: Request) -> Pubkey | None:  # /openapi.json marks the routes that need a login
    door: LoginDoor = request.app.state.login_door
    return (await door.check(request)).pubkey if "authorization" in request.headers else None


OptionalCaller = Annotated[Pubkey | None, Depends(_optional_caller)]
"""The key that signed the call, or None for an unsigned call; a bad login is refused."""
