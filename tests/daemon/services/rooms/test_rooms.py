"""The rooms' door from outside: a browser's calls and its WebSocket, against the server as it runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import msgspec
import pytest
import pytest_asyncio
from httpx import Response

from podium_daemon.conference.engine import RoomId, RoomOpen, RoomSpec, Unsupported
from podium_daemon.conference.signaling import CLOSE_CODES, LeaveReason
from podium_daemon.runtime.outcomes import Rejection
from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.admission import DoorPolicy
from podium_protocol.live.join_proof import Consent
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.session import Session, Visibility, read_session, spec_of
from podium_storage.table.models import LiveSessionRow, RoomMemberRow
from tests.support.relays import new_key
from tests.support.seat_server import Page
from tests.support.site import WITHIN, Site, closing, reading, site, welcomed
from tests.support.world import signed

REFUSED, NO_TICKET = 4010, 4011
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """One server for all who need none of their own: each test has its own session and its own people."""
    async with site() as running:
        yield running


async def live(here: Site, **fields: object) -> LiveSessionRow:
    """A session that runs."""
    row = await here.here.schedule(starts_in=0, **fields)
    await here.here.turn()
    return await here.here.row(row.session_address)


async def member(here: Site, row: LiveSessionRow, key: SecretKey) -> RoomMemberRow | None:
    """A person's standing."""
    return await here.here.store.members.where("[lessonId+pubkey]").equals([row.session_address, key.pubkey]).first()


async def waiting(page: Page, reason: str) -> None:
    """The page is told that it waits, and why."""
    message = await reading(page)
    assert (message["type"], message.get("reason")) == ("waiting", reason), message
    assert message["text"]


async def refused(page: Page, reason: str) -> None:
    """The page is turned away with a reason, and the socket closes."""
    while (message := await reading(page))["type"] == "waiting":
        pass
    assert (message["type"], message["reason"]) == ("refused", reason), message
    assert message["text"]
    assert await closing(page) == REFUSED


async def counts(here: Site, row: LiveSessionRow) -> tuple[int, int]:
    """How many are in the room and how many wait, as the instructor sees it."""
    answer = (await here.get(here.path_of(row, "room"), here.here.instructor)).json()
    return answer["participantCount"], answer["waitingCount"]


async def until_counts(here: Site, row: LiveSessionRow, present: int, waits: int) -> None:
    """Ask until so many are in the room and so many wait."""
    async with asyncio.timeout(WITHIN):
        while await counts(here, row) != (present, waits):
            await asyncio.sleep(0)


async def admit(here: Site, row: LiveSessionRow, *keys: SecretKey, by: SecretKey | None = None) -> Response:
    """The instructor lets people in, or everybody."""
    body: dict[str, object] = {"pubkeys": [key.pubkey for key in keys]} if keys else {"everybody": True}
    return await here.post(here.path_of(row, "room", "admit"), by or here.here.instructor, body)


async def kick(here: Site, row: LiveSessionRow, key: SecretKey, by: SecretKey | None = None) -> Response:
    """The instructor removes a person."""
    body = {"pubkey": key.pubkey, "reason": "Come back tomorrow."}
    return await here.post(here.path_of(row, "room", "remove"), by or here.here.instructor, body)


async def edited(here: Site, row: LiveSessionRow, **fields: object) -> LiveSessionRow:
    """The instructor changes the session."""
    import msgspec

    previous = await here.here.event_of(row)
    session = read_session(previous)
    assert isinstance(session, Session)
    spec = msgspec.structs.replace(spec_of(session), **fields)
    await here.here.publish(here.here.instructor, here.here.draft(spec, previous))
    return await here.here.row(row.session_address)


def slug(answer: Response) -> str:
    """The problem's short name."""
    return str(answer.json()["type"]).rpartition(":")[2]


