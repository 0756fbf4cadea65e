"""Recordings: their state, the answers to their policy, the file itself, and credit for watching it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response, Security
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.security.http import HTTPBase
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from podium_daemon.api.base import EventModel
from podium_daemon.api.recordings import (
    ConsentAnswerOut,
    ConsentEventOut,
    ConsentEventsOut,
    PlayedIn,
    PolicyOut,
    RecordingRunOut,
    RecordingsOut,
    SeenOut,
    WatchingOut,
)
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.services.recording.consent import hash_of
from podium_daemon.services.recording.watching import Viewer
from podium_daemon.web.context import AskedLanguage, Context, InContext, forbidden, granted, signer_of
from podium_daemon.web.login import AnyCaller, Caller, KeyCaller, OptionalCaller, SignedCall
from podium_daemon.web.problems import Problem
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol.blossom import is_sha256
from podium_protocol.events import Pubkey
from podium_protocol.live.completion import drawn_spans
from podium_protocol.live.join_proof import read_consent
from podium_protocol.live.recording import RecordingStage, access_of
from podium_protocol.live.session import RecordingAccess
from podium_protocol.nips import nip19
from podium_storage.table.models import LiveSessionRow, RecordingConsentRow, RecordingRow, WatchRow

router = APIRouter(tags=["recording"], route_class=StrictRoute)
_SESSION: Final = "/api/sessions/{reference}"
_ONE_RANGE: Final = re.compile(r"bytes=[0-9]{0,18}-[0-9]{0,18}", re.IGNORECASE)
_PUBLIC_CACHE: Final = "public, max-age=31536000, immutable"  # the name is the hash: it never stands for something else
_OF_THE_CONTENT: Final = frozenset({"content-length", "content-type"})  # headers that a problem sets itself
_PRIVATE_CACHE: Final = "private, no-cache"
_player = HTTPBase(scheme="Podium", scheme_name="Player", description="The secret of an open player.", auto_error=False)


@router.get(f"{_SESSION}/recording")
async def show_recording(
    context: InContext, caller: OptionalCaller, reference: str, language: AskedLanguage
) -> RecordingsOut:
    """The recordings of a session, one for each run of it. Participants also see how many people
    are in it and how many consents are kept, instructor and co-hosts why one failed.
    """
    row = await context.views.resolve(reference, caller)
    in_charge = leads(row, caller)
    takes_part = caller is not None and await context.watching.takes_part(row, _viewer(caller))
    policy, policy_hash = context.recorder.policy(row, language)
    return RecordingsOut(
        is_recording=context.recorder.is_recording(row.session_address),
        policy=policy,
        policy_hash=policy_hash,
        agreed=None if caller is None else await context.recorder.has_agreed(row, caller.pubkey),
        recordings=tuple(_run(one, row, in_charge, takes_part) for one in await context.recorder.recordings(row)),
        undecided=tuple(await context.recorder.undecided(row)) if in_charge else (),
    )


@router.post(f"{_SESSION}/recording/consent")
async def answer_recording_policy(context: InContext, call: SignedCall, reference: str) -> ConsentAnswerOut:
    """Answer the recording policy from inside the room. The answer is in the tags of the signed call: `a` and
    `recording_consent`, as in a join proof. A no pauses the recording before this call returns.
    """
    row = await context.views.resolve(reference, await signer_of(context, call.pubkey))
    granted(await context.recorder.answer(row, call))
    consent = read_consent(call.tags)
    return ConsentAnswerOut(given=consent is not None and consent.given)


@router.post(f"{_SESSION}/recording/retry")
async def retry_recording(
    context: InContext, caller: KeyCaller, reference: str, language: AskedLanguage
) -> RecordingsOut:
    """Make a failed recording again from the tracks that were kept."""
    row = await _led(context, reference, caller)
    granted(await context.recorder.retry(row))
    return await show_recording(context, caller, reference, language)


@router.post(f"{_SESSION}/recording/publish")
async def publish_recording(
    context: InContext, caller: KeyCaller, reference: str, language: AskedLanguage
) -> RecordingsOut:
    """Publish a recording that was reviewed, or withdrawn before: links are written, and people are told."""
    row = await _led(context, reference, caller)
    granted(await context.recorder.publish(row))
    return await show_recording(context, caller, reference, language)


@router.post(f"{_SESSION}/recording/unpublish")
async def unpublish_recording(
    context: InContext, caller: KeyCaller, reference: str, language: AskedLanguage
) -> RecordingsOut:
    """Withdraw the recording: its links are removed, and only instructor and co-hosts can see it."""
    row = await _led(context, reference, caller)
    granted(await context.recorder.unpublish(row))
    return await show_recording(context, caller, reference, language)


@router.post(f"{_SESSION}/recording/delete")
async def delete_recording(
    context: InContext, caller: KeyCaller, reference: str, language: AskedLanguage
) -> RecordingsOut:
    """Delete the recording for good: the file, here and on Blossom, and every link. People who knew of it are told."""
    row = await _led(context, reference, caller)
    granted(await context.recorder.delete(row))
    return await show_recording(context, caller, reference, language)


@router.get(f"{_SESSION}/recording/consents")
async def list_recording_consents(
    context: InContext, caller: KeyCaller, reference: str, language: AskedLanguage
) -> ConsentEventsOut:
    """The signed answers that are kept with the recording, for instructor and co-hosts."""
    row = await _led(context, reference, caller)
    policy, policy_hash = context.recorder.policy(row, language)
    rows = await context.recorder.evidence(row)
    return ConsentEventsOut(
        lesson_id=row.session_address,
        policy=policy,
        policy_hash=policy_hash,
        policies=tuple(
            PolicyOut(language=tag, policy=text, policy_hash=hash_of(text))
            for tag, text in context.recorder.policies(row).items()
        ),
        consents=tuple(_consent(one) for one in rows),
    )


@router.post(f"{_SESSION}/watching")
async def open_player(context: InContext, caller: AnyCaller, reference: str) -> WatchingOut:
    """Open the session's recording, for a person who is signed in, with a guest's or a link's login too. Reports of
    what was played go with the secret.
    """
    row = await context.views.resolve(reference, caller)
    opened = granted(await context.watching.open(row, _viewer(caller), caller.event_id))
    recording = opened.recording
    url = recording.url or ""
    # a browser's player cannot send a header: the secret opens the one file that it is for
    is_private = recording.store == "local" and not _is_public(row, recording)
    return WatchingOut(
        secret=opened.secret,
        url=f"{url}?pass={opened.secret}" if is_private else url,
        media_type=recording.media_type or "video/webm",
        length=(recording.length or 0) / 1000,
        seen=_seen(opened.seen, recording.length or 0),
    )


@router.post("/api/watching")
async def report_played(
    context: InContext, wish: PlayedIn, request: Request, _described: Annotated[object, Security(_player)]
) -> SeenOut:
    """Report what was played since the last report. Credited is what can have been: distinct seconds, twice the
    natural speed at most, and no more than a minute of silence at a time.
    """
    secret = request.headers.get("authorization", "").removeprefix("Podium ")
    played = [(start, end) for start, end in wish.segments]
    row, length = granted(await context.watching.report(secret, played))
    return _seen(row, length)


@router.api_route("/recordings/{name}", methods=["GET", "HEAD"], include_in_schema=False)
async def recording_file(context: InContext, caller: OptionalCaller, request: Request, name: str) -> Response:
    """A recording's file, or the parts of it that a Range asks for."""
    sha256 = name.removesuffix(".webm")
    row = await context.recorder.by_hash(sha256) if is_sha256(sha256) and name.endswith(".webm") else None
    session = None if row is None else await context.recorder.session(row.session_address)
    if row is None or session is None:
        raise _no_file()
    secret = request.query_params.get("pass", "")
    is_private = not _is_public(session, row)
    if is_private and not await _may_read(context, session, row, caller, secret):
        # a person followed the link of a message: the name proves it
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(context.views.page(session), HTTPStatus.SEE_OTHER)
        raise _no_file()
    return await _file(context.recorder.file_of(sha256), row, request, is_private=is_private)


