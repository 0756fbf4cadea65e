"""The client against the real HTTP interface: what it asks for, what it signs, and what it refuses to sign."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import pytest
import pytest_asyncio

from podium_daemon.api.rooms import ChallengeOut, JoinOut
from podium_daemon.api.sessions import DraftOut, SessionOut
from podium_daemon.client import ApiProblem, DaemonUnreachable, DraftRefused, PodiumClient, SessionChanges, SessionWish
from podium_daemon.client.drafting import _events_of
from podium_daemon.client.leading import conference_config_of
from podium_daemon.client.series import expected_dates
from podium_daemon.client.transport import session_path
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput, LocalProtocolError, RemoteProtocolError
from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.nips import nip19
from tests.support.answers import answer
from tests.support.scripted_daemon import ScriptedDaemon, as_json, scripted_daemon
from tests.support.site import Site, site
from tests.support.world import new_key

Open = Callable[[SecretKey | None], PodiumClient]


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """A running server."""
    async with site() as running:
        yield running


@pytest_asyncio.fixture
async def open_client(here: Site) -> AsyncIterator[Open]:
    """Makes clients of that server, on its clock."""
    opened: list[PodiumClient] = []

    def open_one(secret: SecretKey | None) -> PodiumClient:
        opened.append(PodiumClient(here.base, secret, now=here.here.clock.now))
        return opened[-1]

    yield open_one
    for client in opened:
        await client.close()


@pytest.fixture
def podium(here: Site, open_client: Open) -> PodiumClient:
    """The instructor's client."""
    return open_client(here.here.instructor)


def wish(here: Site, **changes: object) -> SessionWish:
    """A session in two hours."""
    values = {"title": "Knots", "scheduled_at": here.here.now + 7200, "duration": 60, "timezone": "Europe/Berlin"}
    return SessionWish(**(values | changes))  # type: ignore[arg-type]  # tests name the fields they mean


async def test_a_session_from_its_wish_to_its_cancellation(here: Site, podium: PodiumClient) -> None:
    """Create, look, edit and cancel: every field comes back typed, under the address that was given."""
    cohost = new_key().pubkey
    asked = wish(here, max_participants=5, requires_rsvp=True, waiting_room=True, co_hosts=(cohost,), identifier="k-1")
    session_address = await podium.create_session(asked)
    shown = await podium.session("k-1")
    assert (shown.lesson_id, shown.identifier, shown.state) == (session_address, "k-1", "scheduled")
    assert (shown.title, shown.scheduled_at, shown.duration, shown.max_participants) == (
        asked.title,
        asked.scheduled_at,
        60,
        5,
    )
    assert (shown.requires_rsvp, shown.waiting_room, shown.timezone) == (True, True, "Europe/Berlin")
    assert [one.lesson_id for one in await podium.sessions("scheduled")] == [session_address]
    await podium.edit_session(session_address, SessionChanges(title="Ropes", max_participants=None, duration=30))
    edited = await podium.session(shown.naddr)
    assert (edited.title, edited.max_participants, edited.duration) == ("Ropes", None, 30)
    assert edited.waiting_room
    await podium.cancel_session(session_address, "no rope")
    assert (await here.here.row(session_address)).withdrawn


async def test_an_answer_is_seen_by_its_author_and_the_instructor(
    here: Site, podium: PodiumClient, open_client: Open
) -> None:
    """RSVPs, attendance and reminders are typed; others see their own rows only."""
    row = await here.here.schedule()
    ada, ben = open_client(new_key()), open_client(new_key())
    await ada.rsvp(row.session_address, RsvpStatus.CONFIRMED)
    await ben.rsvp(row.session_address, RsvpStatus.DECLINED)
    await here.here.turn()
    assert {(one.pubkey, one.status) for one in await podium.rsvps(row.session_address)} == {
        (ada.pubkey, "confirmed"),
        (ben.pubkey, "declined"),
    }
    (own,) = await ada.rsvps(row.session_address)
    assert (own.pubkey, own.seat) == (ada.pubkey, "held")
    ledger = await podium.reminders(row.session_address)
    assert sum(ledger.summary.values()) == len(ledger.reminders) > 0
    assert await ada.attendance(row.session_address) == ()