class TestProof:
    """A challenge, one signature, a ticket."""

    async def test_the_notice_says_where_attendance_goes(self, here: Site) -> None:
        """Published, or sealed to the person and the instructor: people know before they sign."""
        asked = await here.challenge(await live(here, attendance=Visibility.PRIVATE))
        assert "goes encrypted to you and to the instructor; it is not published." in asked["notice"]
        assert asked["attendance"] == "private"

    async def test_the_whole_way_in(self, here: Site) -> None:
        """Challenge, proof, ticket, hello, welcome: the person is in the room and the proof is kept."""
        row, key = await live(here), new_key()
        asked = await here.challenge(row)
        assert asked["notice"].endswith("kind 31953): anybody can read it. noted")
        assert (asked["attendance"], asked["ownNotice"]) == ("public", "noted")
        assert (asked["recordingPolicy"], asked["recordingPolicyHash"]) == ("", "")
        assert asked["expiresAt"] == here.here.now + 60
        answer = await here.join(key, row, challenge=asked)
        ticket = answer.json()
        assert (answer.status_code, ticket["state"], ticket["reason"]) == (200, "admitted", None)
        assert ticket["socketUrl"] == f"ws://127.0.0.1:{here.port}{here.path_of(row, 'room')}"
        page = await here.open_socket(row, {"type": "hello", "token": ticket["token"]})
        await welcomed(page)
        assert page.welcome["meetingUrl"] == "https://meet.example.org/room"
        assert await counts(here, row) == (1, 0)
        kept = await member(here, row, key)
        assert kept is not None
        assert (kept.state, kept.device, kept.consent, kept.assurance) == ("admitted", "laptop", None, "signature")
        assert json.loads(kept.proof_event or "")["id"] == kept.proof_id

    async def test_a_nonce_is_good_once(self, here: Site) -> None:
        """A second join with the same challenge is refused for every person, also with the same signed event."""
        row, key = await live(here), new_key()
        asked = await here.challenge(row)
        proof = signed(key, here.proof(key, row, "laptop", asked))
        assert (await here.send_proof(row, proof)).status_code == 200
        for answer in (await here.send_proof(row, proof), await here.join(new_key(), row, challenge=asked)):
            assert (answer.status_code, slug(answer)) == (401, "bad-proof")

    async def test_a_nonce_lives_a_minute(self, here: Site) -> None:
        """Sixty seconds after it was given the challenge is worthless; a moment before it is good."""
        row = await live(here)
        early, late = await here.challenge(row), await here.challenge(row)
        await here.here.clock.advance(59)
        assert (await here.join(new_key(), row, challenge=early)).status_code == 200
        await here.here.clock.advance(1)
        answer = await here.join(new_key(), row, challenge=late)
        assert (answer.status_code, slug(answer)) == (401, "bad-proof")

    async def test_a_nonce_of_our_own_making_is_refused(self, here: Site) -> None:
        """Only what the daemon gave out counts."""
        row = await live(here)
        answer = await here.join(new_key(), row, challenge={"nonce": "x" * 43})
        assert (answer.status_code, slug(answer)) == (401, "bad-proof")

    async def test_a_challenge_of_another_session_is_refused(self, here: Site) -> None:
        """Else the challenge of a session that records nothing would be the way around another one's consent."""
        plain, recorded = await live(here), await live(here, recording_allowed=True)
        asked = await here.challenge(plain)
        answer = await here.join(new_key(), recorded, challenge=asked)
        assert (answer.status_code, slug(answer)) == (401, "bad-proof")

    @pytest.mark.parametrize(
        "case", ["kind", "url", "method", "session", "device", "no device", "old", "twice", "body"]
    )
    async def test_a_proof_that_says_something_else_is_refused(self, here: Site, case: str) -> None:
        """A proof is for this session, this call, this moment and one device."""
        row, other, key = await live(here), await live(here), new_key()
        good = here.proof(key, row, "laptop", await here.challenge(row))
        tags: Mapping[str, tuple[tuple[str, ...], ...]] = {
            "url": replaced(good, "u", here.base + here.path_of(other, "join")),
            "method": replaced(good, "method", "GET"),
            "session": replaced(good, "a", other.session_address),
            "device": replaced(good, "device", "my laptop#2"),
            "no device": tuple(row for row in good.tags if row[0] != "device"),
            "twice": (*good.tags, ("a", other.session_address)),
            "body": (*good.tags, ("payload", "0" * 64)),
        }
        wrong = UnsignedEvent(
            good.pubkey,
            good.created_at - (61 if case == "old" else 0),
            1 if case == "kind" else good.kind,
            tags.get(case, good.tags),
            good.content,
        )
        answer = await here.send_proof(row, signed(key, wrong))
        assert (answer.status_code, slug(answer)) == (401, "bad-proof")
        assert await member(here, row, key) is None

    @pytest.mark.parametrize("header", [None, "", "Nostr x", "Basic eDp5"])
    async def test_a_join_without_a_proof_is_refused(self, here: Site, header: str | None) -> None:
        """The login of this call is the proof: without one there is nothing to check."""
        row = await live(here)
        headers = {"Authorization": header} if header is not None else {}
        answer = await here.call("POST", here.path_of(row, "join"), headers=headers)
        assert (answer.status_code, slug(answer)) == (401, "bad-proof")

    async def test_a_plain_login_is_no_proof_and_a_proof_no_login(self, here: Site) -> None:
        """One signature opens one door: neither can be carried to the other."""
        row, key = await live(here), new_key()
        path = here.path_of(row, "join")
        answer = await here.call("POST", path, by=key)
        assert (answer.status_code, slug(answer)) == (401, "bad-proof")
        proof = signed(key, here.proof(key, row, "laptop", await here.challenge(row)))
        from podium_protocol.nips import nip98

        headers = {"Authorization": nip98.write_header(proof)}
        assert (await here.call("GET", here.path_of(row, "room"), headers=headers)).status_code == 401


def replaced(event: UnsignedEvent, name: str, value: str) -> tuple[tuple[str, ...], ...]:
    """The tags with another value under a name."""
    return tuple((name, value) if row[0] == name else row for row in event.tags)


