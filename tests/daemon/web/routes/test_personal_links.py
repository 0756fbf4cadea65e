"""The link in a person's message: what it allows without a signer, and every way in which it is abused."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from podium_daemon.services.recording.watching import Viewer
from podium_daemon.web.calendars import Face
from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.keys import SecretKey
from podium_protocol.live.session import GuestPolicy, Visibility
from podium_storage.table.models import LiveSessionRow, RecordingRow
from tests.daemon.web.routes.test_guests import answered, as_guest, guest, joined, open_link, slug
from tests.support.private import edited, opened, scheduled
from tests.support.relays import new_key
from tests.support.seat_server import Page
from tests.support.site import Site, closing, site, welcomed

PAGE = files("podium_daemon") / "web" / "page"
_FRAGMENT = re.compile(r"#guest=[\w-]{76}(?!\S)")


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


def links(here: Site, key: SecretKey) -> list[str]:
    """The personal links in the messages that were sent to a person, really unwrapped, in order."""
    return [link for rumor in opened(here.here, key, 14) for link in _FRAGMENT.findall(rumor.content)]


async def told(here: Site, row: LiveSessionRow, key: SecretKey | None = None) -> tuple[SecretKey, str]:
    """A person with a message about the session, and the link in it."""
    key = key or await here.here.person()
    await here.here.answer(key, row)
    await here.here.turn()
    return key, links(here, key)[-1]


async def signed_in(here: Site, row: LiveSessionRow, link: str) -> dict[str, Any]:
    """What the first browser gets for a link."""
    answer = await open_link(here, row, link)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def started(here: Site, row: LiveSessionRow) -> LiveSessionRow:
    """The session, live."""
    assert (await here.post(here.path_of(row, "start"), here.here.instructor)).status_code == 200
    return await here.here.row(row.session_address)


async def ended(here: Site, row: LiveSessionRow) -> LiveSessionRow:
    """The session, over."""
    assert (await here.post(here.path_of(row, "end"), here.here.instructor)).status_code == 200
    return await here.here.row(row.session_address)


class TestWhatItAllows:
    """Answer, join with consent, ask, own attendance: as that person, in that session."""

    async def test_it_signs_its_person_in(self, here: Site) -> None:
        """The caller is the person of the message, known by a link, for that session."""
        row = await here.here.schedule()
        key, link = await told(here, row)
        who = await signed_in(here, row, link)
        assert (who["pubkey"], who["assurance"], who["hasOwnKey"]) == (key.pubkey, "link", True)
        login = (await here.call("GET", "/api/login", token=who["token"])).json()
        assert (login["pubkey"], login["assurance"], login["lessonId"]) == (key.pubkey, "link", row.session_address)

    async def test_answers_by_key_and_by_link_are_one_persons(self, here: Site) -> None:
        """The newer one wins, whichever way it came; the counts say one person, and the list how it came."""
        row = await here.here.schedule()
        key, link = await told(here, row)
        who = await signed_in(here, row, link)
        for status, assurance in (("declined", "link"), ("confirmed", "signature"), ("tentative", "link")):
            await here.here.clock.advance(5)
            if assurance == "link":
                assert (await answered(here, row, who, status)).status_code == 200
            else:
                await here.here.answer(key, row)
            shown = (await here.get(here.path_of(row))).json()["counts"]
            assert shown == {"confirmed": 0, "tentative": 0, "declined": 0} | {status: 1}
            (listed,) = (await here.get(here.path_of(row, "rsvps"), here.here.instructor)).json()["rsvps"]
            assert (listed["pubkey"], listed["status"], listed["assurance"]) == (key.pubkey, status, assurance)
        own = (await here.call("GET", here.path_of(row, "rsvps"), token=who["token"])).json()["rsvps"]
        assert [one["status"] for one in own] == ["tentative"]

    async def test_an_older_answer_by_link_does_not_count(self, here: Site) -> None:
        """What was signed by the key since outranks an answer that lay about in a browser."""
        row = await here.here.schedule()
        key, link = await told(here, row)
        who = await signed_in(here, row, link)
        draft = await here.call(
            "POST", here.path_of(row, "rsvp", "draft"), body={"status": "declined"}, token=who["token"]
        )
        late = (await as_guest(here, row, who, draft.json()["events"][0])).json()
        await here.here.clock.advance(60)
        await here.here.answer(key, row)
        taken = await here.call("POST", "/api/events", body={"events": [late]}, token=who["token"])
        assert (taken.status_code, slug(taken)) == (409, "outdated")

    async def test_nothing_is_published(self, here: Site) -> None:
        """Neither answer nor question nor attendance go to relays, under whatever key."""
        row = await here.here.schedule(starts_in=60)
        key, link = await told(here, row)
        who = await signed_in(here, row, link)
        row = await started(here, row)
        await here.here.turn()
        before = len(here.here.sent)
        await here.here.clock.advance(5)
        await answered(here, row, who, "tentative")
        meeting = f"30313:{here.here.service.pubkey}:{row.conference_room_id}"
        template = {
            "pubkey": key.pubkey,
            "kind": kinds.LIVE_CHAT,
            "created_at": here.here.now,
            "tags": [["a", meeting, "", "root"]],
            "content": "Which rope?",
        }
        event = (await as_guest(here, row, who, template)).json()
        assert event["pubkey"] != key.pubkey
        path = here.path_of(row, "questions")
        assert (await here.call("POST", path, body={"event": event}, token=who["token"])).status_code == 200
        (asked,) = (await here.get(path)).json()["questions"]
        assert (asked["text"], asked["pubkey"]) == ("Which rope?", key.pubkey)
        await here.here.turn()
        fresh = {one.kind for one in here.here.sent[before:]}
        assert fresh <= {kinds.GIFT_WRAP, kinds.MEETING, kinds.LIVE_EVENT}

    async def test_a_join_is_the_persons_and_marked(self, here: Site) -> None:
        """Seat and record are theirs, with `assurance` `link`; the notice says that nothing is published."""
        row = await here.here.schedule(starts_in=60)
        key, link = await told(here, row)
        who = await signed_in(here, row, link)
        row = await started(here, row)
        challenge = await here.call("POST", here.path_of(row, "join", "challenge"), token=who["token"])
        assert challenge.json()["attendance"] == "private"
        ticket = await joined(here, row, who)
        assert (ticket.status_code, ticket.json()["state"]) == (200, "admitted"), ticket.text
        assert ticket.json()["login"] is None
        (member,) = await here.here.store.members.to_list()
        assert (member.pubkey, member.assurance, member.role) == (key.pubkey, "link", "participant")

    async def test_in_a_private_session(self, here: Site) -> None:
        """An invitation's link shows the session, to whom nothing was shown before; uninvited, it ends."""
        key, other = await here.here.person(), await here.here.person()
        row = await scheduled(here.here, key, other)
        await here.here.turn()
        link = links(here, key)[-1]
        who = await signed_in(here, row, link)
        assert (await here.call("GET", here.path_of(row), token=who["token"])).status_code == 200
        assert (await answered(here, row, who)).status_code == 200
        row = await edited(here.here, row, invited=(other.pubkey,))
        assert (await here.call("GET", here.path_of(row), token=who["token"])).status_code == 401
        assert slug(await open_link(here, row, link)) == "unknown-session"

    async def test_an_encrypted_room_needs_the_key(self, here: Site) -> None:
        """The service signs no way into a room whose words it must not be able to read; the message says so."""
        key = await here.here.person()
        row = await here.here.schedule(visibility=Visibility.PRIVATE, e2ee_required=True, invited=(key.pubkey,))
        _, link = await told(here, row, key)
        assert "to enter it, open the page where your key is" in opened(here.here, key, 14)[-1].content
        who = await signed_in(here, row, link)
        assert (await answered(here, row, who, "tentative")).status_code == 200
        template = {
            "pubkey": key.pubkey,
            "kind": kinds.HTTP_AUTH,
            "created_at": here.here.now,
            "tags": [["u", f"{here.base}{here.path_of(row, 'join')}"], ["a", row.session_address]],
            "content": "",
        }
        refused = await as_guest(here, row, who, template)
        assert (refused.status_code, slug(refused)) == (403, "needs-key")


