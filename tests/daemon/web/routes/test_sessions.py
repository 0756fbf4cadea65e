"""Sessions over HTTP: looked at, drafted, signed, handed in, started and ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from podium_daemon.relays.pool import PoolRelay
from podium_daemon.relays.publisher import Publisher
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.people.profiles import Introduction
from podium_daemon.signers.qr import qr_code
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import UnsignedEvent, VerifiedEvent, verify_json
from podium_protocol.filters import Filter
from podium_protocol.nips import nip19, nip98
from tests.support.pools import running_pool
from tests.support.relays import new_key, running_relay
from tests.support.site import Site, site
from tests.support.world import RELAY

one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """One server for tests that have sessions of their own."""
    async with site() as running:
        yield running


WISH = {
    "title": "Know your rights",
    "summary": "An evening",
    "description": "Bring questions.",
    "duration": 90,
    "timezone": "Europe/Berlin",
    "maxParticipants": 12,
    "requiresRSVP": True,
    "waitingRoom": True,
    "allowRecording": True,
    "recordingAccess": "public",
    "attendance": "public",
}


def wish(here: Site, **changes: object) -> dict[str, object]:
    """A session that can be had."""
    return WISH | {"scheduledAt": here.here.now + 7200} | changes


async def scheduled(here: Site, **changes: object) -> str:
    """Schedule a session the whole way; its address."""
    draft = await here.post("/api/sessions/draft", here.here.instructor, wish(here, **changes))
    answer = await here.sign_and_submit(here.here.instructor, draft)
    assert answer.status_code == 200, answer.text
    return str(draft.json()["lessonId"])


async def test_a_session_is_drafted_signed_and_scheduled() -> None:
    """The draft says what it reveals; once signed it is a session that anybody sees, in the model's names."""
    async with site() as here:
        draft = await here.post("/api/sessions/draft", here.here.instructor, wish(here))
        assert draft.status_code == 200
        assert draft.json()["notice"].startswith("Public")
        (template,) = draft.json()["events"]
        assert (template["kind"], template["pubkey"]) == (kinds.SESSION, here.here.instructor.pubkey)
        assert set(template) == {"pubkey", "created_at", "kind", "tags", "content"}
        answer = await here.sign_and_submit(here.here.instructor, draft)
        (accepted,) = answer.json()["accepted"]
        assert (accepted["kind"], accepted["lessonId"], accepted["relays"]) == (
            31923,
            draft.json()["lessonId"],
            [RELAY],
        )
        shown = (await here.get(f"/api/sessions/{accepted['lessonId']}")).json()
        assert {name: shown[name] for name in WISH} == WISH
        assert (shown["state"], shown["seatsTaken"], shown["epoch"]) == ("scheduled", 0, 0)
        assert shown["endsAt"] == shown["scheduledAt"] + 90 * 60
        assert shown["counts"] == {"confirmed": 0, "tentative": 0, "declined": 0}
        assert shown["joinUrl"] == f"{here.base}/s/{shown['naddr']}"


@one_loop
async def test_a_session_says_who_holds_it_where_and_when_its_doors_open(here: Site) -> None:
    """The instructor's name and verified name, the place unless it is a link, and the time people can come."""
    row = await here.here.schedule(starts_in=7200)
    path = here.path_of(row)
    names = ("instructorName", "instructorNip05", "location", "doorsOpenAt")
    shown = (await here.get(path)).json()
    assert [shown[name] for name in names] == ["", None, None, row.scheduled_at - 900]
    here.introductions[here.here.instructor.pubkey] = Introduction("Grace", "grace@example.org")
    await here.here.store.sessions.put(msgspec.structs.replace(row, location="Room 5"))
    shown = (await here.get(path)).json()
    assert [shown[name] for name in names] == ["Grace", "grace@example.org", "Room 5", row.scheduled_at - 900]
    await here.here.store.sessions.put(msgspec.structs.replace(row, location="https://meet.example.org/secret"))
    assert (await here.get(path)).json()["location"] is None
    here.introductions.clear()


