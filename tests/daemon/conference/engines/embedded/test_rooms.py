"""Rooms with people in them: aiortc in the browser's place publishes, watches, decodes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiortc import RTCPeerConnection

from podium_daemon.conference.engines.embedded.peer import MAX_SLOTS
from podium_daemon.conference.events import TrackChange, TrackKind
from podium_daemon.conference.page_media.messages import RemoveSeat
from podium_daemon.conference.page_media.sdp import MAX_LINES
from tests.daemon.conference.media_contract import MediaHostContract, two
from tests.support.conference import new_pubkey
from tests.support.media import House, Picture, connection_of, house, settled

AUDIO, VIDEO, SCREEN = TrackKind.AUDIO, TrackKind.VIDEO, TrackKind.SCREEN


@pytest.fixture
async def here() -> AsyncIterator[House]:
    """Rooms on loopback."""
    async with house() as rooms:
        yield rooms


class TestEmbeddedMediaHost(MediaHostContract):
    """The rooms of the media process keep the contract of media hosts."""


async def test_nobody_receives_themselves(here: House) -> None:
    """The only one who publishes is offered lines on which nothing comes."""
    teacher, stage, _, bench = await two(here, "audio", "video")
    assert await bench.sees(teacher) == 160
    await stage.watch()
    await stage.was_told("offer")
    assert stage.lines == []


async def test_a_screen_is_shared_without_a_negotiation(here: House) -> None:
    """The third media line was there all along; its stream is one we never heard of, and is told by its line's name."""
    teacher, stage, _, bench = await two(here, "video")
    await bench.sees(teacher)
    offers = len([one for one in bench.told if one["do"] == "offer"])
    await stage.replace("screen", Picture(208))
    assert await bench.sees(teacher, "screen") == 208
    assert await bench.sees(teacher) == 160
    assert len([one for one in bench.told if one["do"] == "offer"]) == offers


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
    await here.rooms.handle(RemoveSeat(connection_of(people[0])))
    newcomer = new_pubkey()
    page = await here.enter(newcomer)
    await page.publish("audio")
    await pupil.hears(newcomer)
    assert await pupil.line(newcomer, "audio") in {free, *map(str, range(lines))}
    assert len(pupil.watching.getTransceivers()) == lines
    assert 3 * MAX_SLOTS <= MAX_LINES


async def test_a_camera_that_is_switched_off_is_gone(here: House) -> None:
    """Switched off by its owner it is no track any more, and one again when it is switched on."""
    teacher, stage, _, bench = await two(here, "video", "audio")
    await bench.sees(teacher)
    await stage.sending(video=False)
    await here.changed(teacher, VIDEO, TrackChange.UNPUBLISHED)
    await stage.sending()
    await here.changed(teacher, VIDEO, TrackChange.PUBLISHED, times=2)
    await bench.sees(teacher, more=2)


async def test_pictures_out_of_sight_are_not_sent(here: House) -> None:
    """A page says what is in sight: no packet of another picture is sent to it, the sound goes on, others see."""
    teacher, stage, pupil, bench = await two(here, "video", "audio")
    other = await here.enter(new_pubkey())
    await other.watch()
    for page in (bench, other):
        await page.sees(teacher)
    mid = await bench.line(teacher, "video")
    await bench.say(do="showing", mids=[])
    (line,) = [one for one in here.downlinks(pupil) if one.kind is VIDEO and one.payload_type and one.packets]
    await settled(lambda: line.track is None, "the line carries nothing")
    before = line.packets
    await bench.hears(teacher, more=20)
    await other.sees(teacher, more=5)
    assert line.packets == before
    await bench.say(do="showing", mids=[mid])
    await bench.sees(teacher, more=3)
    assert line.packets > before
    await bench.say(do="showing", mids=[])
    await settled(lambda: line.track is None, "the line carries nothing again")
    await bench.watch()
    await bench.sees(teacher, more=2)
    assert stage.lines == [], "what one shows changes nothing of what another is told"


async def test_leaving_ends_the_connections(here: House) -> None:
    """Whoever is removed neither sends nor receives, and their line is free."""
    teacher, stage, pupil, bench = await two(here, "video")
    await bench.sees(teacher)
    await here.rooms.handle(RemoveSeat(connection_of(teacher)))
    await settled(lambda: bench.lines == [], "no line")
    for page, side in ((stage, "publishing"), (bench, "watching")):
        pc = getattr(page, side)
        assert isinstance(pc, RTCPeerConnection)
        await here.rooms.handle(RemoveSeat(connection_of(pupil)))
        await settled(lambda pc=pc: pc.connectionState == "closed", f"{side} is closed")


async def test_a_page_may_begin_anew(here: House) -> None:
    """After a bad network the page offers again and asks for a new connection; both replace the old ones."""
    teacher, stage, _, bench = await two(here, "video")
    await bench.sees(teacher)
    await stage.publish("video")
    await bench.watch()
    await bench.sees(teacher, more=3)
    assert here.changes(teacher).count((VIDEO, TrackChange.PUBLISHED)) == 2


async def test_malformed_descriptions_are_counted_and_dropped(here: House) -> None:
    """The page is told, everybody else goes on."""
    teacher, _, _, bench = await two(here, "video")
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
    """The join proof names the browser's certificate: an offer or an answer with another one is another person's."""
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