class TestConsent:
    """Where a session allows recording, each proof answers the policy that was shown."""

    async def test_the_policy_is_shown_and_its_hash_signed(self, here: Site) -> None:
        """Yes and no both let people in; the answer is kept with the proof."""
        row = await live(here, recording_allowed=True)
        asked = await here.challenge(row)
        assert asked["recordingPolicy"] == (
            "recorded Who may see the recording: those who answered yes or maybe to this session, were invited or took "
            "part, and those who lead it."
        )
        for consent in (True, False):
            key = new_key()
            assert (await here.join(key, row, consent=consent)).status_code == 200
            kept = await member(here, row, key)
            assert kept is not None
            assert kept.consent is consent

    async def test_silence_is_no_answer(self, here: Site) -> None:
        """A proof that says nothing about recording, or answers another text, does not open the door."""
        row, key = await live(here, recording_allowed=True), new_key()
        silent = await here.join(key, row)
        assert (silent.status_code, slug(silent)) == (401, "bad-proof")
        asked = dict(await here.challenge(row))
        other = here.proof(key, row, "laptop", asked | {"recordingPolicyHash": "0" * 64}, consent=True)
        answer = await here.send_proof(row, signed(key, other))
        assert (answer.status_code, slug(answer)) == (401, "bad-proof")
        assert await member(here, row, key) is None

    async def test_an_answer_to_nothing_is_not_kept(self, here: Site) -> None:
        """Where no policy was shown, a yes in the proof is consent to nothing."""
        row, key = await live(here), new_key()
        asked = dict(await here.challenge(row))
        proof = here.proof(key, row, "laptop", asked | {"recordingPolicyHash": "0" * 64}, consent=True)
        assert (await here.send_proof(row, signed(key, proof))).status_code == 200
        kept = await member(here, row, key)
        assert kept is not None
        assert kept.consent is None

    async def test_the_last_answer_counts(self, here: Site) -> None:
        """A participant who said yes and comes again with a no has said no."""
        row, key = await live(here, recording_allowed=True), new_key()
        for consent in (True, False):
            await here.join(key, row, consent=consent)
        kept = await member(here, row, key)
        assert kept is not None
        assert kept.consent is False

    async def test_two_mouths_for_one_answer_are_refused(self, here: Site) -> None:
        """A proof with a yes and a no could be shown to two judges."""
        row, key = await live(here, recording_allowed=True), new_key()
        good = here.proof(key, row, "laptop", await here.challenge(row), consent=True)
        consent = Consent(True, next(tag[2] for tag in good.tags if tag[0] == "recording_consent"))
        both = (*good.tags, ("recording_consent", "no", consent.policy_hash))
        wrong = UnsignedEvent(good.pubkey, good.created_at, good.kind, both, good.content)
        assert (await here.send_proof(row, signed(key, wrong))).status_code == 401


class TestGreeting:
    """The first message of a socket says who it is, soon, or the socket closes."""

    @pytest.mark.parametrize(
        "first",
        [
            "hello",
            "",
            "{}",
            "[]",
            "null",
            '{"type": "hello"}',
            '{"type": "hello", "token": 5}',
            '{"type": "hello", "token": ""}',
            '{"type": "hello", "token": "x"}',
            '{"type": "hello", "token": "TOKEN", "more": 1}',
            '{"type": "beat"}',
            '{"type": "return", "secret": "x"}',
            '{"type": "return", "secret": "TOKEN"}',
            '{"token": "TOKEN"}',
            '{"type": "hello", "token": "TOKEN"',
            '{"type": "hello", "token": "\\ud800"}',
            "\u0000" * 100,
            "[" * 5000,
            json.dumps({"type": "hello", "token": "x" * 10_000}),
        ],
    )
    async def test_junk_closes_the_socket(self, here: Site, first: str) -> None:
        """A first message that is no greeting, or greets with nothing, ends it; the ticket is not spent by it."""
        row, key = await live(here), new_key()
        ticket = (await here.join(key, row)).json()["token"]
        page = await here.open_socket(row)
        await page.socket.send(first.replace("TOKEN", ticket))
        assert await closing(page) == NO_TICKET
        await welcomed(await here.open_socket(row, {"type": "hello", "token": ticket}))

    async def test_a_binary_greeting_is_read_as_well(self, here: Site) -> None:
        """A client that sends bytes for text is understood."""
        row, key = await live(here), new_key()
        ticket = (await here.join(key, row)).json()["token"]
        page = await here.open_socket(row)
        await page.socket.send(json.dumps({"type": "hello", "token": ticket}).encode())
        await welcomed(page)

    async def test_bytes_that_are_no_text_close_the_socket(self, here: Site) -> None:
        """No encoding of nonsense is a greeting."""
        page = await here.open_socket(await live(here))
        await page.socket.send(b"\xff\xfe\x00")
        assert await closing(page) == NO_TICKET

    async def test_who_says_nothing_is_not_waited_for(self) -> None:
        """A socket that is opened and then silent is closed after its time."""
        async with site(rooms={"greeting": 0.05}) as here:
            page = await here.open_socket(await live(here))
            assert await closing(page) == NO_TICKET

    async def test_a_giant_frame_ends_the_connection(self, here: Site) -> None:
        """A frame above the cap is not read to its end, at the door and in the room."""
        row = await live(here)
        page = await here.open_socket(row)
        await page.socket.send("x" * 100_000)
        assert await closing(page) == 1009
        seated = await here.enter(new_key(), row)
        await seated.socket.send("x" * 100_000)
        assert await closing(seated) == 1009
        await until_counts(here, row, 0, 0)

    async def test_a_giant_frame_is_no_goodbye(self, here: Site) -> None:
        """A participant cut off for a frame too large was lost and did not leave: the way back stays open."""
        row, key = await live(here), new_key()
        page = await here.enter(key, row)
        await page.socket.send("x" * 100_000)
        await closing(page)
        await until_counts(here, row, 0, 0)
        await welcomed(await here.open_socket(row, {"type": "return", "secret": page.welcome["secret"]}))

    async def test_a_ticket_opens_one_socket(self, here: Site) -> None:
        """The token of a ticket is spent by its first use."""
        row, key = await live(here), new_key()
        hello = {"type": "hello", "token": (await here.join(key, row)).json()["token"]}
        first = await here.open_socket(row, hello)
        await welcomed(first)
        assert await closing(await here.open_socket(row, hello)) == NO_TICKET
        assert await counts(here, row) == (1, 0)

    async def test_a_ticket_lives_five_minutes(self, here: Site) -> None:
        """A ticket that was not used in time is worthless."""
        row = await live(here)
        tokens = [(await here.join(new_key(), row)).json()["token"] for _ in range(2)]
        await here.here.clock.advance(299)
        await welcomed(await here.open_socket(row, {"type": "hello", "token": tokens[0]}))
        await here.here.clock.advance(1)
        assert await closing(await here.open_socket(row, {"type": "hello", "token": tokens[1]})) == NO_TICKET

    async def test_a_ticket_is_for_its_session(self, here: Site) -> None:
        """The ticket of one session opens no other one's room."""
        row, other = await live(here), await live(here)
        token = (await here.join(new_key(), row)).json()["token"]
        page = await here.open_socket(other, {"type": "hello", "token": token})
        assert await closing(page) == NO_TICKET

    async def test_a_socket_to_no_session_has_no_seat(self) -> None:
        """A room that does not exist closes like any room for a caller without a ticket: it might be a private one."""
        async with site() as here:
            row = await here.here.schedule()
            nothing = msgspec.structs.replace(row, session_address=f"{row.session_address}-not")
            codes = [
                await closing(await here.open_socket(one, {"type": "hello", "token": "x"})) for one in (row, nothing)
            ]
            assert codes == [4011, 4011]