async def test_who_may_hold_none_is_told_before_they_sign_one() -> None:
    """The draft is refused with the npub to put on the list and where: a session nobody takes is not signed."""
    async with site() as here:
        stranger = new_key()
        refused = await here.post("/api/sessions/draft", stranger, wish(here))
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:podium:problem:not-an-instructor")
        assert nip19.encode_npub(stranger.pubkey) in refused.json()["detail"]
        assert "podium instructors add" in refused.json()["next"]


async def test_sessions_are_listed_by_start_and_state() -> None:
    """The list is in the order of the start; a state filters it, and an unknown state is refused."""
    async with site() as here:
        late, soon = await here.here.schedule(starts_in=9000), await here.here.schedule(starts_in=60)
        await here.here.advance(60)
        listed = (await here.get("/api/sessions")).json()["sessions"]
        assert [one["lessonId"] for one in listed] == [soon.session_address, late.session_address]
        active = (await here.get("/api/sessions?state=active")).json()["sessions"]
        assert [one["lessonId"] for one in active] == [soon.session_address]
        assert (await here.get("/api/sessions?state=ended")).json() == {"sessions": [], "next": None}
        assert (await here.get("/api/sessions?state=running")).status_code == 422


async def test_attendance_is_sealed_for_good() -> None:
    """What people were told is not taken back: it can become sealed, and a draft that would publish it is refused."""
    async with site() as here:
        lesson = await scheduled(here)
        path = f"/api/sessions/{lesson}"
        await here.here.clock.advance(10)
        for _ in range(2):
            draft = await here.post(f"{path}/draft", here.here.instructor, {"attendance": "private"})
            assert ["attendance", "private"] in draft.json()["events"][0]["tags"]
        assert (await here.sign_and_submit(here.here.instructor, draft)).status_code == 200
        assert (await here.get(path)).json()["attendance"] == "private"
        refused = await here.post(f"{path}/draft", here.here.instructor, {"attendance": "public"})
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "attendance-sealed")
        assert (await here.post(f"{path}/draft", here.here.instructor, {"attendance": None})).status_code == 422


async def test_a_draft_says_what_becomes_of_attendance() -> None:
    """The line of a public session names it, and without a wish the service's default is written into the event."""
    async with site() as here:
        plain = {name: value for name, value in wish(here).items() if name != "attendance"}
        said = [
            (await here.post("/api/sessions/draft", here.here.instructor, asked)).json()
            for asked in (plain, wish(here, attendance="private"))
        ]
        assert [one["notice"].rpartition("; ")[2].split()[2] for one in said] == ["are", "go"]
        tags = [[tag[1] for tag in one["events"][0]["tags"] if tag[0] == "attendance"] for one in said]
        assert tags == [["public"], ["private"]]


async def test_an_edit_changes_what_it_names_and_keeps_the_rest() -> None:
    """The next revision has the new title and everything else as it was; null empties what may be empty."""
    async with site() as here:
        lesson = await scheduled(here)
        path = f"/api/sessions/{lesson}"
        await here.here.clock.advance(10)
        changes = {"title": "Rights", "maxParticipants": None, "recordingAccess": "participants"}
        draft = await here.post(f"{path}/draft", here.here.instructor, changes)
        assert (await here.sign_and_submit(here.here.instructor, draft)).status_code == 200
        shown = (await here.get(path)).json()
        expected = WISH | changes
        assert {name: shown[name] for name in expected} == expected
        assert shown["epoch"] == 0


async def test_who_may_come_without_a_signer_is_said_or_the_service_s_default() -> None:
    """A session that says nothing of guests has the default; an edit says it, and others leave it as it is."""
    async with site() as here:
        path = f"/api/sessions/{await scheduled(here)}"
        assert (await here.get(path)).json()["guests"] == "invited"
        for change, guests in (
            ({"guests": "off"}, "off"),
            ({"title": "Rights"}, "off"),
            ({"guests": "anyone"}, "anyone"),
        ):
            await here.here.clock.advance(10)
            draft = await here.post(f"{path}/draft", here.here.instructor, change)
            assert ["guests", guests] in draft.json()["events"][0]["tags"]
            assert (await here.sign_and_submit(here.here.instructor, draft)).status_code == 200
            assert (await here.get(path)).json()["guests"] == guests


