"""The routes for rooms on another server: the link by which people enter, and the server's webhooks."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from podium_daemon.conference.redirect import RedirectEngine, WebhookCall
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.web.context import Context, InContext
from podium_daemon.web.problems import Problem, also, problem

router = APIRouter(prefix="/api/conference", tags=["conference"])


@router.get(
    "/enter/{token}",
    status_code=HTTPStatus.SEE_OTHER,
    response_class=RedirectResponse,
    responses=also("text/plain", "the signed address of the meeting", HTTPStatus.SEE_OTHER)
    | problem(HTTPStatus.GONE, "the address was used, or is too old"),
)
async def enter_meeting(context: InContext, token: str) -> RedirectResponse:
    """Enter a meeting on another server by the address that the room socket gave. It works once."""
    entrance = await _hand_over(context).enter(token)
    if isinstance(entrance, Rejection):
        # a person followed a link: say what happened, in the form of all errors
        raise Problem(entrance.slug, entrance.detail, entrance.next_step, status=HTTPStatus.GONE)
    return RedirectResponse(entrance.url, HTTPStatus.SEE_OTHER)


@router.post("/webhook/{engine}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def receive_webhook(context: InContext, engine: str, request: Request) -> Response:
    """Take a webhook that an engine's server has signed, about its rooms."""
    told = _hand_over(context)
    if engine != context.engine.name:
        raise _unknown()
    checksums = request.query_params.getlist("checksum")
    call = WebhookCall(
        await request.body(), checksums[0] if len(checksums) == 1 else "", request.headers.get("authorization", "")
    )
    refused = await told.notified(call)
    if refused is not None:
        raise Problem(refused.slug, refused.detail, refused.next_step)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _hand_over(context: Context) -> RedirectEngine:
    if not isinstance(context.engine, RedirectEngine):
        raise _unknown()
    return context.engine


def _unknown() -> Problem:
    detail = "the engine in use has no rooms on another server by that name"
    return Problem(Slug.NOT_FOUND, detail, "See conference.engine in the configuration.")
