"""Session descriptions from browsers: read strictly, written anew."""

from __future__ import annotations

import pytest
from aiortc import RTCCertificate
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.conference.page_media.sdp import (
    MAX_LINES,
    MAX_SDP,
    MID,
    Description,
    SdpFlaw,
    read_description,
)
from tests.support.media import connection_with, fingerprint_of

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
EXPECTED = ("audio", "video", "video")


def _line(kind: str, mid: str, *, payload_type: int = 111, extra: tuple[str, ...] = ()) -> str:
    codec = "opus/48000/2" if kind == "audio" else "VP8/90000"
    rows = [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type} 45 46",
        "c=IN IP4 0.0.0.0",
        "a=candidate:1 1 udp 2113937151 10.0.0.7 56789 typ host",
        "a=candidate:2 1 udp 2113937151 4f0b1c9e-aaaa-bbbb-cccc-0123456789ab.local 56789 typ host",
        f"a=mid:{mid}",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuv",
        f"a=fingerprint:{FINGERPRINT}",
        "a=setup:actpass",
        "a=sendonly",
        f"a=extmap:4 {MID}",
        f"a=rtpmap:{payload_type} {codec}",
        "a=rtpmap:45 AV1/90000",
        "a=rtpmap:46 rtx/90000",
        "a=fmtp:46 apt=45",
        "a=ssrc:1234 cname:x",
        *extra,
    ]
    return "\r\n".join(rows) + "\r\n"


def _offer(*lines: str) -> str:
    return "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n" + "".join(lines)


GOOD = _offer(_line("audio", "0"), _line("video", "1", payload_type=96), _line("video", "2", payload_type=96))


def _read(text: str, *, kind: str = "offer", fingerprint: str | None = FINGERPRINT) -> Description | SdpFlaw:
    return read_description(text, kind, EXPECTED, fingerprint)  # type: ignore[arg-type]  # a test's shorthand


def test_a_good_offer_is_read() -> None:
    """Names, directions, codecs, the extension that names media lines, announced streams."""
    offer = _read(GOOD)
    assert isinstance(offer, Description)
    assert [(line.kind, line.mid, line.payload_type) for line in offer.lines] == [
        ("audio", "0", 111),
        ("video", "1", 96),
        ("video", "2", 96),
    ]
    assert {line.direction for line in offer.lines} == {"sendonly"}
    assert [line.mid_extension for line in offer.lines] == [4, 4, 4]
    assert offer.lines[0].ssrcs == [1234]
    assert offer.fingerprint == FINGERPRINT


def test_what_is_passed_on_is_ours_and_names_no_address() -> None:
    """A stranger's candidates would make us send packets to hosts of their choice, and look up names."""
    offer = _read(GOOD)
    assert isinstance(offer, Description)
    assert "candidate" not in offer.text
    assert "10.0.0.7" not in offer.text
    assert ".local" not in offer.text
    parsed = SessionDescription.parse(offer.text)
    assert [media.kind for media in parsed.media] == list(EXPECTED)
    assert [[codec.name for codec in media.rtp.codecs] for media in parsed.media] == [["opus"], ["VP8"], ["VP8"]]
    assert {(media.ice.usernameFragment, media.dtls.role) for media in parsed.media} == {("abcd", "auto")}