async def test_an_edit_of_the_time_begins_an_epoch() -> None:
    """A new start is a move, of which people are told."""
    async with site() as here:
        path = f"/api/sessions/{await scheduled(here)}"
        start = here.here.now + 9000
        draft = await here.post(f"{path}/draft", here.here.instructor, {"scheduledAt": start, "duration": 30})
        await here.sign_and_submit(here.here.instructor, draft)
        shown = (await here.get(path)).json()
        assert (shown["scheduledAt"], shown["duration"], shown["epoch"]) == (start, 30, 1)


@pytest.mark.parametrize("field", ["title", "scheduledAt", "duration", "requiresRSVP", "waitingRoom", "allowRecording"])
@one_loop
async def test_what_a_session_must_have_cannot_be_emptied(here: Site, field: str) -> None:
    """Null for a title, a time or a switch is told, and is no failure of the daemon."""
    answer = await here.post(f"/api/sessions/{await scheduled(here)}/draft", here.here.instructor, {field: None})
    assert answer.status_code == 422
    assert "cannot be empty" in answer.json()["detail"]


@pytest.mark.parametrize("field", ["summary", "description", "timezone", "maxParticipants", "coHosts", "invited"])
@one_loop
async def test_what_may_be_empty_can_be_emptied(here: Site, field: str) -> None:
    """Null takes a summary, a cap or the co-hosts out."""
    path = f"/api/sessions/{await scheduled(here, coHosts=[new_key().pubkey])}"
    await here.here.clock.advance(10)
    draft = await here.post(f"{path}/draft", here.here.instructor, {field: None})
    assert (await here.sign_and_submit(here.here.instructor, draft)).status_code == 200
    shown = (await here.get(path)).json()
    assert shown.get(field, "") in ("", None, "UTC")


async def test_two_edits_in_one_second_both_count() -> None:
    """Each draft is dated after the revision it replaces."""
    async with site() as here:
        path = f"/api/sessions/{await scheduled(here)}"
        for title in ("one", "two", "three"):
            draft = await here.post(f"{path}/draft", here.here.instructor, {"title": title})
            assert (await here.sign_and_submit(here.here.instructor, draft)).status_code == 200
        assert (await here.get(path)).json()["title"] == "three"


@pytest.mark.parametrize("lost", [(), ("end",), ("title",), ("p",)])
async def test_an_edit_starts_from_what_is_in_force(lost: tuple[str, ...]) -> None:
    """Another client dropped our tags, or wrote what cannot be read: the next draft has the rules and heals."""
    async with site() as here:
        lesson = await scheduled(here)
        row = await here.here.row(lesson)
        before = await here.here.event_of(row)
        standard = ("d", "title", "start", "end", "start_tzid", "p")
        kept = tuple(tag for tag in before.tags if tag[0] in standard and tag[0] not in lost)
        elsewhere = UnsignedEvent(before.pubkey, before.created_at + 1, before.kind, kept, before.content)
        await here.here.publish(here.here.instructor, elsewhere)
        await here.here.clock.advance(10)
        draft = await here.post(f"/api/sessions/{lesson}/draft", here.here.instructor, {"title": "Rights"})
        assert (await here.sign_and_submit(here.here.instructor, draft)).status_code == 200
        shown = (await here.get(f"/api/sessions/{lesson}")).json()
        expected = WISH | {"title": "Rights", "summary": shown["summary"]}  # theirs dropped it: it is no rule
        assert {name: shown[name] for name in expected} == expected
        assert shown["state"] == "scheduled"
        after = await here.here.row(lesson)
        assert (after.withdrawn, after.unread_event_id, after.epoch) == (False, None, 0)


