"""The parts of the daemon that every route is given by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from fastapi import Depends
from starlette.requests import HTTPConnection

from podium_daemon.api.service import ServiceOut
from podium_daemon.conference.engine import ConferenceEngine
from podium_daemon.conference.service import TrainingCallingIntegration
from podium_daemon.relays.pool import RelayPool
from podium_daemon.runtime.allowances import Allowances
from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.services.attendance.badges import Badges
from podium_daemon.services.attendance.certificates import Certificates
from podium_daemon.services.guests.guests import Guests
from podium_daemon.services.questions.questions import Questions
from podium_daemon.services.recording.recording import Recorder
from podium_daemon.services.recording.watching import Watching
from podium_daemon.services.rooms.controls import RoomControls
from podium_daemon.services.rooms.rooms import Rooms
from podium_daemon.services.sessions.event_submission import EventSubmission
from podium_daemon.services.sessions.instructor_list import InstructorList
from podium_daemon.services.sessions.lifecycle import Lifecycle
from podium_daemon.services.sessions.passed_over import PassedOverEvents
from podium_daemon.signers.instructors import InstructorSigners
from podium_daemon.signers.page_registry import PageSignerRegistry
from podium_daemon.web.calendars import Face
from podium_daemon.web.drafts import Drafts
from podium_daemon.web.login import Caller, language_asked
from podium_daemon.web.metrics import Counted, nothing_counted
from podium_daemon.web.problems import Problem
from podium_daemon.web.series import SeriesDrafts
from podium_daemon.web.views import Views
from podium_protocol.events import Pubkey
from podium_storage.outbox.outbox import Outbox
from podium_storage.store import Store

T = TypeVar("T")


class CallingOf(Protocol):
    """The model's calling service for the signer of a call; `note` goes with attendance recorded by hand."""

    def __call__(self, by: Pubkey, note: str | None = None) -> TrainingCallingIntegration: ...


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon as the routes see it."""

    store: Store
    outbox: Outbox
    views: Views
    drafts: Drafts
    series: SeriesDrafts
    submission: EventSubmission
    passed_over: PassedOverEvents
    lifecycle: Lifecycle
    engine: ConferenceEngine
    rooms: Rooms
    controls: RoomControls
    recorder: Recorder
    watching: Watching
    certificates: Certificates
    badges: Badges
    questions: Questions
    guests: Guests
    calling: CallingOf
    relays: RelayPool
    signers: PageSignerRegistry
    instructor_list: InstructorList
    instructor_signers: InstructorSigners
    clock: Clock
    service: Callable[[], ServiceOut]
    ready: Callable[[], Awaitable[str | None]]
    remarks: Callable[[], Sequence[str]] = tuple
    relay_information: Callable[[], dict[str, Any] | None] = lambda: None
    partial: Callable[[], Mapping[str, Mapping[str, str]]] = dict
    counted: Callable[[], Sequence[Counted]] = nothing_counted
    calendar: Callable[[], Face] = Face
    language: Callable[[], str] = lambda: "en"
    service_pubkey: Pubkey
    public_url: str
    connections: Callable[[], int] = lambda: 8_192
    allowances: Allowances = msgspec.field(default_factory=lambda: Allowances(SystemClock()))


def _context(connection: HTTPConnection) -> Context:
    context: Context = connection.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]


def _language(connection: HTTPConnection, context: InContext) -> str:
    return language_asked(connection) or context.language()


AskedLanguage = Annotated[str, Depends(_language)]
"""The tag of the language that a call asks for (`Accept-Language`), else the service's."""


async def signer_of(context: Context, pubkey: Pubkey) -> Caller:
    """Who signed a call: a person, or a guest, whose session is there for them even if it is private."""
    guest = await context.store.guests.where("pubkey").equals(pubkey).first()
    if guest is None:
        return Caller(pubkey)
    return Caller(pubkey, "link" if guest.assurance == "link" else "guest", guest.session_address)


def granted(outcome: T | Rejection) -> T:
    """Return the outcome, or raise its rejection as a problem document."""
    if isinstance(outcome, Rejection):
        raise Problem(outcome.slug, outcome.detail, outcome.next_step, values=outcome.values)
    return outcome


def forbidden(detail: str, next_step: str = "Sign the call with the instructor's key.") -> Problem:
    """The problem for a caller without the needed role."""
    return Problem(Slug.NOT_ALLOWED, detail, next_step)