async def test_the_calling_service_has_the_models_names(here: Site, podium: PodiumClient) -> None:
    """Create, start, details, attendance by hand and end, over HTTP."""
    row = await here.here.schedule(starts_in=600)
    session = await podium.session(row.session_address)
    room = await podium.calling.create_live_session(session, conference_config_of(session))
    assert (room.conference_room_id, room.join_url) == (row.conference_room_id, session.join_url)
    await podium.calling.start_live_session(row.session_address)
    details = await podium.calling.get_conference_details(row.session_address)
    assert (details.conference_room_id, details.is_active, details.participant_count) == (
        row.conference_room_id,
        True,
        0,
    )
    person, now = new_key().pubkey, here.here.now
    await podium.calling.track_live_attendance(row.session_address, person, now - 60, now, note="seen in the hall")
    (interval,) = await here.here.store.intervals.where("lessonId").equals(row.session_address).to_list()
    assert (interval.pubkey, interval.note) == (person, "seen in the hall")
    assert await podium.calling.end_live_session(row.session_address) is None
    assert (await here.here.row(row.session_address)).state == "ended"


async def test_a_refusal_has_its_slug_and_its_advice(here: Site, open_client: Open) -> None:
    """A problem document becomes one error with all its parts."""
    stranger = open_client(new_key())
    with pytest.raises(ApiProblem) as caught:
        await stranger.session("nothing-here")
    assert (caught.value.status, caught.value.slug) == (404, "unknown-session")
    assert caught.value.next_step in str(caught.value)
    row = await here.here.schedule()
    with pytest.raises(ApiProblem, match="instructor"):
        await stranger.start(row.session_address)


async def test_a_private_session_from_its_invitation_to_a_seat(here: Site, open_client: Open) -> None:
    """The same calls as for a public one: every call is signed, and a stranger's finds nothing."""
    guest, stranger = open_client(new_key()), open_client(new_key())
    leader = open_client(here.here.instructor)
    assert guest.pubkey is not None
    wish = SessionWish(
        title="Knots", scheduled_at=here.here.now + 600, duration=60, visibility="private", invited=(guest.pubkey,)
    )
    session_address = await leader.create_session(wish)
    assert session_address in [one.lesson_id for one in await guest.sessions()]
    await guest.rsvp(session_address, RsvpStatus.CONFIRMED)
    assert [one.status for one in await leader.rsvps(session_address)] == ["confirmed"]
    await leader.edit_session(session_address, SessionChanges(title="Other knots"))
    assert (await guest.session(session_address)).title == "Other knots"
    assert (await guest.challenge(session_address)).lesson_id == session_address
    for call in (stranger.session, stranger.challenge, stranger.rsvps):
        with pytest.raises(ApiProblem) as caught:
            await call(session_address)
        assert (caught.value.status, caught.value.slug) == (404, "unknown-session")


async def test_without_a_key_one_reads_what_everybody_may(here: Site, open_client: Open) -> None:
    """Sessions and the service are public; what needs a signature says so and sends nothing unsigned."""
    row = await here.here.schedule()
    reader = open_client(None)
    assert (await reader.session(row.session_address)).title == row.title
    assert (await reader.service()).service_pubkey == here.here.service.pubkey
    assert [relay.state for relay in await reader.relays()]
    with pytest.raises(ApiProblem) as caught:
        await reader.rsvps(row.session_address)
    assert caught.value.status == 401
    with pytest.raises(DraftRefused):
        await reader.join(row.session_address)
    draft = await open_client(here.here.instructor).draft_session(wish(here))
    with pytest.raises(LocalProtocolError):
        await reader.sign(draft)


