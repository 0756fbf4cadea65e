"""One signed login is worth a token for a week: it is hashed, bound to its person, and can be taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from httpx import Response

from podium_daemon.web.login import LOGIN_SECONDS, Caller, LoginTokens
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_storage.logins import MAX_OF_ONE_KEY, Logins
from tests.support.relays import new_key
from tests.support.site import Site, as_json, site
from tests.support.world import signed


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


async def who(here: Site, token: str) -> Response:
    """Who the service takes the holder of a token for."""
    return await here.call("GET", "/api/login", token=token)


async def test_one_signature_signs_in(here: Site) -> None:
    """The token of a signed login stands for its key in every later call, whatever the scheme's case."""
    person = new_key()
    token = await here.sign_in(person)
    answer = await who(here, token)
    assert answer.status_code == 200
    assert (answer.json()["pubkey"], answer.json()["assurance"]) == (person.pubkey, "key")
    again = await here.call("GET", "/api/login", headers={"Authorization": f"bearer {token}"})
    assert again.json() == answer.json()


async def test_a_leader_leads_with_a_token(here: Site) -> None:
    """Start, admitting and end ask for no further signature of the instructor, and are refused to others."""
    row = await here.here.schedule(starts_in=60)
    token, other = await here.sign_in(here.here.instructor), await here.sign_in(new_key())
    for what, body in (("start", None), ("room/admit", {"everybody": True}), ("end", None)):
        path = here.path_of(row, what)
        assert (await here.call("POST", path, body=body, token=other)).status_code == 403, what
        answer = await here.call("POST", path, body=body, token=token)
        assert answer.status_code == 200, answer.text


async def test_a_login_outlives_a_restart(here: Site) -> None:
    """What is kept is in the database, and not the token itself."""
    token = await here.sign_in(new_key())
    rows = await here.here.store.database.fetch_all("SELECT * FROM logins")
    assert len(rows) == 1
    assert token not in str(rows)
    async with site(here.here) as restarted:
        assert (await who(restarted, token)).status_code == 200


async def test_a_login_ends_after_a_week(here: Site) -> None:
    """Seven days after the signature the token is refused, and says why."""
    token = await here.sign_in(new_key())
    await here.here.clock.advance(LOGIN_SECONDS - 1)
    assert (await who(here, token)).status_code == 200
    await here.here.clock.advance(1)
    answer = await who(here, token)
    assert answer.status_code == 401
    assert "has ended" in answer.json()["detail"]


async def test_signing_out_ends_one_login_and_everywhere_all(here: Site) -> None:
    """A token that was signed out is refused; the person's other browsers stay signed in until they sign out all."""
    person = new_key()
    one, two, other = await here.sign_in(person), await here.sign_in(person), await here.sign_in(new_key())
    assert (await here.call("POST", "/api/login/end", body={}, token=one)).status_code == 200
    answer = await who(here, one)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:podium:problem:login")
    assert "signed out" in answer.json()["detail"]
    assert (await who(here, two)).status_code == 200
    assert (await here.call("POST", "/api/login/end", body={"everywhere": True}, token=two)).status_code == 200
    assert (await who(here, two)).status_code == 401
    assert (await who(here, other)).status_code == 200


async def test_a_token_cannot_make_a_token(here: Site) -> None:
    """Only a signature signs in: a stolen token cannot be renewed past its week."""
    token = await here.sign_in(new_key())
    assert (await here.call("POST", "/api/login", token=token)).status_code == 401


@pytest.mark.parametrize("token", ["x", "a" * 43, "a" * 5000, "../..", "=", "Nostr e30="])
async def test_a_token_that_was_never_given_is_refused(here: Site, token: str) -> None:
    """An unknown token is no login, however it is made."""
    assert (await who(here, token)).status_code == 401


async def test_a_token_is_read_from_the_header_alone(here: Site) -> None:
    """Not from the query, where logs and histories keep it, and not from a cookie, which other sites have sent."""
    token = await here.sign_in(new_key())
    for path in (f"/api/login?token={token}", f"/api/login?access_token={token}"):
        assert (await here.get(path)).status_code == 401
    cookie = {"Cookie": f"token={token}; Authorization=Bearer {token}"}
    assert (await here.call("GET", "/api/login", headers=cookie)).status_code == 401


