"""BigBlueButton, played: it checks every checksum, speaks its XML, ends what is ended, and sends signed webhooks."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.sax.saxutils import escape

import msgspec

from tests.support.http_stage import Call, Reply

NOTICES_AFTER = 15  # seconds until a lost browser is dropped


class User(msgspec.Struct):
    """A person's browser in a meeting."""

    user_id: str
    internal: str
    name: str
    role: str
    lost_at: float | None = None
    listens: bool = False


class RunningMeeting(msgspec.Struct):
    """One run of a meeting."""

    meeting_id: str
    name: str
    create_time: int
    record: bool
    users: list[User] = msgspec.field(default_factory=list)


class FakeBigBlueButton:
    """`answer` is its HTTP side. `spoil`, if set, answers in its place."""

    def __init__(self, secret: str, now: Callable[[], float]) -> None:
        self.secret = secret
        self.now = now
        self.meetings: dict[str, RunningMeeting] = {}
        self.calls: list[str] = []
        self.bad_checksums = 0
        self.hooks: dict[str, str] = {}
        self.has_webhooks = True
        self.deliver: Callable[[str, bytes], Awaitable[None]] | None = None
        self.spoil: Callable[[Call], Awaitable[Reply | None]] | None = None
        self._numbers = itertools.count(1)

    async def answer(self, call: Call) -> Reply:
        """One API call."""
        if self.spoil is not None and (spoiled := await self.spoil(call)) is not None:
            return spoiled
        parts = urlsplit(call.target)
        name = parts.path.removeprefix("/bigbluebutton/api").removeprefix("/")
        self.calls.append(name)
        if name == "":
            return _xml("<returncode>SUCCESS</returncode><version>2.0</version>")
        query, _, checksum = parts.query.rpartition("checksum=")
        query = query.removesuffix("&")
        if checksum != hashlib.sha256(f"{name}{query}{self.secret}".encode()).hexdigest():
            self.bad_checksums += 1
            return failed("checksumError", "Checksums do not match")
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs), "a parameter is given twice"
        return await self._routes()[name](dict(pairs))

    def _routes(self) -> dict[str, Callable[[dict[str, str]], Awaitable[Reply]]]:
        return {
            "create": self._create,
            "join": self._join,
            "getMeetingInfo": self._info,
            "end": self._end,
            "hooks/create": self._hook,
        }

    # -- what browsers do

    def users(self) -> list[User]:
        """All people in the meeting."""
        return [user for meeting in self.meetings.values() for user in meeting.users]

    async def leave(self, user: User) -> None:
        """A person clicks on Leave, or the server notices that they are gone."""
        for meeting in self.meetings.values():
            if any(each is user for each in meeting.users):
                meeting.users = [each for each in meeting.users if each is not user]
                await self._tell(meeting, "user-left", user)

    async def tick(self) -> None:
        """Drop people whose connection was lost for long enough."""
        for user in self.users():
            if user.lost_at is not None and self.now() - user.lost_at >= NOTICES_AFTER:
                await self.leave(user)

    async def end_by_moderator(self, meeting_id: str) -> None:
        """A moderator ends the meeting for all in its own page."""
        meeting = self.meetings.pop(meeting_id)
        await self._tell(meeting, "meeting-ended")

    def crash(self) -> None:
        """Restart the server: no webhook is sent, and no state is left."""
        self.meetings.clear()
        self.hooks.clear()

    # -- calls

    async def _create(self, given: dict[str, str]) -> Reply:
        assert given["autoStartRecording"] == "false"
        meeting = self.meetings.get(given["meetingID"])
        again = meeting is not None
        if meeting is None:
            created = int(self.now() * 1000) + next(self._numbers)
            meeting = RunningMeeting(given["meetingID"], given["name"], created, given["record"] == "true")
            self.meetings[meeting.meeting_id] = meeting
        warning = "<messageKey>duplicateWarning</messageKey>" if again else ""
        return _xml(
            f"<returncode>SUCCESS</returncode><meetingID>{meeting.meeting_id}</meetingID>"
            f"<createTime>{meeting.create_time}</createTime>{warning}"
        )

    async def _join(self, given: dict[str, str]) -> Reply:
        meeting = self.meetings.get(given["meetingID"])
        if meeting is None:
            return failed("notFound", "There is no such meeting")
        if given["createTime"] != str(meeting.create_time):
            return failed("mismatchCreateTimeParam", "The createTime is of another meeting")
        assert given["role"] in ("VIEWER", "MODERATOR")
        user = User(given["userID"], f"w_{next(self._numbers)}", given["fullName"], given["role"])
        meeting.users.append(user)
        await self._tell(meeting, "user-joined", user)
        return Reply(302, headers=(("Location", f"/html5client/join?sessionToken={user.internal}"),))

    async def _info(self, given: dict[str, str]) -> Reply:
        meeting = self.meetings.get(given["meetingID"])
        if meeting is None:
            return failed("notFound", "A meeting with that ID does not exist")
        attendees = "".join(
            f"<attendee><userID>{escape(user.user_id)}</userID><fullName><![CDATA[{user.name}]]></fullName>"
            f"<role>{user.role}</role><isPresenter>false</isPresenter>"
            f"<isListeningOnly>{str(user.listens).lower()}</isListeningOnly></attendee>"
            for user in meeting.users
        )
        return _xml(
            f"<returncode>SUCCESS</returncode><meetingName>{escape(meeting.name)}</meetingName>"
            f"<recording>false</recording><attendees>{attendees}</attendees><metadata><podium>1</podium></metadata>"
        )

    async def _end(self, given: dict[str, str]) -> Reply:
        meeting = self.meetings.pop(given["meetingID"], None)
        if meeting is None:
            return failed("notFound", "We could not find a meeting with that meeting ID")
        await self._tell(meeting, "meeting-ended")
        return _xml("<returncode>SUCCESS</returncode><messageKey>sentEndMeetingRequest</messageKey>")

    async def _hook(self, given: dict[str, str]) -> Reply:
        if not self.has_webhooks:
            return Reply(404)
        self.hooks[given["meetingID"]] = given["callbackURL"]
        return _xml("<returncode>SUCCESS</returncode><hookID>1</hookID>")

    # -- webhooks

    def webhook(self, callback: str, events: object) -> tuple[str, bytes]:
        """The checksum and the body of a webhook."""
        form = {"domain": "bbb.example.org", "event": json.dumps(events), "timestamp": str(int(self.now() * 1000))}
        body = urlencode(form).encode()
        return hashlib.sha256(callback.encode() + body + self.secret.encode()).hexdigest(), body

    def event(self, name: str, meeting_id: str, user: User | None = None) -> dict[str, object]:
        """One event as bbb-webhooks maps it."""
        attributes: dict[str, object] = {
            "meeting": {"internal-meeting-id": "x", "external-meeting-id": meeting_id},
        }
        if user is not None:
            attributes["user"] = {"internal-user-id": user.internal, "external-user-id": user.user_id}
        moment = {"ts": int(self.now() * 1000)}
        return {"data": {"type": "event", "id": name, "attributes": attributes, "event": moment}}

    async def _tell(self, meeting: RunningMeeting, name: str, user: User | None = None) -> None:
        callback = self.hooks.get(meeting.meeting_id)
        if callback is None or self.deliver is None:
            return
        checksum, body = self.webhook(callback, [self.event(name, meeting.meeting_id, user)])
        await self.deliver(checksum, body)


def failed(key: str, message: str) -> Reply:
    """BigBlueButton's way to say no: status 200."""
    return _xml(f"<returncode>FAILED</returncode><messageKey>{key}</messageKey><message>{message}</message>")


def _xml(inside: str) -> Reply:
    return Reply(body=f"<response>{inside}</response>".encode(), headers=(("Content-Type", "text/xml"),))
