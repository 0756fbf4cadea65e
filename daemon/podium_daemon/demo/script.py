"""The script: every step is observed from outside the daemon, on the relay, in an inbox or over HTTP."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from podium_daemon.api.attendance import AttendanceOut
from podium_daemon.api.base import TemplateModel
from podium_daemon.api.sessions import Counts, SessionOut
from podium_daemon.client import SessionWish
from podium_daemon.demo.people import DemoPerson, Participant, UnwrappedMessage, open_wire
from podium_daemon.demo.stage import MEETING_URL, DemoPlan, DemoStage
from podium_protocol import kinds
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.attendance_record import AttendanceRecord, read_attendance_record
from podium_protocol.live.completion import CompletionWay
from podium_protocol.live.live_status import Meeting, MeetingStatus, read_meeting
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.session import Session, read_session
from podium_protocol.nips.nip19 import encode_naddr

T = TypeVar("T")

TITLE: Final = "Know your rights"
_PATIENCE: Final = 12.0  # seconds; these machines are shared and noisy


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was observed, or was not."""

    step: str
    ok: bool
    saw: str = ""


class StepFailed(Exception):
    """An expected observation was not made."""


class Story:
    """One session's life with an instructor and three participants."""

    def __init__(self, plan: DemoPlan, stage: DemoStage, instructor: SecretKey) -> None:
        self._plan = plan
        self._stage = stage
        self._instructor_key = instructor
        self._session: Session | None = None

    async def play_steps(self) -> AsyncIterator[Step]:
        """Play the steps one by one; ends after the first that fails."""
        async with AsyncExitStack() as stack:

            async def wire() -> Any:
                return await stack.enter_async_context(open_wire(self._stage.relay_url))

            base = self._stage.base_url
            self.instructor = DemoPerson("instructor", await wire(), base, self._instructor_key)
            self.ada = Participant("first participant", await wire(), base)
            self.ben = Participant("second participant", await wire(), base)
            self.cem = Participant("third participant", await wire(), base)
            for person in (self.instructor, *self._people):
                stack.push_async_callback(person.podium.close)
            for name, act in self._acts():
                try:
                    saw = await act()
                except (StepFailed, TimeoutError, AssertionError, OSError) as error:
                    yield Step(name, ok=False, saw=str(error) or "nothing of it was seen in time")
                    return
                except Exception as error:  # noqa: BLE001  (a demo reports what went wrong as a step that failed)
                    yield Step(name, ok=False, saw=f"{type(error).__name__}: {error}")
                    return
                yield Step(name, ok=True, saw=saw)

    @property
    def session(self) -> Session:
        """The session, once it is scheduled."""
        assert self._session is not None, "the steps are played in their order"
        return self._session

    @property
    def pages(self) -> tuple[str, ...]:
        """The page of the session, if there is one, and the list of sessions."""
        base = self._stage.base_url
        own = () if self._session is None else (f"{base}/s/{encode_naddr(self._session.address)}",)
        return (*own, f"{base}/")

    def _acts(self) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        return [
            ("inboxes", self._inboxes),
            ("schedule", self._schedule),
            ("planned", self._planned),
            ("rsvp", self._rsvp),
            ("seats", self._seats),
            ("confirmations", self._confirmations),
            ("reminder-day", lambda: self._reminder(self._plan.day, link=False)),
            ("reminder-hour", lambda: self._reminder(self._plan.hour, link=False)),
            ("reminder-quarter", lambda: self._reminder(self._plan.quarter, link=True)),
            ("live", self._live),
            ("reminder-start", lambda: self._reminder(0, link=True)),
            ("join", self._join),
            ("present", self._present),
            ("drop", self._drop),
            ("leave-early", self._leave_early),
            ("return", self._return),
            ("end", self._end),
            ("attendance", self._attendance),
            ("silence", self._silence),
        ]

    # -- before

    async def _inboxes(self) -> str:
        for person in self._people:
            await person.open_inbox(self._stage.relay_url, self._stage.service_pubkey)
        return f"three kind 10050 lists on {self._stage.relay_url}"

    async def _schedule(self) -> str:
        self.starts_at = int(time.time()) + self._plan.start_in
        wish = SessionWish(
            title=TITLE,
            summary="A session that is played in under a minute.",
            scheduled_at=self.starts_at,
            duration=1,
            timezone="Europe/Berlin",
            max_participants=2,
            requires_rsvp=True,
        )
        podium = self.instructor.podium
        draft = await podium.draft_session(wish)
        # the draft's shortest session is a minute; the instructor's client may sign any end it likes
        events = tuple(_ends(event, self.starts_at + self._plan.lasts) for event in draft.events)
        await podium.submit(await podium.sign(draft.model_copy(update={"events": events})))
        event = await self._seen(Filter(kinds=(kinds.SESSION,), authors=(self.instructor.secret.pubkey,)))
        session = read_session(event)
        if not isinstance(session, Session) or session.title != TITLE:
            raise StepFailed(f"the relay holds something else: {event}")
        self._session = session
        return f"kind 31923 {event.id[:8]} on the relay, starts in {self.starts_at - int(time.time())} s"

    async def _planned(self) -> str:
        meeting = await self._meeting(MeetingStatus.PLANNED)
        return f"kind 30313 by the service, status {meeting.status}, room {meeting.identifier[:8]}"

    async def _rsvp(self) -> str:
        answers = {self.ada: RsvpStatus.CONFIRMED, self.ben: RsvpStatus.TENTATIVE, self.cem: RsvpStatus.DECLINED}
        for person, status in answers.items():
            await person.answer(self.session.address, status, self.session.event_id)
        return "confirmed, tentative and declined, each published by its own key on its own socket"

    async def _seats(self) -> str:
        async def counted() -> str | None:
            shown = await self._shown()
            right = shown.counts == Counts(confirmed=1, tentative=1, declined=1) and shown.seats_taken == 1
            return "the instructor sees 1 confirmed with a seat, 1 tentative, 1 declined" if right else None

        return await self._until(counted)

    async def _confirmations(self) -> str:
        letters = [await person.letter(self._is_answer, _PATIENCE) for person in (self.ada, self.ben)]
        return f"two unwrapped: {letters[0].subject!r}, {letters[1].subject!r}"

    async def _reminder(self, before: int, *, link: bool) -> str:
        due = self.starts_at - before
        patience = max(due - time.time(), 0) + _PATIENCE

        def is_it(letter: UnwrappedMessage) -> bool:
            return letter.due_at == due and not self._is_answer(letter)

        letters = [await person.letter(is_it, patience) for person in (self.ada, self.ben)]
        if link and not all(self._links(letter) for letter in letters):
            raise StepFailed("the message has no link to join")
        late = max(letter.at for letter in letters) - due
        return f"two unwrapped, {late:.1f} s after they were due: {letters[0].subject!r}"

    # -- during

    async def _live(self) -> str:
        meeting = await self._meeting(MeetingStatus.LIVE, self.starts_at - time.time() + _PATIENCE)
        return f"kind 30313 says live, starts {meeting.starts_at - self.starts_at:+d} s from the schedule"

    async def _join(self) -> str:
        letter = await self.ada.letter(lambda one: one.due_at == self.starts_at and self._links(one), _PATIENCE)
        # the path of the link in the message is the session's naddr
        self.reference = next(urlsplit(link).path.rsplit("/", 1)[1] for link in self._links_of(letter))
        self.ada_chair = await self.ada.join(self.reference)
        self.ben_chair = await self.ben.join(self.reference)
        if self.ada_chair.meeting_url != MEETING_URL:
            raise StepFailed(f"the room leads to {self.ada_chair.meeting_url}")
        return "two joined by the link of the message, one signature each, and were given the meeting"

    async def _present(self) -> str:
        async def two() -> str | None:
            shown = await self._shown()
            rows = await self._attended()
            seconds = [row.total_duration for row in rows]
            if shown.participant_count != 2 or len(rows) != 2 or min(seconds) < 2:
                return None
            return f"the instructor sees 2 people present, for {seconds[0]} and {seconds[1]} s so far"

        return await self._until(two)

    async def _drop(self) -> str:
        await self.ada_chair.drop()

        async def one() -> str | None:
            shown = await self._shown()
            return "the first one's connection died without a word; 1 present" if shown.participant_count == 1 else None

        return await self._until(one)

    async def _leave_early(self) -> str:
        await self.ben_chair.leave()

        async def none() -> str | None:
            shown = await self._shown()
            return "the second one said goodbye; nobody present" if shown.participant_count == 0 else None

        return await self._until(none)

    async def _return(self) -> str:
        await asyncio.sleep(2.5)  # away for longer than the bridge, so that the return is a new join
        self.ada_chair = await self.ada_chair.come_back()

        async def joined() -> str | None:
            rows = await self._attended()
            twice = any(row.pubkey == self.ada.secret.pubkey and row.join_count == 2 for row in rows)
            return "back with the resume secret, without a second signature: joinCount 2" if twice else None

        return await self._until(joined)

    async def _end(self) -> str:
        ends_at = self.starts_at + self._plan.lasts
        async with asyncio.timeout(ends_at - time.time() + _PATIENCE):
            await self.ada_chair.until_closed()
        if not self.ada_chair.has_ended:
            raise StepFailed("the room closed without saying that the session has ended")
        meeting = await self._meeting(MeetingStatus.ENDED)
        return f"the room closed, kind 30313 says ended at {(meeting.ends_at or 0) - ends_at:+d} s from the schedule"

    # -- after

    async def _attendance(self) -> str:
        async with open_wire(self._stage.relay_url) as stranger:  # a client that was not there

            async def complete() -> str | None:
                events = await stranger.fetch(
                    Filter(
                        kinds=(kinds.ATTENDANCE,),
                        authors=(Pubkey(self._stage.service_pubkey),),
                        tags=(("a", (self.session.session_address,)),),
                    )
                )
                records = {record.participant: record for record in map(read_attendance_record, events) if record}
                return self._judged(records)

            return await self._until(complete)

    def _judged(self, records: dict[Pubkey, AttendanceRecord]) -> str | None:
        ada, ben = records.get(self.ada.secret.pubkey), records.get(self.ben.secret.pubkey)
        if ada is None or ben is None or ada.left_at is None or ben.left_at is None:
            return None
        if ada.completed is None or ada.completed.way is not CompletionWay.LIVE or ada.join_count != 2:
            return None
        if ben.completed is not None or self.cem.secret.pubkey in records:
            raise StepFailed("a participant who did not stay was credited")
        return (
            f"kind 31953 read by a stranger: one {ada.total_duration} s, {ada.join_count} joins, completed; "
            f"the other {ben.total_duration} s, not completed"
        )

    async def _silence(self) -> str:
        if self.cem.letters or any(person.rejected for person in self._people):
            raise StepFailed(f"unexpected messages: {self.cem.letters} {[person.rejected for person in self._people]}")
        counts = [len(person.letters) for person in (self.ada, self.ben)]
        if counts != [5, 5]:
            raise StepFailed(f"expected five messages each, there were {counts}")
        return "five messages each to those who come, each once; none to the one who declined"

    # -- seeing

    @property
    def _people(self) -> tuple[Participant, ...]:
        return self.ada, self.ben, self.cem

    async def _shown(self) -> SessionOut:
        return await self.instructor.podium.session(self.session.address.identifier)

    async def _attended(self) -> tuple[AttendanceOut, ...]:
        return await self.instructor.podium.attendance(self.session.address.identifier)

    def _is_answer(self, letter: UnwrappedMessage) -> bool:
        """Whether a letter answers an RSVP: it is due at no offset."""
        offsets = (self._plan.day, self._plan.hour, self._plan.quarter, 0)
        return letter.due_at not in {self.starts_at - before for before in offsets}

    def _links(self, letter: UnwrappedMessage) -> bool:
        return any(True for _ in self._links_of(letter))

    def _links_of(self, letter: UnwrappedMessage) -> list[str]:
        words = letter.text.split()
        return [word for word in words if word.startswith(f"{self._stage.base_url}/s/naddr1")]

    async def _seen(self, wanted: Filter, seconds: float = _PATIENCE) -> VerifiedEvent:
        async def newest() -> VerifiedEvent | None:
            events = await self.instructor.wire.fetch(wanted)
            return max(events, key=lambda event: event.created_at, default=None)

        return await self._until(newest, seconds)

    async def _meeting(self, status: MeetingStatus, seconds: float = _PATIENCE) -> Meeting:
        wanted = Filter(
            kinds=(kinds.MEETING,),
            authors=(Pubkey(self._stage.service_pubkey),),
            tags=(("a", (self.session.session_address,)),),
        )

        async def there() -> Meeting | None:
            found = [read_meeting(event) for event in await self.instructor.wire.fetch(wanted)]
            return next((one for one in found if one is not None and one.status is status), None)

        return await self._until(there, seconds)

    async def _until(self, look: Callable[[], Awaitable[T | None]], seconds: float = _PATIENCE) -> T:
        async with asyncio.timeout(max(seconds, 1.0)):
            # it polls, since nothing outside the daemon signals the change
            while (seen := await look()) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.25)
        return seen


def _ends(event: TemplateModel, at: int) -> TemplateModel:
    if event.kind != kinds.SESSION:
        return event
    rows = [["end", str(at)] if row[0] == "end" else row for row in event.tags]
    return event.model_copy(update={"tags": rows})


def new_key() -> SecretKey:
    """A key for one demo."""
    return SecretKey(secrets.token_bytes(32))
