"""The model's calling service, on the link engine and a lifecycle kept in memory."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from podium_daemon.conference.engine import ControlDone, Snapshot, Support, Unsupported
from podium_daemon.conference.engines.link import CAPABILITIES, LinkEngine, LinkSettings
from podium_daemon.conference.events import RoomClosed, RoomId, RoomOpened
from podium_daemon.conference.service import (
    ConferenceDetails,
    ConferenceRecord,
    LiveSessionRoom,
    TrainingCallingIntegration,
    TrainingConferenceConfig,
    _spec,
)
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey
from tests.support.clock import ManualClock
from tests.support.conference import new_person, new_pubkey, reading, seeded_bytes
from tests.support.events import key_of

INSTRUCTOR = key_of(1).pubkey
LESSON = f"31923:{INSTRUCTOR}:rust-1"
JOIN = "https://podium.example.org/s/naddr1x"


class Lesson(msgspec.Struct, frozen=True):
    """What the service needs of a lesson."""

    session_address: str = LESSON


class SessionsInMemory:
    """Scheduled, Active, Ended, with one known session; a start needs a verified instructor."""

    def __init__(self) -> None:
        self.records = {LESSON: ConferenceRecord(session_address=LESSON, join_url=JOIN)}
        self.verified = True
        self.told: list[str] = []

    def change(self, **changes: object) -> None:
        """Change what is known of the session."""
        self.records[LESSON] = msgspec.structs.replace(self.records[LESSON], **changes)

    async def conference_of(self, session_address: str) -> ConferenceRecord | None:
        """See `SessionsPort`."""
        return self.records.get(session_address)

    async def set_conference(self, session_address: str, room: RoomId, config: TrainingConferenceConfig) -> None:
        """See `SessionsPort`."""
        assert session_address == LESSON
        self.change(conference_room_id=room, config=config)

    async def start(self, session_address: str) -> Rejection | None:
        """See `SessionsPort`."""
        if not self.verified:
            return Rejection(Slug.INSTRUCTOR_UNVERIFIED, "the instructor is not verified")
        self.told.append(session_address)
        self.change(is_active=True)
        return None

    async def end(self, session_address: str) -> Rejection | None:
        """See `SessionsPort`."""
        if not self.records[session_address].is_active:
            return Rejection(Slug.WRONG_STATE, "the session is not active")
        self.change(is_active=False)
        return None


class AttendanceInMemory:
    """Rows as they came."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, Pubkey, int, int | None]] = []

    async def track(
        self, session_address: str, pubkey: Pubkey, joined_at: int, left_at: int | None
    ) -> Rejection | None:
        """See `AttendancePort`."""
        self.rows.append((session_address, pubkey, joined_at, left_at))
        return None


class Stage:
    """A service with what is behind it."""

    def __init__(
        self, meeting_url: str | None = "https://meet.example.org/rust", engine: LinkEngine | None = None
    ) -> None:
        self.engine = engine or LinkEngine(
            LinkSettings(meeting_url=meeting_url), clock=ManualClock(), random_bytes=seeded_bytes(1)
        )
        self.sessions = SessionsInMemory()
        self.attendance = AttendanceInMemory()
        self.service = TrainingCallingIntegration(
            engine=self.engine, sessions=self.sessions, attendance=self.attendance, random_bytes=seeded_bytes(2)
        )

    async def created(self) -> LiveSessionRoom:
        """The room of the one session."""
        room = await self.service.create_live_session(Lesson(), config())
        assert isinstance(room, LiveSessionRoom)
        return room

    async def present(self) -> int | None:
        """How many connections the room has; None if it is closed."""
        room = self.sessions.records[LESSON].conference_room_id
        assert room is not None
        snapshot = await self.engine.snapshot(room)
        return len(snapshot.present) if isinstance(snapshot, Snapshot) else None


def config(*, e2ee: bool = False) -> TrainingConferenceConfig:
    """The model's configuration."""
    return TrainingConferenceConfig(
        name="Rust for gardeners",
        waiting_room=True,
        allow_recording=True,
        e2ee_required=e2ee,
        instructor_pubkey=INSTRUCTOR,
        max_participants=50,
    )


@pytest.fixture
def stage() -> Stage:
    """A fresh one."""
    return Stage()


