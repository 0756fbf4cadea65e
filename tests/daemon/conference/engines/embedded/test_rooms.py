"""Rooms with people in them: aiortc in the browser's place publishes, watches, decodes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiortc import RTCPeerConnection

from podium_daemon.conference.engines.embedded.peer import MAX_SLOTS
from podium_daemon.conference.events import ConnectionId, TrackChange, TrackKind
from podium_daemon.conference.page_media.messages import RemoveSeat, Silence, Up
from podium_daemon.conference.page_media.sdp import MAX_LINES
from podium_protocol.events import Pubkey
from tests.support.conference import new_pubkey
from tests.support.media import House, MediaPage, Picture, house, settled

AUDIO, VIDEO, SCREEN = TrackKind.AUDIO, TrackKind.VIDEO, TrackKind.SCREEN


@pytest.fixture
async def here() -> AsyncIterator[House]:
    """Rooms on loopback."""
    async with house() as rooms:
        yield rooms


async def _two(here: House, *kinds: str) -> tuple[Pubkey, MediaPage, Pubkey, MediaPage]:
    """Somebody who publishes, somebody who watches."""
    teacher, pupil = new_pubkey(), new_pubkey()
    stage, bench = await here.enter(teacher), await here.enter(pupil)
    await stage.publish(*kinds)
    await bench.watch()
    return teacher, stage, pupil, bench


def _of(pubkey: Pubkey) -> ConnectionId:
    return ConnectionId(pubkey[:16])


async def test_sound_and_pictures_reach_a_subscriber(here: House) -> None:
    """What one person's camera and microphone give is decoded at another's, and nobody hears themselves."""
    teacher, stage, pupil, bench = await _two(here, "audio", "video")
    assert await bench.sees(teacher) == 160
    assert await bench.hears(teacher) > 3000
    assert set(here.changes(teacher)) == {(AUDIO, TrackChange.PUBLISHED), (VIDEO, TrackChange.PUBLISHED)}
    assert {one.connection for one in here.reports if isinstance(one, Up)} == {_of(teacher), _of(pupil)}
    await stage.watch()
    await stage.was_told("offer")
    assert stage.lines == []


async def test_both_ways_at_once(here: House) -> None:
    """Two who publish and watch each other; the screen is a line of its own beside the camera."""
    teacher, stage, pupil, bench = await _two(here, "audio", "video")
    await bench.publish("audio", "screen")
    await stage.watch()
    assert await stage.sees(pupil, "screen") == 208
    assert await stage.hears(pupil) > 3000
    assert await bench.sees(teacher) == 160


async def test_a_screen_is_shared_without_a_negotiation(here: House) -> None:
    """The third media line was there all along; its stream is one we never heard of, and is told by its line's name."""
    teacher, stage, _, bench = await _two(here, "video")
    await bench.sees(teacher)
    offers = len([one for one in bench.told if one["do"] == "offer"])
    await stage.replace("screen", Picture(208))
    assert await bench.sees(teacher, "screen") == 208
    assert await bench.sees(teacher) == 160
    assert len([one for one in bench.told if one["do"] == "offer"]) == offers


async def test_whoever_comes_late_sees_at_once(here: House) -> None:
    """Each new receiver has the publisher asked for a key frame, and nobody waits for the next one by chance."""
    teacher, _, _, bench = await _two(here, "video")
    await bench.sees(teacher, more=5)
    late = await here.enter(new_pubkey())
    await late.watch()
    assert await late.sees(teacher) == 160


async def test_a_room_that_fills_up_gets_more_lines(here: House) -> None:
    """One connection, a slot for each who publishes; a slot that is free again is given to the next."""
    pupil = await here.enter(new_pubkey())
    await pupil.watch()
    people = [new_pubkey() for _ in range(3)]
    pages = [await here.enter(one) for one in people]
    for page in pages:
        await page.publish("audio")
    for one in people:
        await pupil.hears(one)
    assert len({await pupil.line(one, "audio") for one in people}) == 3
    assert pupil.watching is not None
    lines = len(pupil.watching.getTransceivers())
    free = await pupil.line(people[0], "audio")
    await here.rooms.handle(RemoveSeat(_of(people[0])))
    newcomer = new_pubkey()
    page = await here.enter(newcomer)
    await page.publish("audio")
    await pupil.hears(newcomer)
    assert await pupil.line(newcomer, "audio") in {free, *map(str, range(lines))}
    assert len(pupil.watching.getTransceivers()) == lines
    assert 3 * MAX_SLOTS <= MAX_LINES


async def test_a_muted_microphone_is_silent_at_once(here: House) -> None:
    """Nothing more is passed on, everybody is told, and only the person can undo it."""
    teacher, stage, _, bench = await _two(here, "audio", "video")
    await bench.hears(teacher)
    await here.rooms.handle(Silence(_of(teacher), AUDIO))
    await here.changed(teacher, AUDIO, TrackChange.MUTED)
    told = await stage.was_told("muted", kind="audio", turn=1)
    assert told["turn"] == stage.turn
    mid = await bench.line(teacher, "audio", on=False)
    heard = len(bench.loudness[mid])
    await bench.sees(teacher, more=5)
    assert len(bench.loudness[mid]) <= heard + 10  # what was decoded already
    await stage.sending()
    await here.changed(teacher, AUDIO, TrackChange.UNMUTED)
    assert await bench.hears(teacher) > 3000