async def test_a_calendar_address_can_be_had_and_revoked(podium: PodiumClient) -> None:
    """The same address each time, until it is revoked."""
    first = await podium.calendar()
    assert await podium.calendar() == first
    assert await podium.calendar(revoke=True) != first


async def test_nobody_at_the_address_is_said(here: Site) -> None:
    """A closed port is an error of its own, and not one of the protocol."""
    await here.here.schedule()
    async with PodiumClient("http://127.0.0.1:9") as podium:
        with pytest.raises(DaemonUnreachable, match=r"127\.0\.0\.1:9"):
            await podium.sessions()


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:7448", "ftp://x", "http://", "http://a@b", "http://host/path", "javascript:alert(1)"]
)
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Nothing is called under it."""
    with pytest.raises(InvalidInput):
        PodiumClient(url)


@pytest.mark.parametrize("reference", ["", "a b", "a/b", "../draft", "a?b", "a%2Fb", "é", "naddr1nothing", "nostr:x"])
async def test_a_session_is_named_plainly_or_not_at_all(reference: str) -> None:
    """A reference cannot reach another path than its session's."""
    with pytest.raises((InvalidInput, RemoteProtocolError)):
        session_path(reference)


class Lying:
    """A daemon that composes something else than it was asked for, for a session in two hours."""

    def __init__(self, daemon: ScriptedDaemon) -> None:
        self.daemon = daemon
        self.key = new_key()
        self.now = int(time.time())
        self.address = Address(kinds.SESSION, new_key().pubkey, "knots")
        self.naddr = nip19.encode_naddr(self.address)
        self.base = f"/api/sessions/{self.naddr}"
        daemon.routes[f"GET {self.base}"] = as_json(
            answer(
                SessionOut,
                lessonId=str(self.address),
                naddr=self.naddr,
                title="Knots",
                state="scheduled",
                scheduledAt=self.now + 7200,
                duration=60,
                endsAt=self.now + 10_800,
                instructorPubkey=self.address.pubkey,
            )
        )

    def composes(self, path: str, *events: UnsignedEvent) -> None:
        """Answer a draft with these events."""
        body = answer(DraftOut, lessonId=str(self.address), events=events)
        self.daemon.routes[f"POST {self.base}{path}"] = as_json(body)
        self.daemon.routes["POST /api/events"] = as_json({"accepted": []})

    @property
    def was_sent_anything(self) -> bool:
        """Whether a signature came."""
        return any(call.path == "/api/events" for call in self.daemon.calls)


@pytest.fixture
def lying() -> Iterator[Lying]:
    """Such a daemon."""
    with scripted_daemon() as daemon:
        yield Lying(daemon)


def declining(lying: Lying, **changes: object) -> UnsignedEvent:
    """The RSVP event that was asked for, changed."""
    tags = (("d", "x"), ("a", str(lying.address)), ("status", "declined"))
    event = UnsignedEvent(lying.key.pubkey, lying.now, kinds.RSVP, tags, "")
    return msgspec.structs.replace(event, **changes)


LIES: dict[str, Callable[[Lying], tuple[UnsignedEvent, ...]]] = {
    "another kind": lambda lying: (declining(lying, kind=1),),
    "another answer": lambda lying: (declining(lying, tags=(("a", str(lying.address)), ("status", "accepted"))),),
    "two answers": lambda lying: (
        declining(lying, tags=(("a", str(lying.address)), ("status", "declined"), ("status", "accepted"))),
    ),
    "another session": lambda lying: (declining(lying, tags=(("a", "31923:x:y"), ("status", "declined"))),),
    "another day": lambda lying: (declining(lying, created_at=lying.now - 86_400),),
    "another author": lambda lying: (declining(lying, pubkey=new_key().pubkey),),
    "one more event": lambda lying: (declining(lying), declining(lying, kind=1)),
    "nothing": lambda _lying: (),
}


