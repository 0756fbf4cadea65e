"""The common part of engines whose media the session's own page sends and receives: seats with media messages.

The seat is the presence and the media host moves packets; the one lives on while the other is started again. What the
host has to know is kept here, so that a new one can be told everything. An engine hands in its name and its media host.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import structlog

from podium_daemon.conference.engine import Collected, ControlDone, Person, RandomBytes, RoomSpec, Unsupported
from podium_daemon.conference.events import (
    Connection,
    ConnectionId,
    EngineHealth,
    MediaUp,
    RecordingChanged,
    RecordingState,
    RoomId,
    TrackChange,
    TrackChanged,
    TrackKind,
)
from podium_daemon.conference.own_signalling import OwnSignallingEngine, no_room
from podium_daemon.conference.page_media.media_host import MediaHost, MediaObserver
from podium_daemon.conference.page_media.messages import (
    AddSeat,
    Changed,
    Dropped,
    Drops,
    Frame,
    PageMessage,
    Record,
    Recorded,
    RemoveSeat,
    Report,
    Silence,
    StopRecording,
    Up,
)
from podium_daemon.conference.page_media.recordings import collect, folder_of
from podium_daemon.conference.page_media.settings import CAPABILITIES, PageMediaSettings, page_servers
from podium_daemon.conference.page_media.signals import (
    Away,
    PageSignal,
    Sending,
    ServerSignal,
    Showing,
    decode_signal,
    encode_signal,
)
from podium_daemon.conference.seats import SeatedRoom, SocketSeat
from podium_daemon.conference.signaling import SeatFrameFlaw
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import uncancelled, wait_for_first
from podium_protocol.events import Pubkey

_log = structlog.get_logger(__name__)

_MAX_REASONS: Final = 64  # names of counters; there are about thirty


class MediaSeat(SocketSeat):
    """A `Seat`. `silenced` is sent to the media host, and again after its restart."""

    def __init__(
        self, connection: Connection, engine: PageMediaEngine, person: Person, *, wall: float, monotonic: float
    ) -> None:
        super().__init__(connection, engine, wall=wall, monotonic=monotonic)
        self.silenced: set[TrackKind] = set()
        self.fingerprint = person.fingerprint
        self.changes = 0
        self._engine = engine
        self._states: dict[type[PageSignal], PageSignal] = {}

    def changes_nothing(self, message: PageSignal) -> bool:
        """Whether the page has said just this before, and nothing since that gives it another meaning."""
        if not isinstance(message, Sending | Showing):
            self.forget_states()  # `showing` holds until there is a new connection
            return False
        is_known = self._states.get(type(message)) == message
        self._states[type(message)] = message
        return is_known

    def forget_states(self) -> None:
        """Note that the media host knows nothing of what the page said, or has changed it."""
        self._states.clear()

    async def receive(self, frame: str | bytes) -> None:
        """See `Seat`. A media message is a sign of life; a flawed one is counted and dropped."""
        match decode_signal(frame):
            case None:
                await super().receive(frame)
            case SeatFrameFlaw() as flaw:
                self._engine.flawed(flaw)
            case message:
                if self.over is None:
                    self.beat()
                    self._engine.signal(self, message)

    def send_signal(self, signal: ServerSignal) -> None:
        """Send the page a message about media."""
        self.pass_on(encode_signal(signal))


class PageMediaEngine(OwnSignallingEngine):
    """A `ConferenceEngine`, `Signalling`, and the observer of a media host, which starts with the first room."""

    capabilities: Final = CAPABILITIES
    evidence: Final = "engine"
    history: Final = False

    def __init__(
        self,
        name: str,
        settings: PageMediaSettings,
        *,
        clock: Clock,
        random_bytes: RandomBytes,
        media: Callable[[MediaObserver], MediaHost],
    ) -> None:
        """`clock` is believed; `random_bytes` are unguessable; `media` makes the media host that tells this engine."""
        super().__init__(name, CAPABILITIES, {}, settings=settings, clock=clock, random_bytes=random_bytes)
        self.name: Final = name
        self._settings = settings
        self._recordings = settings.recordings
        self._turn_secret = settings.turn_secret.reveal().encode() if settings.turn_secret is not None else None
        self._wanted = asyncio.Event()
        self._seats: dict[ConnectionId, MediaSeat] = {}
        self._quiet: dict[RoomId, frozenset[Pubkey]] = {}  # rooms in which newcomers are muted, but for these
        self._recorded: dict[RoomId, frozenset[Pubkey]] = {}
        self._facts = 0
        self._is_healthy = True  # until it is known otherwise: seats are taken before the media host runs
        self.media = media(self)

    async def run(self, stop: Stop) -> None:
        """End silent seats, and keep the media process running, until the stop."""
        async with asyncio.TaskGroup() as group:
            media = group.create_task(uncancelled(self._run_media(stop), self.name))
            await super().run(stop)
            await media

    def check_spec(self, spec: RoomSpec) -> Unsupported | None:  # noqa: ARG002  (it does all that can be wished)
        """See `ConferenceEngine`."""
        return None

    # -- what the daemon wants of those in a room

    async def mute(self, room: RoomId, pubkey: Pubkey, kind: TrackKind = TrackKind.AUDIO) -> ControlDone | Rejection:
        """See `ConferenceEngine`."""
        if room not in self._rooms:
            return no_room(room)
        return self._mute(self._media_seats(room, pubkey), kind)

    async def mute_all(self, room: RoomId, keep: Collection[Pubkey] = ()) -> ControlDone | Rejection:
        """See `ConferenceEngine`. Newcomers are muted too, until the room closes or the next call."""
        if room not in self._rooms:
            return no_room(room)
        self._quiet[room] = kept = frozenset(keep)
        seats = [seat for seat in self._media_seats(room) if seat.connection.pubkey not in kept]
        return self._mute(seats, TrackKind.AUDIO)

    async def lift_mute_all(self, room: RoomId) -> None:
        """See `LiftsMuteAll`."""
        self._quiet.pop(room, None)

    # -- recording

    async def start_recording(self, room: RoomId, *, only: Collection[Pubkey]) -> ControlDone | Rejection:
        """See `ConferenceEngine`. A second call changes who is recorded from then on."""
        if room not in self._rooms:
            return no_room(room)
        spec = self._rooms[room].spec
        if spec.e2ee:
            return Rejection(
                Slug.E2EE, "what is encrypted end to end cannot be recorded here", "Record on your own device."
            )
        if not spec.allow_recording:
            return Rejection(
                Slug.NO_RECORDING, "this session was scheduled without recording", "Allow it in the session."
            )
        self._recorded[room] = frozenset(only)
        await asyncio.to_thread(folder_of(self._recordings, room).mkdir, 0o700, parents=True, exist_ok=True)
        self._record(room)
        return ControlDone(
            tuple(seat.connection.id for seat in self._media_seats(room) if seat.connection.pubkey in only)
        )

    async def stop_recording(self, room: RoomId) -> ControlDone | Rejection:
        """See `ConferenceEngine`. The files are complete when `RecordingChanged` says that they are ready."""
        if self._recorded.pop(room, None) is not None:
            if self.media.is_up:
                self.media.send(StopRecording(room))
            else:
                self._recording_changed(room, RecordingState.STOPPED)
        elif room not in self._rooms:
            return no_room(room)
        return ControlDone()

    async def collect_recording(self, room: RoomId, into: Path) -> Collected | Rejection:
        """See `ConferenceEngine`. One WebM a track, copied without re-encoding, by a process of its own."""
        if room in self._recorded:
            return Rejection(Slug.STILL_RECORDING, "the recording is still running", "Stop it first.")
        await asyncio.to_thread(self.media.convert_recording, folder_of(self._recordings, room), room)
        return await collect(self._recordings, room, into)

    async def discard_recording(self, room: RoomId) -> None:
        """See `DiscardsRecordings`."""
        if room not in self._recorded:
            await asyncio.to_thread(shutil.rmtree, folder_of(self._recordings, room), ignore_errors=True)

    # -- what the page says, and what a seat does

    def signal(self, seat: MediaSeat, message: PageSignal) -> None:
        """The page of a seat said something about media."""
        if seat.changes_nothing(message):
            self._count("unchanged")
        elif self.media.is_up:
            self.media.send(PageMessage(seat.connection.id, message))
        else:
            seat.send_signal(Away())

    def new_seat(self, connection: Connection, person: Person) -> SocketSeat:
        """See `OwnSignallingEngine`."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        return MediaSeat(connection, self, person, wall=wall, monotonic=monotonic)

    def room_opened(self, room: SeatedRoom) -> None:  # noqa: ARG002  (any room will do)
        """See `OwnSignallingEngine`."""
        self._wanted.set()

    def room_closed(self, room: SeatedRoom) -> None:
        """See `OwnSignallingEngine`."""
        name = room.spec.room
        self._quiet.pop(name, None)
        if self._recorded.pop(name, None) is not None:
            self.media.send(StopRecording(name))

    def seat_taken(self, seat: SocketSeat) -> None:
        """See `OwnSignallingEngine`."""
        assert isinstance(seat, MediaSeat), "made by new_seat"
        self._seats[seat.connection.id] = seat
        room, pubkey = seat.connection.room, seat.connection.pubkey
        if room in self._quiet and pubkey not in self._quiet[room]:
            seat.silenced.add(TrackKind.AUDIO)
        if self.media.is_up:
            self._enter(seat)
        else:
            seat.send_signal(Away())

    def seat_left(self, seat: SocketSeat) -> None:
        """See `OwnSignallingEngine`."""
        del self._seats[seat.connection.id]
        self.media.send(RemoveSeat(seat.connection.id))

    # -- what the media host says

    def media_up(self) -> None:
        """See `MediaObserver`. A new host knows nothing."""
        for seat in self._seats.values():
            self._enter(seat)
        for room in self._recorded:
            self._record(room)
        self._health(up=True)

    def media_down(self, why: str) -> None:
        """See `MediaObserver`. Media is gone; who is here is still known, but was not seen to receive anything."""
        self._health(up=False, detail=why)
        for seat in list(self._seats.values()):
            seat.send_signal(Away())

    def media_said(self, report: Report) -> None:
        """See `MediaObserver`. Reports about seats that are over came too late and are nothing."""
        match report:
            case Frame(connection, text) if seat := self._seats.get(connection):
                seat.pass_on(text)
            case Up(connection) if (seat := self._seats.get(connection)) and not seat.has_media:
                seat.has_media = True
                name = f"{connection}/media"
                self._journal.append(MediaUp(id=name, at=self._now(), connection=seat.connection))
            case Changed(connection, kind, change) if seat := self._seats.get(connection):
                self._track_changed(seat, kind, change)
            case Dropped(connection, reason):
                self._count(reason)
                if seat := self._seats.get(connection):
                    seat.forget_states()
            case Drops(counts):
                for reason, number in counts.items():
                    self._count(reason, number)
            case Recorded(room, state, detail):
                self._media_recorded(room, state, detail)

    # -- inside

    async def _run_media(self, stop: Stop) -> None:
        await wait_for_first(self._wanted.wait(), stop.wait())
        await self.media.run(stop)

    def _media_seats(self, room: RoomId, pubkey: Pubkey | None = None) -> list[MediaSeat]:
        return [self._seats[seat.connection.id] for seat in self._seats_of(room, pubkey)]

    def _enter(self, seat: MediaSeat) -> None:
        connection = seat.connection
        seat.forget_states()
        self.media.send(
            AddSeat(
                room=connection.room,
                connection=connection.id,
                pubkey=connection.pubkey,
                silenced=frozenset(seat.silenced),
                fingerprint=seat.fingerprint,
                ice_servers=page_servers(self._settings.ice_servers, self._turn_secret, self._now()),
            )
        )

    def _mute(self, seats: Collection[MediaSeat], kind: TrackKind) -> ControlDone:
        for seat in seats:
            seat.silenced.add(kind)
            seat.forget_states()
            self.media.send(Silence(seat.connection.id, kind))
        return ControlDone(tuple(seat.connection.id for seat in seats))

    def _record(self, room: RoomId) -> None:
        self.media.send(Record(room, str(folder_of(self._recordings, room)), self._recorded[room]))

    def _track_changed(self, seat: MediaSeat, kind: TrackKind, change: TrackChange) -> None:
        if change is TrackChange.UNMUTED:
            seat.silenced.discard(kind)
        seat.changes += 1
        name = f"{seat.connection.id}/track/{seat.changes}"
        self._journal.append(
            TrackChanged(id=name, at=self._now(), connection=seat.connection, kind=kind, change=change)
        )

    def _media_recorded(self, room: RoomId, state: RecordingState, detail: str) -> None:
        if state is RecordingState.FAILED:
            self._recorded.pop(room, None)
            _log.error("a recording failed", action="media.recording_failed", room=room, why=detail)
        self._recording_changed(room, state, detail)

    def _recording_changed(self, room: RoomId, state: RecordingState, detail: str = "") -> None:
        self._append_recording(room, state, detail)
        if state is RecordingState.STOPPED and room not in self._recorded:
            self._append_recording(room, RecordingState.READY, "")

    def _append_recording(self, room: RoomId, state: RecordingState, detail: str) -> None:
        self._journal.append(
            RecordingChanged(id=self._next_id("recording"), at=self._now(), room=room, state=state, detail=detail)
        )

    def _count(self, reason: str, number: int = 1) -> None:
        """Count drops; a media host that was taken over makes no names without end."""
        self.flaws[reason if reason in self.flaws or len(self.flaws) < _MAX_REASONS else "other"] += number

    def _health(self, *, up: bool, detail: str = "") -> None:
        if up == self._is_healthy:
            return
        self._is_healthy = up
        self._journal.append(EngineHealth(id=self._next_id("health"), at=self._now(), up=up, detail=detail))

    def _next_id(self, about: str) -> str:
        self._facts += 1
        return f"{self._run}/{about}/{self._facts}"
