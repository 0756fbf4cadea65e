"""What every route is given: the parts the composition root joined."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, TypeVar

import msgspec
from fastapi import Depends
from starlette.requests import HTTPConnection

from podium_daemon.clock import Clock
from podium_daemon.refusals import Refused
from podium_daemon.web.drafts import Drafts
from podium_daemon.web.models import ServiceOut
from podium_daemon.web.ports import CallingOf, IntakePort, LifecyclePort, RelaysPort, RoomsPort
from podium_daemon.web.problems import Problem
from podium_daemon.web.views import Views
from podium_protocol.events import Pubkey
from podium_storage.outbox import Outbox
from podium_storage.store import Store

T = TypeVar("T")

_STATUS = {
    "unknown-session": HTTPStatus.NOT_FOUND,
    "not-an-instructor": HTTPStatus.FORBIDDEN,
    "not-allowed": HTTPStatus.FORBIDDEN,
    "denied": HTTPStatus.FORBIDDEN,
    "bad-kind": HTTPStatus.BAD_REQUEST,
    "bad-time": HTTPStatus.BAD_REQUEST,
    "bad-pubkey": HTTPStatus.BAD_REQUEST,
    "bad-interval": HTTPStatus.BAD_REQUEST,
    "bad-proof": HTTPStatus.UNAUTHORIZED,
    "too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon as the routes see it."""

    store: Store
    outbox: Outbox
    views: Views
    drafts: Drafts
    intake: IntakePort
    lifecycle: LifecyclePort
    rooms: RoomsPort
    calling: CallingOf
    relays: RelaysPort
    clock: Clock
    service: Callable[[], ServiceOut]
    ready: Callable[[], str | None]
    service_pubkey: Pubkey
    public_url: str


def _context(connection: HTTPConnection) -> Context:
    context: Context = connection.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]


def granted(outcome: T | Refused) -> T:
    """The outcome, or a problem document that says why not."""
    if isinstance(outcome, Refused):
        status = _STATUS.get(outcome.slug, HTTPStatus.CONFLICT)
        raise Problem(status, outcome.slug, outcome.detail, outcome.next_step)
    return outcome


def forbidden(detail: str) -> Problem:
    """A refusal for want of a role."""
    return Problem(HTTPStatus.FORBIDDEN, "not-allowed", detail, "Sign the call with the instructor's key.")