class TestWaitingRoom:
    """Default deny: nobody enters a session with a waiting room before the instructor says so."""

    async def test_people_wait_until_they_are_admitted(self, here: Site) -> None:
        """Admitting one lets that one in and nobody else."""
        row = await live(here, waiting_room=True)
        first, second = new_key(), new_key()
        ticket = await here.join(first, row)
        assert (ticket.json()["state"], ticket.json()["reason"]) == ("waiting", "instructor")
        pages = [await here.knock(key, row) for key in (first, second)]
        for page in pages:
            await waiting(page, "instructor")
        assert await counts(here, row) == (0, 2)
        assert (await admit(here, row, first)).status_code == 200
        await welcomed(pages[0])
        await until_counts(here, row, 1, 1)

    async def test_everybody_who_waits_can_be_let_in_at_once(self, here: Site) -> None:
        """`everybody` means those who wait now: who comes later waits again."""
        row = await live(here, waiting_room=True)
        pages = [await here.knock(new_key(), row) for _ in range(3)]
        for page in pages:
            await waiting(page, "instructor")
        await admit(here, row)
        for page in pages:
            await welcomed(page)
        late = await here.knock(new_key(), row)
        await waiting(late, "instructor")

    async def test_the_instructor_sees_who_waits_and_others_do_not(self, here: Site) -> None:
        """Leaders see people, since when and in which role; others see counts."""
        row, key = await live(here, waiting_room=True), new_key()
        await waiting(await here.knock(key, row), "instructor")
        seen = (await here.get(here.path_of(row, "room"), here.here.instructor)).json()
        assert [(one["pubkey"], one["state"], one["role"]) for one in seen["people"]] == [
            (key.pubkey, "waiting", "participant")
        ]
        assert seen["people"][0]["since"] == here.here.now
        other = (await here.get(here.path_of(row, "room"), key)).json()
        assert (other["people"], other["waitingCount"]) == ([], 1)

    async def test_only_leaders_open_the_door(self, here: Site) -> None:
        """A person who waits cannot let themselves in, nor throw others out."""
        row, key = await live(here, waiting_room=True), new_key()
        await waiting(await here.knock(key, row), "instructor")
        assert (await admit(here, row, key, by=key)).status_code == 403
        assert (await kick(here, row, key, by=key)).status_code == 403
        assert await counts(here, row) == (0, 1)

    async def test_a_co_host_opens_the_door(self, here: Site) -> None:
        """Co-hosts pass by themselves and let others in."""
        co_host, key = new_key(), new_key()
        row = await live(here, waiting_room=True, co_hosts=(co_host.pubkey,))
        await here.enter(co_host, row)
        page = await here.knock(key, row)
        await waiting(page, "instructor")
        assert (await admit(here, row, key, by=co_host)).status_code == 200
        await welcomed(page)

    async def test_instructor_and_co_hosts_always_pass(self, here: Site) -> None:
        """They pass the waiting room, before the doors open, without an RSVP, over the cap, and on their return."""
        co_host = new_key()
        row = await here.here.schedule(
            starts_in=7200, waiting_room=True, rsvp_required=True, max_participants=1, co_hosts=(co_host.pubkey,)
        )
        for key in (here.here.instructor, co_host, here.here.instructor):
            await here.enter(key, row)
        assert (await here.join(new_key(), row)).status_code == 409

    async def test_admission_sticks_to_the_key(self, here: Site) -> None:
        """A participant who was let in once comes back without waiting, on another device too."""
        row, key = await live(here, waiting_room=True), new_key()
        page = await here.knock(key, row)
        await waiting(page, "instructor")
        await admit(here, row, key)
        await welcomed(page)
        await page.say("leave")
        await closing(page)
        await here.enter(key, row)
        await here.enter(key, row, "phone")

    async def test_people_can_be_admitted_before_they_come(self, here: Site) -> None:
        """The instructor may name people who have not arrived."""
        row, key = await live(here, waiting_room=True), new_key()
        await admit(here, row, key)
        await here.enter(key, row)

    async def test_who_leaves_the_waiting_room_is_not_listed(self, here: Site) -> None:
        """A page that closes while it waits is gone from the instructor's list at once."""
        row = await live(here, waiting_room=True)
        closed, lost = [await here.knock(new_key(), row) for _ in range(2)]
        for page in (closed, lost):
            await waiting(page, "instructor")
        await closed.socket.close()
        await until_counts(here, row, 0, 1)
        lost.socket.transport.abort()
        await until_counts(here, row, 0, 0)

    async def test_noise_from_the_waiting_room_is_ignored(self, here: Site) -> None:
        """Beats and junk of those who wait neither let them in nor end the wait."""
        row, key = await live(here, waiting_room=True), new_key()
        page = await here.knock(key, row)
        await waiting(page, "instructor")
        for noise in ('{"type": "beat"}', "junk", "\u0000", json.dumps({"type": "hello", "token": "x"})):
            await page.socket.send(noise)
        assert await counts(here, row) == (0, 1)
        await admit(here, row, key)
        await welcomed(page)

    async def test_a_device_waits_once(self, here: Site) -> None:
        """The same device at the door a second time takes the place of the first: nobody fills the list."""
        row, key = await live(here, waiting_room=True), new_key()
        first = await here.knock(key, row)
        await waiting(first, "instructor")
        second = await here.knock(key, row)
        await waiting(second, "instructor")
        message = await reading(first)
        assert (message["type"], message["reason"]) == ("refused", "replaced")
        assert await closing(first) == CLOSE_CODES[LeaveReason.REPLACED]
        await until_counts(here, row, 0, 1)
        await admit(here, row, key)
        await welcomed(second)

    async def test_a_fourth_device_does_not_wait_either(self, here: Site) -> None:
        """Three devices of one key wait; a fourth is refused, and one of the three may come again."""
        row, key = await live(here, waiting_room=True), new_key()
        for device in ("a", "b", "c"):
            await waiting(await here.knock(key, row, device), "instructor")
        answer = await here.join(key, row, "d")
        assert (answer.status_code, slug(answer)) == (409, "too-many-devices")
        await waiting(await here.knock(key, row, "c"), "instructor")

    async def test_confirmed_people_can_be_let_in_by_themselves(self) -> None:
        """With the option on, an RSVP of yes passes the waiting room, a maybe does not."""
        async with site(rooms={"door": DoorPolicy(auto_admit_confirmed=True)}) as here:
            row = await live(here, waiting_room=True)
            sure, unsure = new_key(), new_key()
            await here.here.answer(sure, row)
            await here.here.answer(unsure, row, RsvpStatus.TENTATIVE)
            await here.enter(sure, row)
            await waiting(await here.knock(unsure, row), "instructor")

    async def test_a_waiting_room_that_is_switched_off_lets_people_in(self, here: Site) -> None:
        """The door asks again when the session changes."""
        row = await live(here, waiting_room=True)
        page = await here.knock(new_key(), row)
        await waiting(page, "instructor")
        await edited(here, row, waiting_room=False)
        await welcomed(page)

    async def test_a_reload_of_the_configuration_reaches_those_who_wait(self, here: Site) -> None:
        """A door policy that changes while people wait is asked at once."""
        import msgspec

        row, key = await live(here, waiting_room=True), new_key()
        await here.here.answer(key, row)
        page = await here.knock(key, row)
        await waiting(page, "instructor")
        door = DoorPolicy(auto_admit_confirmed=True)
        here.here.rooms.settings = msgspec.structs.replace(here.here.rooms.settings, door=door)
        await welcomed(page)