async def test_what_was_passed_over_is_listed_for_whoever_signed_it() -> None:
    """With the reason, over a signed call; the session says for itself that its last change does not count."""
    async with site() as here:
        lesson = await scheduled(here)
        before = await here.here.event_of(await here.here.row(lesson))
        kept = tuple(tag for tag in before.tags if tag[0] != "title")
        draft = UnsignedEvent(before.pubkey, before.created_at + 1, before.kind, kept, before.content)
        edit = await here.here.publish(here.here.instructor, draft)
        listed = await here.call("GET", "/api/sessions/passed-over", by=here.here.instructor)
        (one,) = listed.json()["events"]
        assert (one["eventId"], one["lessonId"], one["reason"], one["keeps"]) == (edit.id, lesson, "no title", True)
        assert (await here.get(f"/api/sessions/{lesson}")).json()["unreadReason"] == "no title"
        assert (await here.call("GET", "/api/sessions/passed-over", by=new_key())).status_code == 403
        assert (await here.get("/api/sessions/passed-over")).status_code == 401


async def test_somebody_elses_signature_does_not_edit() -> None:
    """Anybody may look at a draft; signed by another key it is another session, and theirs is not taken."""
    async with site() as here:
        path = f"/api/sessions/{await scheduled(here)}"
        stranger = new_key()
        draft = await here.post(f"{path}/draft", stranger, {"title": "Mine now"})
        (template,) = draft.json()["events"]
        own = here.sign(stranger, template | {"pubkey": stranger.pubkey})
        forged = own | {"pubkey": here.here.instructor.pubkey}
        assert (await here.post("/api/events", stranger, {"events": [forged]})).status_code == 400
        refused = await here.post("/api/events", stranger, {"events": [own]})
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:podium:problem:not-an-instructor")
        assert (await here.get(path)).json()["title"] == "Know your rights"


async def test_a_cancellation_is_two_events_to_sign() -> None:
    """The revision keeps the times and says cancelled; the deletion carries the reason. Then nothing can be drafted."""
    async with site() as here:
        path = f"/api/sessions/{await scheduled(here)}"
        draft = await here.post(f"{path}/cancel/draft", here.here.instructor, {"reason": "I am ill."})
        revision, deletion = draft.json()["events"]
        assert (revision["kind"], deletion["kind"], deletion["content"]) == (31923, 5, "I am ill.")
        assert ["status", "cancelled"] in revision["tags"]
        assert (await here.sign_and_submit(here.here.instructor, draft)).status_code == 200
        await here.here.turn()
        shown = (await here.get(path)).json()
        assert (shown["state"], shown["cancelReason"]) == ("cancelled", "I am ill.")
        for target, body in ((f"{path}/draft", {"title": "x"}), (f"{path}/cancel/draft", {})):
            answer = await here.post(target, here.here.instructor, body)
            assert (answer.status_code, answer.json()["type"]) == (409, "urn:podium:problem:session-over")


async def test_a_reason_has_a_length() -> None:
    """A reason longer than people read is cut, not refused."""
    async with site() as here:
        path = f"/api/sessions/{await scheduled(here)}"
        draft = await here.post(f"{path}/cancel/draft", here.here.instructor, {"reason": "x" * 10_000})
        assert len(draft.json()["events"][1]["content"]) == 500


async def test_what_a_draft_reveals_is_said_in_one_line() -> None:
    """Public or private, and what each means; encryption that the engine has not is refused before it is signed."""
    async with site() as here:
        said = []
        for change in ({}, {"visibility": "private"}):
            answer = await here.post("/api/sessions/draft", here.here.instructor, wish(here, **change))
            said.append(answer.json()["notice"])
        assert [line.partition(":")[0] for line in said] == ["Public", "Private"]
        assert all("\n" not in line for line in said)
        answer = await here.post("/api/sessions/draft", here.here.instructor, wish(here, e2eeRequired=True))
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:podium:problem:e2ee-unavailable")


