"""What a person wants to send and really sends, without a media host."""

from __future__ import annotations

import pytest

from podium_daemon.conference.events import ConnectionId, RoomId, TrackChange, TrackKind
from podium_daemon.conference.page_media.messages import AddSeat, Changed, Report
from podium_daemon.conference.page_media.signals import Muted, Sending, ServerSignal
from podium_daemon.conference.page_media.switches import Switches
from tests.support.conference import new_pubkey

AUDIO, VIDEO, SCREEN = TrackKind.AUDIO, TrackKind.VIDEO, TrackKind.SCREEN


class Desk:
    """A person's switches, and what they said to whom."""

    def __init__(self, *, silenced: tuple[TrackKind, ...] = ()) -> None:
        self.page: list[ServerSignal] = []
        self.told: list[tuple[TrackKind, TrackChange]] = []
        self.changed: list[TrackKind] = []
        entered = AddSeat(
            room=RoomId("r"),
            connection=ConnectionId("c"),
            pubkey=new_pubkey(),
            silenced=frozenset(silenced),
            fingerprint=None,
        )
        self.switches = Switches(entered, say=self.page.append, tell=self._tell, changed=self.changed.append)

    def _tell(self, report: Report) -> None:
        assert isinstance(report, Changed)
        self.told.append((report.kind, report.change))

    def send(self, *kinds: TrackKind, turn: int = 0) -> None:
        """What the page says is on."""
        self.switches.switch(Sending(audio=AUDIO in kinds, video=VIDEO in kinds, screen=SCREEN in kinds, turn=turn))


def test_a_track_is_told_once_when_its_packets_come() -> None:
    """Not when a person may send, but when they do."""
    desk = Desk()
    assert not desk.switches.is_publishing
    desk.switches.came(VIDEO)
    desk.switches.came(VIDEO)
    assert desk.told == [(VIDEO, TrackChange.PUBLISHED)]
    assert desk.switches.sends(VIDEO)
    desk.switches.gone()
    assert desk.told[1:] == [(VIDEO, TrackChange.UNPUBLISHED)]


def test_muting_holds_until_the_page_that_saw_it_switches_on() -> None:
    """A message that was under way when the mute came does not undo it."""
    desk = Desk()
    desk.switches.came(AUDIO)
    desk.switches.silence(AUDIO)
    assert desk.page == [Muted(kind=AUDIO, turn=1)]
    desk.send(AUDIO, VIDEO, turn=0)
    assert not desk.switches.is_on(AUDIO)
    desk.send(AUDIO, VIDEO, turn=1)
    assert desk.switches.is_on(AUDIO)
    assert desk.told == [
        (AUDIO, TrackChange.PUBLISHED),
        (AUDIO, TrackChange.MUTED),
        (AUDIO, TrackChange.UNMUTED),
    ]


def test_whoever_comes_muted_is_told_so_and_is_not_told_of() -> None:
    """Packets of a muted microphone are no track."""
    desk = Desk(silenced=(AUDIO,))
    desk.switches.begin()
    desk.switches.came(AUDIO)
    assert desk.page == [Muted(kind=AUDIO, turn=1)]
    assert desk.told == []


@pytest.mark.parametrize(("kind", "change"), [(AUDIO, TrackChange.MUTED), (VIDEO, TrackChange.UNPUBLISHED)])
def test_switching_off_a_microphone_mutes_and_a_camera_ends(kind: TrackKind, change: TrackChange) -> None:
    """A camera that its owner switched off is no track any more."""
    desk = Desk()
    desk.switches.came(kind)
    desk.send(*(other for other in TrackKind if other is not kind))
    assert desk.told[-1] == (kind, change)