class TestAbuse:
    """Who has a link that is not, or no more, theirs."""

    async def test_second_browser(self, here: Site) -> None:
        """A forwarded link opens in no second browser; once the first has signed out it is good again."""
        row = await here.here.schedule()
        _, link = await told(here, row)
        who = await signed_in(here, row, link)
        again = await open_link(here, row, link)
        assert (again.status_code, slug(again)) == (409, "link-used")
        assert "first browser" in again.json()["next"]
        ended = await here.call("POST", "/api/login/end", body={"everywhere": False}, token=who["token"])
        assert ended.status_code == 200
        assert (await open_link(here, row, link)).status_code == 200

    async def test_all_links_of_a_person_to_a_session_are_bound_together(self, here: Site) -> None:
        """A later message's link gives no second browser its own way in."""
        row = await here.here.schedule()
        key, link = await told(here, row)
        await signed_in(here, row, link)
        await here.here.advance(24 * 3600)
        later = links(here, key)[-1]
        assert later != link
        assert slug(await open_link(here, row, later)) == "link-used"

    async def test_moved_to_another_device(self, here: Site) -> None:
        """The instructor lets the link be opened once more; they are told no link, and the old login ends."""
        row = await here.here.schedule()
        key, link = await told(here, row)
        old = await signed_in(here, row, link)
        (listed,) = (await here.get(here.path_of(row, "guests"), here.here.instructor)).json()["guests"]
        assert (listed["state"], listed["hasOwnKey"]) == ("opened", True)
        path = here.path_of(row, "guests", listed["pubkey"], "renew")
        renewed = (await here.post(path, here.here.instructor)).json()
        assert (renewed["link"], renewed["state"]) == (None, "new")
        assert (await here.call("GET", "/api/login", token=old["token"])).status_code == 401
        assert (await signed_in(here, row, link))["pubkey"] == key.pubkey

    async def test_after_the_end(self, here: Site) -> None:
        """A session's link ends with it; that of the recording's message opens for two weeks more."""
        row = await here.here.schedule(starts_in=60)
        key, link = await told(here, row)
        row = await ended(here, await started(here, row))
        late = await open_link(here, row, link)
        assert (late.status_code, slug(late)) == (410, "link-ended")
        at = here.here.now
        recording = here.core.link_of(row, key.pubkey, at, to_recording=True)
        await here.here.clock.advance(14 * 24 * 3600)
        assert slug(await open_link(here, row, recording)) == "link-ended"
        fresh = here.core.link_of(row, key.pubkey, at + 1, to_recording=True)
        assert (await open_link(here, row, fresh)).status_code == 200

    async def test_of_another_session(self, here: Site) -> None:
        """It opens the session it was made for, and its login sees no other one."""
        row, other = await here.here.schedule(), await here.here.schedule(summary="other")
        key, link = await told(here, row)
        await here.here.answer(key, other)
        wrong = await open_link(here, other, link)
        assert (wrong.status_code, slug(wrong)) == (404, "unknown-link")
        who = await signed_in(here, row, link)
        for path in ("rsvps", "me/attendance", "attendance"):
            assert (await here.call("GET", here.path_of(other, path), token=who["token"])).status_code == 404

    async def test_revoked_by_the_instructor(self, here: Site) -> None:
        """It opens nothing, and its login and its seat end."""
        row = await here.here.schedule()
        _, link = await told(here, row)
        who = await signed_in(here, row, link)
        (listed,) = (await here.get(here.path_of(row, "guests"), here.here.instructor)).json()["guests"]
        await here.post(here.path_of(row, "guests", listed["pubkey"], "revoke"), here.here.instructor)
        assert (await here.call("GET", "/api/login", token=who["token"])).status_code == 401
        assert slug(await open_link(here, row, link)) == "link-revoked"

    @pytest.mark.parametrize("is_opened", [True, False], ids=["opened", "not opened"])
    async def test_signed_out_everywhere(self, here: Site, is_opened: bool) -> None:
        """With their key a person ends all links they were sent, opened or not; a later message has a new one."""
        row = await here.here.schedule()
        key, link = await told(here, row)
        who = await signed_in(here, row, link) if is_opened else None
        token = await here.sign_in(key)
        await here.call("POST", "/api/login/end", body={"everywhere": True}, token=token)
        if who is not None:
            assert (await here.call("GET", "/api/login", token=who["token"])).status_code == 401
        gone = await open_link(here, row, link)
        assert (gone.status_code, slug(gone)) == (410, "link-signed-out")
        await here.here.advance(24 * 3600)
        assert (await signed_in(here, row, links(here, key)[-1]))["pubkey"] == key.pubkey

    async def test_who_came_by_a_link_ends_those_of_its_session(self, here: Site) -> None:
        """Signing out everywhere reaches as far as the login: the person's other sessions and logins stay."""
        row, other = await here.here.schedule(), await here.here.schedule(summary="other")
        key, link = await told(here, row)
        _, second = await told(here, other, key)
        by_key = await here.sign_in(key)
        who = await signed_in(here, row, link)
        await here.call("POST", "/api/login/end", body={"everywhere": True}, token=who["token"])
        assert slug(await open_link(here, row, link)) == "link-signed-out"
        assert (await open_link(here, other, second)).status_code == 200
        assert (await here.call("GET", "/api/login", token=by_key)).status_code == 200

    async def test_forged(self, here: Site) -> None:
        """Another person, another time, another purpose, or a changed bit: it is not one of ours."""
        row = await here.here.schedule()
        _, link = await told(here, row)
        raw = base64.urlsafe_b64decode(link.partition("=")[2])
        for place in (0, 1, 8, 9, 40, 41, len(raw) - 1):
            changed = bytes(byte ^ (at == place) for at, byte in enumerate(raw))
            forged = await open_link(here, row, f"#guest={base64.urlsafe_b64encode(changed).decode()}")
            assert (forged.status_code, slug(forged)) == (404, "unknown-link"), place
        for text in ("A" * 76, "-" * 76, "!" * 76, "é" * 76, os.urandom(32).hex()):
            assert slug(await open_link(here, row, f"#guest={text}")) == "unknown-link"

    async def test_switched_off(self, here: Site) -> None:
        """Where guests are off a message has the plain address, and a link that was sent before opens nothing."""
        row = await here.here.schedule(guests=GuestPolicy.OFF)
        key = await here.here.person()
        await here.here.answer(key, row)
        await here.here.turn()
        assert opened(here.here, key, 14)
        assert links(here, key) == []
        earlier = here.core.link_of(msgspec.structs.replace(row, guests=None), key.pubkey, here.here.now)
        assert slug(await open_link(here, row, earlier)) == "links-off"

    async def test_of_the_service(self, here: Site) -> None:
        """`reminders.personal_links = false` does the same for all sessions."""
        row = await here.here.schedule()
        key, link = await told(here, row)
        config = here.core.config
        off = config.reminders.model_copy(update={"personal_links": False})
        here.core.current.replace(config.model_copy(update={"reminders": off}))
        assert "#" not in here.core.link_of(row, key.pubkey, here.here.now)
        here.parts.sessions.guests._links_in_messages = lambda: here.core.config.reminders.personal_links
        assert slug(await open_link(here, row, link)) == "links-off"

    async def test_it_is_nowhere(self, here: Site, capfd: pytest.CaptureFixture[str]) -> None:
        """Neither database nor log nor a refusal has it."""
        row = await here.here.schedule()
        _, link = await told(here, row)
        secret = link.partition("=")[2]
        await signed_in(here, row, link)
        refused = await open_link(here, row, link)
        assert secret not in refused.text
        tables = await here.here.store.database.fetch_all("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables:
            rows = await here.here.store.database.fetch_all(f'SELECT * FROM "{table}"')  # noqa: S608  (our own names)
            assert secret not in str(rows), table
        said = capfd.readouterr()
        assert secret not in said.out + said.err


class TestItLeadsNothing:
    """A link can be passed on: by that of an instructor or co-host a guest comes."""

    @pytest.fixture
    async def led(self, here: Site) -> tuple[LiveSessionRow, SecretKey, dict[str, Any]]:
        """A session, its co-host, and what their link gave a browser."""
        helper = await here.here.person()
        row = await here.here.schedule(starts_in=60, co_hosts=(helper.pubkey,))
        _, link = await told(here, row, helper)
        return row, helper, await signed_in(here, row, link)

    async def test_it_is_a_guests(self, here: Site, led: tuple[LiveSessionRow, SecretKey, dict[str, Any]]) -> None:
        """Every act of those who lead is refused, and the room takes the bearer for a participant."""
        row, helper, who = led
        assert who["pubkey"] != helper.pubkey
        for path in ("room/admit", "room/lock", "guests", "cancel/draft", "start", "recording/publish", "polls"):
            answer = await here.call("POST", here.path_of(row, path), body={}, token=who["token"])
            assert answer.status_code in (403, 422), path
        for path in ("guests", "recording/consents", "named-people", "polls", "attendance?format=csv"):
            assert (await here.call("GET", here.path_of(row, path), token=who["token"])).status_code == 403, path
        row = await started(here, row)
        assert (await joined(here, row, who)).status_code == 200
        (member,) = await here.here.store.members.to_list()
        assert (member.pubkey, member.role) == (who["pubkey"], "participant")
        assert helper.pubkey != member.pubkey

    async def test_a_participant_who_is_named_co_host(self, here: Site) -> None:
        """Their link's login is of no use any more: key powers must not come to a browser that has no key."""
        row = await here.here.schedule(starts_in=60)
        key, link = await told(here, row)
        who = await signed_in(here, row, link)
        row = await edited(here.here, row, co_hosts=(key.pubkey,))
        for path in ("", "rsvps", "recording"):
            answer = await here.call("GET", here.path_of(row, *filter(None, [path])), token=who["token"])
            assert (answer.status_code, slug(answer)) == (403, "needs-key"), path

    async def test_a_seat_by_link_ends_when_its_person_is_named_co_host(self, here: Site) -> None:
        """In the room powers go by key: the seat ends, nor is it taken again with what the page kept of it."""
        row = await here.here.schedule(starts_in=60)
        key, link = await told(here, row)
        who = await signed_in(here, row, link)
        row = await started(here, row)
        seated, away = [await self._seat(here, row, who, device) for device in ("phone", "tablet")]
        await away.socket.close(1001)
        row = await edited(here.here, row, co_hosts=(key.pubkey,))
        assert await closing(seated) is not None
        for page in (seated, away):
            again = await here.open_socket(row, {"type": "return", "secret": page.welcome["secret"]})
            assert await closing(again) == 4011

    async def _seat(self, here: Site, row: LiveSessionRow, who: dict[str, Any], device: str) -> Page:
        ticket = await joined(here, row, who, device)
        assert ticket.status_code == 200, ticket.text
        page = await here.open_socket(row, {"type": "hello", "token": ticket.json()["token"]})
        await welcomed(page)
        return page

    async def test_a_recording_under_review_is_not_shown_by_it(self, here: Site) -> None:
        """Who leads is decided by how a viewer signed in, not by their key alone."""
        row = await here.here.schedule(starts_in=60)
        one = RecordingRow(
            session_address=row.session_address,
            run=1,
            state="review",
            sha256="ab" * 32,
            created_at=here.here.now,
            updated_at=here.here.now,
        )
        await here.here.store.recordings.put(one)
        instructor = Pubkey(row.instructor_pubkey)
        watching = here.here.watching
        assert await watching.newest(row, Viewer(instructor)) is not None
        assert await watching.newest(row, Viewer(instructor, "link")) is None
        assert not await watching.may_watch(row, one, Viewer(instructor, "link"))


async def test_a_strangers_guess_says_nothing_of_a_private_session(here: Site) -> None:
    """A forged link to a private session is answered as if there were none."""
    row = await here.here.schedule(visibility=Visibility.PRIVATE)
    forged = await open_link(here, row, f"#guest={'A' * 76}")
    assert (forged.status_code, slug(forged)) == (404, "unknown-session")
    assert new_key().pubkey not in forged.text


class TestCalendar:
    """What reminds people whom no message reaches: a file, and a feed, with alarms."""

    @pytest.fixture
    async def here(self) -> AsyncIterator[Site]:
        async with site() as running:
            running.calendar = Face(alarms=(24 * 3600, 3600, 900))
            yield running

    async def _lines(self, here: Site, url: str, token: str | None = None) -> list[str]:
        answer = await here.call("GET", url.removeprefix(here.base), token=token)
        assert answer.status_code == 200, answer.text
        return answer.text.replace("\r\n ", "").splitlines()

    async def test_of_a_guest(self, here: Site) -> None:
        """File and feed have the session and alarms a day, an hour and a quarter before; one who declines has none."""
        row, _ = await here.here.schedule(guests=GuestPolicy.ANYONE), await here.here.schedule(summary="other")
        who = await guest(here, row)
        alarms = ["TRIGGER:-P1D", "TRIGGER:-PT1H", "TRIGGER:-PT15M"]
        file = await self._lines(here, here.path_of(row, "calendar.ics"), who["token"])
        assert [line for line in file if line.startswith("TRIGGER")] == alarms
        assert "TRIGGER" not in "".join(await self._lines(here, here.path_of(row, "calendar.ics")))
        feed = (await here.call("POST", "/api/calendar", token=who["token"])).json()["url"]
        lines = await self._lines(here, feed)
        assert lines.count("BEGIN:VEVENT") == 1
        assert [line for line in lines if line.startswith("TRIGGER")] == alarms
        await answered(here, row, who, "declined")
        assert "BEGIN:VEVENT" not in await self._lines(here, feed)

    async def test_by_a_persons_link(self, here: Site) -> None:
        """It has the one session of the link: what else its person attends stays theirs."""
        row, other = await here.here.schedule(), await here.here.schedule(summary="other")
        key, link = await told(here, row)
        await here.here.answer(key, other)
        who = await signed_in(here, row, link)
        made = await here.call("POST", "/api/calendar", token=who["token"])
        lines = await self._lines(here, made.json()["url"])
        assert lines.count("BEGIN:VEVENT") == 1
        assert f"URL:{here.views.page(row)}" in lines
        renewed = (await here.call("POST", "/api/calendar/revoke", token=who["token"])).json()["url"]
        gone = await here.call("GET", made.json()["url"].removeprefix(here.base))
        assert gone.status_code == 404
        assert renewed != made.json()["url"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_abuse_has_its_words(language: str) -> None:
    """What the page says of each refusal, in both languages."""
    words = json.loads((PAGE / f"{language}.json").read_text("utf-8"))
    slugs = ("link-used", "link-ended", "link-revoked", "link-signed-out", "links-off", "unknown-link", "needs-key")
    texts = [words[f"problem.{one}"] for one in slugs]
    assert len(set(texts)) == len(slugs)
