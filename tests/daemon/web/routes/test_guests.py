"""People without a signer: guests by name, guests by a personal link, and every way in which a link is abused."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import Response

from podium_daemon.runtime.allowances import Rate
from podium_daemon.services.guests import guests
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_protocol.live.admission import DoorPolicy
from podium_protocol.live.session import GuestPolicy, Visibility
from podium_protocol.nips import nip49
from podium_storage.table.models import LiveSessionRow
from tests.support.relays import new_key
from tests.support.site import Site, site

ANYONE = GuestPolicy.ANYONE


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


async def enter(here: Site, row: LiveSessionRow, name: str = "Ana") -> Response:
    """Come by a name."""
    return await here.post(here.path_of(row, "guest"), None, {"name": name})


async def guest(here: Site, row: LiveSessionRow, name: str = "Ana") -> dict[str, Any]:
    """A guest by name, who was let in."""
    answer = await enter(here, row, name)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def invite(here: Site, row: LiveSessionRow, *names: str) -> list[dict[str, Any]]:
    """Links that the instructor makes."""
    answer = await here.post(here.path_of(row, "guests"), here.here.instructor, {"names": list(names)})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["guests"]
    return found


def secret_of(link: str) -> str:
    """What the page sends of a link."""
    return link.partition("#guest=")[2]


async def open_link(here: Site, row: LiveSessionRow, link: str) -> Response:
    """What a browser does with a link."""
    return await here.post(here.path_of(row, "guest", "open"), None, {"link": secret_of(link)})


async def as_guest(here: Site, row: LiveSessionRow, who: dict[str, Any], template: dict[str, Any]) -> Response:
    """Have something signed with the guest's key."""
    path = here.path_of(row, "guest", "sign")
    return await here.call("POST", path, body={"event": template}, token=who["token"])


async def answered(here: Site, row: LiveSessionRow, who: dict[str, Any], status: str = "confirmed") -> Response:
    """The guest's answer, as the page gives it."""
    draft = await here.call("POST", here.path_of(row, "rsvp", "draft"), body={"status": status}, token=who["token"])
    signed = await as_guest(here, row, who, draft.json()["events"][0])
    assert signed.status_code == 200, signed.text
    return await here.call("POST", "/api/events", body={"events": [signed.json()]}, token=who["token"])


async def joined(here: Site, row: LiveSessionRow, who: dict[str, Any], device: str = "phone") -> Response:
    """The guest's join, as the page does it."""
    challenge = await here.call("POST", here.path_of(row, "join", "challenge"), token=who["token"])
    asked = challenge.json()
    rows = [["u", asked["url"]], ["method", "POST"], ["a", row.session_address], ["nonce", asked["nonce"]]]
    template = {"kind": 27235, "created_at": here.here.now, "tags": [*rows, ["device", device]], "content": ""}
    signed = await as_guest(here, row, who, template | {"pubkey": who["pubkey"]})
    assert signed.status_code == 200, signed.text
    return await here.client.post(asked["url"], headers={"Authorization": _header(signed.json())})


def _header(event: dict[str, Any]) -> str:
    return f"Nostr {base64.b64encode(json.dumps(event).encode()).decode()}"


def slug(answer: Response) -> str:
    """The last part of a problem's type."""
    return str(answer.json()["type"]).rpartition(":")[2]


