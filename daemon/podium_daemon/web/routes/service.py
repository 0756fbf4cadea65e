"""The service itself: its description, its relays, its health, and the submission of signed events."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from podium_daemon.api.base import EventModel
from podium_daemon.api.service import NamesOut, RefusalOut, RelayOut, RelaysOut, ServiceOut
from podium_daemon.api.sessions import AcceptedEvent, EventsIn, EventsOut
from podium_daemon.relays.relay_state import RelayStatus
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.context import InContext, granted
from podium_daemon.web.login import WINDOW_SECONDS, InLoginDoor, OptionalCaller
from podium_daemon.web.metrics import exposition
from podium_daemon.web.problems import Problem, also
from podium_daemon.web.strict_json import StrictRoute
from podium_protocol.events import EventId, Pubkey, Rejected, SignedEvent, VerifiedEvent, verify
from podium_protocol.nips import nip05, nip11
from podium_protocol.text import single_line

_RELAY_INFORMATION: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The document of NIP-11.", "content": {nip11.MEDIA_TYPE: {"schema": {"type": "object"}}}}
}

_NOT_READY: Final = also("text/plain", "Why not.", HTTPStatus.SERVICE_UNAVAILABLE)
router = APIRouter(tags=["service"], route_class=StrictRoute)


@router.get("/api/service")
async def show_service(context: InContext) -> ServiceOut:
    """Keys, relays and engine of this service: what a client needs to address it."""
    return context.service()


@router.get("/.well-known/nostr.json")
async def list_names(context: InContext, response: Response, name: str | None = None) -> NamesOut:
    """The keys this domain vouches for (NIP-05): the service as `_`, and the allow-list; with `name`, only that one.

    Pages of any origin may read it, as NIP-05 demands.
    """
    response.headers["Access-Control-Allow-Origin"] = "*"
    staff = {Pubkey(pubkey): context.views.people.name_of(Pubkey(pubkey)) for pubkey in context.service().instructors}
    names = nip05.names_of(context.service_pubkey, staff)
    wanted = names if name is None else {name: names[name]} if name in names else {}
    return NamesOut(names=dict(wanted))


@router.get("/api/relays")
async def list_relays(context: InContext) -> RelaysOut:
    """The configured relays and their state."""
    pending, partial = await context.outbox.pending_by_relay(), context.partial()
    return RelaysOut(
        relays=tuple(
            _relay_out(relay, pending.get(relay.url, 0), partial.get(relay.url, {}))
            for relay in context.relays.states()
        )
    )


@router.post("/api/events")
async def submit_events(
    context: InContext, door: InLoginDoor, caller: OptionalCaller, body: EventsIn, request: Request
) -> EventsOut:
    """Take signed events of sessions here, mirror them and send them to the relays: all of them or none.

    What belongs to a session is its own proof, and anybody may bring it: this call needs no login. Relay lists are
    taken from their author only, who signs the call or signed in.
    """
    events = [checked(model) for model in body.events]
    submitted = granted(await context.submission.submit(events, by=caller.pubkey if caller is not None else None))
    # an event that was signed just now comes from its author's page; an older one may be a stranger's copy
    now = int(context.clock.now())
    for author in {one.pubkey for one in events if abs(now - one.created_at) <= WINDOW_SECONDS}:
        await door.note_language(request, author)
    return EventsOut(
        accepted=tuple(
            AcceptedEvent(id=one.event.id, kind=one.event.kind, lesson_id=one.session_address, relays=tuple(one.relays))
            for one in submitted
        )
    )


@router.get("/api/relay-information", responses=_RELAY_INFORMATION)
async def show_relay_information(context: InContext) -> Response:
    """The information document (NIP-11) of the daemon's own relay, for a proxy in front of it to serve."""
    document = context.relay_information()
    if document is None:
        raise Problem(
            Slug.NO_RELAY,
            "this service runs no relay of its own",
            "See GET /api/relays.",
            status=HTTPStatus.NOT_FOUND,  # 409 is for events that cannot be published
        )
    # NIP-11 asks for it: pages of other origins show the document, and nothing else is served here
    headers = {"Access-Control-Allow-Origin": "*"}
    return Response(msgspec.json.encode(document), media_type=nip11.MEDIA_TYPE, headers=headers)


@router.get("/healthz", response_class=PlainTextResponse)
async def check_health() -> str:
    """The process answers."""
    return "ok\n"


@router.get("/readyz", response_class=PlainTextResponse, responses=_NOT_READY)
async def check_readiness(context: InContext) -> Response:
    """Whether all parts of the daemon work and the database takes writes; 503 with the reason if not.

    It also says which relays are away and why, what single relays refuse, and which have not told the past yet: two
    seconds after the start they delay nothing, since what the store knows is acted upon at once.
    """
    reason = await context.ready()
    if reason is None:
        return PlainTextResponse("\n".join(["ready", *context.remarks(), ""]))
    return PlainTextResponse(f"{reason}\n", HTTPStatus.SERVICE_UNAVAILABLE)


@router.get("/metrics", response_class=PlainTextResponse)
async def show_metrics(context: InContext) -> Response:
    """Counters for Prometheus."""
    return Response(exposition(context.counted()), media_type=CONTENT_TYPE_LATEST)


def checked(model: EventModel) -> VerifiedEvent:
    """Return the event if its id and signature are good.

    Raises:
        Problem: 400, naming the flaw.
    """
    tags = tuple(tuple(tag) for tag in model.tags)
    try:
        text_is_sound = model.model_dump_json().encode()
    except ValueError:
        text_is_sound = b""
    if not text_is_sound or () in tags:
        raise _bad_event("it holds text that is no UTF-8, or an empty tag")
    signed = SignedEvent(
        EventId(model.id), Pubkey(model.pubkey), model.created_at, model.kind, tags, model.content, model.sig
    )
    event = verify(signed)
    if isinstance(event, Rejected):
        raise _bad_event(event.detail)
    return event


def _bad_event(detail: str) -> Problem:
    return Problem(Slug.BAD_EVENT, f"the event is not valid: {detail}", "Sign the draft again.")


_MAX_NOTICE: Final = 200


def _relay_out(relay: RelayStatus, pending: int, partial: Mapping[str, str]) -> RelayOut:
    """The state of one relay; `pending` events wait for it, `partial` are subscriptions read only in part."""
    last = relay.last_refusal
    return RelayOut(
        url=relay.url,
        state=relay.state,
        read=relay.read,
        write=relay.write,
        dm=relay.dm,
        last_error=relay.last_error,
        last_refusal=None if last is None else RefusalOut(words=last.words, at=int(last.at), count=last.count),
        last_notice=None if relay.last_notice is None else single_line(relay.last_notice, _MAX_NOTICE),
        closed_subscriptions=dict(relay.closed_subscriptions),
        partial=dict(partial),
        limits=msgspec.to_builtins(relay.limits),
        pending=pending,
    )