async def test_aiortcs_own_offer_is_read() -> None:
    """A second implementation's description, with three fingerprints of one certificate."""
    certificate = RTCCertificate.generateCertificate()
    pc = connection_with(certificate)
    for kind in EXPECTED:
        pc.addTransceiver(kind, "sendonly")
    await pc.setLocalDescription(await pc.createOffer())
    text = pc.localDescription.sdp
    await pc.close()
    assert isinstance(_read(text, fingerprint=fingerprint_of(certificate)), Description)


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (lambda text: text + "x" * MAX_SDP, SdpFlaw.TOO_LARGE),
        (lambda text: text + _line("video", "3"), SdpFlaw.BAD_MEDIA),
        (lambda text: text[: text.index("m=video")], SdpFlaw.BAD_MEDIA),
        (lambda text: text.replace("a=mid:2", "a=mid:1"), SdpFlaw.BAD_MEDIA),
        (lambda text: text.replace("a=mid:2\r\n", ""), SdpFlaw.BAD_MEDIA),
        (
            lambda text: text.replace("m=audio 9 UDP/TLS/RTP/SAVPF 111 45 46", "m=application 9 UDP/DTLS/SCTP x"),
            SdpFlaw.BAD_LINE,
        ),
        (lambda text: text.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), SdpFlaw.BAD_LINE),
        (lambda text: text.replace("a=ice-pwd:abcdefghijklmnopqrstuv", "a=ice-pwd:short"), SdpFlaw.BAD_LINE),
        (lambda text: text.replace("a=ice-ufrag:abcd", "a=ice-ufrag:a b c d"), SdpFlaw.BAD_LINE),
        (lambda text: text.replace("a=ice-ufrag:abcd\r\n", ""), SdpFlaw.BAD_MEDIA),
        (lambda text: text.replace("a=mid:0", "a=mid:0 a=x"), SdpFlaw.BAD_LINE),
        (lambda text: text.replace("a=setup:actpass", "a=setup:holdconn"), SdpFlaw.BAD_LINE),
        (lambda text: text.replace("a=setup:actpass\r\n", ""), SdpFlaw.BAD_MEDIA),
        (lambda text: text.replace("opus/48000/2", "G722/8000"), SdpFlaw.NO_CODEC),
        (lambda text: text.replace("VP8/90000", "H264/90000"), SdpFlaw.NO_CODEC),
        (lambda text: text.replace("111 opus", "73 opus").replace("SAVPF 111", "SAVPF 73"), SdpFlaw.NO_CODEC),
        (lambda text: text.replace("SAVPF 96", "SAVPF 97"), SdpFlaw.NO_CODEC),
        (lambda text: text.replace(f"a=fingerprint:{FINGERPRINT}\r\n", ""), SdpFlaw.NO_CERTIFICATE),
        (lambda text: text.replace("sha-256 AB", "sha-256 AC", 1), SdpFlaw.NO_CERTIFICATE),
        (lambda text: text.replace("sha-256 AB:", "sha-256 "), SdpFlaw.BAD_LINE),
        (lambda text: text.replace("sha-256", "md5"), SdpFlaw.NO_CERTIFICATE),
        (lambda _: "", SdpFlaw.BAD_MEDIA),
    ],
)
def test_a_flawed_offer_is_named_and_refused(change: object, flaw: SdpFlaw) -> None:
    """Each flaw has a name; none reaches aiortc."""
    assert callable(change)
    assert _read(change(GOOD)) is flaw


def test_an_answer_decides_who_calls() -> None:
    """`actpass` is for offers only (RFC 5763, 5)."""
    assert _read(GOOD, kind="answer") is SdpFlaw.BAD_MEDIA
    assert isinstance(_read(GOOD.replace("actpass", "active"), kind="answer"), Description)


@pytest.mark.parametrize("kind", ["offer", "answer"])
def test_a_description_of_nothing_is_refused(kind: str) -> None:
    """An answer to no media lines at all, where none were offered, is no description (found by `make fuzz`)."""
    text = f"v=0\r\na=fingerprint:{FINGERPRINT}\r\n"
    assert read_description(text, kind, (), None) is SdpFlaw.BAD_MEDIA  # type: ignore[arg-type]  # a parameter is a str


@pytest.mark.parametrize("written", [FINGERPRINT, FINGERPRINT.lower()])
def test_the_certificate_is_the_one_that_was_signed(written: str) -> None:
    """An attacker on the way who puts their own certificate into the offer is refused; case makes no difference."""
    text = GOOD.replace(FINGERPRINT, written)
    assert isinstance(_read(text, fingerprint=FINGERPRINT), Description)
    assert _read(text, fingerprint=FINGERPRINT.replace("AB", "CD")) is SdpFlaw.OTHER_CERTIFICATE
    assert _read(text, fingerprint=None) is SdpFlaw.UNSIGNED_CERTIFICATE


def test_a_certificate_for_all_lines_counts() -> None:
    """Firefox names it once, above the media lines."""
    text = GOOD.replace(f"a=fingerprint:{FINGERPRINT}\r\n", "")
    text = text.replace("t=0 0\r\n", f"t=0 0\r\na=fingerprint:{FINGERPRINT}\r\n")
    assert isinstance(_read(text), Description)


def test_media_lines_are_counted() -> None:
    """A description of nothing but media lines is no work."""
    assert _read(_offer(*["m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"] * (MAX_LINES + 1))) is SdpFlaw.BAD_LINE


@given(place=st.integers(0, len(GOOD) - 1), junk=st.text(max_size=20))
def test_junk_anywhere_is_read_or_refused(place: int, junk: str) -> None:
    """Nothing a stranger writes raises; what is read still holds nothing but what we wrote."""
    found = _read(GOOD[:place] + junk + GOOD[place:])
    assert isinstance(found, SdpFlaw | Description)
    if isinstance(found, Description):
        SessionDescription.parse(found.text)
        assert found.text.isascii()