class TestObstacles:
    """What else keeps people at the door, and when it stops."""

    async def test_without_a_required_rsvp_one_waits(self, here: Site) -> None:
        """No RSVP is the waiting room, not a refusal; the RSVP opens the door."""
        row, key = await live(here, rsvp_required=True), new_key()
        page = await here.knock(key, row)
        await waiting(page, "rsvp_required")
        await here.here.answer(key, row, RsvpStatus.DECLINED)
        await here.here.clock.advance(1)
        assert await counts(here, row) == (0, 1)
        await here.here.answer(key, row, RsvpStatus.TENTATIVE)
        await welcomed(page)

    async def test_the_instructor_lets_somebody_in_without_an_rsvp(self, here: Site) -> None:
        """A required RSVP is the instructor's wish, and they may waive it."""
        row, key = await live(here, rsvp_required=True), new_key()
        page = await here.knock(key, row)
        await waiting(page, "rsvp_required")
        await admit(here, row, key)
        await welcomed(page)

    async def test_who_comes_early_is_let_in_at_the_start(self, here: Site) -> None:
        """From doors-open on people wait for the hour; before that they are told when to come."""
        row = await here.here.schedule(starts_in=3600)
        early = await here.join(new_key(), row)
        assert (early.status_code, slug(early)) == (409, "doors-closed")
        opens_at = row.scheduled_at - 900
        assert early.json()["values"] == {"opensAt": opens_at}
        assert str(opens_at) in early.json()["next"]
        await here.here.advance(3600 - 900)
        page = await here.knock(new_key(), row)
        await waiting(page, "not_started")
        await here.here.advance(900)
        await welcomed(page)

    async def test_at_the_start_the_waiting_room_still_holds(self, here: Site) -> None:
        """The hour alone does not open a session with a waiting room: the reason to wait changes, and is told."""
        row = await here.here.schedule(starts_in=600, waiting_room=True)
        page = await here.knock(new_key(), row)
        await waiting(page, "not_started")
        await here.here.advance(600)
        await waiting(page, "instructor")

    async def test_a_full_room_lets_one_in_for_each_seat_that_frees(self, here: Site) -> None:
        """Two wait for one seat: the first gets it when a person leaves, and only the first."""
        row = await live(here, max_participants=1)
        holder = await here.enter(new_key(), row)
        first = await here.knock(new_key(), row)
        await waiting(first, "full")
        second = await here.knock(new_key(), row)
        await waiting(second, "full")
        shown = (await here.get(here.path_of(row, "room"), here.here.instructor)).json()["people"]
        assert [one["waitingFor"] for one in shown] == [None, "full", "full"], "whoever leads sees why"
        await holder.say("leave")
        await closing(holder)
        done, _ = await asyncio.wait(
            [asyncio.create_task(page.read()) for page in (first, second)],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=WITHIN,
        )
        assert [task.result()["type"] for task in done] == ["welcome"]
        await until_counts(here, row, 1, 1)

    async def test_many_who_rush_in_do_not_overfill_the_room(self, here: Site) -> None:
        """Twenty who open their sockets together get the five seats that there are, and the others wait."""
        row = await live(here, max_participants=5)
        tokens = [(await here.join(new_key(), row)).json()["token"] for _ in range(20)]
        pages = await asyncio.gather(*(here.open_socket(row, {"type": "hello", "token": token}) for token in tokens))
        answers = [await reading(page) for page in pages]
        assert sorted(answer["type"] for answer in answers) == ["waiting"] * 15 + ["welcome"] * 5
        assert await counts(here, row) == (5, 15)

    async def test_a_seat_that_is_held_by_rsvp_is_kept_free(self, here: Site) -> None:
        """A participant with a seat enters a room that is full for others."""
        row = await here.here.schedule(starts_in=60, max_participants=1)
        holder, walk_in = new_key(), new_key()
        await here.here.answer(holder, row)
        await here.here.turn()
        await here.here.advance(60)
        page = await here.knock(walk_in, row)
        await waiting(page, "full")
        await here.enter(holder, row)
        await here.here.clock.advance(1)
        assert await counts(here, row) == (1, 1)

    async def test_a_cap_that_rises_lets_people_in(self, here: Site) -> None:
        """Room for more is told to those who wait."""
        row = await live(here, max_participants=1)
        await here.enter(new_key(), row)
        page = await here.knock(new_key(), row)
        await waiting(page, "full")
        await edited(here, row, max_participants=2)
        await welcomed(page)

    async def test_the_end_closes_the_room_for_all(self, here: Site) -> None:
        """Who is inside is told that it ended, who waits is turned away, who comes later is refused."""
        row = await live(here, waiting_room=True)
        inside = await here.enter(here.here.instructor, row)
        outside = await here.knock(new_key(), row)
        await waiting(outside, "instructor")
        ended = await here.post(here.path_of(row, "end"), here.here.instructor)
        assert ended.json()["state"] == "ended"
        assert (await reading(inside))["type"] == "ended"
        assert await closing(inside) == CLOSE_CODES[LeaveReason.ROOM_CLOSED]
        await refused(outside, "ended")
        answer = await here.join(new_key(), row)
        assert (answer.status_code, slug(answer)) == (409, "ended")

    async def test_a_cancellation_empties_the_waiting_room(self, here: Site) -> None:
        """Who waits for a session that is cancelled is told so."""
        row = await here.here.schedule(starts_in=600)
        page = await here.knock(new_key(), row)
        await waiting(page, "not_started")
        await here.here.cancel(row)
        await here.here.turn()
        await refused(page, "cancelled")

    async def test_a_room_is_not_opened_again_by_who_came_too_late(self, here: Site) -> None:
        """Tickets of before the end open nothing after it, and leave no room behind."""
        row, key = await live(here), new_key()
        token = (await here.join(key, row)).json()["token"]
        await here.post(here.path_of(row, "end"), here.here.instructor)
        await refused(await here.open_socket(row, {"type": "hello", "token": token}), "ended")
        assert await counts(here, row) == (0, 0)

    async def test_a_session_that_ends_while_somebody_enters_leaves_no_room_open(self) -> None:
        """The end comes between the yes at the door and the seat: the seat is closed again, with the room."""
        async with site() as here:
            row, world = await live(here), here.here
            token = (await here.join(new_key(), row)).json()["token"]
            open_room = world.engine.open_room

            async def ending(spec: RoomSpec) -> RoomOpen | Unsupported:
                await world.lifecycle.end(row.session_address, world.instructor.pubkey)
                return await open_room(spec)

            world.engine.open_room = ending  # type: ignore[method-assign]
            page = await here.open_socket(row, {"type": "hello", "token": token})
            assert await closing(page) == CLOSE_CODES[LeaveReason.ROOM_CLOSED]
            assert isinstance(await world.engine.snapshot(RoomId(row.conference_room_id or "")), Rejection)