def test_names_and_fields_are_the_models() -> None:
    """Methods in Python's spelling; results and configuration have the model's field names in JSON."""
    methods = inspect.getmembers(TrainingCallingIntegration, inspect.iscoroutinefunction)
    assert sorted(name for name, _ in methods if not name.startswith("_")) == [
        "create_live_session",
        "end_live_session",
        "get_conference_details",
        "start_live_session",
        "track_live_attendance",
    ]
    assert set(msgspec.to_builtins(config())) == {
        "name",
        "maxParticipants",
        "waitingRoom",
        "allowRecording",
        "e2eeRequired",
        "instructorPubkey",
    }
    assert set(msgspec.to_builtins(LiveSessionRoom(RoomId("r"), JOIN))) == {"conferenceRoomId", "joinUrl"}
    assert set(msgspec.to_builtins(ConferenceDetails(None, is_active=False, participant_count=0))) == {
        "conferenceRoomId",
        "isActive",
        "participantCount",
    }


async def test_a_session_gets_one_room_for_good(stage: Stage) -> None:
    """Creating twice keeps the room's id; the join address is our page, not the meeting."""
    first, second = await stage.created(), await stage.created()
    assert first == second
    assert first.join_url == JOIN
    assert len(first.conference_room_id) == 32
    assert await stage.present() is None


async def test_what_the_engine_cannot_promise_is_refused_when_scheduled(stage: Stage) -> None:
    """Required encryption on an engine without it changes nothing and says what to choose."""
    answer = await stage.service.create_live_session(Lesson(), config(e2ee=True))
    assert isinstance(answer, Unsupported)
    assert answer.next_step
    assert stage.sessions.records[LESSON].conference_room_id is None


async def test_a_missing_setting_is_said_when_scheduled() -> None:
    """Without a meeting URL nothing is stored; with one of its own the session is fine."""
    stage = Stage(meeting_url=None)
    with pytest.raises(InvalidInput):
        await stage.service.create_live_session(Lesson(), config())
    assert stage.sessions.records[LESSON].conference_room_id is None
    stage.sessions.change(meeting_url="https://meet.example.org/own")
    await stage.created()
    assert await stage.service.start_live_session(LESSON) is None


async def test_a_start_opens_the_room_and_then_sends_the_links(stage: Stage) -> None:
    """The room is open when the lifecycle sends its links."""
    await stage.created()
    seen: list[int | None] = []
    start = stage.sessions.start

    async def watching(session_address: str) -> Rejection | None:
        seen.append(await stage.present())
        return await start(session_address)

    stage.sessions.start = watching  # type: ignore[method-assign]  # looks, then does the same
    assert await stage.service.start_live_session(LESSON) is None
    assert seen == [0]
    assert stage.sessions.told == [LESSON]


async def test_a_refused_start_leaves_no_room_open(stage: Stage) -> None:
    """An unverified instructor's start says why, and the room it opened is closed again."""
    await stage.created()
    stage.sessions.verified = False
    refused = await stage.service.start_live_session(LESSON)
    assert isinstance(refused, Rejection)
    assert refused.slug is Slug.INSTRUCTOR_UNVERIFIED
    assert await stage.present() is None


async def test_a_refused_second_start_spares_the_room_people_are_in(stage: Stage) -> None:
    """A start that is refused when the room was open before throws nobody out."""
    room = await stage.created()
    await stage.service.start_live_session(LESSON)
    await stage.engine.take_seat(room.conference_room_id, new_person())
    stage.sessions.verified = False
    assert isinstance(await stage.service.start_live_session(LESSON), Rejection)
    assert await stage.present() == 1


async def test_a_start_before_creation_says_so(stage: Stage) -> None:
    """No room, no start."""
    refused = await stage.service.start_live_session(LESSON)
    assert isinstance(refused, Rejection)
    assert refused.slug == "no-conference"


async def test_an_end_closes_the_room_and_returns_the_recording(stage: Stage) -> None:
    """None while there is no recording; its address if there is one."""
    await stage.created()
    for url in (None, "https://podium.example.org/recordings/1.webm"):
        await stage.service.start_live_session(LESSON)
        stage.sessions.change(recording_url=url)
        assert await stage.service.end_live_session(LESSON) == url
        assert await stage.present() is None
    async with reading(stage.engine) as reader:
        await reader.until(RoomClosed, lambda event: event.id != reader.all_of(RoomClosed)[0].id)
        assert len(reader.all_of(RoomOpened)) == 2


async def test_a_recording_that_the_end_attaches_is_returned(stage: Stage) -> None:
    """What the lifecycle learns at the end is not missed."""
    await stage.created()
    await stage.service.start_live_session(LESSON)
    end = stage.sessions.end

    async def attaching(session_address: str) -> Rejection | None:
        stage.sessions.change(recording_url="https://podium.example.org/recordings/2.webm")
        return await end(session_address)

    stage.sessions.end = attaching  # type: ignore[method-assign]  # does the same, and attaches
    assert await stage.service.end_live_session(LESSON) == "https://podium.example.org/recordings/2.webm"