async def test_an_unmute_that_crossed_a_mute_does_not_undo_it(here: House) -> None:
    """A page that switched something just then has not heard yet that it was muted."""
    teacher, stage, _, bench = await _two(here, "audio")
    await bench.hears(teacher)
    await here.rooms.handle(Silence(_of(teacher), AUDIO))
    await stage.say(do="sending", audio=True, video=True, screen=True, turn=0)
    await bench.line(teacher, "audio", on=False)
    await stage.was_told("muted")
    await stage.sending(video=False)
    await here.changed(teacher, AUDIO, TrackChange.UNMUTED)
    assert here.changes(teacher) == [(AUDIO, change) for change in ("published", "muted", "unmuted")]


async def test_whoever_comes_muted_is_silent_from_the_first_packet(here: House) -> None:
    """Muted before anything was published: nothing gets through until they unmute themselves."""
    teacher, pupil = new_pubkey(), new_pubkey()
    stage = await here.enter(teacher, silenced=frozenset({AUDIO}))
    bench = await here.enter(pupil)
    await stage.was_told("muted", kind="audio", turn=1)
    await stage.publish("audio", "video")
    await bench.watch()
    await bench.sees(teacher, more=3)
    assert here.changes(teacher) == [(VIDEO, TrackChange.PUBLISHED)]
    await stage.sending()
    assert await bench.hears(teacher) > 3000


async def test_a_camera_that_is_switched_off_is_gone(here: House) -> None:
    """Switched off by its owner it is no track any more, and one again when it is switched on."""
    teacher, stage, _, bench = await _two(here, "video", "audio")
    await bench.sees(teacher)
    await stage.sending(video=False)
    await here.changed(teacher, VIDEO, TrackChange.UNPUBLISHED)
    await stage.sending()
    await here.changed(teacher, VIDEO, TrackChange.PUBLISHED, times=2)
    await bench.sees(teacher, more=2)


async def test_leaving_ends_the_connections(here: House) -> None:
    """Whoever is removed neither sends nor receives, and their line is free."""
    teacher, stage, pupil, bench = await _two(here, "video")
    await bench.sees(teacher)
    await here.rooms.handle(RemoveSeat(_of(teacher)))
    await settled(lambda: bench.lines == [], "no line")
    for page, side in ((stage, "publishing"), (bench, "watching")):
        pc = getattr(page, side)
        assert isinstance(pc, RTCPeerConnection)
        await here.rooms.handle(RemoveSeat(_of(pupil)))
        await settled(lambda pc=pc: pc.connectionState == "closed", f"{side} is closed")


async def test_a_page_may_begin_anew(here: House) -> None:
    """After a bad network the page offers again and asks for a new connection; both replace the old ones."""
    teacher, stage, _, bench = await _two(here, "video")
    await bench.sees(teacher)
    await stage.publish("video")
    await bench.watch()
    await bench.sees(teacher, more=3)
    assert here.changes(teacher).count((VIDEO, TrackChange.PUBLISHED)) == 2


async def test_malformed_descriptions_are_counted_and_dropped(here: House) -> None:
    """The page is told, everybody else goes on."""
    teacher, _, _, bench = await _two(here, "video")
    await bench.sees(teacher)
    stranger = await here.enter(new_pubkey())
    stranger.answers = False
    await stranger.say(do="publish", sdp="v=0\r\nm=audio 9 RTP/AVP 0\r\n")
    await stranger.was_told("failed", side="publish", reason="the description was refused: sdp_bad_line")
    await stranger.say(do="watch", offer=99, sdp="v=0")
    await stranger.say(do="watch")
    offer = await stranger.was_told("offer")
    await stranger.say(do="watch", offer=offer["offer"], sdp="v=0")
    await stranger.was_told("failed", side="watch")
    assert here.drops() == ["sdp_bad_line", "stale_answer", "sdp_bad_media"]
    await bench.sees(teacher, more=2)


async def test_another_certificate_than_the_signed_one_is_refused(here: House) -> None:
    """The join proof names the browser's certificate: an offer or an answer with another one is somebody else's."""
    signed = "sha-256 " + ":".join(["AB"] * 32)
    page = await here.enter(new_pubkey(), fingerprint=signed)
    await page.publish("audio")
    await page.was_told("failed", side="publish", reason="the description was refused: sdp_other_certificate")
    await page.watch()
    await page.was_told("failed", side="watch", reason="the description was refused: sdp_other_certificate")
    assert set(here.drops()) == {"sdp_other_certificate"}


async def test_descriptions_without_end_are_refused(here: House) -> None:
    """Each costs ten milliseconds: a page that floods us with them is held to a few a second."""
    page = await here.enter(new_pubkey())
    for _ in range(30):
        await page.say(do="publish", sdp="v=0")
    await settled(lambda: len(here.drops()) == 30, "thirty drops")
    assert here.drops().count("too_many_descriptions") + here.drops().count("too_many_messages") >= 19