async def test_a_private_draft_that_is_too_long_is_refused_before_it_is_signed() -> None:
    """Nobody signs what no relay would take sealed."""
    async with site() as here:
        long = wish(
            here, visibility="private", description="\n" * 10 + "x" * 16_000, invited=[here.here.service.pubkey]
        )
        assert (await here.post("/api/sessions/draft", here.here.instructor, long)).status_code == 200
        invited = [new_key().pubkey for _ in range(130)]
        answer = await here.post("/api/sessions/draft", here.here.instructor, long | {"invited": invited})
        assert answer.status_code == 400
        assert "invite fewer" in answer.json()["detail"]


async def test_every_reason_against_a_wish_is_told() -> None:
    """A past start, a long title and a cap of nothing are told together."""
    async with site() as here:
        wrong = wish(here, scheduledAt=here.here.now - 3600, title="x" * 300, maxParticipants=0)
        answer = await here.post("/api/sessions/draft", here.here.instructor, wrong)
        assert answer.status_code == 400
        for word in ("past", "300 characters", "participants"):
            assert word in answer.json()["detail"]


async def test_drafts_need_a_login() -> None:
    """Whose draft it is follows from the login, so there is none without."""
    async with site() as here:
        path = f"/api/sessions/{await scheduled(here)}"
        for target in ("/api/sessions/draft", f"{path}/draft", f"{path}/cancel/draft", f"{path}/rsvp/draft"):
            assert (await here.post(target, None, wish(here))).status_code in (401, 422)
        for command in ("start", "end", "reopen"):
            assert (await here.post(f"{path}/{command}")).status_code == 401


class TestCommands:
    """Start, end and reopen by the instructor's signed call."""

    async def test_the_instructor_starts_ends_and_reopens(self) -> None:
        """From doors-open on the instructor's call moves the session; each answer shows it as it is then."""
        async with site() as here:
            row = await here.here.schedule(starts_in=600)
            teacher = here.here.instructor
            started = await here.post(here.path_of(row, "start"), teacher)
            assert (started.status_code, started.json()["state"]) == (200, "active")
            await here.here.clock.advance(60)
            ended = await here.post(here.path_of(row, "end"), teacher)
            assert (ended.json()["state"], ended.json()["endReason"]) == ("ended", "manual_end")
            again = await here.post(here.path_of(row, "reopen"), teacher)
            assert (again.json()["state"], again.json()["startedAt"]) == ("active", here.here.now)

    async def test_a_co_host_does_as_well(self) -> None:
        """A co-host starts, ends and reopens as the instructor does."""
        async with site() as here:
            co_host = new_key()
            row = await here.here.schedule(starts_in=600, co_hosts=(co_host.pubkey,))
            for command, state in (("start", "active"), ("end", "ended"), ("reopen", "active")):
                assert (await here.post(here.path_of(row, command), co_host)).json()["state"] == state

    async def test_nobody_else_does(self) -> None:
        """A stranger and the service itself are refused."""
        async with site() as here:
            row = await here.here.schedule(starts_in=600)
            for key in (new_key(), here.here.service):
                for command in ("start", "end", "reopen"):
                    answer = await here.post(here.path_of(row, command), key)
                    assert (answer.status_code, answer.json()["type"]) == (403, "urn:podium:problem:not-allowed")
            assert (await here.here.row(row.session_address)).state == "scheduled"

    async def test_a_command_at_the_wrong_time_says_so(self) -> None:
        """Before the doors open nothing starts, what is not live does not end, what did not end is not reopened."""
        async with site() as here:
            row = await here.here.schedule(starts_in=7200)
            for command, slug in (("start", "doors-closed"), ("end", "wrong-state"), ("reopen", "wrong-state")):
                answer = await here.post(here.path_of(row, command), here.here.instructor)
                assert (answer.status_code, answer.json()["type"]) == (409, f"urn:podium:problem:{slug}")

    async def test_a_command_cannot_be_played_again(self) -> None:
        """The login of a start is used up by it: an attacker who recorded it cannot start the session a second time."""
        async with site() as here:
            row = await here.here.schedule(starts_in=0)
            path = here.path_of(row, "end")
            await here.here.turn()
            header = nip98.write_header(here.login(here.here.instructor, "POST", path))
            assert (await here.call("POST", path, headers={"Authorization": header})).status_code == 200
            await here.post(here.path_of(row, "reopen"), here.here.instructor)
            assert (await here.call("POST", path, headers={"Authorization": header})).status_code == 401
            assert (await here.here.row(row.session_address)).state == "active"