async def test_a_public_event_signs_nobody_in(here: Site) -> None:
    """An answer that anybody can read on a relay is taken from anybody, and tells its bringer nothing of its author."""
    row = await here.here.schedule()
    person = new_key()
    draft = await here.post(here.path_of(row, "rsvp", "draft"), None, {"status": "confirmed", "pubkey": person.pubkey})
    event = here.sign(person, draft.json()["events"][0])
    answer = await here.post("/api/events", None, {"events": [event]})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"accepted"}
    assert "token" not in answer.text
    rows = await here.get(here.path_of(row, "rsvps"), here.here.instructor)
    assert [one["pubkey"] for one in rows.json()["rsvps"]] == [person.pubkey]
    assert (await here.post("/api/login", None, {"event": event})).status_code == 401


async def test_a_draft_without_a_login_names_its_author(here: Site) -> None:
    """A draft is for the caller, or for the key that the call names; for nobody there is none."""
    row = await here.here.schedule()
    path, person = here.path_of(row, "rsvp", "draft"), new_key()
    assert (await here.post(path, None, {"status": "confirmed"})).status_code == 401
    draft = await here.post(path, None, {"status": "confirmed", "pubkey": person.pubkey})
    assert draft.json()["events"][0]["pubkey"] == person.pubkey
    wish = {"title": "Knots", "scheduledAt": here.here.now + 900, "duration": 30}
    refused = await here.post("/api/sessions/draft", None, wish | {"pubkey": person.pubkey})
    assert refused.json()["type"] == "urn:podium:problem:not-an-instructor"
    drafted = await here.post("/api/sessions/draft", None, wish | {"pubkey": here.here.instructor.pubkey})
    assert drafted.status_code == 200, drafted.text


async def test_relay_lists_need_their_author(here: Site) -> None:
    """A relay list in a call without a login is refused: anybody could hand in those of strangers."""
    person = new_key()
    event = signed(
        person, UnsignedEvent(person.pubkey, here.here.now, kinds.DM_RELAY_LIST, (("relay", "wss://r.example"),), "")
    )
    body = {"events": [as_json(event)]}
    assert (await here.post("/api/events", None, body)).status_code == 403
    answer = await here.call("POST", "/api/events", body=body, token=await here.sign_in(person))
    assert answer.status_code == 200, answer.text


async def test_a_login_for_one_session_opens_no_other(here: Site) -> None:
    """A login by link sees and does what is its session's; another one is not there for it, and nothing is led.

    The instructor's own link shows nothing that they lead: a link may have been passed on.
    """
    row, other = await here.here.schedule(), await here.here.schedule(summary="other")
    tokens = LoginTokens(Logins(here.here.store.database), here.here.clock)
    token = (await tokens.issue(Caller(new_key().pubkey, "link", row.session_address))).token
    assert (await here.call("GET", here.path_of(row, "rsvps"), token=token)).status_code == 200
    assert (await here.call("GET", here.path_of(other, "rsvps"), token=token)).status_code == 404
    listed = (await here.call("GET", "/api/sessions", token=token)).json()["sessions"]
    assert [one["lessonId"] for one in listed] == [row.session_address]
    refused = await here.call("POST", here.path_of(row, "start"), token=token)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:podium:problem:needs-key")
    of_leader = (await tokens.issue(Caller(here.here.instructor.pubkey, "link", row.session_address))).token
    refused = await here.call("GET", here.path_of(row, "rsvps"), token=of_leader)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:podium:problem:needs-key")


async def test_a_link_signs_out_its_own_session_only(here: Site) -> None:
    """Who holds a forwarded link cannot sign its person out where they signed in with their key."""
    row, person = await here.here.schedule(), new_key()
    tokens = LoginTokens(Logins(here.here.store.database), here.here.clock)
    by_key = await here.sign_in(person)
    by_link = (await tokens.issue(Caller(person.pubkey, "link", row.session_address))).token
    assert (await here.call("POST", "/api/login/end", body={"everywhere": True}, token=by_link)).status_code == 200
    assert (await who(here, by_link)).status_code == 401
    assert (await who(here, by_key)).status_code == 200


async def test_the_oldest_of_too_many_logins_is_forgotten(here: Site) -> None:
    """One key fills no disk: past a bound its oldest login makes room, and others keep theirs."""
    person = new_key()
    first, other = await here.sign_in(person), await here.sign_in(new_key())
    tokens = LoginTokens(Logins(here.here.store.database), here.here.clock)
    for _ in range(MAX_OF_ONE_KEY):
        await tokens.issue(Caller(person.pubkey))
    assert (await who(here, first)).status_code == 401
    assert (await who(here, other)).status_code == 200
