"""One person's device in a room of the media process: what they publish, what they receive, what they may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from podium_daemon.conference.engines.embedded.connections import PublisherConnection, Side, Slot, WatcherConnection
from podium_daemon.conference.engines.embedded.forwarding import RateLimit, Track
from podium_daemon.conference.events import TrackKind
from podium_daemon.conference.page_media.messages import AddSeat, Dropped, Report, Up
from podium_daemon.conference.page_media.rtp import Packet
from podium_daemon.conference.page_media.sdp import SdpFlaw
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

MAX_SLOTS: Final = 25  # people whom one can see and hear at once; more than one core forwards
_DESCRIPTIONS: Final = 1.0  # a second: each takes ten milliseconds; a page makes two, and a few after a bad network
_DESCRIPTIONS_AT_ONCE: Final = 10.0
_FLAWED: Final = "bad_description"
_TOO_MANY: Final = "too_many_descriptions"
_STALE: Final = "stale_answer"


class Peer:
    """A seated device, until its seat ends. `say` sends to the page, `tell` to the daemon."""

    def __init__(
        self,
        entered: AddSeat,
        stun: tuple[str, ...],
        *,
        say: Callable[[ServerSignal], None],
        tell: Callable[[Report], None],
        changed: Callable[[], None],
        record: Callable[[Peer, TrackKind, Packet, float], None],
    ) -> None:
        """`changed`: others have to look again at what is published; `record`: a packet that is passed on."""
        self.connection, self.pubkey = entered.connection, entered.pubkey
        self._fingerprint = entered.fingerprint
        self._stun = stun
        self._ice_servers = entered.ice_servers
        self._say, self._tell, self._changed, self._record = say, tell, changed, record
        self._switches = Switches(entered, say=say, tell=tell, changed=lambda _: changed())
        self._publisher: PublisherConnection | None = None
        self._watcher: WatcherConnection | None = None
        self._offers = 0
        self._awaiting: int | None = None  # the number of the offer that is not answered yet
        self._behind = False  # more slots are wanted than were offered
        self._is_up = False
        self._allowance = RateLimit(_DESCRIPTIONS, _DESCRIPTIONS_AT_ONCE)
        self._doing = asyncio.Lock()  # one description at a time
        self._others: dict[str, Peer] = {}
        self._lines: tuple[LineOf, ...] = ()
        self._in_sight: frozenset[str] | None = None  # media lines; None: the page has not said yet
        self._closing: set[asyncio.Future[None]] = set()

    def begin(self) -> None:
        """Let the page make its connections."""
        self._say(Begin(ice_servers=self._ice_servers))
        self._switches.begin()

    @property
    def tracks(self) -> Mapping[TrackKind, Track]:
        """The tracks that the person publishes now; empty without a connection."""
        return self._publisher.tracks if self._publisher is not None else {}

    @property
    def is_publishing(self) -> bool:
        """Whether anything of theirs was ever passed on."""
        return self._switches.is_publishing

    def sends(self, kind: TrackKind) -> bool:
        """Whether packets of this kind come, and are passed on."""
        return self._switches.sends(kind)

    # -- what the page says

    async def handle_signal(self, signal: PageSignal) -> None:
        """A message of the page; never raises for what a stranger wrote."""
        match signal:
            case Sending():
                self._switched(lambda: self._switches.switch(signal))
            case Showing(mids=mids):
                self._show(frozenset(mids))
            case PublishOffer(sdp=sdp):
                await self._described("publish", lambda: self._accept_offer(sdp))
            case WatchAnswer(offer=None):
                await self._described("watch", self._watch_anew)
            case WatchAnswer(offer=number, sdp=sdp):
                await self._described("watch", lambda: self._accept_answer(number, sdp))

    async def _described(self, side: Side, work: Callable[[], Awaitable[None]]) -> None:
        if not self._allowance.take_token(1, time.monotonic()):
            self._drop(_TOO_MANY)
            return
        async with self._doing:
            try:
                await work()
            except Exception:  # noqa: BLE001  (a boundary: aiortc raises whatever it likes at odd descriptions)
                self._drop(_FLAWED)
                self._say(ConnectionFailed(side=side, reason="the description could not be used"))

    async def _accept_offer(self, sdp: str) -> None:
        publisher = PublisherConnection(
            self._stun, heard=self._on_packet, up=self._on_up, over=lambda why: self._on_over("publish", why)
        )
        answer: str | SdpFlaw | None = None
        try:
            answer = await publisher.accept(sdp, self._fingerprint)
        finally:
            if not isinstance(answer, str):
                await publisher.close()
        if isinstance(answer, SdpFlaw):
            self._refuse("publish", answer)
            return
        await self._close_publisher()
        self._publisher = publisher
        self._say(Accept(sdp=answer))
        self._changed()

    async def _watch_anew(self) -> None:
        await self._close_watcher()
        self._watcher = WatcherConnection(self._stun, up=self._on_up, over=lambda why: self._on_over("watch", why))
        self._watcher.grow(max(1, len(self._others)))
        await self._offer()
        self._changed()

    async def _accept_answer(self, number: int | None, sdp: str) -> None:
        if self._watcher is None or number != self._awaiting:
            self._drop(_STALE)
            return
        flaw = await self._watcher.accept(sdp, self._fingerprint)
        if flaw is not None:
            self._refuse("watch", flaw)
            return
        self._awaiting = None
        if self._behind:
            await self._offer()
        self._changed()

    async def _offer(self) -> None:
        assert self._watcher is not None, "asked after a look"
        self._behind = False
        self._offers += 1
        self._awaiting = self._offers
        self._say(Offer(offer=self._offers, sdp=await self._watcher.offer()))

    def _switched(self, change: Callable[[], None]) -> None:
        """Make a change, and ask for a key frame of each track that is forwarded again."""
        was_on = {kind for kind in self.tracks if self._switches.is_on(kind)}
        change()
        for kind, track in self.tracks.items():
            if kind not in was_on and self._switches.is_on(kind):
                track.want_key_frame(time.monotonic())

    # -- what the daemon says

    def silence(self, kind: TrackKind) -> None:
        """Stop forwarding a kind until the person switches it on again."""
        self._switches.silence(kind)

    async def close(self) -> None:
        """Close the connections of an ended seat."""
        await self._close_publisher()
        await self._close_watcher()

    # -- what others publish

    def watch(self, others: Mapping[str, Peer]) -> None:
        """Receive these people, as far as there are slots; called after each change."""
        self._others = dict(list(others.items())[:MAX_SLOTS])
        if self._watcher is None:
            return
        self._seat_others(self._watcher)
        lines = tuple(self._lines_of(self._watcher))
        if lines != self._lines:
            self._lines = lines
            self._say(Lines(lines=lines))

    async def catch_up(self) -> None:
        """Offer more media lines if there are not enough."""
        async with self._doing:
            watcher = self._watcher
            if watcher is None or len(watcher.slots) >= len(self._others):
                return
            # doubled, so that a room that fills up needs five negotiations and not twenty-five
            watcher.grow(min(MAX_SLOTS, max(len(self._others), 2 * len(watcher.slots))))
            if self._awaiting is None:
                await self._offer()
            else:
                self._behind = True

    def report(self, now: float) -> None:
        """Send the page receiver reports on its tracks."""
        if self._publisher is not None:
            self._publisher.report(now)

    def _show(self, mids: frozenset[str]) -> None:
        """Send the pictures of these lines alone: a line that carries no track costs nothing."""
        self._in_sight = mids
        if self._watcher is not None:
            self._seat_others(self._watcher)

    def _seat_others(self, watcher: WatcherConnection) -> None:
        now = time.monotonic()
        for slot in watcher.slots:
            if slot.owner is not None and slot.owner not in self._others:
                slot.owner = None
        owned = {slot.owner for slot in watcher.slots}
        free = (slot for slot in watcher.slots if slot.owner is None)
        for connection, slot in zip([one for one in self._others if one not in owned], free, strict=False):
            slot.owner = connection
        for slot in watcher.slots:
            self._tune(slot, now)

    def _tune(self, slot: Slot, now: float) -> None:
        tracks = self._others[slot.owner].tracks if slot.owner is not None else {}
        for kind, line in slot.lines.items():
            track = tracks.get(kind) if self._is_in_sight(slot, kind) else None
            if line.track is not track:
                line.follow(track, now)

    def _is_in_sight(self, slot: Slot, kind: TrackKind) -> bool:
        return kind is TrackKind.AUDIO or self._in_sight is None or slot.mid(kind) in self._in_sight

    def _lines_of(self, watcher: WatcherConnection) -> list[LineOf]:
        found = []
        for slot in watcher.slots:
            other = self._others.get(slot.owner or "")
            for kind in PUBLISHED:
                mid = slot.mid(kind)
                if other is not None and mid is not None:
                    on = other.sends(kind)
                    found.append(LineOf(mid, kind, other.connection, other.pubkey, on))
        return found

    # -- what the connections say

    def _on_packet(self, kind: TrackKind, packet: Packet, now: float) -> None:
        track = self.tracks.get(kind)
        if track is None:
            return
        passed = track.forward_packet(packet, now, silent=not self._switches.is_on(kind))
        if not passed:
            return
        self._switches.came(kind)
        self._record(self, kind, packet, now)

    def _on_up(self) -> None:
        if not self._is_up:
            self._is_up = True
            self._tell(Up(self.connection))

    def _on_over(self, side: Side, why: str) -> None:
        self._say(ConnectionFailed(side=side, reason=why))
        task = asyncio.ensure_future(self._close_publisher() if side == "publish" else self._close_watcher())
        self._closing.add(task)  # asyncio itself holds tasks weakly
        task.add_done_callback(self._closing.discard)
        self._changed()

    async def _close_publisher(self) -> None:
        publisher, self._publisher = self._publisher, None
        self._switches.gone()
        if publisher is not None:
            await publisher.close()

    async def _close_watcher(self) -> None:
        watcher, self._watcher = self._watcher, None
        self._awaiting, self._behind, self._lines, self._in_sight = None, False, (), None
        if watcher is not None:
            await watcher.close()

    def _refuse(self, side: Side, flaw: SdpFlaw) -> None:
        self._drop(flaw.value)
        self._say(ConnectionFailed(side=side, reason=f"the description was refused: {flaw.value}"))

    def _drop(self, reason: str) -> None:
        self._tell(Dropped(self.connection, reason))