class TestReferences:
    """A session by its naddr, its address, or a unique beginning of its `d`."""

    async def test_each_way_of_naming_leads_to_it(self) -> None:
        """Naddr (in capitals too, as in QR codes), `nostr:` naddr, address, `d` and its beginning are one session.

        So are the naddr of its live status and of an answer: NIP-89 sends people here with those as well.
        """
        async with site() as here:
            row = await here.here.schedule()
            naddr, d = here.views.naddr(row), row.session_address.split(":", 2)[2]
            bare = nip19.encode_naddr(Address(31923, here.here.instructor.pubkey, d))
            status = nip19.encode_naddr(Address(30313, here.here.service.pubkey, row.conference_room_id or ""))
            guest = new_key()
            rsvp = await here.here.answer(guest, row)
            answered = nip19.encode_naddr(Address(31925, guest.pubkey, rsvp.identifier or ""))
            for name in (status, answered, naddr, bare, naddr.upper(), f"nostr:{naddr}", row.session_address, d, d[:5]):
                answer = await here.get(f"/api/sessions/{name}")
                assert (answer.status_code, answer.json().get("lessonId")) == (200, row.session_address), name

    @pytest.mark.parametrize(
        ("name", "status"),
        [
            ("nothing", 404),
            ("31923:x:y", 400),
            ("31924:{pubkey}:{d}", 404),
            ("31923:{other}:{d}", 404),
            ("31923:{pubkey}:{d}x", 404),
            ("31923:{upper}:{d}", 400),
            ("naddr1qqqq", 400),
            ("{npub}", 404),
            ("nostr:{npub}", 400),
            ("%20", 404),
            ("%00", 404),
            ("%FF%FE", 404),
            ("..", 404),
            ("%2e%2e%2fservice", 404),
            ("x" * 5000, 404),
            ("%25", 404),
            ("_", 404),
            ("*", 404),
        ],
    )
    @one_loop
    async def test_what_names_nothing_is_told(self, here: Site, name: str, status: int) -> None:
        """Unknown, malformed and wildcard names are 404 or 400, in any spelling, and never a failure."""
        row = await here.here.schedule()
        values = {
            "pubkey": row.instructor_pubkey,
            "upper": row.instructor_pubkey.upper(),
            "other": new_key().pubkey,
            "d": row.session_address.split(":", 2)[2],
            "npub": nip19.encode_npub(new_key().pubkey),
        }
        answer = await here.get(f"/api/sessions/{name.format(**values)}")
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_an_ambiguous_name_is_409_with_the_candidates(self) -> None:
        """Several sessions begin alike: the answer names them, and the full name still leads to its own."""
        async with site() as here:
            for identifier in ("knots", "knots-2", "knots-3"):
                await scheduled(here, identifier=identifier)
            assert (await here.get("/api/sessions/knots")).json()["lessonId"].endswith(":knots")
            answer = await here.get("/api/sessions/kno")
            assert (answer.status_code, answer.json()["type"]) == (409, "urn:podium:problem:ambiguous-session")
            assert all(name in answer.json()["detail"] for name in ("knots", "knots-2", "knots-3"))

    async def test_the_same_name_of_two_instructors_is_told_apart_by_address(self) -> None:
        """Two instructors called their sessions alike: the candidates are given so that one can be chosen."""
        async with site() as here:
            first = await scheduled(here, identifier="knots")
            teacher, here.here.instructor = here.here.instructor, new_key()
            here.here.listed.add(here.here.instructor.pubkey)
            second = await scheduled(here, identifier="knots")
            here.here.instructor = teacher
            answer = await here.get("/api/sessions/knots")
            assert answer.status_code == 409
            assert first in answer.json()["detail"]
            assert second in answer.json()["detail"]

    async def test_a_name_with_escapes_is_read_and_can_be_signed_for(self) -> None:
        """A `d` with spaces and letters of other alphabets works in a path, with a login."""
        async with site() as here:
            lesson = await scheduled(here, identifier="Übung für alle")
            path = "/api/sessions/%C3%9Cbung%20f%C3%BCr%20alle"
            assert (await here.get(path)).json()["lessonId"] == lesson
            assert (await here.get(f"{path}/rsvps", here.here.instructor)).status_code == 200