class TestByName:
    """Guests who give a name at the door."""

    @pytest.mark.parametrize("policy", [GuestPolicy.OFF, GuestPolicy.INVITED, None])
    async def test_only_where_anyone_may_come(self, here: Site, policy: GuestPolicy | None) -> None:
        """A session without guests, for invited ones, or that does not say (the service's default) takes none."""
        row = await here.here.schedule(guests=policy)
        refused = await enter(here, row)
        assert (refused.status_code, slug(refused)) == (403, "no-guests")

    async def test_a_name_is_enough(self, here: Site) -> None:
        """The guest is known to the service by a key that it made, for this session and as a guest."""
        row = await here.here.schedule(guests=ANYONE)
        who = await guest(here, row)
        assert (who["name"], who["assurance"]) == ("Ana", "guest")
        login = (await here.call("GET", "/api/login", token=who["token"])).json()
        assert (login["pubkey"], login["assurance"], login["lessonId"]) == (who["pubkey"], "guest", row.session_address)

    @pytest.mark.parametrize("name", ["", "  ", "\u202e\u200b", "x" * 41, "\n\t"])
    async def test_a_name_has_1_to_40_characters(self, here: Site, name: str) -> None:
        """Nothing, nothing that is seen, and what breaks a tile are no names."""
        row = await here.here.schedule(guests=ANYONE)
        refused = await enter(here, row, name)
        assert (refused.status_code, slug(refused)) == (400, "bad-name")

    @pytest.mark.parametrize("name", ["Ana", " ana ", "ANA", "\uff21na", "A\u200bna"])
    async def test_no_two_have_one_name(self, here: Site, name: str) -> None:
        """A guest cannot pass for another one, by case, width or what is not seen."""
        row = await here.here.schedule(guests=ANYONE)
        await guest(here, row)
        refused = await enter(here, row, name)
        assert (refused.status_code, slug(refused)) == (409, "name-taken")

    async def test_nobody_takes_the_instructors_name(self, here: Site) -> None:
        """The name by which people know who leads is theirs."""
        led, said = here.here.instructor, json.dumps({"name": "Dr. Lead"})
        await here.here.publish(led, UnsignedEvent(led.pubkey, here.here.now, kinds.METADATA, (), said))
        row = await here.here.schedule(guests=ANYONE)
        assert slug(await enter(here, row, "dr. lead")) == "name-taken"

    async def test_guests_are_bounded_in_a_session_and_in_a_minute(
        self, here: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A flood of names ends with 429, and the session's number with a clear no; time lets people in again."""
        row = await here.here.schedule(guests=ANYONE)
        here.parts.sessions.guests._of_a_session.rate = Rate(burst=2, per_second=0.1)
        assert [(await enter(here, row, f"Guest {n}")).status_code for n in range(4)] == [200, 200, 429, 429]
        await here.here.clock.advance(20)
        monkeypatch.setattr(guests, "MAX_OF_A_SESSION", 3)
        assert (await enter(here, row, "One more")).status_code == 200
        full = await enter(here, row, "Another")
        assert (full.status_code, slug(full)) == (409, "full")

    async def test_a_network_address_is_bounded(self, here: Site) -> None:
        """Guests from one address are so many an hour; other addresses are none the wiser."""
        row = await here.here.schedule(guests=ANYONE)
        here.parts.sessions.guests._of_an_address.rate = Rate(burst=1, per_second=0.001)
        first = await here.parts.sessions.guests.enter(row, "One", "198.51.100.7")
        second = await here.parts.sessions.guests.enter(row, "Two", "198.51.100.7")
        other = await here.parts.sessions.guests.enter(row, "Three", "198.51.100.8")
        assert [getattr(one, "slug", "in") for one in (first, second, other)] == ["in", "too-many", "in"]

    async def test_a_guest_always_waits_where_there_is_a_waiting_room(self) -> None:
        """Also where confirmed answers pass it by themselves: anybody can give a name and answer yes."""
        async with site(rooms={"door": DoorPolicy(auto_admit_confirmed=True)}) as here:
            row = await here.here.schedule(starts_in=60, waiting_room=True, guests=ANYONE)
            who = await guest(here, row)
            assert (await answered(here, row, who)).status_code == 200
            await here.post(here.path_of(row, "start"), here.here.instructor)
            ticket = await joined(here, row, who)
            assert (ticket.status_code, ticket.json()["reason"]) == (200, "instructor"), ticket.text

    async def test_private_and_encrypted_sessions_take_none(self, here: Site) -> None:
        """Of a private session a stranger is not told at all."""
        row = await here.here.schedule(guests=ANYONE, visibility=Visibility.PRIVATE)
        assert (await enter(here, row)).status_code == 404


class TestWhatGuestsDo:
    """Answers, questions and joins of guests count, and are never published under their keys."""

    async def test_an_answer_counts_and_stays_here(self, here: Site) -> None:
        """It is in the counts and the leader's list, and in no outbox."""
        row = await here.here.schedule(guests=ANYONE)
        before = await here.here.store.database.fetch_all("SELECT count(*) FROM outboxEvents")
        who = await guest(here, row)
        taken = await answered(here, row, who)
        assert taken.status_code == 200, taken.text
        assert taken.json()["accepted"][0]["relays"] == []
        shown = (await here.get(here.path_of(row))).json()
        assert shown["counts"]["confirmed"] == 1
        assert await here.here.store.database.fetch_all("SELECT count(*) FROM outboxEvents") == before

    async def test_a_guest_is_sent_no_messages(self, here: Site) -> None:
        """No relay knows a guest: nothing is planned for them, and nobody is told that they cannot be reached."""
        row = await here.here.schedule(guests=ANYONE)
        await answered(here, row, await guest(here, row))
        await here.here.turn()
        assert await here.here.store.ledger.to_list() == []

    async def test_a_question_is_asked_and_stays_here(self, here: Site) -> None:
        """People of the session read it; relays are given nothing."""
        row = await here.here.schedule(starts_in=60, guests=ANYONE)
        await here.post(here.path_of(row, "start"), here.here.instructor)
        who = await guest(here, row)
        await answered(here, row, who)
        before = await here.here.store.database.fetch_all("SELECT count(*) FROM outboxEvents")
        meeting = f"30313:{here.here.service.pubkey}:{row.conference_room_id}"
        template = {
            "pubkey": who["pubkey"],
            "kind": kinds.LIVE_CHAT,
            "created_at": here.here.now,
            "tags": [["a", meeting, "", "root"]],
            "content": "Which rope?",
        }
        signed = await as_guest(here, row, who, template)
        asked = await here.call(
            "POST", here.path_of(row, "questions"), body={"event": signed.json()}, token=who["token"]
        )
        assert asked.status_code == 200, asked.text
        shown = (await here.get(here.path_of(row, "questions"))).json()
        assert [one["text"] for one in shown["questions"]] == ["Which rope?"]
        assert await here.here.store.database.fetch_all("SELECT count(*) FROM outboxEvents") == before

    async def test_a_guest_joins_and_is_marked_as_one(self, here: Site) -> None:
        """The room, the leader's list and the record say `guest`."""
        row = await here.here.schedule(starts_in=60, guests=ANYONE)
        await here.post(here.path_of(row, "start"), here.here.instructor)
        who = await guest(here, row)
        ticket = await joined(here, row, who)
        assert (ticket.status_code, ticket.json()["state"]) == (200, "admitted"), ticket.text
        (member,) = await here.here.store.members.where("lessonId").equals(row.session_address).to_list()
        assert (member.pubkey, member.assurance) == (who["pubkey"], "guest")

    async def test_nothing_else_is_signed(self, here: Site) -> None:
        """No login, no note, no answer to another session, no call to another service, and not for another key."""
        row, other = await here.here.schedule(guests=ANYONE), await here.here.schedule(guests=ANYONE, summary="other")
        who, now = await guest(here, row), here.here.now

        def event(kind: int, *rows: list[str], pubkey: str = who["pubkey"]) -> dict[str, Any]:
            return {"pubkey": pubkey, "kind": kind, "created_at": now, "tags": list(rows), "content": ""}

        join = f"{here.base}{here.path_of(row, 'join')}"
        here_a, url = ["a", row.session_address], ["u", join]
        for asked in (
            event(1),
            event(0),
            event(kinds.RSVP, ["a", other.session_address]),
            event(kinds.RSVP, here_a, pubkey=new_key().pubkey),
            event(kinds.HTTP_AUTH, ["u", f"{here.base}/api/login"], here_a),
            event(kinds.HTTP_AUTH, ["u", "https://elsewhere.example/api/sessions/x/join"], here_a),
            event(kinds.HTTP_AUTH, url, ["a", other.session_address]),
            event(kinds.HTTP_AUTH, url, here_a, ["login", "yes"]),
            event(kinds.DELETION, ["a", row.session_address]),
        ):
            answer = await as_guest(here, row, who, asked)
            assert (answer.status_code, slug(answer)) == (403, "not-allowed"), asked
        key = new_key()
        assert (await here.post(here.path_of(row, "guest", "sign"), key, {"event": event(1)})).status_code == 404

    @pytest.mark.parametrize(
        ("flaw", "status"),
        [
            ({"created_at": -1}, 422),
            ({"created_at": 2**53}, 422),
            ({"kind": -1}, 422),
            ({"kind": 65_536}, 422),
            ({"tags": [[]]}, 422),
            ({"content": "\ud800"}, 400),
        ],
        ids=ascii,
    )
    async def test_what_is_no_event_is_refused(self, here: Site, flaw: dict[str, Any], status: int) -> None:
        """Fields that NIP-01 does not know are a mistake of the caller's, not a failure of the daemon."""
        row = await here.here.schedule(guests=ANYONE)
        who = await guest(here, row)
        event = {"pubkey": who["pubkey"], "kind": 1, "created_at": here.here.now, "tags": [], "content": ""}
        answer = await as_guest(here, row, who, event | flaw)
        assert answer.status_code == status, answer.text

    async def test_a_guest_leads_nothing_and_sees_no_others(self, here: Site) -> None:
        """Their login is for their own rows of their own session."""
        row, other = await here.here.schedule(guests=ANYONE), await here.here.schedule(guests=ANYONE, summary="other")
        who = await guest(here, row)
        await here.here.answer(new_key(), row)
        own = await here.call("GET", here.path_of(row, "rsvps"), token=who["token"])
        assert own.json()["rsvps"] == []
        assert (await here.call("GET", here.path_of(other, "rsvps"), token=who["token"])).status_code == 404
        for path in ("room/admit", "guests", "cancel/draft", "start"):
            answer = await here.call("POST", here.path_of(row, path), body={}, token=who["token"])
            assert answer.status_code in (403, 422), path

    async def test_the_key_is_kept_encrypted_and_can_be_taken_along(self, here: Site) -> None:
        """The database has no guest's key in the clear; with a password of theirs (NIP-49) it is the guest's own."""
        row = await here.here.schedule(guests=ANYONE)
        who = await guest(here, row)
        body = {"password": "correct horse"}
        answer = await here.call("POST", here.path_of(row, "guest", "key"), body=body, token=who["token"])
        opened = nip49.decrypt(answer.json()["ncryptsec"], body["password"])
        assert opened.secret.pubkey == who["pubkey"]
        kept = str(await here.here.store.database.fetch_all("SELECT * FROM sessionGuests"))
        assert opened.secret.expose().hex() not in kept
        assert str(opened.secret.expose())[2:-1] not in kept


class TestLinks:
    """Personal links."""

    async def test_one_a_person(self, here: Site) -> None:
        """The instructor's link lets its person in under the name that it was made for; it is told once."""
        row = await here.here.schedule()
        ana, bea = await invite(here, row, "Ana", "Bea")
        assert ana["link"] != bea["link"]
        who = (await open_link(here, row, ana["link"])).json()
        assert (who["name"], who["assurance"], who["pubkey"]) == ("Ana", "link", ana["pubkey"])
        listed = (await here.get(here.path_of(row, "guests"), here.here.instructor)).json()["guests"]
        assert [(one["name"], one["state"], one["link"]) for one in listed] == [
            ("Ana", "opened", None),
            ("Bea", "new", None),
        ]
        kept = str(await here.here.store.database.fetch_all("SELECT * FROM sessionGuests"))
        assert secret_of(ana["link"]) not in kept

    async def test_used_twice(self, here: Site) -> None:
        """A forwarded link opens in no second browser, and the words say what helps."""
        row = await here.here.schedule()
        (ana,) = await invite(here, row, "Ana")
        who = (await open_link(here, row, ana["link"])).json()
        again = await open_link(here, row, ana["link"])
        assert (again.status_code, slug(again)) == (409, "link-used")
        assert "another device" in again.json()["next"]
        assert (await answered(here, row, who)).status_code == 200, "the first browser goes on"

    async def test_moved_to_another_device(self, here: Site) -> None:
        """A new link from the instructor opens there; the old one, and the login of the old browser, end."""
        row = await here.here.schedule()
        (ana,) = await invite(here, row, "Ana")
        old = (await open_link(here, row, ana["link"])).json()
        renewed = await here.post(here.path_of(row, "guests", ana["pubkey"], "renew"), here.here.instructor)
        assert slug(await open_link(here, row, ana["link"])) == "unknown-link"
        new = (await open_link(here, row, renewed.json()["link"])).json()
        assert new["pubkey"] == old["pubkey"]
        assert (await here.call("GET", "/api/login", token=old["token"])).status_code == 401
        assert (await here.call("GET", "/api/login", token=new["token"])).status_code == 200

    async def test_after_the_end(self, here: Site) -> None:
        """A link is good until the session's end; who opened it before stays signed in for what comes after."""
        row = await here.here.schedule(starts_in=60)
        ana, bea = await invite(here, row, "Ana", "Bea")
        who = (await open_link(here, row, ana["link"])).json()
        for path in ("start", "end"):
            assert (await here.post(here.path_of(row, path), here.here.instructor)).status_code == 200
        late = await open_link(here, row, bea["link"])
        assert (late.status_code, slug(late)) == (410, "link-ended")
        assert (await here.call("GET", "/api/login", token=who["token"])).status_code == 200

    async def test_of_another_session(self, here: Site) -> None:
        """A link opens the session it was made for, and no other one."""
        row, other = await here.here.schedule(), await here.here.schedule(summary="other")
        (ana,) = await invite(here, row, "Ana")
        wrong = await open_link(here, other, ana["link"])
        assert (wrong.status_code, slug(wrong)) == (404, "unknown-link")
        assert (await open_link(here, row, ana["link"])).status_code == 200, "it was not spent on that"

    async def test_revoked(self, here: Site) -> None:
        """A link that was taken back opens nothing, its login ends, its person is not let in again."""
        row = await here.here.schedule()
        ana, bea = await invite(here, row, "Ana", "Bea")
        who = (await open_link(here, row, ana["link"])).json()
        for one in (ana, bea):
            path = here.path_of(row, "guests", one["pubkey"], "revoke")
            assert (await here.post(path, here.here.instructor)).json()["state"] == "revoked"
        assert slug(await open_link(here, row, bea["link"])) == "link-revoked"
        assert (await here.call("GET", "/api/login", token=who["token"])).status_code == 401

    @pytest.mark.parametrize("link", ["x", "a" * 43, "é", "' OR 1=1 --"])
    async def test_made_up(self, here: Site, link: str) -> None:
        """A guess is no link."""
        row = await here.here.schedule()
        answer = await here.post(here.path_of(row, "guest", "open"), None, {"link": link})
        assert (answer.status_code, slug(answer)) == (404, "unknown-link")

    async def test_a_private_session_opens_by_its_link_alone(self, here: Site) -> None:
        """A stranger's guess says nothing of it; its guest sees it, answers and joins."""
        row = await here.here.schedule(starts_in=60, visibility=Visibility.PRIVATE)
        await here.here.turn()
        (ana,) = await invite(here, row, "Ana")
        guess = await open_link(here, row, "#guest=" + "a" * 43)
        assert (guess.status_code, slug(guess)) == (404, "unknown-session")
        who = (await open_link(here, row, ana["link"])).json()
        assert (await here.call("GET", here.path_of(row), token=who["token"])).status_code == 200
        assert (await answered(here, row, who)).status_code == 200
        ticket = await joined(here, row, who)
        assert ticket.status_code == 200, ticket.text

    async def test_only_leaders_make_links(self, here: Site) -> None:
        """And only where the session takes guests."""
        row = await here.here.schedule()
        refused = await here.post(here.path_of(row, "guests"), new_key(), {"names": ["Ana"]})
        assert refused.status_code == 403
        none = await here.here.schedule(guests=GuestPolicy.OFF)
        answer = await here.post(here.path_of(none, "guests"), here.here.instructor, {"names": ["Ana"]})
        assert (answer.status_code, slug(answer)) == (403, "no-guests")
