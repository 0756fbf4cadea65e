"""The frames of a relay: what is cut out here, what the library reads, and that it makes no difference."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import BytesLike
from websockets.uri import parse_uri

from podium_daemon.relays.framing import MAX_FRAMES, Framing

LIMIT = 700
TEXT = Frame(Opcode.TEXT, b'["EOSE","a"]')


class Library(ClientProtocol):
    """The library, and what was handed to it."""

    given = b""

    def receive_data(self, data: BytesLike) -> None:
        self.given += bytes(data)
        super().receive_data(data)


def opened() -> Library:
    """A client that has shaken hands."""
    protocol = Library(parse_uri("ws://relay.example"), max_size=LIMIT)
    protocol.state = OPEN
    protocol.parser = protocol.parse()
    next(protocol.parser)
    return protocol


def sent(*frames: Frame, masked: bool = False) -> bytes:
    """The frames as a server writes them."""
    return b"".join(frame.serialize(mask=masked) for frame in frames)


def answers_of(protocol: ClientProtocol) -> list[tuple[Opcode, bytes]]:
    """What we say to the relay, without the random masks."""
    server = ServerProtocol(state=OPEN)
    server.receive_data(b"".join(protocol.data_to_send()))
    return [(frame.opcode, bytes(frame.data)) for frame in server.events_received() if isinstance(frame, Frame)]


class Seen:
    """What came out of a stream that was read in pieces."""

    def __init__(self, stream: bytes, pieces: Sequence[bytes] | None = None) -> None:
        self.protocol = opened()
        framing = Framing(self.protocol, LIMIT)
        self.texts: list[bytes] = []
        self.binaries = self.controls = self.fragments = 0
        self.steps: list[int] = []
        pending = [stream] if pieces is None else list(pieces)
        while self.protocol.state is OPEN and (framing.is_behind or pending):
            texts, *counts = framing.receive(b"" if framing.is_behind else pending.pop(0))
            self.texts += texts
            self.binaries += counts[0]
            self.controls += counts[1]
            self.fragments += counts[2]
            self.steps.append(len(texts) + sum(counts))
        self.answers = answers_of(self.protocol)

    @property
    def error(self) -> str:
        """What the library has to say against the stream."""
        return str(self.protocol.parser_exc or self.protocol.close_rcvd or "")


def read_by_the_library(stream: bytes) -> tuple[list[bytes], tuple[int, int, int], list[tuple[Opcode, bytes]], str]:
    """The messages, the counts of other frames, our answers, and what broke, without anything of ours."""
    protocol = opened()
    protocol.receive_data(stream)
    texts: list[bytes] = []
    parts: bytes | None = None
    frames = [event for event in protocol.events_received() if isinstance(event, Frame)]
    for frame in frames:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            parts = bytes(frame.data) if frame.opcode is Opcode.TEXT else None
        elif frame.opcode is Opcode.CONT and parts is not None:
            parts += bytes(frame.data)
        if frame.opcode in (Opcode.TEXT, Opcode.CONT) and frame.fin and parts is not None:
            texts.append(parts)
            parts = None
    binaries = sum(frame.opcode is Opcode.BINARY for frame in frames)
    controls = sum(frame.opcode in (Opcode.PING, Opcode.PONG) for frame in frames)
    fragments = sum(frame.opcode is Opcode.CONT for frame in frames)
    error = str(protocol.parser_exc or protocol.close_rcvd or "")
    return texts, (binaries, controls, fragments), answers_of(protocol), error


def with_long_length(payload: bytes) -> bytes:
    """A text message with its length in eight bytes."""
    return b"\x81\x7f" + len(payload).to_bytes(8, "big") + payload


payloads = st.one_of(
    st.binary(max_size=20), st.sampled_from([b"x" * size for size in (125, 126, 127, LIMIT, LIMIT + 1)])
)
good = st.one_of(
    st.builds(Frame, st.just(Opcode.TEXT), payloads),
    st.builds(Frame, st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT]), payloads, st.booleans()),
    st.builds(Frame, st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CLOSE]), st.binary(max_size=20)),
)
in_parts = st.lists(payloads, min_size=2, max_size=4).map(
    lambda parts: [
        Frame(Opcode.CONT if number else Opcode.TEXT, part, number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]
)
streams = st.lists(
    st.one_of(
        st.lists(good, max_size=3).map(lambda frames: sent(*frames)),
        st.lists(st.just(TEXT), max_size=3).map(lambda frames: sent(*frames)),
        in_parts.map(lambda frames: sent(*frames)),
        st.builds(lambda frame: sent(frame, masked=True), good),
        payloads.map(with_long_length),
        st.binary(max_size=4),
    ),
    max_size=6,
).map(b"".join)


@given(stream=streams, cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_it_reads_what_the_library_alone_reads_however_the_stream_is_cut(stream: bytes, cuts: list[int]) -> None:
    """Messages, counts, pongs and the error are the same, for good streams and for broken ones."""
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    seen = Seen(stream, [stream[start:end] for start, end in pairwise(edges)])
    counts = (seen.binaries, seen.controls, seen.fragments)
    assert (seen.texts, counts, seen.answers, seen.error) == read_by_the_library(stream)


def test_messages_are_cut_out_without_the_library() -> None:
    """Of whole text messages and a ping between them, the library gets the ping alone."""
    ping = sent(Frame(Opcode.PING, b"?"))
    stream = sent(TEXT) + ping + sent(TEXT, Frame(Opcode.TEXT, b"x" * 300)) + with_long_length(b"y" * 7)
    seen = Seen(stream, [stream[start : start + 1] for start in range(len(stream))])
    assert [len(text) for text in seen.texts] == [12, 12, 300, 7]
    assert seen.controls == 1
    assert seen.protocol.given == ping


@pytest.mark.parametrize(
    "frame", [b"\x81\x00", b"\x89\x00", b"\x82\x00", b"\x89\x00\x81\x00"], ids=["text", "ping", "binary", "both"]
)
def test_no_step_reads_more_than_so_many_frames(frame: bytes) -> None:
    """Frames of two bytes, thousands in one piece, are read in several steps, and none is lost."""
    seen = Seen(frame * 2_000, [frame * 1_999 + frame[:-1], frame[-1:]])
    assert max(seen.steps) <= MAX_FRAMES
    assert sum(seen.steps) == 2_000 * len(frame) // 2


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (sent(TEXT, masked=True), "masking"),
        (b"\x83\x00", "opcode"),
        (b"\xc1\x00", "reserved"),
        (sent(Frame(Opcode.CONT, b"")), "continuation"),
        (sent(Frame(Opcode.TEXT, b"", fin=False), TEXT), "continuation"),
        (b"\x81\x7f" + (LIMIT + 1).to_bytes(8, "big"), "too big|limit"),
        (sent(Frame(Opcode.TEXT, b"x" * LIMIT, fin=False)) + sent(Frame(Opcode.CONT, b"x")), "too big|limit"),
        (b"\x89\x7e\x00\x80" + b"x" * 128, "control"),
    ],
    ids=[
        "masked",
        "opcode",
        "reserved",
        "stray part",
        "text between parts",
        "too big",
        "too big in parts",
        "long ping",
    ],
)
def test_a_broken_frame_ends_the_connection_with_what_came_before_it(stream: bytes, words: str) -> None:
    """The library refuses it, as soon as it can be known, and nothing after it counts."""
    seen = Seen(sent(TEXT) + stream + sent(TEXT))
    assert seen.texts == [TEXT.data]
    assert seen.protocol.state is not OPEN
    assert any(word in seen.error for word in words.split("|")), seen.error