@pytest.mark.real_peer
async def test_what_was_signed_reaches_a_real_relay() -> None:
    """Session, edit, RSVP and cancellation go from the drafts through the outbox to a relay, and can be read there."""
    async with running_relay() as relay, running_pool(PoolRelay(relay.url)) as pool, site(now=time.time()) as here:
        world, stop = here.here, Stop(here.here.clock)
        world.event_writer._targets = lambda: [relay.url]
        publisher = Publisher(outbox=world.outbox, store=world.store, pool=pool, clock=world.clock)
        running = asyncio.create_task(publisher.run(stop))
        lesson = await scheduled(here)
        path = f"/api/sessions/{lesson}"
        person = new_key()
        await here.sign_and_submit(
            world.instructor, await here.post(f"{path}/draft", world.instructor, {"title": "New"})
        )
        await here.sign_and_submit(person, await here.post(f"{path}/rsvp/draft", person, {"status": "confirmed"}))
        cancelled = await here.post(f"{path}/cancel/draft", world.instructor, {})
        assert (await here.sign_and_submit(world.instructor, cancelled)).status_code == 200
        async with asyncio.timeout(60):
            while await world.outbox.pending_by_relay():
                await asyncio.sleep(0.01)
        stop.set()
        await running
        wanted = Filter(kinds=(kinds.RSVP, kinds.DELETION), authors=(person.pubkey, world.instructor.pubkey))
        found = await pool.fetch([relay.url], [wanted])
        assert found.answers[0].problem is None
        read = [verify_json(incoming.raw) for incoming in found.events]
        assert sorted(event.kind for event in read if isinstance(event, VerifiedEvent)) == [5, 31925]


@one_loop
async def test_the_invitation_is_the_description_as_a_tree_and_a_code(here: Site) -> None:
    """The description is read as Markdown, links lead to the web only, and the code is that of the session's page."""
    name = await scheduled(here, description="# Knots\n\n[a](https://a.example) [b](javascript:b)")
    shown = (await here.get(f"/api/sessions/{name}")).json()
    told = (await here.get(f"/api/sessions/{name}/invitation")).json()
    heading, paragraph = told["description"]
    assert (heading["tag"], heading["children"][0]["text"]) == ("h3", "Knots")
    assert [each["href"] for each in paragraph["children"]] == ["https://a.example", None]
    assert told["qr"] == list(qr_code(shown["joinUrl"]).rows)


@one_loop
async def test_a_text_too_long_for_markdown_is_told_as_none(here: Site) -> None:
    """The page shows such a description as it is written."""
    name = await scheduled(here, description="word " * 3000)
    assert (await here.get(f"/api/sessions/{name}/invitation")).json()["description"] is None


@one_loop
async def test_a_private_invitation_is_for_its_people(here: Site) -> None:
    """To a stranger a private session has none."""
    name = await scheduled(here, visibility="private", recordingAccess="participants", attendance="private")
    assert (await here.get(f"/api/sessions/{name}/invitation")).status_code == 404