async def _may_read(
    context: Context, session: LiveSessionRow, row: RecordingRow, caller: Caller | None, secret: str
) -> bool:
    if secret and await context.watching.opens(secret, session, row):
        return True
    return caller is not None and await context.watching.may_watch(session, row, _viewer(caller))


def _viewer(caller: Caller) -> Viewer:
    return Viewer(caller.pubkey, caller.assurance)


def _is_public(session: LiveSessionRow, row: RecordingRow) -> bool:
    is_published = row.state == RecordingStage.AVAILABLE
    return is_published and access_of(session, row.access) is RecordingAccess.PUBLIC


async def _file(path: Path, row: RecordingRow, request: Request, *, is_private: bool) -> Response:
    try:
        file = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise _no_file() from None
    etag = f'"{row.sha256}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": _PRIVATE_CACHE if is_private else _PUBLIC_CACHE,
        "Content-Disposition": f'inline; filename="{row.sha256}.webm"',
    }
    if not is_private:
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # other clients play what the live status links to
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        os.close(file)
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return _OpenFile(file, headers=headers, media_type=row.media_type or "video/webm")


class _OpenFile(FileResponse):
    """A file that is open already, so that it cannot be replaced or deleted between the check and the read.

    Starlette refuses a range that it does not understand, and gives a HEAD a part. RFC 9110 (14.2) has both ignored.
    """

    chunk_size = 256 * 1024

    def __init__(self, file: int, *, headers: Mapping[str, str], media_type: str) -> None:
        found = os.fstat(file)
        super().__init__(f"/proc/self/fd/{file}", headers=headers, media_type=media_type, stat_result=found)
        self._file = file
        self._size = found.st_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] != "GET" or not _ONE_RANGE.fullmatch(Headers(scope=scope).get("range", "")):
                scope = _for_the_whole(scope)
            await self._send(scope, receive, send)
        finally:
            os.close(self._file)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def unless_refused(message: Message) -> None:
            status = message.get("status")
            if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise _outside(self._size, self.headers)
            if status == HTTPStatus.BAD_REQUEST:
                raise _MalformedRange
            await send(message)

        try:
            await super().__call__(scope, receive, unless_refused)
        except _MalformedRange:
            await super().__call__(_for_the_whole(scope), receive, send)