@pytest.mark.parametrize("lie", list(LIES))
async def test_what_was_not_asked_for_is_not_signed(lying: Lying, lie: str) -> None:
    """A daemon that puts something else before the key gets no signature at all."""
    lying.composes("/rsvp/draft", *LIES[lie](lying))
    async with PodiumClient(lying.daemon.url, lying.key) as podium:
        with pytest.raises(DraftRefused):
            await podium.rsvp(lying.naddr, RsvpStatus.DECLINED)
    assert not lying.was_sent_anything


async def test_what_was_asked_for_is_signed(lying: Lying) -> None:
    """The same draft without a lie goes through: the look is not what stops it."""
    lying.composes("/rsvp/draft", declining(lying))
    async with PodiumClient(lying.daemon.url, lying.key) as podium:
        await podium.rsvp(lying.naddr, RsvpStatus.DECLINED)
    assert lying.was_sent_anything


async def test_a_public_event_for_a_private_wish_is_not_signed(lying: Lying) -> None:
    """A daemon that leaves out the word private gets no signature: relays would show it to everybody."""
    start = lying.now + 600
    tags = (("d", "knots"), ("title", "Knots"), ("start", str(start)), ("end", str(start + 3600)))
    event = declining(lying, kind=kinds.SESSION, tags=tags)
    draft = answer(DraftOut, lessonId=str(lying.address), events=[event])
    lying.daemon.routes["POST /api/sessions/draft"] = as_json(draft)
    wish = SessionWish(title="Knots", scheduled_at=start, duration=60, visibility="private")
    async with PodiumClient(lying.daemon.url, lying.key) as podium:
        with pytest.raises(DraftRefused, match="visibility"):
            await podium.create_session(wish)
    assert not lying.was_sent_anything


async def test_an_edit_that_moves_the_session_is_not_signed(lying: Lying) -> None:
    """Who changes the title alone signs the hour that was, and a deletion of other things is refused too."""
    tags = (("d", "knots"), ("title", "New"), ("start", str(lying.now + 999_999)))
    lying.composes("/draft", declining(lying, kind=kinds.SESSION, tags=tags))
    cancelled = declining(lying, kind=kinds.SESSION, tags=(("d", "knots"), ("status", "cancelled")))
    own = (("a", str(lying.address)), ("k", str(kinds.SESSION)))
    deletion = declining(lying, kind=kinds.DELETION, tags=(*own, ("e", "1" * 64), ("e", "2" * 64)))
    lying.composes("/cancel/draft", cancelled, deletion)
    async with PodiumClient(lying.daemon.url, lying.key) as podium:
        with pytest.raises(DraftRefused, match="start"):
            await podium.edit_session(lying.naddr, SessionChanges(title="New"))
        with pytest.raises(DraftRefused, match="deletion"):
            await podium.cancel_session(lying.naddr)
    assert not lying.was_sent_anything


@pytest.mark.parametrize("field", ["url", "lessonId"])
async def test_a_join_proof_for_another_place_is_not_signed(lying: Lying, field: str) -> None:
    """A daemon cannot collect proofs that another daemon would take."""
    url = lying.daemon.url + lying.base + "/join"
    challenge = answer(ChallengeOut, url=url, lessonId=str(lying.address), nonce="n" * 20, expiresAt=1)
    challenge[field] = "https://other.example.org/api/sessions/x/join"
    lying.daemon.routes[f"POST {lying.base}/join/challenge"] = as_json(challenge)
    async with PodiumClient(lying.daemon.url, lying.key) as podium:
        with pytest.raises(DraftRefused):
            await podium.join(lying.naddr)
    assert not any(call.path == f"{lying.base}/join" for call in lying.daemon.calls)


