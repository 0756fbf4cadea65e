"""The engine's calls to a LiveKit server. Every one raises `EngineUnavailable` where there is no answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable
from typing import Final, TypeVar
from urllib.parse import urlencode

import aiohttp
from google.protobuf.message import DecodeError
from livekit import api

from podium_daemon.conference.engine import EngineUnavailable, Person
from podium_daemon.conference.engines.livekit.identities import ENTRANCE, ROLE, RUN, SOURCES
from podium_daemon.conference.engines.livekit.settings import LiveKitSettings
from podium_protocol.text import single_line

T = TypeVar("T")

_TOKEN_SECONDS: Final = 300
_EMPTY_SECONDS: Final = 600  # an empty room is kept: people come and go before a session starts
_GONE: Final = (api.ServerErrorCode.NOT_FOUND, api.ServerErrorCode.FAILED_PRECONDITION)


class LiveKitServer:
    """One server. Made outside an event loop; its connections are opened by the first call."""

    def __init__(self, settings: LiveKitSettings) -> None:
        self._settings = settings
        self._api: api.LiveKitAPI | None = None

    # -- rooms

    async def make_room(self, name: str) -> str:
        """Make a room, unless it is there already; return the id of this run, which no earlier run had."""
        request = api.CreateRoomRequest(name=name, empty_timeout=_EMPTY_SECONDS, departure_timeout=_EMPTY_SECONDS)
        room = await self._said(self._calls.room.create_room(request))
        if not room.sid:
            raise EngineUnavailable("LiveKit made a room without an id")
        return room.sid

    async def end_room(self, name: str) -> None:
        """Delete a room and remove all people; a missing one counts as ended."""
        await self._unless_gone(self._calls.room.delete_room(api.DeleteRoomRequest(room=name)))

    async def reach(self) -> None:
        """Ask for an empty list of rooms, to see whether the server answers and knows our key."""
        await self._said(self._calls.room.list_rooms(api.ListRoomsRequest(names=["podium"])))

    # -- people

    def entrance(self, name: str, run: str, person: Person, entrance: str) -> str:
        """The address of the front end with a token in it: for one room, one identity, 5 minutes. Never stored."""
        grants = api.VideoGrants(
            room_join=True,
            room=name,
            can_publish=True,
            can_publish_sources=[api.TrackSource.Name(source).lower() for source in SOURCES],
            can_subscribe=True,
            can_publish_data=True,
            can_update_own_metadata=False,
        )
        token = (
            api.AccessToken(self._settings.api_key, self._settings.secret.reveal())
            .with_identity(person.identity)
            .with_name(person.shown_name)
            .with_attributes({ROLE: person.role.value, RUN: run, ENTRANCE: entrance})
            .with_ttl(dt.timedelta(seconds=_TOKEN_SECONDS))
            .with_grants(grants)
            .to_jwt()
        )
        query = urlencode({"liveKitUrl": self._settings.url, "token": token})
        return f"{self._settings.front_end.rstrip('/')}/custom?{query}"

    async def participants(self, name: str) -> list[api.ParticipantInfo] | None:
        """Who is in a room; None if the server has no such room."""
        request = api.ListParticipantsRequest(room=name)
        answer = await self._unless_gone(self._calls.room.list_participants(request))
        return None if answer is None else list(answer.participants)

    async def remove(self, name: str, identity: str) -> None:
        """Remove a person; a missing one counts as removed."""
        request = api.RoomParticipantIdentity(room=name, identity=identity)
        await self._unless_gone(self._calls.room.remove_participant(request))

    async def mute(self, name: str, identity: str, track: str) -> bool:
        """Silence one track; False if it is gone."""
        request = api.MuteRoomTrackRequest(room=name, identity=identity, track_sid=track, muted=True)
        return await self._unless_gone(self._calls.room.mute_published_track(request)) is not None

    # -- recording

    async def record_track(self, name: str, track: str, path: str) -> str | None:
        """Have a track written to `path` as it is sent; returns the egress id, or None if the track is gone."""
        file = api.DirectFileOutput(filepath=path, disable_manifest=True)
        request = api.TrackEgressRequest(room_name=name, track_id=track, file=file)
        answer = await self._unless_gone(self._calls.egress.start_track_egress(request))
        return None if answer is None else answer.egress_id

    async def stop_egress(self, egress: str) -> None:
        """End a recording of a track; one that ended is ended."""
        await self._unless_gone(self._calls.egress.stop_egress(api.StopEgressRequest(egress_id=egress)))

    async def egresses(self, name: str) -> list[api.EgressInfo]:
        """Every recording of a room that the server remembers."""
        answer = await self._said(self._calls.egress.list_egress(api.ListEgressRequest(room_name=name)))
        return list(answer.items)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._api is not None:
            await self._api.aclose()
            self._api = None

    # -- inside

    @property
    def _calls(self) -> api.LiveKitAPI:
        if self._api is None:
            timeout = aiohttp.ClientTimeout(total=self._settings.patience)
            # without failover: another region's server would be asked about rooms it does not have
            self._api = api.LiveKitAPI(
                self._settings.url,
                self._settings.api_key,
                self._settings.secret.reveal(),
                timeout=timeout,
                failover=False,
            )
        return self._api

    async def _unless_gone(self, call: Awaitable[T]) -> T | None:
        try:
            return await self._said(call)
        except _Gone:
            return None

    async def _said(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except api.ServerError as error:
            if error.code in _GONE:
                raise _Gone(f"LiveKit has no such thing ({error.code})") from None
            words = single_line(f"{error.code} {error.message}", 200)
            if error.code == api.ServerErrorCode.UNAUTHENTICATED or error.status in (401, 403):
                words = "it does not know our key: are conference.livekit.api_key and secret_file the server's?"
            raise EngineUnavailable(f"LiveKit refused: {words}") from None
        except (aiohttp.ClientError, TimeoutError, DecodeError, ValueError, TypeError, AttributeError) as error:
            # only the kind of error: an answer that is no protobuf, or no answer
            raise EngineUnavailable(f"LiveKit did not answer ({type(error).__name__})") from None


class _Gone(EngineUnavailable):
    """The room, person or track of a call does not exist (any more)."""
