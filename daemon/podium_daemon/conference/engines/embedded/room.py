"""The rooms of the media process: their people, the forwarding between them, and the recording."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from podium_daemon.conference.engines.embedded.peer import Peer
from podium_daemon.conference.engines.embedded.recorder import FLUSH_EVERY, PacketRecorder
from podium_daemon.conference.events import ConnectionId, RecordingState, RoomId, TrackKind
from podium_daemon.conference.page_media.messages import (
    AddSeat,
    Command,
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
)
from podium_daemon.conference.page_media.rtp import Packet
from podium_daemon.conference.page_media.signals import PageSignal, ServerSignal, encode_signal
from podium_protocol.events import Pubkey

_SETTLE: Final = 0.03  # seconds: those who come at once are seated at once
_REPORT_EVERY: Final = 1.0  # seconds between two receiver reports
_MAX_UNHEARD: Final = 32  # messages of one page that wait while its last one is worked on


class ForwardedRoom:
    """One room. Each person receives all others who publish."""

    def __init__(self, room: RoomId, tell: Callable[[Report], None]) -> None:
        self.peers: dict[ConnectionId, Peer] = {}
        self._room = room
        self._tell = tell
        self._settling: asyncio.TimerHandle | None = None
        self._recorder: PacketRecorder | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def changed(self) -> None:
        """Note that a person came, left, began or stopped; all changes within a moment are handled together."""
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(_SETTLE, self._settle)

    def _settle(self) -> None:
        self._settling = None
        publishing = {key: peer for key, peer in self.peers.items() if peer.is_publishing}
        for key, peer in self.peers.items():
            peer.watch({other: one for other, one in publishing.items() if other != key})
        self._start(self._catch_up())

    async def _catch_up(self) -> None:
        for peer in list(self.peers.values()):
            await peer.catch_up()

    def report(self, now: float) -> None:
        """Send every publisher receiver reports."""
        for peer in self.peers.values():
            peer.report(now)

    # -- recording

    @property
    def is_recording(self) -> bool:
        """Whether packets are recorded."""
        return self._recorder is not None

    def record(self, folder: Path, only: frozenset[Pubkey]) -> None:
        """Begin to record, or change who is recorded."""
        if self._recorder is None:
            self._recorder = PacketRecorder(self._room, folder, only)
            self._tell(Recorded(self._room, RecordingState.STARTED))
            self._start(self._write(self._recorder))
            return
        gone = {key for key, peer in self.peers.items() if peer.pubkey not in only}
        self._recorder.keep_only(only, gone)

    async def stop_recording(self) -> None:
        """End the recording; all of it is on disk when this returns."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            await self._flush(recorder, RecordingState.STOPPED)

    def keep(self, peer: Peer, kind: TrackKind, packet: Packet, now: float) -> None:
        """Record a forwarded packet, if its person is recorded."""
        if self._recorder is not None and self._recorder.add(peer.connection, peer.pubkey, kind, packet, now):
            peer.tracks[kind].want_key_frame(now)

    async def _write(self, recorder: PacketRecorder) -> None:
        while self._recorder is recorder:
            await asyncio.sleep(FLUSH_EVERY)
            if self._recorder is recorder:
                await self._flush(recorder, None)

    async def _flush(self, recorder: PacketRecorder, then: RecordingState | None) -> None:
        try:
            await recorder.flush()
        except OSError as error:
            if self._recorder is recorder:
                self._recorder = None
            self._tell(Recorded(self._room, RecordingState.FAILED, f"the recording cannot be written: {error}"))
            return
        if then is not None:
            self._tell(Recorded(self._room, then))

    # -- tasks

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Close the room after the last person has left."""
        if self._settling is not None:
            self._settling.cancel()
        await self.stop_recording()
        for task in list(self._tasks):
            task.cancel()


class MediaServer:
    """All rooms: takes the daemon's commands, and reports to it."""

    def __init__(
        self, stun: tuple[str, ...], tell: Callable[[Report], None], drops: Counter[str] | None = None
    ) -> None:
        """`drops`: the counts of `guard`, which are sent with the reports and then reset."""
        self._stun = stun
        self._tell = tell
        self._drops = Counter[str]() if drops is None else drops
        self._rooms: dict[RoomId, ForwardedRoom] = {}
        self._seats: dict[ConnectionId, tuple[RoomId, Peer, asyncio.Queue[PageSignal], asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """The reports that are due every second."""
        while True:
            await asyncio.sleep(_REPORT_EVERY)
            now = time.monotonic()
            for room in self._rooms.values():
                try:
                    room.report(now)
                except Exception:  # noqa: BLE001  (a boundary: one room's numbers must not end the reports of all)
                    traceback.print_exc()
            self._tell_drops()

    async def handle(self, command: Command) -> None:
        """Handle one command; one about a person who is no longer here came too late and is ignored."""
        match command:
            case AddSeat():
                self._enter(command)
            case RemoveSeat(connection):
                await self._exit(connection)
            case PageMessage(connection, signal) if connection in self._seats:
                self._said(connection, signal)
            case Silence(connection, kind) if connection in self._seats:
                self._seats[connection][1].silence(kind)
            case Record(room, folder, only):
                self._room(room).record(Path(folder), only)
            case StopRecording(room) if room in self._rooms:
                await self._rooms[room].stop_recording()
                await self._clear(room)

    async def close(self) -> None:
        """Close all rooms."""
        for connection in list(self._seats):
            await self._exit(connection)

    def _tell_drops(self) -> None:
        if self._drops:
            self._tell(Drops(dict(self._drops)))
            self._drops.clear()

    def _enter(self, entered: AddSeat) -> None:
        room = self._room(entered.room)

        def say(signal: ServerSignal) -> None:
            self._tell(Frame(entered.connection, encode_signal(signal)))

        peer = Peer(entered, self._stun, say=say, tell=self._tell, changed=room.changed, record=room.keep)
        room.peers[entered.connection] = peer
        unheard: asyncio.Queue[PageSignal] = asyncio.Queue(_MAX_UNHEARD)
        listening = asyncio.create_task(_listen(peer, unheard))
        self._seats[entered.connection] = (entered.room, peer, unheard, listening)
        peer.begin()

    async def _exit(self, connection: ConnectionId) -> None:
        if (seat := self._seats.pop(connection, None)) is None:
            return
        name, peer, _, listening = seat
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        room = self._rooms[name]
        del room.peers[connection]
        await peer.close()
        room.changed()
        await self._clear(name)

    async def _clear(self, name: RoomId) -> None:
        room = self._rooms[name]
        if not room.peers and not room.is_recording:
            del self._rooms[name]
            await room.close()

    def _said(self, connection: ConnectionId, signal: PageSignal) -> None:
        try:
            self._seats[connection][2].put_nowait(signal)
        except asyncio.QueueFull:
            self._tell(Dropped(connection, "too_many_messages"))

    def _room(self, name: RoomId) -> ForwardedRoom:
        if name not in self._rooms:
            self._rooms[name] = ForwardedRoom(name, self._tell)
        return self._rooms[name]


async def _listen(peer: Peer, unheard: asyncio.Queue[PageSignal]) -> None:
    while True:
        await peer.handle_signal(await unheard.get())
