"""The calls of BigBlueButton's API that the engine makes, as values."""

from __future__ import annotations

import asyncio
from typing import Final

import httpx
import msgspec

from podium_daemon.conference.engine import EngineUnavailable, Person, RoomRole
from podium_daemon.conference.engines.bigbluebutton.answers import NotAnAnswer, ServerAnswer, read_answer
from podium_daemon.conference.engines.bigbluebutton.settings import BigBlueButtonSettings
from podium_daemon.conference.engines.bigbluebutton.signing import call_url, person_of
from podium_protocol.text import single_line

MAX_ANSWER: Final = 2 * 1024 * 1024  # bytes; the list of a meeting of 1,000 people has 400 kB


class EngineHttp:
    """One server's client. Errors never hold the address: it is signed."""

    def __init__(self, who: str, *, patience: float = 10.0, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`who` names the server in errors; `patience` is seconds for a whole answer."""
        self._who = who
        self._patience = patience
        # a redirect would send the signature to the host that the answer names
        self._client = httpx.AsyncClient(timeout=patience, follow_redirects=False, trust_env=False, transport=transport)

    async def get(self, url: str) -> bytes:
        """The body of a 200 answer.

        Raises:
            EngineUnavailable: there was none in time, it was too long, or it was another answer.
        """
        try:
            async with asyncio.timeout(self._patience), self._client.stream("GET", url) as answer:
                return await self._body(answer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            # only the kind of error: the text of some has the address in it
            raise EngineUnavailable(f"{self._who} did not answer ({type(error).__name__})") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _body(self, answer: httpx.Response) -> bytes:
        if answer.status_code != httpx.codes.OK:
            raise EngineUnavailable(f"{self._who} answered with status {answer.status_code}")
        body = bytearray()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > MAX_ANSWER:
                raise EngineUnavailable(f"{self._who} sent an answer of more than {MAX_ANSWER} bytes")
        return bytes(body)


_MAX_NAME = 64  # characters of a name or title that are sent


class MeetingRun(msgspec.Struct, frozen=True):
    """A meeting as the server made it; `create_time` tells this run of it from an earlier one."""

    create_time: str


_MEDIA: Final = ("isListeningOnly", "hasJoinedVoice", "hasVideo")


class Attendees(msgspec.Struct, frozen=True):
    """The people in a meeting: ours by their user ids, those with media, and how many came by another front end."""

    people: dict[str, Person]
    with_media: frozenset[str]
    strangers: int


class BigBlueButtonApi:
    """One server. Every method raises `EngineUnavailable` where the server does not answer, or answers nonsense."""

    def __init__(self, settings: BigBlueButtonSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._http = EngineHttp("BigBlueButton", patience=settings.patience, transport=transport)

    async def version(self) -> str:
        """The API's version; says that the server is there, not that the secret is right."""
        return (await self._call("")).root.value("version")[:32]

    async def create(self, meeting: str, title: str, *, record: bool) -> MeetingRun:
        """Make the meeting, unless it is there already: two equal calls give one meeting."""
        answer = await self._call(
            "create",
            meetingID=meeting,
            name=single_line(title, _MAX_NAME) or "Session",
            record=_flag(record),
            autoStartRecording="false",  # the instructor starts it, after consent
            allowStartStopRecording=_flag(record),
            guestPolicy="ALWAYS_ACCEPT",  # the waiting room is the daemon's; a second one would keep the admitted out
            meta_podium="1",
        )
        create_time = answer.root.value("createTime")
        if not answer.ok or not create_time.isdigit():
            raise EngineUnavailable(f"BigBlueButton did not make the meeting: {_words(answer)}")
        return MeetingRun(create_time)

    def join_url(self, meeting: str, made: MeetingRun, user: str, person: Person) -> str:
        """The signed address that lets `person` into this run of the meeting."""
        role = "VIEWER" if person.role is RoomRole.PARTICIPANT else "MODERATOR"
        parameters = {
            "meetingID": meeting,
            "fullName": person.shown_name,
            "userID": user,
            "role": role,
            "createTime": made.create_time,
            "redirect": "true",
        }
        return self._url("join", parameters)

    async def attendees(self, meeting: str) -> Attendees | None:
        """The people in the meeting; None if the server has no such meeting (any more)."""
        answer = await self._call("getMeetingInfo", meetingID=meeting)
        if not answer.ok and answer.key == "notFound":
            return None
        if not answer.ok:
            raise EngineUnavailable(f"BigBlueButton does not say who is there: {_words(answer)}")
        attendees = answer.root.all("attendees", "attendee")
        users = [each.value("userID") for each in attendees]
        people = {user: person for user in users if (person := person_of(user)) is not None}
        with_media = frozenset(each.value("userID") for each in attendees if any(map(each.is_true, _MEDIA)))
        return Attendees(people, with_media, len(users) - len(people))

    async def end(self, meeting: str) -> None:
        """End the meeting for all people; a missing one counts as ended."""
        answer = await self._call("end", meetingID=meeting)
        if not answer.ok and answer.key != "notFound":
            raise EngineUnavailable(f"BigBlueButton did not end the meeting: {_words(answer)}")

    async def hook(self, meeting: str) -> bool:
        """Ask for webhooks about a meeting; False if the server does not send any."""
        try:
            answer = await self._call("hooks/create", callbackURL=self._settings.callback, meetingID=meeting)
        except EngineUnavailable:
            return False  # bbb-webhooks is a package of its own, and often not there
        return answer.ok

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _call(self, call: str, **parameters: str) -> ServerAnswer:
        body = await self._http.get(self._url(call, parameters))
        try:
            return read_answer(body)
        except NotAnAnswer as error:
            raise EngineUnavailable(
                f"what answers at conference.bigbluebutton.url is no BigBlueButton: {error}"
            ) from None

    def _url(self, call: str, parameters: dict[str, str]) -> str:
        return call_url(self._settings.url, call, parameters, self._settings.secret)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _words(answer: ServerAnswer) -> str:
    if answer.key == "checksumError":
        return "it does not know our checksum: is conference.bigbluebutton.secret_file the server's secret?"
    return single_line(f"{answer.key} {answer.message}", 200)
