"""Session descriptions from browsers, read strictly and written anew, so that nothing a stranger wrote reaches aiortc.

Kept of each media line: its name, direction, certificate, ICE password, and one codec: Opus or VP8. Dropped above all:
candidates. We are reached by the browser and learn its address from its checks (RFC 8445, 7.3.1.3), so a description
cannot make us send packets to hosts of its choice, nor look up names.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, Literal

import msgspec

MAX_SDP: Final = 48 * 1024  # characters; the answer of a participant who watches 25 people has about 40,000
MAX_LINES: Final = 96  # media lines: 25 people with microphone, camera and screen, and some spare
MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
LEVEL: Final = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
_CODECS: Final = {"audio": "opus/48000/2", "video": "VP8/90000"}
_FEEDBACK: Final = ("nack", "nack pli", "ccm fir")
_SETUP: Final = ("actpass", "active", "passive")
_MEDIA: Final = re.compile(r"m=(audio|video) \d{1,5} UDP/TLS/RTP/SAVPF((?: \d{1,3}){1,64})")
_ATTRIBUTE: Final = re.compile(r"a=([a-z-]{1,32})(?::(.{1,512}))?")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,16}")
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT: Final = re.compile(r"sha-256 ([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31})")
_EXTENSION: Final = re.compile(r"(\d{1,3})(?:/[a-z]{1,8})? (\S{1,128})")
_RTPMAP: Final = re.compile(r"(\d{1,3}) (\S{1,64})")
_SSRC: Final = re.compile(r"(\d{1,10}) .{1,256}")


class SdpFlaw(StrEnum):
    """Why a description was dropped; the name of the counter that is raised."""

    TOO_LARGE = "sdp_too_large"
    BAD_LINE = "sdp_bad_line"
    BAD_MEDIA = "sdp_bad_media"  # not the media lines that were expected
    NO_CODEC = "sdp_no_codec"
    NO_CERTIFICATE = "sdp_no_certificate"
    OTHER_CERTIFICATE = "sdp_other_certificate"  # than the join proof was signed with
    UNSIGNED_CERTIFICATE = "sdp_unsigned_certificate"  # the join proof names none


class MediaLine(msgspec.Struct, kw_only=True):
    """One media line of a description. `ssrcs` are those it announces; browsers may use others."""

    kind: Literal["audio", "video"]
    formats: tuple[int, ...]
    mid: str = ""
    direction: str = "sendrecv"
    payload_type: int | None = None
    mid_extension: int | None = None
    level_extension: int | None = None
    ufrag: str = ""
    password: str = ""
    setup: str = ""
    ssrcs: list[int] = []


class Description(msgspec.Struct, frozen=True):
    """A description that was read; `text` is what aiortc is given."""

    lines: tuple[MediaLine, ...]
    fingerprint: str
    text: str


def read_description(
    text: str, kind: Literal["offer", "answer"], expected: tuple[str, ...], fingerprint: str | None
) -> Description | SdpFlaw:
    """Read a description from a browser, and return it or the reason to drop it.

    Args:
        text: the description, unchanged.
        kind: offers come with `setup` actpass, answers with a decision.
        expected: the kinds of the media lines, in order.
        fingerprint: of the join proof, "sha-256 AB:...", or None if it names none: then nothing says whose media
            these are, and the description is refused.
    """
    if len(text) > MAX_SDP:
        return SdpFlaw.TOO_LARGE
    reader = _Reader()
    for line in text.splitlines():
        if not reader.read_line(line):
            return SdpFlaw.BAD_LINE
    if flaw := reader.flaw(kind, expected):
        return flaw
    (certificate,) = reader.fingerprints
    if fingerprint is None:
        return SdpFlaw.UNSIGNED_CERTIFICATE
    if certificate != fingerprint:
        # else an attacker who relays the offer could put their own certificate into it and listen in
        return SdpFlaw.OTHER_CERTIFICATE
    return Description(tuple(reader.lines), certificate, _written(reader.lines, certificate))


class _Reader:
    def __init__(self) -> None:
        self.lines: list[MediaLine] = []
        self.fingerprints: set[str] = set()

    def read_line(self, line: str) -> bool:
        """Read one line; False if it is broken. Unknown lines are ignored."""
        if line.startswith("m="):
            return self._begin(line)
        if not line.startswith("a="):
            return True
        found = _ATTRIBUTE.fullmatch(line)
        if found is None:
            return True
        name, value = found[1], found[2] or ""
        if name == "fingerprint":
            return self._certificate(value)
        return self._note(self.lines[-1], name, value) if self.lines else True

    def flaw(self, kind: str, expected: tuple[str, ...]) -> SdpFlaw | None:
        lines = self.lines
        if not lines:
            return SdpFlaw.BAD_MEDIA
        if tuple(line.kind for line in lines) != expected or len({line.mid for line in lines}) != len(lines):
            return SdpFlaw.BAD_MEDIA
        setups = ("actpass", "active", "passive") if kind == "offer" else ("active", "passive")
        if not all(line.mid and line.ufrag and line.password and line.setup in setups for line in lines):
            return SdpFlaw.BAD_MEDIA
        if any(line.payload_type is None for line in lines):
            return SdpFlaw.NO_CODEC
        return None if len(self.fingerprints) == 1 else SdpFlaw.NO_CERTIFICATE

    def _begin(self, line: str) -> bool:
        found = _MEDIA.fullmatch(line)
        if found is None or len(self.lines) >= MAX_LINES:
            return False
        kind: Literal["audio", "video"] = "audio" if found[1] == "audio" else "video"
        self.lines.append(MediaLine(kind=kind, formats=tuple(map(int, found[2].split())), ssrcs=[]))
        return True

    def _certificate(self, value: str) -> bool:
        if not value.startswith("sha-256 "):
            return True  # every browser names this one; join proofs have no other
        found = _FINGERPRINT.fullmatch(value)
        if found is not None:
            self.fingerprints.add(f"sha-256 {found[1].upper()}")
        return found is not None

    def _note(self, line: MediaLine, name: str, value: str) -> bool:
        match name:
            case "mid" if _NAME.fullmatch(value):
                line.mid = value
            case "ice-ufrag" if _UFRAG.fullmatch(value):
                line.ufrag = value
            case "ice-pwd" if _PASSWORD.fullmatch(value):
                line.password = value
            case "setup" if value in _SETUP:
                line.setup = value
            case "mid" | "ice-ufrag" | "ice-pwd" | "setup":
                return False
            case "sendrecv" | "sendonly" | "recvonly" | "inactive":
                line.direction = name
            case "extmap" | "rtpmap" | "ssrc":
                _number(line, name, value)
        return True


def _number(line: MediaLine, name: str, value: str) -> None:
    if name == "extmap" and (found := _EXTENSION.fullmatch(value)):
        # 15 means something else in the short form, and 0 is padding (RFC 8285, 4.2)
        number = int(found[1]) if 0 < int(found[1]) < 15 else None
        line.mid_extension = number if found[2] == MID else line.mid_extension
        line.level_extension = number if found[2] == LEVEL else line.level_extension
    elif name == "rtpmap" and (found := _RTPMAP.fullmatch(value)):
        wanted = found[2].lower() == _CODECS[line.kind].lower()
        # the first is what the browser likes best; 72 to 76 would be taken for RTCP (RFC 5761, 4)
        if wanted and line.payload_type is None and int(found[1]) in line.formats and 95 < int(found[1]) < 128:
            line.payload_type = int(found[1])
    elif name == "ssrc" and (found := _SSRC.fullmatch(value)) and len(line.ssrcs) < 4:
        line.ssrcs += [int(found[1])] if int(found[1]) not in line.ssrcs else []


def _written(lines: list[MediaLine], fingerprint: str) -> str:
    first = lines[0]  # bundled: one transport for all, and its parameters are those of the first (RFC 9143, 7.3)
    rows = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(line.mid for line in lines)}"]
    for line in lines:
        rows += [
            f"m={line.kind} 9 UDP/TLS/RTP/SAVPF {line.payload_type}",
            "c=IN IP4 0.0.0.0",
            f"a={line.direction}",
            f"a=mid:{line.mid}",
            "a=rtcp-mux",
            f"a=ice-ufrag:{first.ufrag}",
            f"a=ice-pwd:{first.password}",
            f"a=fingerprint:{fingerprint}",
            f"a=setup:{first.setup}",
            f"a=rtpmap:{line.payload_type} {_CODECS[line.kind]}",
        ]
        rows += [f"a=extmap:{line.mid_extension} {MID}"] if line.mid_extension else []
        rows += [f"a=extmap:{line.level_extension} {LEVEL}"] if line.level_extension else []
        rows += [f"a=rtcp-fb:{line.payload_type} {each}" for each in _FEEDBACK] if line.kind == "video" else []
    return "\r\n".join([*rows, ""])