class TestDevices:
    """Three devices of one key, each once."""

    async def test_a_fourth_device_is_refused(self, here: Site) -> None:
        """Three are in the room, a fourth is not let in until one leaves."""
        row, key = await live(here), new_key()
        pages = [await here.enter(key, row, device) for device in ("a", "b", "c")]
        answer = await here.join(key, row, "d")
        assert (answer.status_code, slug(answer)) == (409, "too-many-devices")
        assert await counts(here, row) == (1, 0)
        await pages[0].say("leave")
        await closing(pages[0])
        await here.enter(key, row, "d")

    async def test_tickets_for_four_devices_do_not_seat_four(self, here: Site) -> None:
        """An attacker who collected tickets first is stopped at the door of the room."""
        row, key = await live(here), new_key()
        tokens = [(await here.join(key, row, device)).json()["token"] for device in "abcd"]
        pages = [await here.open_socket(row, {"type": "hello", "token": token}) for token in tokens]
        answers = [await reading(page) for page in pages]
        assert sorted(answer["type"] for answer in answers) == ["refused", "welcome", "welcome", "welcome"]

    async def test_the_same_device_again_replaces_itself(self, here: Site) -> None:
        """A second page of one device takes over, and the first is told."""
        row, key = await live(here), new_key()
        first = await here.enter(key, row)
        await here.enter(key, row)
        assert (await reading(first))["type"] == "removed"
        assert await closing(first) == CLOSE_CODES[LeaveReason.REPLACED]
        assert await counts(here, row) == (1, 0)


