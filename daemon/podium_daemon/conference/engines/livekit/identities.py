"""Rooms, people and tracks as LiveKit names them. No I/O."""

from __future__ import annotations

import hashlib
from typing import Final

from livekit import api

from podium_daemon.conference.engine import LeaveReason, Person, RoomId, RoomRole, TrackKind
from podium_protocol.events import Pubkey, pubkey_or_none
from podium_protocol.live import fields

ROLE: Final = "podium.role"
RUN: Final = "podium.run"
ENTRANCE: Final = "podium.entrance"
"""Attributes of a token. A participant cannot change them: no token allows it."""

_KINDS: Final = {
    api.TrackSource.MICROPHONE: TrackKind.AUDIO,
    api.TrackSource.CAMERA: TrackKind.VIDEO,
    api.TrackSource.SCREEN_SHARE: TrackKind.SCREEN,
    api.TrackSource.SCREEN_SHARE_AUDIO: TrackKind.SCREEN,
}
SOURCES: Final = tuple(_KINDS)
"""What may be sent."""

_REASONS: Final = {
    api.DisconnectReason.CLIENT_INITIATED: LeaveReason.LEFT,
    api.DisconnectReason.DUPLICATE_IDENTITY: LeaveReason.REPLACED,
    api.DisconnectReason.PARTICIPANT_REMOVED: LeaveReason.REMOVED,
    api.DisconnectReason.ROOM_DELETED: LeaveReason.ROOM_CLOSED,
    api.DisconnectReason.ROOM_CLOSED: LeaveReason.ROOM_CLOSED,
    api.DisconnectReason.SIGNAL_CLOSE: LeaveReason.DROPPED,
    api.DisconnectReason.CONNECTION_TIMEOUT: LeaveReason.TIMEOUT,
}


def room_name(room: RoomId) -> str:
    """The room's name on the server: of one shape, whatever the room is called here."""
    return "podium-" + hashlib.sha256(f"livekit {room}".encode()).hexdigest()[:40]


def person_of(participant: api.ParticipantInfo) -> Person | None:
    """Who a participant is, by the identity `<pubkey>#<device>`; None if it is none of ours, or no person."""
    pubkey_text, _, device = participant.identity.partition("#")
    pubkey: Pubkey | None = pubkey_or_none(pubkey_text)
    if pubkey is None or fields.device(device) is None or participant.kind != api.ParticipantInfo.Kind.STANDARD:
        return None
    try:
        role = RoomRole(participant.attributes.get(ROLE, RoomRole.PARTICIPANT))
    except ValueError:
        return None
    return Person(pubkey=pubkey, device=device, role=role)


def kind_of(track: api.TrackInfo) -> TrackKind | None:
    """The kind of a track, or None for a track that our pages do not send."""
    return _KINDS.get(track.source)


def reason_of(participant: api.ParticipantInfo) -> LeaveReason:
    """Why a participant left, as the server says."""
    return _REASONS.get(participant.disconnect_reason, LeaveReason.UNKNOWN)