class _MalformedRange(Exception):
    """The range ends before it begins, or says neither (RFC 9110, 14.1.1)."""


def _for_the_whole(scope: Scope) -> Scope:
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}


def _outside(size: int, headers: Mapping[str, str]) -> Problem:
    detail = f"the file has {size} bytes, and the range lies outside of it"
    kept = {name: value for name, value in headers.items() if name not in _OF_THE_CONTENT}
    own = kept | {"Content-Range": f"bytes */{size}"}
    return Problem(Slug.RANGE, detail, "Ask for less.", headers=own)


def _no_file() -> Problem:
    detail = "there is no recording at this address, or it is not for you"
    return Problem(Slug.UNKNOWN_RECORDING, detail, "Open it from the session's page.")


def _run(row: RecordingRow, session: LiveSessionRow, in_charge: bool, takes_part: bool) -> RecordingRunOut:
    is_told = row.state != RecordingStage.DELETED and (in_charge or _is_public(session, row))
    # other callers are sent to the page, which opens it for people who may see it
    return RecordingRunOut(
        run=row.run,
        state=row.state,
        progress=row.progress,
        access=access_of(session, row.access),
        url=row.url if is_told else None,
        sha256=row.sha256 if is_told else None,
        size=row.size,
        length=None if row.length is None else row.length / 1000,
        media_type=row.media_type,
        published_at=row.published_at,
        recorded=len(row.recorded) if takes_part else None,
        consents=len(row.consents) if takes_part else None,
        reason=row.reason if in_charge else None,
        notes=tuple(row.notes) if in_charge else (),
    )


def _consent(row: RecordingConsentRow) -> ConsentEventOut:
    return ConsentEventOut(
        pubkey=row.pubkey,
        npub=nip19.encode_npub(Pubkey(row.pubkey)),
        given=row.given,
        policy_hash=row.policy_hash,
        kept_at=row.kept_at,
        event=EventModel.model_validate_json(row.event),
    )


def _seen(row: WatchRow, length: int) -> SeenOut:
    percent = min(100, 100 * row.watched // length) if length else 0
    parts = tuple([start / 1000, end / 1000] for start, end in drawn_spans(row.spans, length))
    return SeenOut(watched=row.watched / 1000, percent=percent, parts=parts, completed_at=row.completed_at)


async def _led(context: Context, reference: str, caller: Caller) -> LiveSessionRow:
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts look after the recording")
    return row