class TestKick:
    """A removal ends every connection and revokes the admission for the session."""

    async def test_a_kick_ends_all_devices_and_the_way_back(self, here: Site) -> None:
        """The person is told why on each device; no ticket, no resume secret and no new proof opens the door."""
        row, key = await live(here), new_key()
        pages = [await here.enter(key, row, device) for device in ("laptop", "phone")]
        spare = (await here.join(key, row, "tablet")).json()["token"]
        assert (await kick(here, row, key)).status_code == 200
        for page in pages:
            message = await reading(page)
            assert (message["type"], message["reason"]) == ("removed", "Come back tomorrow.")
            assert await closing(page) == CLOSE_CODES[LeaveReason.REMOVED]
        back = await here.open_socket(row, {"type": "return", "secret": pages[0].welcome["secret"]})
        assert await closing(back) == NO_TICKET
        await refused(await here.open_socket(row, {"type": "hello", "token": spare}), "denied")
        answer = await here.join(key, row)
        assert (answer.status_code, slug(answer)) == (403, "denied")
        assert await counts(here, row) == (0, 0)

    async def test_a_kick_reaches_who_is_away(self, here: Site) -> None:
        """A person who lost the socket and is then removed does not come back by the secret, even when forgiven."""
        row, key = await live(here), new_key()
        page = await here.enter(key, row)
        page.socket.transport.abort()
        await until_counts(here, row, 0, 0)
        await kick(here, row, key)
        await admit(here, row, key)
        back = await here.open_socket(row, {"type": "return", "secret": page.welcome["secret"]})
        assert await closing(back) == NO_TICKET
        await here.enter(key, row)

    async def test_a_kick_reaches_the_waiting_room(self, here: Site) -> None:
        """A person who waits and is removed is turned away."""
        row, key = await live(here, waiting_room=True), new_key()
        page = await here.knock(key, row)
        await waiting(page, "instructor")
        await kick(here, row, key)
        await refused(page, "denied")

    async def test_a_kick_while_somebody_enters_is_not_lost(self, here: Site) -> None:
        """However the two fall together, the removed person is out in the end."""
        row = await live(here)
        for _ in range(10):
            key = new_key()
            token = (await here.join(key, row)).json()["token"]
            page, _ = await asyncio.gather(
                here.open_socket(row, {"type": "hello", "token": token}), kick(here, row, key)
            )
            await closing(page)
            kept = await member(here, row, key)
            assert kept is not None
            assert kept.state == "removed"
        assert await counts(here, row) == (0, 0)

    async def test_the_instructor_may_change_their_mind(self, here: Site) -> None:
        """Admitting a removed person lets them in again."""
        row, key = await live(here), new_key()
        await closing_after(here, row, key)
        await admit(here, row, key)
        await here.enter(key, row)

    async def test_who_was_removed_is_listed_until_they_are_let_back_in(self, here: Site) -> None:
        """Those who lead read whom they removed; others do not; who is admitted again is not listed any more."""
        row, key = await live(here), new_key()
        await closing_after(here, row, key)
        assert await removed(here, row, here.here.instructor) == [key.pubkey]
        assert await removed(here, row, new_key()) == []
        await admit(here, row, key)
        assert await removed(here, row, here.here.instructor) == []

    async def test_leaders_are_not_removed(self, here: Site) -> None:
        """Instructor and co-hosts stay, even if one of them asks."""
        co_host = new_key()
        row = await live(here, co_hosts=(co_host.pubkey,))
        for key, by in ((here.here.instructor, co_host), (co_host, here.here.instructor)):
            answer = await kick(here, row, key, by=by)
            assert (answer.status_code, slug(answer)) == (403, "not-allowed")

    async def test_a_kick_of_somebody_who_never_came_keeps_them_out(self, here: Site) -> None:
        """Removing ahead of time is allowed."""
        row, key = await live(here), new_key()
        assert (await kick(here, row, key)).status_code == 200
        assert slug(await here.join(key, row)) == "denied"


async def removed(here: Site, row: LiveSessionRow, by: SecretKey) -> list[str]:
    """Whom the room's view lists as removed."""
    people = (await here.get(here.path_of(row, "room"), by)).json()["people"]
    return [one["pubkey"] for one in people if one["state"] == "removed"]


async def closing_after(here: Site, row: LiveSessionRow, key: SecretKey) -> None:
    """A person enters and is removed."""
    page = await here.enter(key, row)
    await kick(here, row, key)
    await closing(page)


class TestLock:
    """A locked room: who is in stays, nobody else comes in."""

    async def test_a_locked_room_is_entered_by_nobody_but_who_was_in_it(self, here: Site) -> None:
        """A confirmed person waits; who lost the line, takes a second device or loads the page again is back."""
        row, key, other, late = await live(here), new_key(), new_key(), new_key()
        page, reloaded = await here.enter(key, row), await here.enter(other, row)
        await until_counts(here, row, 2, 0)
        path = here.path_of(row, "room", "lock")
        assert (await here.post(path, key, {"on": True})).status_code == 403
        assert (await here.post(path, here.here.instructor, {"on": True})).status_code == 200
        assert (await here.get(here.path_of(row))).json()["isLocked"]
        await here.here.answer(late, row)
        waiter = await here.knock(late, row)
        await waiting(waiter, "locked")
        await reloaded.say("leave")
        await closing(reloaded)
        await until_counts(here, row, 1, 1)
        await here.enter(other, row)
        await here.enter(key, row, "phone")
        page.socket.transport.abort()
        await welcomed(await here.open_socket(row, {"type": "return", "secret": page.welcome["secret"]}))
        await here.enter(here.here.instructor, row)
        assert (await here.post(path, here.here.instructor, {"on": False})).status_code == 200
        await welcomed(waiter)
        assert not (await here.get(here.path_of(row))).json()["isLocked"]