async def test_an_engine_that_records_is_stopped_before_its_room_closes() -> None:
    """The recorder is not cut off by the end of the room; an engine that does not record is not asked."""

    class Recording(LinkEngine):
        capabilities = msgspec.structs.replace(CAPABILITIES, record=Support.NATIVE)  # type: ignore[misc]  # another engine
        rooms_when_stopped: list[bool]

        async def stop_recording(self, room: RoomId) -> ControlDone | Rejection:
            self.rooms_when_stopped.append(isinstance(await self.snapshot(room), Snapshot))
            return ControlDone()

    engine = Recording(LinkSettings(), clock=ManualClock(), random_bytes=seeded_bytes())
    engine.rooms_when_stopped = []
    stage = Stage(engine=engine)
    stage.sessions.change(meeting_url="https://meet.example.org/own")
    await stage.created()
    await stage.service.start_live_session(LESSON)
    await stage.service.end_live_session(LESSON)
    assert engine.rooms_when_stopped == [True]


@pytest.mark.parametrize(("e2ee", "recorded"), [(False, True), (True, False)])
def test_an_encrypted_room_is_not_recorded(e2ee: bool, recorded: bool) -> None:
    """A recorder on the server would hold the key, so required encryption goes before allowed recording."""
    spec = _spec(RoomId("r"), config(e2ee=e2ee), None)
    assert (spec.e2ee, spec.allow_recording) == (e2ee, recorded)


async def test_a_refused_end_closes_nothing(stage: Stage) -> None:
    """An end that the lifecycle refuses leaves people where they are."""
    await stage.created()
    await stage.service.start_live_session(LESSON)
    stage.sessions.change(is_active=False)
    assert isinstance(await stage.service.end_live_session(LESSON), Rejection)
    assert await stage.present() == 0


async def test_details_count_people_not_devices(stage: Stage) -> None:
    """Two devices of one person and one of another are two participants."""
    nothing = ConferenceDetails(None, is_active=False, participant_count=0)
    assert await stage.service.get_conference_details(LESSON) == nothing
    room = (await stage.created()).conference_room_id
    scheduled = ConferenceDetails(room, is_active=False, participant_count=0)
    assert await stage.service.get_conference_details(LESSON) == scheduled
    await stage.service.start_live_session(LESSON)
    pubkey = new_pubkey()
    for person in (new_person(pubkey, "phone"), new_person(pubkey, "laptop"), new_person()):
        await stage.engine.take_seat(room, person)
    live = ConferenceDetails(room, is_active=True, participant_count=2)
    assert await stage.service.get_conference_details(LESSON) == live


async def test_attendance_goes_to_its_port(stage: Stage) -> None:
    """An open and a closed interval, in Unix seconds."""
    person = new_pubkey()
    assert await stage.service.track_live_attendance(LESSON, person, 1000) is None
    assert await stage.service.track_live_attendance(LESSON, person, 1000, 1600) is None
    assert await stage.service.track_live_attendance(LESSON, person, 1000, 1000) is None
    assert stage.attendance.rows == [
        (LESSON, person, 1000, None),
        (LESSON, person, 1000, 1600),
        (LESSON, person, 1000, 1000),
    ]


@pytest.mark.family("attendance")
@pytest.mark.parametrize(
    ("pubkey", "joined_at", "left_at", "slug"),
    [
        ("npub1", 1, 2, "bad-pubkey"),
        (INSTRUCTOR.upper(), 1, 2, "bad-pubkey"),
        (INSTRUCTOR, 2, 1, "bad-interval"),
        (INSTRUCTOR, -1, None, "bad-interval"),
        (INSTRUCTOR, 1, 2**60, "bad-interval"),
    ],
)
async def test_attendance_that_cannot_be_is_refused(
    stage: Stage, pubkey: str, joined_at: int, left_at: int | None, slug: str
) -> None:
    """A key that is none, or a leave before the join, reaches no row."""
    refused = await stage.service.track_live_attendance(LESSON, pubkey, joined_at, left_at)
    assert isinstance(refused, Rejection)
    assert refused.slug == slug
    assert stage.attendance.rows == []


async def test_an_unknown_session_is_refused_everywhere(stage: Stage) -> None:
    """Nothing is created, started, ended or counted for a session nobody scheduled."""
    unknown = f"31923:{INSTRUCTOR}:nothing"
    for answer in (
        await stage.service.create_live_session(Lesson(unknown), config()),
        await stage.service.start_live_session(unknown),
        await stage.service.end_live_session(unknown),
    ):
        assert isinstance(answer, Rejection)
        assert answer.slug == "no-session"
    assert (await stage.service.get_conference_details(unknown)).conference_room_id is None
