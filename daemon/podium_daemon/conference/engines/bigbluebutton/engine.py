"""The BigBlueButton engine: a separate server, entered by addresses that are signed at the click.

The server's reports, by webhook and when asked, are the attendance (`evidence = engine`). It does not say why a person
left, and notices a lost browser only after a while; mute, remove and record are buttons in its own page.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

import httpx
import msgspec
import structlog

from podium_daemon.conference.engine import (
    Capability,
    ControlDone,
    LeaveReason,
    Origin,
    Person,
    RandomBytes,
    RoomId,
    RoomSpec,
)
from podium_daemon.conference.engines.bigbluebutton.api import BigBlueButtonApi, MeetingRun
from podium_daemon.conference.engines.bigbluebutton.settings import ADVICE, CAPABILITIES, BigBlueButtonSettings
from podium_daemon.conference.engines.bigbluebutton.signing import is_signed, meeting_of, person_of, user_of
from podium_daemon.conference.redirect import BAD_SIGNATURE, Entrance, WebhookCall
from podium_daemon.conference.remote_server import RemoteServerEngine
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey

_log = structlog.get_logger(__name__)

MAX_BODY: Final = 64 * 1024  # bytes of a webhook; one event has under 2 kB


class BigBlueButtonEngine(RemoteServerEngine):
    """A `ConferenceEngine`, `Signalling` and `RedirectEngine` for a BigBlueButton server (2.5 or newer)."""

    name: Final = "bigbluebutton"
    capabilities: Final = CAPABILITIES
    evidence: Final = "engine"
    history: Final = False

    def __init__(
        self,
        settings: BigBlueButtonSettings,
        *,
        clock: Clock,
        random_bytes: RandomBytes,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the server's address and secret, the clock that is believed, and a source of unguessable bytes."""
        super().__init__(
            self.name,
            CAPABILITIES,
            ADVICE,
            settings=settings,
            clock=clock,
            random_bytes=random_bytes,
            keys_return=True,  # a person who reloads the meeting's page leaves and returns under the same user id
        )
        self._settings = settings
        self._api = BigBlueButtonApi(settings, transport)
        self._made: dict[str, MeetingRun] = {}  # the runs of meetings, for which webhooks were asked

    async def remove(self, room: RoomId, pubkey: Pubkey, reason: str) -> ControlDone | Rejection:
        """See `ConferenceEngine`. Attendance ends, entrances are void; the meeting's page has a button to remove."""
        removed = self.roster.remove(room, pubkey)
        self._lobby.remove(room, pubkey, reason)
        return (
            removed if isinstance(removed, Rejection) else ControlDone(removed[0].connections, ADVICE[Capability.KICK])
        )

    async def notified(self, call: WebhookCall) -> Rejection | None:
        """See `RedirectEngine`."""
        if len(call.body) > MAX_BODY or not is_signed(
            self._settings.callback, call.body, call.checksum, self._settings.secret
        ):
            self.flaws["bad_signature"] += 1
            return BAD_SIGNATURE
        if not self.is_new(call.checksum):
            return None
        told = read_webhook(call.body)
        if told is None:
            self.flaws["not_readable"] += 1
            return Rejection(Slug.BAD_WEBHOOK, "the webhook is signed and cannot be read", "Look for a newer Podium.")
        for event in told:
            self._take(event)
        return None

    # -- as a `RemoteServerEngine`

    def name_of(self, room: RoomId) -> str:
        """See `RemoteServerEngine`."""
        return meeting_of(room)

    async def reach(self) -> None:
        """See `RemoteServerEngine`."""
        await self._api.version()

    async def make_room(self, spec: RoomSpec) -> None:
        """See `RemoteServerEngine`. Webhooks are asked for once a run."""
        meeting = meeting_of(spec.room)
        made = await self._api.create(meeting, spec.title, record=spec.allow_recording)
        if self._made.get(meeting) != made:
            self._made[meeting] = made
            if not await self._api.hook(meeting):
                _log.info("no webhooks from BigBlueButton; it is asked instead", action="bigbluebutton.no_webhooks")

    async def end_room(self, name: str) -> None:
        """See `RemoteServerEngine`."""
        await self._api.end(name)
        self._made.pop(name, None)

    async def compare_room(self, room: RoomId) -> None:
        """See `RemoteServerEngine`."""
        mark = self.roster.mark()
        attendees = await self._api.attendees(meeting_of(room))
        if attendees is not None:
            self.flaws["strangers"] = attendees.strangers
        self.roster.reconcile(room, {} if attendees is None else attendees.people, mark)
        for user in () if attendees is None else attendees.with_media:
            self.roster.media_up(room, user, self.roster.now(), origin=Origin.SNAPSHOT)

    async def entrance(self, room: RoomId, person: Person) -> Entrance:
        """See `RemoteServerEngine`."""
        meeting = meeting_of(room)
        user = user_of(person, self._random_bytes(16))
        self.roster.issued(room, user, person.pubkey)
        return Entrance(self._api.join_url(meeting, self._made[meeting], user, person))

    async def close_connections(self) -> None:
        """See `RemoteServerEngine`."""
        await self._api.aclose()

    def _take(self, event: WebhookEvent) -> None:
        room = self._names.get(event.meeting)
        if room is None:
            return
        if event.name == "meeting-ended":
            members = self.roster.members(room)
            for member in [] if isinstance(members, Rejection) else members:
                self.roster.note_departure(room, member.key, event.at, LeaveReason.UNKNOWN)
        elif event.name == "user-joined" and (person := person_of(event.user)) is not None:
            self.roster.arrived(room, event.user, person, event.at)
        elif event.name == "user-left":
            self.roster.note_departure(room, event.user, event.at, LeaveReason.UNKNOWN)


# -- webhooks, which are forms with `event` (a JSON list), `timestamp` and `domain`


class _WebhookMeeting(msgspec.Struct):
    external: str = msgspec.field(name="external-meeting-id")


class _WebhookUser(msgspec.Struct):
    external: str = msgspec.field(name="external-user-id", default="")


class _WebhookAttributes(msgspec.Struct):
    meeting: _WebhookMeeting
    user: _WebhookUser = msgspec.field(default_factory=_WebhookUser)


class _WebhookMoment(msgspec.Struct):
    ts: int  # milliseconds


class _WebhookData(msgspec.Struct):
    id: str
    attributes: _WebhookAttributes
    event: _WebhookMoment


class _WebhookMessage(msgspec.Struct):
    data: _WebhookData


class WebhookEvent(msgspec.Struct, frozen=True):
    """One event: its name (`user-joined`), the meeting, the user id or empty, and Unix seconds."""

    name: str
    meeting: str
    user: str
    at: float


_decode_webhook: Final = msgspec.json.Decoder(list[_WebhookMessage]).decode


def read_webhook(body: bytes) -> list[WebhookEvent] | None:
    """The events of a webhook's body that name a meeting, or None if it is none."""
    try:
        form = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8)
        (event,) = form["event"]
        messages = _decode_webhook(event)
    except (ValueError, KeyError, RecursionError):  # also msgspec's own, and bytes that are no ASCII
        return None
    return [
        WebhookEvent(
            message.data.id,
            message.data.attributes.meeting.external,
            message.data.attributes.user.external,
            message.data.event.ts / 1000,
        )
        for message in messages
    ]
