"""The tracks that a person wants to send, and those that arrive: one rule for embedded engine and Janus. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from podium_daemon.conference.events import TrackChange, TrackKind
from podium_daemon.conference.page_media.messages import AddSeat, Changed, Report
from podium_daemon.conference.page_media.signals import Muted, Sending, ServerSignal

PUBLISHED: Final = (TrackKind.AUDIO, TrackKind.VIDEO, TrackKind.SCREEN)
"""The order of a page's media lines."""


class Switches:
    """One person's switches. `changed` is called with each kind that begins or ceases to be forwarded."""

    def __init__(
        self,
        entered: AddSeat,
        *,
        say: Callable[[ServerSignal], None],
        tell: Callable[[Report], None],
        changed: Callable[[TrackKind], None],
    ) -> None:
        self._connection = entered.connection
        self._silenced = set(entered.silenced)
        self._off: set[TrackKind] = set()
        self._live: set[TrackKind] = set()
        self._turn = 0
        self._say, self._tell, self._changed = say, tell, changed

    def begin(self) -> None:
        """Tell the page which kinds are muted."""
        for kind in sorted(self._silenced):
            self._turn += 1
            self._say(Muted(kind=kind, turn=self._turn))

    @property
    def is_publishing(self) -> bool:
        """Whether packets of any kind arrive."""
        return bool(self._live)

    def is_on(self, kind: TrackKind) -> bool:
        """Whether this kind is forwarded."""
        return kind not in self._silenced and kind not in self._off

    def sends(self, kind: TrackKind) -> bool:
        """Whether packets of this kind arrive and are forwarded."""
        return kind in self._live and self.is_on(kind)

    def came(self, kind: TrackKind) -> None:
        """Note that packets of a kind arrive."""
        if kind not in self._live and self.is_on(kind):
            self._live.add(kind)
            self._tell(Changed(self._connection, kind, TrackChange.PUBLISHED))
            self._changed(kind)

    def gone(self) -> None:
        """Note that the publishing connection has ended."""
        for kind in sorted(self._live):
            self._tell(Changed(self._connection, kind, TrackChange.UNPUBLISHED))
        self._live.clear()

    def switch(self, sending: Sending) -> None:
        """Take the page's message on what is switched on."""
        for kind in PUBLISHED:
            is_on, was_on = sending.is_on(kind), self.is_on(kind)
            self._off.discard(kind) if is_on else self._off.add(kind)
            # a person whose page has not been told yet that they were muted does not unmute themselves
            if is_on and sending.turn == self._turn:
                self._silenced.discard(kind)
            if self.is_on(kind) != was_on:
                self._switched(kind, on=not was_on)

    def silence(self, kind: TrackKind) -> None:
        """Stop forwarding a kind until the person switches it on again."""
        was_on = self.is_on(kind)
        self._silenced.add(kind)
        self._turn += 1
        self._say(Muted(kind=kind, turn=self._turn))
        if was_on:
            self._switched(kind, on=False)

    def _switched(self, kind: TrackKind, *, on: bool) -> None:
        if kind in self._live:
            # a camera that its owner switched off is no longer a track; one that was muted here still is
            is_gone = not on and kind is not TrackKind.AUDIO and kind not in self._silenced
            change = TrackChange.UNPUBLISHED if is_gone else TrackChange.UNMUTED if on else TrackChange.MUTED
            self._live -= {kind} if is_gone else set()
            self._tell(Changed(self._connection, kind, change))
        self._changed(kind)
