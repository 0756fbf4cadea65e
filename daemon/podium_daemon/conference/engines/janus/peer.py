"""One person's device at Janus: a handle on which they publish, and one on which they receive all others."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from podium_daemon.conference.engines.janus.rooms import JanusRoom
from podium_daemon.conference.engines.janus.wire import JanusGone, JanusLink, JanusMessage, JanusRefused, Jsep, Stream
from podium_daemon.conference.events import TrackKind
from podium_daemon.conference.page_media.messages import AddSeat, Dropped, Report, Up
from podium_daemon.conference.page_media.sdp import SdpFlaw, read_description
from podium_daemon.conference.page_media.signals import (
    Accept,
    Begin,
    ConnectionFailed,
    LineOf,
    Lines,
    Offer,
    PageSignal,
    PublishOffer,
    Sending,
    ServerSignal,
    Showing,
    WatchAnswer,
)
from podium_daemon.conference.page_media.switches import PUBLISHED, Switches

_log = structlog.get_logger(__name__)

Side = Literal["publish", "watch"]
Job = Callable[[], Awaitable[None]]
MAX_WATCHED: Final = 25  # people whom one can see and hear at once, as in the embedded engine
_MAX_JOBS: Final = 64  # that wait while one is worked on: a page that says more is not heard
_MEDIA: Final = {TrackKind.AUDIO: "audio", TrackKind.VIDEO: "video", TrackKind.SCREEN: "video"}


class JanusPeer:
    """A seated device, until its seat ends. `run` does its work in order."""

    def __init__(
        self,
        entered: AddSeat,
        room: JanusRoom,
        link: JanusLink,
        *,
        say: Callable[[ServerSignal], None],
        tell: Callable[[Report], None],
        changed: Callable[[], None],
    ) -> None:
        """`say` reaches the page, `tell` the daemon; `changed`: others have to look again at what is published."""
        self.connection, self.pubkey = entered.connection, entered.pubkey
        self.switches = Switches(entered, say=say, tell=tell, changed=self._switched)
        self._fingerprint = entered.fingerprint
        self._room, self._link, self._servers = room, link, entered.ice_servers
        self._say, self._tell, self._changed = say, tell, changed
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._publisher = self._watcher = 0  # handles
        self._mids: dict[str, TrackKind] = {}  # of what they publish
        self._receiving: set[TrackKind] = set()  # of which packets arrive
        self._publications = 0
        self._streams: tuple[Stream, ...] = ()  # of what they receive
        self._others: dict[str, JanusPeer] = {}
        self._lines: tuple[LineOf, ...] = ()
        self._in_sight: frozenset[str] | None = None  # media lines, as the page says; None before it said so
        self._paused: frozenset[str] = frozenset()
        self._wants_to_watch = False
        self._offers = 0
        self._awaiting: int | None = None
        self._is_up = False
        self._file: Path | None = None

    def begin(self) -> None:
        """Let the page make its connections."""
        self._say(Begin(ice_servers=self._servers))
        self.switches.begin()

    async def run(self) -> None:
        """Do the queued jobs one after the other, until cancelled."""
        while True:
            job = await self._jobs.get()
            try:
                await job()
            except JanusRefused as refused:
                _log.info("Janus refused something", action="janus.refused", code=refused.code)
            except JanusGone:
                return  # the end of Janus is handled for all peers at once
            except Exception:  # noqa: BLE001  (a boundary: one person's odd message must not end what follows it)
                _log.exception("a media message failed", action="janus.failed")

    async def close(self) -> None:
        """Release the handles of an ended seat; `run` must have been cancelled."""
        await self._close_watcher()
        await self._close_publisher()

    # -- what is asked

    def handle_signal(self, signal: PageSignal) -> bool:
        """A message of the page; False if too many wait already."""
        if self._jobs.qsize() >= _MAX_JOBS:
            return False
        match signal:
            case Sending():
                self.switches.switch(signal)
            case Showing(mids=mids):
                self._jobs.put_nowait(lambda: self._show(frozenset(mids)))
            case PublishOffer(sdp=sdp):
                self._jobs.put_nowait(lambda: self._described("publish", lambda: self._accept_offer(sdp)))
            case WatchAnswer(offer=None):
                self._jobs.put_nowait(lambda: self._described("watch", self._watch_anew))
            case WatchAnswer(offer=number, sdp=sdp):
                self._jobs.put_nowait(lambda: self._described("watch", lambda: self._accept_answer(number, sdp)))
        return True

    def watch(self, others: Mapping[str, JanusPeer]) -> None:
        """Receive these people; called after each change."""
        self._others = {other.feed: other for other in list(others.values())[:MAX_WATCHED]}
        self._jobs.put_nowait(self._keep_up)

    def record(self, file: Path | None) -> None:
        """Record into files that begin with this path, or stop (None)."""
        if file != self._file:
            self._file = file
            self._jobs.put_nowait(self._apply_recording)

    async def settled(self) -> None:
        """Wait until everything that was asked so far is done."""
        done = asyncio.Event()

        async def mark() -> None:
            done.set()

        self._jobs.put_nowait(mark)
        await done.wait()

    @property
    def mids(self) -> Mapping[str, TrackKind]:
        """The media lines on which they publish."""
        return self._mids

    @property
    def feed(self) -> str:
        """The person's id at Janus: a new one for each connection, so that others notice the new one."""
        return f"{self.connection}-{self._publications}"

    # -- publishing

    async def _accept_offer(self, sdp: str) -> None:
        offer = read_description(sdp, "offer", tuple(_MEDIA[kind] for kind in PUBLISHED), self._fingerprint)
        if isinstance(offer, SdpFlaw):
            self._refuse("publish", offer)
            return
        await self._close_publisher()
        self._publications += 1
        self._publisher = await self._link.attach(self._on_publisher)
        await self._join()
        body = {"request": "publish", "audiocodec": "opus", "videocodec": "vp8"}
        answer = await self._link.ask_plugin(self._publisher, body, Jsep("offer", offer.text))
        if answer.jsep is None:
            await self._ended("publish", "Janus gave no answer")
            return
        self._mids = {line.mid: kind for kind, line in zip(PUBLISHED, offer.lines, strict=True)}
        # a person who was muted stays muted on a new connection
        for kind in PUBLISHED:
            if not self.switches.is_on(kind):
                await self._moderate(kind)
        if self._file is not None:
            await self._apply_recording()
        self._say(Accept(sdp=answer.jsep.sdp))
        self._changed()

    async def _join(self) -> None:
        # the token admits its holder under any name: it lives for this one request
        token = secrets.token_hex(16)
        await self._room.admit(token)
        try:
            body = {"request": "join", "ptype": "publisher", "room": self._room.name, "id": self.feed}
            await self._link.ask_plugin(self._publisher, {**body, "token": token})
        finally:
            await self._room.spend(token)

    def _switched(self, kind: TrackKind) -> None:
        self._jobs.put_nowait(lambda: self._moderate(kind))
        if kind in self._receiving:
            self.switches.came(kind)  # packets that were not passed on came all the while
        self._changed()

    async def _moderate(self, kind: TrackKind) -> None:
        mid = next((mid for mid, published in self._mids.items() if published is kind), None)
        if mid is not None:
            await self._room.moderate(self.feed, mid, mute=not self.switches.is_on(kind))

    async def _apply_recording(self) -> None:
        if self._publisher and self._mids:
            body: dict[str, object] = {"request": "configure", "record": self._file is not None}
            body["secret"] = self._room.secret  # the room's recording is locked
            if self._file is not None:
                body["filename"] = f"{self._file}-{secrets.token_hex(4)}"  # a file of before is never written over
            await self._link.ask_plugin(self._publisher, body)

    async def _close_publisher(self) -> None:
        handle, self._publisher = self._publisher, 0
        self._mids = {}
        self._receiving.clear()
        self.switches.gone()
        if handle:
            await self._link.detach(handle)

    # -- watching

    async def _watch_anew(self) -> None:
        await self._close_watcher()
        self._wants_to_watch = True
        await self._keep_up()

    async def _keep_up(self) -> None:
        if self._wants_to_watch and self._awaiting is None:
            wanted = {(feed, mid) for feed, other in self._others.items() for mid in other.mids}
            if wanted and not self._watcher:
                await self._subscribe(wanted)
            elif self._watcher:
                missing = await self._reuse(wanted)
                if missing and self._awaiting is None:
                    await self._negotiate({"request": "update", "subscribe": _named(missing)})
            await self._pause_unseen()
        self._tell_lines()

    async def _subscribe(self, wanted: set[tuple[str, str]]) -> None:
        self._watcher = await self._link.attach(self._on_watcher)
        body = {"request": "join", "ptype": "subscriber", "room": self._room.name}
        # browsers hold the sound and picture of one stream together: never those of two people
        await self._negotiate({**body, "autoupdate": False, "use_msid": True, "streams": _named(wanted)})

    async def _reuse(self, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Reuse lines whose publisher is gone for other people; return the tracks without a line."""
        missing = wanted - {(stream.feed_id, stream.feed_mid) for stream in self._streams}
        switched: dict[str, tuple[str, str]] = {}
        for stream in self._streams:
            if (stream.feed_id, stream.feed_mid) not in wanted:
                found = next((one for one in sorted(missing) if self._type_of(one) == stream.type), None)
                if found is not None:
                    missing.discard(found)
                    switched[stream.mid] = found
        if switched:
            lines = [{"feed": feed, "mid": mid, "sub_mid": line} for line, (feed, mid) in switched.items()]
            await self._negotiate({"request": "switch", "streams": lines})
            self._streams = tuple(_carrying(one, switched.get(one.mid)) for one in self._streams)
        return missing

    def _type_of(self, published: tuple[str, str]) -> str:
        feed, mid = published
        return _MEDIA[self._others[feed].mids[mid]]

    async def _negotiate(self, body: Mapping[str, object]) -> None:
        told = await self._link.ask_plugin(self._watcher, body)
        self._streams = told.reply.streams or self._streams
        if told.jsep is not None:
            self._offers += 1
            self._awaiting = self._offers
            self._say(Offer(offer=self._offers, sdp=told.jsep.sdp))

    async def _accept_answer(self, number: int | None, sdp: str) -> None:
        if not self._watcher or number != self._awaiting:
            self._tell(Dropped(self.connection, "stale_answer"))
            return
        answer = read_description(sdp, "answer", tuple(stream.type for stream in self._streams), self._fingerprint)
        if isinstance(answer, SdpFlaw):
            self._refuse("watch", answer)
            return
        await self._link.ask_plugin(self._watcher, {"request": "start"}, Jsep("answer", answer.text))
        self._awaiting = None
        await self._keep_up()

    async def _show(self, mids: frozenset[str]) -> None:
        """Have the pictures of these lines sent alone."""
        self._in_sight = mids
        await self._pause_unseen()

    async def _pause_unseen(self) -> None:
        if not self._watcher or self._in_sight is None:
            return
        pictures = [stream for stream in self._streams if stream.type == "video"]
        paused = frozenset(stream.mid for stream in pictures if stream.mid not in self._in_sight)
        changed = [stream for stream in pictures if (stream.mid in paused) is not (stream.mid in self._paused)]
        if not changed:
            return
        lines = [{"mid": stream.mid, "send": stream.mid not in paused} for stream in changed]
        # Janus asks the publisher for a key frame where a line goes on
        await self._link.ask_plugin(self._watcher, {"request": "configure", "streams": lines})
        self._paused = paused

    def _tell_lines(self) -> None:
        found = []
        for stream in self._streams:
            other = self._others.get(stream.feed_id)
            kind = other.mids.get(stream.feed_mid) if other is not None else None
            if other is not None and kind is not None:
                found.append(LineOf(stream.mid, kind, other.connection, other.pubkey, other.switches.sends(kind)))
        lines = tuple(found)
        if lines != self._lines:
            self._lines = lines
            self._say(Lines(lines=lines))

    async def _close_watcher(self) -> None:
        handle, self._watcher = self._watcher, 0
        self._wants_to_watch, self._awaiting, self._streams, self._lines = False, None, (), ()
        self._in_sight, self._paused = None, frozenset()
        if handle:
            await self._link.detach(handle)

    # -- what Janus says unasked

    def _on_publisher(self, message: JanusMessage) -> None:
        match message.janus:
            case "webrtcup":
                self._on_up()
            case "media" if message.mid in self._mids and message.receiving:
                self._receiving.add(self._mids[message.mid])
                self.switches.came(self._mids[message.mid])
            case "media" if message.mid in self._mids:
                self._receiving.discard(self._mids[message.mid])
            case "hangup":
                self._jobs.put_nowait(lambda: self._ended("publish", message.reason or "hung up"))

    def _on_watcher(self, message: JanusMessage) -> None:
        match message.janus:
            case "webrtcup":
                self._on_up()
            case "hangup":
                self._jobs.put_nowait(lambda: self._ended("watch", message.reason or "hung up"))

    def _on_up(self) -> None:
        if not self._is_up:
            self._is_up = True
            self._tell(Up(self.connection))

    async def _ended(self, side: Side, why: str) -> None:
        await (self._close_publisher() if side == "publish" else self._close_watcher())
        self._say(ConnectionFailed(side=side, reason=why[:100]))
        self._changed()

    async def _described(self, side: Side, work: Job) -> None:
        try:
            await work()
        except JanusRefused as refused:
            _log.info("a description could not be used", action="janus.bad_description", code=refused.code)
            self._tell(Dropped(self.connection, "bad_description"))
            await self._ended(side, "the description could not be used")

    def _refuse(self, side: Side, flaw: SdpFlaw) -> None:
        self._tell(Dropped(self.connection, flaw.value))
        self._say(ConnectionFailed(side=side, reason=f"the description was refused: {flaw.value}"))


def _carrying(stream: Stream, published: tuple[str, str] | None) -> Stream:
    if published is None:
        return stream
    return msgspec.structs.replace(stream, feed_id=published[0], feed_mid=published[1])


def _named(streams: set[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"feed": feed, "mid": mid} for feed, mid in sorted(streams)]