async def test_the_ticket_goes_to_no_other_host(lying: Lying) -> None:
    """A daemon that names another host's socket is not followed there."""
    url = lying.daemon.url + lying.base + "/join"
    challenge = answer(ChallengeOut, url=url, lessonId=str(lying.address), nonce="n" * 20, expiresAt=1)
    ticket = answer(JoinOut, socketUrl="wss://other.example.org/room", token="t", expiresAt=1)
    lying.daemon.routes[f"POST {lying.base}/join/challenge"] = as_json(challenge)
    lying.daemon.routes[f"POST {lying.base}/join"] = as_json(ticket)
    async with PodiumClient(lying.daemon.url, lying.key) as podium:
        with pytest.raises(RemoteProtocolError, match="another host"):
            await podium.join(lying.naddr)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"sessions": 1}', b"[" * 100_000, b'{"sessions": [{"lessonId": 1}]}']
)
async def test_an_answer_of_another_shape_is_the_daemons_fault(content: bytes) -> None:
    """Whatever answers there, the caller gets one error that says so."""
    with scripted_daemon() as daemon:
        reply = as_json({})
        daemon.routes["GET /api/sessions"] = type(reply)(200, content)
        async with PodiumClient(daemon.url) as podium:
            with pytest.raises(RemoteProtocolError):
                await podium.sessions()


def test_an_address_is_sent_as_naddr() -> None:
    """The path has no character that a proxy could spell otherwise, so that the signature fits."""
    address = f"31923:{'a' * 64}:with spaces/and:colons"
    path = session_path(address, "rsvps")
    assert str(nip19.parse_address(path.split("/")[3])) == address


async def test_a_series_is_created_changed_and_cancelled(here: Site, podium: PodiumClient) -> None:
    """Each event is signed and handed in by itself, and the number of signatures is told; every date is checked."""
    asked = wish(here, repeat="weekly", times=3, identifier="knots")
    told: list[tuple[int, int]] = []
    draft = await podium.draft_session(asked)
    await podium.sign_and_submit(draft, signed=lambda done, of: told.append((done, of)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    dates = (await podium.series("knots-01")).dates
    assert [(date.number, date.state) for date in dates] == [(1, "scheduled"), (2, "scheduled"), (3, "scheduled")]
    assert (await podium.draft_session(asked)).events == (), "nothing is left to sign"
    moved = SessionChanges(scheduled_at=dates[1].scheduled_at + 1800, title="Ropes", following=True)
    await podium.edit_session("knots-02", moved)
    after = (await podium.series("knots-02")).dates
    assert [(date.title, new.scheduled_at - date.scheduled_at) for date, new in zip(dates, after, strict=True)] == [
        ("Knots", 0),
        ("Knots", 1800),
        ("Knots", 1800),
    ]
    assert [date.title for date in after] == ["Knots", "Ropes", "Ropes"]
    await podium.cancel_session("knots-01", "no rope", and_following=True)
    assert {date.state for date in (await podium.series("knots-03")).dates} == {"cancelled"}


@pytest.mark.parametrize("forged", ["start", "date", "number", "calendar", "twice"])
async def test_a_series_that_was_not_asked_for_is_not_signed(here: Site, podium: PodiumClient, forged: str) -> None:
    """A daemon that moves a date, adds or repeats one, or slips in another calendar gets no signature."""
    asked = wish(here, repeat="weekly", times=3, identifier="knots")
    honest = await podium.draft_session(asked)

    def retagged(number: int, name: str, value: str) -> DraftOut:
        events = list(honest.events)
        rows = [[name, value] if row[0] == name else row for row in events[number].tags]
        events[number] = events[number].model_copy(update={"tags": rows})
        return honest.model_copy(update={"events": tuple(events)})

    drafts = {
        "start": lambda: retagged(1, "start", str(asked.scheduled_at + 60)),
        "date": lambda: retagged(1, "d", "knots-04"),
        "number": lambda: retagged(1, "d", "other"),
        "calendar": lambda: retagged(3, "d", "other"),
        "twice": lambda: retagged(1, "d", "knots-01"),
    }
    forgery = drafts[forged]()
    with pytest.raises(DraftRefused):
        podium._looked_at(forgery, expected_dates(asked, forgery, _events_of(forgery)))
