"""Which datagrams get as far as aioice and aiortc."""

from __future__ import annotations

from collections import Counter

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.conference.engines.embedded.datagrams import Drop, Sort, sort
from podium_daemon.conference.page_media.messages import Drops
from tests.support.conference import new_pubkey
from tests.support.media import house, settled

MEDIA_FIRST = {*range(20, 64), *range(128, 192)}


@pytest.mark.parametrize("length", range(17))
def test_what_is_too_short_is_dropped(length: int) -> None:
    """No first byte makes STUN of less than 20 bytes, DTLS of less than 13 or RTP of less than 12; empty is nothing."""
    for first in range(256):
        data = bytes([first]).ljust(length, b"\0")[:length]
        found = sort(data)
        is_long = length >= (12 if first >= 128 else 13)
        assert (found is Sort.MEDIA) == (first in MEDIA_FIRST and is_long), (first, length)
        assert isinstance(found, Drop) or found is Sort.MEDIA


@given(st.binary(min_size=20, max_size=1500))
def test_the_first_byte_says_what_it_is(data: bytes) -> None:
    """RFC 7983, 7: what is of no protocol that we speak is dropped, TURN channels and ZRTP with it."""
    found = sort(data)
    assert (found is Sort.MEDIA) == (data[0] in MEDIA_FIRST)
    assert (found is Drop.UNKNOWN) == (data[0] not in MEDIA_FIRST | {0, 1, 2, 3})


def test_stun_has_its_cookie() -> None:
    """RFC 8489, 5."""
    request = bytes(stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST))
    assert sort(request) is Sort.STUN
    assert sort(request[:4] + b"\0\0\0\0" + request[8:]) is Drop.BAD_STUN
    assert sort(request[:19]) is Drop.BAD_STUN


async def test_what_raises_is_counted_and_no_end() -> None:
    """A packet that something of ours cannot take is the end of that packet, not of its connection."""
    async with house() as here:
        teacher, pupil = new_pubkey(), new_pubkey()
        stage, bench = await here.enter(teacher), await here.enter(pupil)
        await stage.publish("audio")
        await bench.watch()
        await bench.hears(teacher)
        publisher = here.publisher(teacher)
        heard, left = publisher._heard, Counter(raises=5)

        def sometimes(*about: object) -> None:
            if left["raises"] > 0:
                left["raises"] -= 1
                raise IndexError("not foreseen")
            heard(*about)  # type: ignore[arg-type]

        publisher._heard = sometimes
        await settled(lambda: not left["raises"], "packets that raised")
        await bench.hears(teacher)
        assert [one for one in stage.told if one["do"] == "failed"] == []

        def counted() -> bool:
            return sum(one.counts.get("datagram_failed", 0) for one in here.reports if isinstance(one, Drops)) == 5

        await settled(counted, "five drops")
