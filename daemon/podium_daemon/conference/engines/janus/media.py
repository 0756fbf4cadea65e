"""Janus as a media host: takes commands about seats and rooms, and reports their state."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engines.janus.peer import JanusPeer
from podium_daemon.conference.engines.janus.process import JanusProcess, Secrets
from podium_daemon.conference.engines.janus.recordings import convert, file_of
from podium_daemon.conference.engines.janus.rooms import JanusRoom
from podium_daemon.conference.engines.janus.settings import JanusPlace
from podium_daemon.conference.engines.janus.wire import JanusGone, JanusLink, JanusMessage, JanusRefused
from podium_daemon.conference.events import ConnectionId, RecordingState, RoomId
from podium_daemon.conference.page_media.media_host import MediaObserver
from podium_daemon.conference.page_media.messages import (
    AddSeat,
    Command,
    Dropped,
    Frame,
    PageMessage,
    Record,
    Recorded,
    RemoveSeat,
    Silence,
    StopRecording,
)
from podium_daemon.conference.page_media.signals import ServerSignal, encode_signal
from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.events import Pubkey
from podium_protocol.relay import backoff

_log = structlog.get_logger(__name__)

KEEPALIVE_EVERY: Final = 5.0  # seconds
_SETTLE: Final = 0.03  # seconds: changes within this time are reported together


class _Room(msgspec.Struct):
    janus: JanusRoom
    peers: dict[ConnectionId, JanusPeer] = msgspec.field(default_factory=dict)
    tasks: dict[ConnectionId, asyncio.Task[None]] = msgspec.field(default_factory=dict)
    folder: Path | None = None
    only: frozenset[Pubkey] = frozenset()
    settling: asyncio.TimerHandle | None = None


class JanusMedia:
    """A `MediaHost`. Keeps one Janus running, or adopts one; commands are obeyed in order."""

    def __init__(self, place: JanusPlace, observer: MediaObserver, *, clock: Clock | None = None) -> None:
        self.process = JanusProcess(place)
        self._observer = observer
        self._clock = clock or SystemClock()
        self._link: JanusLink | None = None
        self._handle = 0
        self._secrets: Secrets | None = None
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._rooms: dict[RoomId, _Room] = {}
        self._seats: dict[ConnectionId, RoomId] = {}
        self.restarts = 0
        self.adopted = 0
        """The number of rooms that were adopted from a former daemon."""

    @property
    def is_up(self) -> bool:
        """Whether Janus takes commands now."""
        return self._link is not None

    def send(self, command: Command) -> None:
        """Send a command to Janus, if it runs."""
        if self._link is not None:
            self._commands.put_nowait(command)

    async def run(self, stop: Stop) -> None:
        """Run it until the stop, starting it again with backoff when it dies; then end it."""
        delays = backoff.delays(random.random)
        try:
            while not stop.is_set():
                started = self._clock.monotonic()
                why = await self._run_once(stop)
                if stop.is_set():
                    return
                _log.error("Janus is down", action="janus.down", why=why)
                if backoff.is_proven(self._clock.monotonic() - started, answered=True):
                    delays = backoff.delays(random.random)
                if await stop.wait_for(next(delays)):
                    return
                self.restarts += 1
        finally:
            await self.process.end()

    def convert_recording(self, folder: Path, room: RoomId) -> None:
        """See `MediaHost`. Janus writes a format of its own."""
        convert(folder, room)

    # -- one life of Janus

    async def _run_once(self, stop: Stop) -> str:
        try:
            link, self._secrets, adopted = await self.process.connect()
        except JanusGone as error:
            self._observer.media_down(str(error))
            return str(error)
        listening = asyncio.create_task(link.listen())
        working: list[asyncio.Task[None]] = []
        try:
            await link.begin()
            self._handle = await link.attach(_ignore)
            self._link = link
            _log.info("Janus runs", action="janus.up", pid=self.process.pid, adopted=adopted)
            working = [asyncio.create_task(work) for work in (self._obey_all(link), _stay(link), _until(stop))]
            self._observer.media_up()
            await asyncio.wait((listening, *working), return_when=asyncio.FIRST_COMPLETED)
        except (JanusGone, JanusRefused) as error:
            return str(error)
        finally:
            self._link = None
            await self._let_go(listening, working, link)
            if not stop.is_set():
                if not listening.done() or self.process.pid is not None:
                    await self.process.end(gently=False)  # it hangs and does not answer
                self._observer.media_down("Janus is gone")
        return "Janus is gone"

    async def _let_go(self, listening: asyncio.Task[None], working: list[asyncio.Task[None]], link: JanusLink) -> None:
        tasks = [*working, *(task for room in self._rooms.values() for task in room.tasks.values())]
        for room in self._rooms.values():
            if room.settling is not None:
                room.settling.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await link.close()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        self._rooms.clear()
        self._seats.clear()
        self._commands = asyncio.Queue()

    async def _obey_all(self, link: JanusLink) -> None:
        while True:
            command = await self._commands.get()
            try:
                await self._obey(link, command)
            except JanusRefused as refused:
                _log.warning("Janus refused a command", action="janus.refused", code=refused.code)
            except JanusGone:
                raise
            except Exception:  # noqa: BLE001  (a boundary: one odd command must not end all people's media)
                _log.exception("a command to Janus failed", action="janus.failed")

    async def _obey(self, link: JanusLink, command: Command) -> None:
        match command:
            case AddSeat():
                await self._enter(link, command)
            case RemoveSeat(connection):
                await self._exit(connection)
            case PageMessage(connection, signal) if (peer := self._peer(connection)) is not None:
                if not peer.handle_signal(signal):
                    self._observer.media_said(Dropped(connection, "too_many_messages"))
            case Silence(connection, kind) if (peer := self._peer(connection)) is not None:
                peer.switches.silence(kind)
            case Record(name, folder, only):
                room = await self._room(link, name)
                is_new, room.folder, room.only = room.folder is None, Path(folder), only
                if is_new:
                    self._observer.media_said(Recorded(name, RecordingState.STARTED))
                self._record(room)
            case StopRecording(name) if name in self._rooms:
                await self._stop_recording(name)

    # -- people

    async def _enter(self, link: JanusLink, entered: AddSeat) -> None:
        room = await self._room(link, entered.room)

        def say(signal: ServerSignal) -> None:
            self._observer.media_said(Frame(entered.connection, encode_signal(signal)))

        peer = JanusPeer(
            entered,
            room.janus,
            link,
            say=say,
            tell=self._observer.media_said,
            changed=lambda: self._changed(entered.room),
        )
        room.peers[entered.connection] = peer
        room.tasks[entered.connection] = asyncio.create_task(peer.run())
        self._seats[entered.connection] = entered.room
        peer.begin()
        self._record(room)
        self._changed(entered.room)

    async def _exit(self, connection: ConnectionId) -> None:
        name = self._seats.pop(connection, None)
        if name is None:
            return
        room = self._rooms[name]
        peer, task = room.peers.pop(connection), room.tasks.pop(connection)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.close()
        self._changed(name)
        await self._clear(name)

    def _peer(self, connection: ConnectionId) -> JanusPeer | None:
        name = self._seats.get(connection)
        return None if name is None else self._rooms[name].peers[connection]

    # -- rooms

    async def _room(self, link: JanusLink, name: RoomId) -> _Room:
        if name not in self._rooms:
            assert self._secrets is not None, "known since the connection"
            janus = JanusRoom(link, self._handle, name, admin_key=self._secrets.rooms)
            self.adopted += await janus.make()
            self._rooms[name] = _Room(janus)
        return self._rooms[name]

    def _changed(self, name: RoomId) -> None:
        room = self._rooms.get(name)
        if room is not None and room.settling is None:
            room.settling = asyncio.get_running_loop().call_later(_SETTLE, self._settle, room)

    @staticmethod
    def _settle(room: _Room) -> None:
        room.settling = None
        publishing = {key: peer for key, peer in room.peers.items() if peer.mids and peer.switches.is_publishing}
        for key, peer in room.peers.items():
            peer.watch({other: one for other, one in publishing.items() if other != key})

    async def _clear(self, name: RoomId) -> None:
        room = self._rooms[name]
        if not room.peers and room.folder is None:
            del self._rooms[name]
            if room.settling is not None:
                room.settling.cancel()
            await room.janus.destroy()

    # -- recording

    @staticmethod
    def _record(room: _Room) -> None:
        for connection, peer in room.peers.items():
            wanted = room.folder is not None and peer.pubkey in room.only
            peer.record(file_of(room.folder, peer.pubkey, connection) if room.folder and wanted else None)

    async def _stop_recording(self, name: RoomId) -> None:
        room = self._rooms[name]
        if room.folder is not None:
            room.folder = None
            self._record(room)
            for peer in list(room.peers.values()):
                await peer.settled()
            self._observer.media_said(Recorded(name, RecordingState.STOPPED))
        await self._clear(name)


def _ignore(_message: JanusMessage) -> None:
    """Ignore unsolicited messages on the handle that manages rooms: there are none."""


async def _stay(link: JanusLink) -> None:
    while True:
        await asyncio.sleep(KEEPALIVE_EVERY)
        await link.request("keepalive")


async def _until(stop: Stop) -> None:
    await stop.wait()