class TestReturn:
    """A lost socket comes back within two minutes without a new signature."""

    async def test_a_return_skips_the_waiting_room_and_is_a_new_connection(self, here: Site) -> None:
        """The secret is good once; the new seat has another name and another secret."""
        row, key = await live(here, waiting_room=True), new_key()
        page = await here.knock(key, row)
        await waiting(page, "instructor")
        await admit(here, row, key)
        await welcomed(page)
        page.socket.transport.abort()
        await until_counts(here, row, 0, 0)
        await here.here.clock.advance(119)
        again = {"type": "return", "secret": page.welcome["secret"]}
        back = await here.open_socket(row, again)
        await welcomed(back)
        assert back.connection != page.connection
        assert back.welcome["secret"] != page.welcome["secret"]
        assert await closing(await here.open_socket(row, again)) == NO_TICKET
        assert await counts(here, row) == (1, 0)

    async def test_a_page_that_is_back_before_its_loss_is_noticed_takes_over(self, here: Site) -> None:
        """The old connection of the device is replaced, not doubled."""
        row, key = await live(here), new_key()
        page = await here.enter(key, row)
        await welcomed(await here.open_socket(row, {"type": "return", "secret": page.welcome["secret"]}))
        assert await closing(page) == CLOSE_CODES[LeaveReason.REPLACED]
        assert await counts(here, row) == (1, 0)

    async def test_two_minutes_are_the_end_of_it(self, here: Site) -> None:
        """Later the secret is nothing, and a new proof is needed."""
        row, key = await live(here), new_key()
        page = await here.enter(key, row)
        page.socket.transport.abort()
        await until_counts(here, row, 0, 0)
        await here.here.clock.advance(121)
        back = await here.open_socket(row, {"type": "return", "secret": page.welcome["secret"]})
        assert await closing(back) == NO_TICKET

    async def test_a_goodbye_on_one_device_leaves_the_others_their_way_back(self, here: Site) -> None:
        """Leaving on the phone does not spend the laptop's secret; the phone's own is gone."""
        row, key = await live(here), new_key()
        laptop, phone = await here.enter(key, row, "laptop"), await here.enter(key, row, "phone")
        await phone.say("leave")
        await closing(phone)
        gone = await here.open_socket(row, {"type": "return", "secret": phone.welcome["secret"]})
        assert await closing(gone) == NO_TICKET
        laptop.socket.transport.abort()
        await until_counts(here, row, 0, 0)
        await welcomed(await here.open_socket(row, {"type": "return", "secret": laptop.welcome["secret"]}))

    async def test_a_secret_is_for_its_own_room(self, here: Site) -> None:
        """A seat in one session brings nobody back into another."""
        row, other = await live(here), await live(here)
        page = await here.enter(new_key(), row)
        back = await here.open_socket(other, {"type": "return", "secret": page.welcome["secret"]})
        assert await closing(back) == NO_TICKET

    async def test_nobody_returns_to_a_session_that_ended(self, here: Site) -> None:
        """The end of the session ends the ways back into it."""
        row = await live(here)
        page = await here.enter(new_key(), row)
        await here.post(here.path_of(row, "end"), here.here.instructor)
        await closing(page)
        back = await here.open_socket(row, {"type": "return", "secret": page.welcome["secret"]})
        assert await closing(back) == NO_TICKET

    async def test_a_reload_changes_how_long_it_is(self, here: Site) -> None:
        """The time to return is the one in force when the socket is lost."""
        import msgspec

        row = await live(here)
        page = await here.enter(new_key(), row)
        here.here.rooms.settings = msgspec.structs.replace(here.here.rooms.settings, resume=5)
        page.socket.transport.abort()
        await until_counts(here, row, 0, 0)
        await here.here.clock.advance(6)
        back = await here.open_socket(row, {"type": "return", "secret": page.welcome["secret"]})
        assert await closing(back) == NO_TICKET


class TestServing:
    """The service as a whole."""

    async def test_a_line_reaches_everybody_in_the_room(self, here: Site) -> None:
        """What the lifecycle says is read by those inside and not by those who wait."""
        row, outside = await live(here, waiting_room=True), new_key()
        inside = await here.enter(here.here.instructor, row)
        page = await here.knock(outside, row)
        await waiting(page, "instructor")
        await here.here.rooms.notify(row.session_address, "This session ends in 5 min.")
        assert await reading(inside) == {"type": "notice", "text": "This session ends in 5 min."}
        await admit(here, row, outside)
        assert (await reading(page))["type"] == "welcome"

    async def test_the_server_stops_while_people_wait_and_sit(self) -> None:
        """A stop closes every socket in good order: 1012 tells the page to come back."""
        async with site() as here:
            row = await live(here, waiting_room=True)
            inside = await here.enter(here.here.instructor, row)
            outside = await here.knock(new_key(), row)
            await waiting(outside, "instructor")
            here.stop.set()
            assert await closing(inside) == 1012
            assert await closing(outside) == 1012

    async def test_secrets_are_in_no_representation(self, here: Site) -> None:
        """A ticket or a resume secret printed by mistake is not a leak."""
        row, key = await live(here), new_key()
        from podium_daemon.services.rooms.entry import RoomTicket

        asked = await here.challenge(row)
        proof = signed(key, here.proof(key, row, "laptop", asked))
        url = here.base + here.path_of(row, "join")
        ticket = await here.here.rooms.join(row, proof, url, None)
        assert isinstance(ticket, RoomTicket)
        assert ticket.token not in repr(ticket)
