"""A LiveKit server, played: it checks the token of every call and what it grants, and speaks protobuf (Twirp)."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import time
from collections.abc import Awaitable, Callable

import jwt
import msgspec
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from livekit import api

from tests.support.http_stage import Call, Reply

NOTICES_AFTER = 15  # seconds of silence until a client is given up, as in the real one


class Client(msgspec.Struct):
    """A browser in a room."""

    room: str
    info: api.ParticipantInfo
    lost_at: float | None = None


class Gone(Exception):
    """There is no such thing."""


class FakeLiveKit:
    """`answer` is its HTTP side. `spoil`, if set, answers in its place."""

    def __init__(self, key: str, secret: str, now: Callable[[], float]) -> None:
        self.key = key
        self.secret = secret
        self.now = now
        self.rooms: dict[str, api.Room] = {}
        self.clients: list[Client] = []
        self.egresses: dict[str, api.EgressInfo] = {}
        self.calls: list[str] = []
        self.refused_tokens: list[str] = []
        self.sends_webhooks = True
        self.deliver: Callable[[str, bytes], Awaitable[None]] | None = None
        self.spoil: Callable[[Call], Awaitable[Reply | None]] | None = None
        self._numbers = itertools.count(1)

    async def answer(self, call: Call) -> Reply:
        """One Twirp call."""
        if self.spoil is not None and (spoiled := await self.spoil(call)) is not None:
            return spoiled
        name = call.target.rpartition(".")[2]
        self.calls.append(name.partition("/")[2])
        kind, needs, routine = self._routes()[name]
        assert call.headers["content-type"] == "application/protobuf"
        request = kind.FromString(call.body)
        refusal = self._refusal(call.headers.get("authorization", ""), needs, getattr(request, "room", ""))
        if refusal is not None:
            self.refused_tokens.append(refusal)
            return failed(401, "unauthenticated", refusal)
        try:
            said = await routine(request)
        except Gone:
            return failed(404, "not_found", "not here")
        return Reply(body=said.SerializeToString(), headers=(("Content-Type", "application/protobuf"),))

    def _refusal(self, authorization: str, needs: str, room: str) -> str | None:
        try:
            claims = self._claims(authorization.removeprefix("Bearer "))
        except jwt.PyJWTError as error:
            return str(error)
        video = claims.get("video", {})
        if not video.get(needs):
            return f"the token does not grant {needs}"
        if needs == "roomAdmin" and (not room or video.get("room") != room):
            return "the token is for another room"
        return None

    def _claims(self, token: str) -> dict[str, dict[str, object]]:
        claims: dict[str, dict[str, object]] = jwt.decode(
            token, self.secret, algorithms=["HS256"], issuer=self.key, options={"require": ["exp", "iss"]}
        )
        return claims

    def _routes(self) -> dict[str, tuple[type[Message], str, Callable[..., Awaitable[Message]]]]:
        return {
            "RoomService/CreateRoom": (api.CreateRoomRequest, "roomCreate", self._create),
            "RoomService/ListRooms": (api.ListRoomsRequest, "roomList", self._list_rooms),
            "RoomService/DeleteRoom": (api.DeleteRoomRequest, "roomCreate", self._delete),
            "RoomService/ListParticipants": (api.ListParticipantsRequest, "roomAdmin", self._participants),
            "RoomService/RemoveParticipant": (api.RoomParticipantIdentity, "roomAdmin", self._remove),
            "RoomService/MutePublishedTrack": (api.MuteRoomTrackRequest, "roomAdmin", self._mute),
            "Egress/StartTrackEgress": (api.TrackEgressRequest, "roomRecord", self._record),
            "Egress/StopEgress": (api.StopEgressRequest, "roomRecord", self._stop_egress),
            "Egress/ListEgress": (api.ListEgressRequest, "roomRecord", self._list_egress),
        }

    # -- what browsers do

    async def connect(self, token: str) -> Client | None:
        """A browser opens the signal connection with a token; None if it is refused."""
        try:
            claims = self._claims(token)
        except jwt.PyJWTError as error:
            self.refused_tokens.append(str(error))
            return None
        video = claims["video"]
        assert video["roomJoin"]
        name = str(video["room"])
        if name not in self.rooms:  # the server makes a room for a person who may join it
            await self._create(api.CreateRoomRequest(name=name))
        identity = str(claims["sub"])
        info = api.ParticipantInfo(
            sid=f"PA_{next(self._numbers)}",
            identity=identity,
            name=str(claims.get("name", "")),
            state=api.ParticipantInfo.State.ACTIVE,
            joined_at=int(self.now()),
            attributes={str(each): str(value) for each, value in claims.get("attributes", {}).items()},
            permission=api.ParticipantPermission(
                can_publish=bool(video["canPublish"]),
                can_publish_sources=[
                    api.TrackSource.Value(str(source).upper())
                    for source in video.get("canPublishSources", [])  # type: ignore[attr-defined]  # JSON
                ],
            ),
        )
        for old in [each for each in self._in(name) if each.info.identity == identity]:
            await self.close(old, api.DisconnectReason.DUPLICATE_IDENTITY)
        client = Client(name, info)
        self.clients.append(client)
        await self.tell(name, "participant_joined", info)
        return client

    async def publish(self, client: Client, source: api.TrackSource) -> api.TrackInfo | None:
        """A browser sends a track; None if it may not."""
        may = client.info.permission
        if not may.can_publish or source not in may.can_publish_sources:
            return None
        track = client.info.tracks.add(sid=f"TR_{next(self._numbers)}", source=source)
        await self.tell(client.room, "track_published", client.info, track)
        return track

    async def close(self, client: Client, reason: api.DisconnectReason) -> None:
        """The connection is over."""
        if any(each is client for each in self.clients):
            self.clients = [each for each in self.clients if each is not client]
            info = api.ParticipantInfo()
            info.CopyFrom(client.info)
            info.disconnect_reason = reason
            info.state = api.ParticipantInfo.State.DISCONNECTED
            await self.tell(client.room, "participant_left", info)

    async def tick(self) -> None:
        """Drop people who were silent for long enough."""
        for client in list(self.clients):
            if client.lost_at is not None and self.now() - client.lost_at >= NOTICES_AFTER:
                await self.close(client, api.DisconnectReason.CONNECTION_TIMEOUT)

    def finish_egresses(self, status: api.EgressStatus = api.EgressStatus.EGRESS_COMPLETE) -> None:
        """The workers are done."""
        for info in self.egresses.values():
            info.status = status

    def crash(self) -> None:
        """Restart the server; no webhook is sent."""
        self.rooms.clear()
        self.clients.clear()

    # -- calls

    async def _create(self, given: api.CreateRoomRequest) -> api.Room:
        if given.name not in self.rooms:
            self.rooms[given.name] = api.Room(name=given.name, sid=f"RM_{next(self._numbers)}")
        return self.rooms[given.name]

    async def _list_rooms(self, given: api.ListRoomsRequest) -> api.ListRoomsResponse:
        return api.ListRoomsResponse(rooms=[room for room in self.rooms.values() if room.name in given.names])

    async def _delete(self, given: api.DeleteRoomRequest) -> api.DeleteRoomResponse:
        room = self.rooms.get(given.room)
        if room is None:
            raise Gone
        for client in self._in(given.room):
            await self.close(client, api.DisconnectReason.ROOM_DELETED)
        await self.tell(given.room, "room_finished")
        del self.rooms[given.room]
        return api.DeleteRoomResponse()

    async def _participants(self, given: api.ListParticipantsRequest) -> api.ListParticipantsResponse:
        if given.room not in self.rooms:
            raise Gone
        return api.ListParticipantsResponse(participants=[client.info for client in self._in(given.room)])

    async def _remove(self, given: api.RoomParticipantIdentity) -> api.RemoveParticipantResponse:
        await self.close(self._client(given.room, given.identity), api.DisconnectReason.PARTICIPANT_REMOVED)
        return api.RemoveParticipantResponse()

    async def _mute(self, given: api.MuteRoomTrackRequest) -> api.MuteRoomTrackResponse:
        for track in self._client(given.room, given.identity).info.tracks:
            if track.sid == given.track_sid:
                track.muted = given.muted
                return api.MuteRoomTrackResponse(track=track)
        raise Gone

    async def _record(self, given: api.TrackEgressRequest) -> api.EgressInfo:
        tracks = [(client, track) for client in self._in(given.room_name) for track in client.info.tracks]
        source = next((track.source for _, track in tracks if track.sid == given.track_id), None)
        if source is None:
            raise Gone
        ending = "ogg" if source in (api.TrackSource.MICROPHONE, api.TrackSource.SCREEN_SHARE_AUDIO) else "webm"
        file = api.FileInfo(filename=f"{given.file.filepath}.{ending}", started_at=int(self.now() * 1e9))
        info = api.EgressInfo(
            egress_id=f"EG_{next(self._numbers)}",
            room_name=given.room_name,
            status=api.EgressStatus.EGRESS_ACTIVE,
            track=given,
            file_results=[file],
        )
        self.egresses[info.egress_id] = info
        return info

    async def _stop_egress(self, given: api.StopEgressRequest) -> api.EgressInfo:
        if given.egress_id not in self.egresses:
            raise Gone
        info = self.egresses[given.egress_id]
        info.status = api.EgressStatus.EGRESS_ENDING
        return info

    async def _list_egress(self, given: api.ListEgressRequest) -> api.ListEgressResponse:
        return api.ListEgressResponse(
            items=[each for each in self.egresses.values() if each.room_name == given.room_name]
        )

    # -- webhooks

    async def tell(
        self,
        room: str,
        name: str,
        participant: api.ParticipantInfo | None = None,
        track: api.TrackInfo | None = None,
    ) -> None:
        """Send a webhook, if there is a receiver."""
        if self.deliver is not None and self.sends_webhooks:
            await self.deliver(*self.webhook(self.event(room, name, participant, track)))

    def event(
        self,
        room: str,
        name: str,
        participant: api.ParticipantInfo | None = None,
        track: api.TrackInfo | None = None,
    ) -> bytes:
        """The body of a webhook."""
        found = self.rooms.get(room) or api.Room(name=room)
        event = api.WebhookEvent(
            event=name,
            id=f"EV_{next(self._numbers)}",
            created_at=int(self.now()),
            room=found,
            participant=participant,
            track=track,
        )
        return MessageToJson(event).encode()

    def webhook(self, body: bytes, **claims: object) -> tuple[str, bytes]:
        """`Authorization` and body; `claims` replace those of the token, None leaves one out."""
        good: dict[str, object] = {
            "iss": self.key,
            "exp": int(time.time()) + 300,  # the library looks at the machine's own clock
            "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }
        kept = {name: value for name, value in (good | claims).items() if value is not None}
        return jwt.encode(kept, self.secret, algorithm="HS256"), body

    def _in(self, room: str) -> list[Client]:
        return [client for client in self.clients if client.room == room]

    def _client(self, room: str, identity: str) -> Client:
        for client in self._in(room):
            if client.info.identity == identity:
                return client
        raise Gone


def failed(status: int, code: str, message: str) -> Reply:
    """Twirp's way to say no."""
    return Reply(status, json.dumps({"code": code, "msg": message}).encode(), (("Content-Type", "application/json"),))
