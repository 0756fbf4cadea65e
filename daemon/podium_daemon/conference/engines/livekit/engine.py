"""The LiveKit engine: rooms of a LiveKit server, entered through a LiveKit Meet page with a token made at the click.

The server's reports, by webhook and when asked, are the attendance (`evidence = engine`). The engine was written
against the library's own messages and a simulated server; no LiveKit server was run (docs/engines.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import jwt
from google.protobuf.json_format import ParseError
from livekit import api

from podium_daemon.conference.engine import (
    Capability,
    Collected,
    Connection,
    ControlDone,
    EngineUnavailable,
    LeaveReason,
    Origin,
    Person,
    RandomBytes,
    RecordingState,
    RoomId,
    RoomSpec,
    TrackKind,
)
from podium_daemon.conference.engines.livekit.identities import ENTRANCE, RUN, kind_of, person_of, reason_of, room_name
from podium_daemon.conference.engines.livekit.recording import EgressRecorder
from podium_daemon.conference.engines.livekit.server import LiveKitServer
from podium_daemon.conference.engines.livekit.settings import ADVICE, LiveKitSettings
from podium_daemon.conference.engines.livekit.tracks import TrackBook
from podium_daemon.conference.redirect import BAD_SIGNATURE, Entrance, WebhookCall
from podium_daemon.conference.remote_server import RemoteServerEngine
from podium_daemon.conference.roster import no_room
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey

_MAX_BODY: Final = 64 * 1024  # bytes of a webhook; one event has a few kB
_LONGEST_TOKEN: Final = 4096  # characters of what signs it
_SILENT: Final = frozenset({LeaveReason.TIMEOUT})
_HERE: Final = frozenset({api.ParticipantInfo.State.JOINED, api.ParticipantInfo.State.ACTIVE})


class LiveKitEngine(RemoteServerEngine):
    """A `ConferenceEngine`, `Signalling` and `RedirectEngine` for a LiveKit server."""

    name: Final = "livekit"
    evidence: Final = "engine"
    history: Final = False

    def __init__(self, settings: LiveKitSettings, *, clock: Clock, random_bytes: RandomBytes) -> None:
        """Take the server's address and key, the clock that is believed, and a source of unguessable bytes."""
        self.capabilities: Final = settings.capabilities
        super().__init__(
            self.name,
            self.capabilities,
            ADVICE,
            settings=settings,
            clock=clock,
            random_bytes=random_bytes,
            keys_return=False,  # the server names each connection anew
        )
        self._settings = settings
        self._server = LiveKitServer(settings)
        self._tracks = TrackBook(self.roster)
        self._recorder = (
            None if settings.recordings is None else EgressRecorder(self._server, settings.recordings, random_bytes)
        )
        self._runs: dict[RoomId, str] = {}

    # -- controls

    async def mute(self, room: RoomId, pubkey: Pubkey, kind: TrackKind = TrackKind.AUDIO) -> ControlDone | Rejection:
        """See `ConferenceEngine`."""
        return await self._mute(room, kind, lambda person: person == pubkey)

    async def mute_all(self, room: RoomId, keep: Collection[Pubkey] = ()) -> ControlDone | Rejection:
        """See `ConferenceEngine`."""
        return await self._mute(room, TrackKind.AUDIO, lambda person: person not in keep)

    async def remove(self, room: RoomId, pubkey: Pubkey, reason: str) -> ControlDone | Rejection:
        """See `ConferenceEngine`. A token that was already made is refused when it shows up."""
        members = self.roster.members(room, pubkey)
        removed = self.roster.remove(room, pubkey)
        if isinstance(removed, Rejection) or isinstance(members, Rejection):
            return no_room(room)
        self._lobby.remove(room, pubkey, reason)
        for member in members:
            await self.answered(self._server.remove(room_name(room), _identity(member.connection)))
        return removed[0]

    async def start_recording(self, room: RoomId, *, only: Collection[Pubkey]) -> ControlDone | Rejection:
        """See `ConferenceEngine`. Tracks that those in `only` publish later are recorded too."""
        if self._recorder is None:
            return self.unsupported(Capability.RECORD)
        if room not in self.roster.rooms:
            return no_room(room)
        there = await self.answered(self._server.participants(room_name(room))) or []
        was_on = self._recorder.is_recording(room)
        await self.answered(self._recorder.start(room, only, there))
        if not was_on:
            self._tracks.say_recording(room, RecordingState.STARTED)
        members = self.roster.members(room)
        agreed = [] if isinstance(members, Rejection) else [each for each in members if each.connection.pubkey in only]
        return ControlDone(tuple(member.connection.id for member in agreed))

    async def stop_recording(self, room: RoomId) -> ControlDone | Rejection:
        """See `ConferenceEngine`."""
        if self._recorder is None:
            return self.unsupported(Capability.RECORD)
        await self._stop_recording(room)
        return ControlDone()

    async def collect_recording(self, room: RoomId, into: Path) -> Collected | Rejection:
        """See `ConferenceEngine`. From the folder that the egress workers write to."""
        if self._recorder is None:
            return self.unsupported(Capability.RECORD)
        return await self.answered(self._recorder.collect(room, into))

    async def notified(self, call: WebhookCall) -> Rejection | None:
        """See `RedirectEngine`."""
        try:
            event = read_webhook(call, self._settings)
        except NotTheServers:
            self.flaws["bad_signature"] += 1
            return BAD_SIGNATURE
        except NotReadable:
            self.flaws["not_readable"] += 1
            return Rejection(Slug.BAD_WEBHOOK, "the webhook is signed and cannot be read", "Look for a newer Podium.")
        room = self._names.get(event.room.name)
        if self.is_new(event.id) and room is not None:
            await self._take(room, event)
        return None

    # -- as a `RemoteServerEngine`

    def name_of(self, room: RoomId) -> str:
        """See `RemoteServerEngine`."""
        return room_name(room)

    async def reach(self) -> None:
        """See `RemoteServerEngine`."""
        await self._server.reach()

    async def make_room(self, spec: RoomSpec) -> None:
        """See `RemoteServerEngine`."""
        self._runs[spec.room] = await self._server.make_room(room_name(spec.room))

    async def end_room(self, name: str) -> None:
        """See `RemoteServerEngine`."""
        await self._server.end_room(name)

    async def room_closing(self, room: RoomId) -> None:
        """See `RemoteServerEngine`."""
        with contextlib.suppress(EngineUnavailable):  # its workers stop with the room
            await self._stop_recording(room)
        self._runs.pop(room, None)
        self._tracks.forget(room)

    async def entrance(self, room: RoomId, person: Person) -> Entrance:
        """See `RemoteServerEngine`."""
        entrance = self._random_bytes(16).hex()
        self.roster.issued(room, entrance, person.pubkey)
        return Entrance(self._server.entrance(room_name(room), self._runs[room], person, entrance))

    async def look_further(self) -> None:
        """See `RemoteServerEngine`. Whether recordings are written."""
        if self._recorder is not None:
            for room, went_well in await self._recorder.finished():
                self._tracks.say_recording(room, RecordingState.READY if went_well else RecordingState.FAILED)

    async def close_connections(self) -> None:
        """See `RemoteServerEngine`."""
        await self._server.aclose()

    async def compare_room(self, room: RoomId) -> None:
        """See `RemoteServerEngine`. People who should not be there are removed."""
        mark = self.roster.mark()
        listed = await self._server.participants(room_name(room))
        there = [each for each in listed or [] if each.state in _HERE]
        people = {each.sid: person for each in there if (person := person_of(each)) is not None}
        self.flaws["strangers"] = len(there) - len(people)
        by_key = {each.sid: each for each in there}
        good = {key: person for key, person in people.items() if self._is_of_this_run(room, by_key[key])}
        entrances = {key: by_key[key].attributes.get(ENTRANCE, "") for key in good}
        unwanted = self.roster.reconcile(room, good, mark, entrances)
        for key in (*unwanted, *(people.keys() - good.keys())):
            with contextlib.suppress(EngineUnavailable):  # the next look finds them again; the others go first
                await self._send_out(room, by_key[key])
        for key in good:
            if by_key[key].state == api.ParticipantInfo.State.ACTIVE:
                self.roster.media_up(room, key, self.roster.now(), origin=Origin.SNAPSHOT)
            self._tracks.compare(room, key, by_key[key].tracks)
            if self._recorder is not None:
                for track in by_key[key].tracks:
                    await self._recorder.published(room, by_key[key], track)

    # -- inside

    async def _take(self, room: RoomId, event: api.WebhookEvent) -> None:
        participant = event.participant
        match event.event:
            case "participant_joined":
                await self._arrived(room, participant, event.created_at)
            case "participant_left":
                self._left(room, participant, event.created_at)
            case "track_published":
                self._tracks.published(room, participant.sid, event.track, event.created_at)
                if self._recorder is not None:
                    await self._recorder.published(room, participant, event.track)
            case "track_unpublished":
                self._tracks.unpublished(room, participant.sid, event.track, event.created_at)
            case "room_finished" if event.room.sid == self._runs.get(room):
                members = self.roster.members(room)
                for member in [] if isinstance(members, Rejection) else members:
                    self.roster.note_departure(room, member.key, event.created_at, LeaveReason.ROOM_CLOSED)

    async def _arrived(self, room: RoomId, participant: api.ParticipantInfo, at: int) -> None:
        person = person_of(participant)
        if person is None:
            return
        entrance = participant.attributes.get(ENTRANCE, "")
        if self._is_of_this_run(room, participant) and self.roster.arrived(
            room, participant.sid, person, at, entrance=entrance
        ):
            if participant.state == api.ParticipantInfo.State.ACTIVE:  # its media connection to the server is up
                self.roster.media_up(room, participant.sid, at)
            return
        await self._send_out(room, participant)

    def _left(self, room: RoomId, participant: api.ParticipantInfo, at: int) -> None:
        reason = reason_of(participant)
        # the server gave them up after it had heard nothing for that long
        self.roster.note_departure(
            room, participant.sid, at - self._settings.silence if reason in _SILENT else at, reason
        )

    def _is_of_this_run(self, room: RoomId, participant: api.ParticipantInfo) -> bool:
        return participant.attributes.get(RUN) == self._runs.get(room)

    async def _send_out(self, room: RoomId, participant: api.ParticipantInfo) -> None:
        self.flaws["sent_out"] += 1
        await self._server.remove(room_name(room), participant.identity)

    async def _mute(self, room: RoomId, kind: TrackKind, wanted: Callable[[Pubkey], bool]) -> ControlDone | Rejection:
        if room not in self.roster.rooms:
            return no_room(room)
        done = []
        for participant in await self.answered(self._server.participants(room_name(room))) or []:
            person = person_of(participant)
            if person is None or not wanted(person.pubkey):
                continue
            open_ones = [track.sid for track in participant.tracks if kind_of(track) is kind and not track.muted]
            muted = [await self._server.mute(room_name(room), participant.identity, track) for track in open_ones]
            if any(muted) and (connection := self.roster.connection(room, participant.sid)) is not None:
                done.append(connection.id)
        return ControlDone(tuple(done))

    async def _stop_recording(self, room: RoomId) -> None:
        if self._recorder is not None and await self.answered(self._recorder.stop(room)):
            self._tracks.say_recording(room, RecordingState.STOPPED)


def _identity(connection: Connection) -> str:
    return f"{connection.pubkey}#{connection.device}"


# -- webhooks, which are JSON with a signed token and the hash of the body in `Authorization`


class NotTheServers(Exception):
    """The webhook is not signed by the server."""


class NotReadable(Exception):
    """The webhook is signed, but its content is not an event."""


def read_webhook(call: WebhookCall, settings: LiveKitSettings) -> api.WebhookEvent:
    """The event of a webhook.

    Raises:
        NotTheServers: no signature, a wrong or old one, or one of another body.
        NotReadable: the body is no event.
    """
    token = call.authorization.removeprefix("Bearer ")
    if len(call.body) > _MAX_BODY or not 0 < len(token) <= _LONGEST_TOKEN:
        raise NotTheServers
    receiver = api.WebhookReceiver(api.TokenVerifier(settings.api_key, settings.secret.reveal()))
    try:
        event = receiver.receive(call.body.decode(), token)
    except ParseError:
        raise NotReadable from None
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        raise NotTheServers from None
    except Exception as error:
        # the library raises the bare class for a hash that is missing or wrong; whatever it is, it is no signature
        raise NotTheServers from error
    if not event.id or not event.event:  # also what JSON of another shape comes out as
        raise NotReadable
    return event
