"""Sessions in the form of the API, and the addresses of their pages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final

from podium_daemon.api.sessions import Counts, SessionOut
from podium_daemon.services.people.profiles import Introduction
from podium_daemon.web.login import Caller
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey
from podium_protocol.live import fields, private
from podium_protocol.live.guests import guests_of
from podium_protocol.live.lifecycle import SessionState, Trigger
from podium_protocol.live.recording import RecordingStage, access_of
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.series import number_of
from podium_protocol.live.session import GuestPolicy
from podium_protocol.nips import nip19
from podium_storage.projections.sessions import SessionCounts, VisiblePart, session_counts, visible_sessions
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

_SLICE: Final = 20  # sessions written before the event loop gets a turn: their naddr and npub are bech32 in Python


@functools.lru_cache(maxsize=2_048)  # bech32 in Python is half of what a list of sessions costs
def _naddr(session_address: str, hints: tuple[str, ...]) -> str:
    address = Address.parse(session_address)
    assert address is not None, "a row's lessonId was parsed before it was stored"
    return nip19.encode_naddr(address, hints)


_npub_of_instructor = functools.lru_cache(maxsize=1_024)(nip19.encode_npub)


class PageLinks:
    """The address of a session's page."""

    def __init__(self, public_url: str, relay_hints: Callable[[], Sequence[str]]) -> None:
        self._public_url = public_url.rstrip("/")
        self._hints = relay_hints

    def naddr(self, row: LiveSessionRow) -> str:
        """The session's naddr with our relays as hints."""
        return _naddr(row.session_address, tuple(self._hints()[:2]))

    def page(self, row: LiveSessionRow) -> str:
        """The address of the session's page, where people join."""
        return self.page_of(self.naddr(row))

    def page_of(self, naddr: str) -> str:
        """The address of the page of the session with this naddr."""
        return f"{self._public_url}/s/{naddr}"


class SessionViews:
    """Reads sessions."""

    def __init__(
        self,
        store: Store,
        links: PageLinks,
        *,
        introduce: Callable[[Pubkey], Introduction],
        doors: Callable[[], int],
        service: Pubkey | None,
        guests: Callable[[], GuestPolicy],
    ) -> None:
        """`doors`: seconds before the start at which a session can be entered; `guests`: the service's default."""
        self._store = store
        self._links = links
        self._introduce = introduce
        self._doors = doors
        self._service = service
        self._guests = guests

    async def part(
        self,
        state: str | None,
        viewer: Caller | None = None,
        *,
        newest_first: bool = False,
        limit: int,
        offset: int = 0,
    ) -> list[SessionOut]:
        """The sessions that `viewer` may know of, or those in one state, in the order of their start: a part of them.

        Six queries, however many sessions.
        """
        if viewer is not None and viewer.session_address is not None:
            row = await self._store.sessions.where("lessonId").equals(viewer.session_address).first()
            rows = [row] if row is not None and state in (None, row.state) and not offset else []
        else:
            wanted = VisiblePart(
                viewer=None if viewer is None else viewer.pubkey,
                sees_all=viewer is not None and viewer.pubkey == self._service,
                state=state,
                newest_first=newest_first,
                offset=offset,
                limit=limit,
            )
            keys = await visible_sessions(self._store.database, wanted)
            rows = [row for row in await self._store.sessions.bulk_get(keys) if row is not None]
        counts = await session_counts(self._store.database, [row.session_address for row in rows])
        shown: list[SessionOut] = []
        async for part in in_slices(rows, _SLICE):
            shown += [self._session(row, counts[row.session_address]) for row in part]
        return shown

    async def one(self, row: LiveSessionRow) -> SessionOut:
        """One session with its counts."""
        return self._session(
            row, (await session_counts(self._store.database, [row.session_address]))[row.session_address]
        )

    def _session(self, row: LiveSessionRow, counted: SessionCounts) -> SessionOut:
        told = {**_as_stored(row), **self._linked(row), **self._ruled(row), **_counted(row, counted)}
        return SessionOut.model_validate(told)

    def _linked(self, row: LiveSessionRow) -> dict[str, object]:
        instructor, naddr = self._introduce(Pubkey(row.instructor_pubkey)), self._links.naddr(row)
        return {
            "lesson_id": row.session_address,
            "naddr": naddr,
            "join_url": self._links.page_of(naddr),
            "instructor_npub": _npub_of_instructor(Pubkey(row.instructor_pubkey)),
            "instructor_name": instructor.name,
            "instructor_nip05": instructor.nip05,
            # a link there is this page, or a meeting only for people who were let in
            "location": None if fields.web_url(row.location) else row.location,
            "series_number": None if row.series is None else number_of(row.session_address),
        }

    def _ruled(self, row: LiveSessionRow) -> dict[str, object]:
        """What the session leaves to this service's settings."""
        return {
            "doors_open_at": row.scheduled_at - self._doors(),
            "guests": guests_of(row, self._guests()).value,
            "recording_access": access_of(row),
            "attendance": private.attendance_of(row),
        }


_AS_STORED: Final = (
    "title",
    "summary",
    "description",
    "state",
    "scheduled_at",
    "duration",
    "ends_at",
    "timezone",
    "instructor_pubkey",
    "max_participants",
    "requires_rsvp",
    "waiting_room",
    "allow_recording",
    "e2ee_required",
    "visibility",
    "conference_room_id",
    "started_at",
    "ended_at",
    "end_reason",
    "recording_state",
    "recording_url",
    "blocked_reason",
    "unread_reason",
    "cancel_reason",
    "epoch",
    "series",
)


def _as_stored(row: LiveSessionRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in _AS_STORED}


def _counted(row: LiveSessionRow, counted: SessionCounts) -> dict[str, object]:
    return {
        "is_recording": counted.recording == RecordingStage.RECORDING,
        "is_locked": counted.locked,
        "recording_progress": counted.progress if counted.recording == RecordingStage.PROCESSING else None,
        "can_restore": was_cancelled(row),
        "seats_taken": counted.seats["held"],
        "waiting_count": counted.seats["waiting"],
        "counts": Counts(**{name.value: counted.answers[name.value] for name in RsvpStatus}),
        "participant_count": counted.present,
    }


def identifier_of(row: LiveSessionRow) -> str:
    """The `d` of a session."""
    return row.session_address.split(":", 2)[2]


def was_cancelled(row: LiveSessionRow) -> bool:
    """Whether a session has ended, or is about to end, only because it was cancelled or deleted."""
    return row.withdrawn and (row.state != SessionState.ENDED or row.end_reason == Trigger.WITHDRAWN)
