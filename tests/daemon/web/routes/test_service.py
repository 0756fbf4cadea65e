"""The service itself over HTTP, and its door for signed events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
import pytest_asyncio

from podium_daemon.services.people.profiles import Introduction
from podium_daemon.web.site import build_site
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_protocol.filters import Filter
from podium_protocol.nips import nip17, nip19
from tests.support.pools import running_pool
from tests.support.relays import new_key
from tests.support.relays import signed as note
from tests.support.scripted_relay import Talk, scripted_relay
from tests.support.site import Site, as_json, site
from tests.support.world import OWN_INBOX, RELAY, signed

one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """One server for calls that are refused: it holds nothing, and nothing is left in it."""
    async with site() as running:
        yield running


async def good(here: Site) -> dict[str, object]:
    """A session event that can be handed in."""
    wish = {"title": "Knots", "scheduledAt": here.here.now + 3600, "duration": 60}
    draft = await here.post("/api/sessions/draft", here.here.instructor, wish)
    return here.sign(here.here.instructor, draft.json()["events"][0])


async def test_the_service_says_what_it_is() -> None:
    """Keys, relays and engine are there for anybody."""
    async with site() as here:
        shown = (await here.get("/api/service")).json()
        assert shown["servicePubkey"] == here.here.service.pubkey
        assert (shown["relays"], shown["engine"], shown["publicUrl"]) == ([RELAY, OWN_INBOX], "link", here.base)


async def test_relays_are_shown_with_what_waits_for_them() -> None:
    """The number of events that wait is told for each relay."""
    async with site() as here:
        await here.post("/api/events", here.here.instructor, {"events": [await good(here)]})
        relay, own_inbox = (await here.get("/api/relays")).json()["relays"]
        assert (relay["state"], relay["pending"], relay["write"]) == ("idle", 1, True)
        assert (own_inbox["pending"], own_inbox["write"]) == (0, False)
        await here.here.deliver()
        relay, _ = (await here.get("/api/relays")).json()["relays"]
        assert relay["pending"] == 0


async def test_what_a_relay_refuses_for_good_is_shown() -> None:
    """Its words, when they came and how often, and the subscriptions it does not serve, beside its state."""

    async def refuse(talk: Talk) -> None:
        request, event = await talk.receive_until("REQ"), await talk.receive_until("EVENT")
        await talk.send("CLOSED", request[1], "restricted: members only")
        await talk.send("OK", event[1]["id"], False, "blocked: not you")

    async with scripted_relay(refuse) as relay, running_pool(relay.url) as pool, site() as here:
        pool.subscribe("notes", [Filter(kinds=(1,))])
        await pool.publish(relay.url, note(new_key(), "hello"))
        context = msgspec.structs.replace(here.context(), relays=pool)
        app = build_site(context, hosts=["localhost"])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            (shown,) = (await client.get("/api/relays")).json()["relays"]
        refusal = pool.state_of(relay.url).last_refusal
        assert refusal is not None
        assert shown["lastRefusal"] == {"words": "blocked: not you", "at": int(refusal.at), "count": 1}
        assert shown["closedSubscriptions"] == {"notes": "restricted: members only"}


async def test_health_and_readiness() -> None:
    """The process answers at once, and is ready when it has read the relays: until then it says what it does."""
    async with site() as here:
        here.ready = "reading the relays"
        assert (await here.get("/healthz")).text == "ok\n"
        answer = await here.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "reading the relays\n")
        here.ready = None
        assert (await here.get("/readyz")).status_code == 200


async def test_the_relay_of_another_program_is_not_described_here() -> None:
    """Only the daemon's own relay has its information document here."""
    async with site() as here:
        answer = await here.get("/api/relay-information")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_metrics_are_in_prometheus_form() -> None:
    """Counters can be scraped."""
    async with site() as here:
        answer = await here.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert "# HELP" in answer.text


class TestEvents:
    """Signed events are taken when their id and signature are good, all or none."""

    async def test_a_relay_list_is_taken_from_its_author_only(self) -> None:
        """The signed call says who hands it in."""
        async with site() as here:
            owner = new_key()
            draft = nip17.write_dm_relays(owner.pubkey, ["wss://a.example.org"], created_at=here.here.now)
            event = as_json(signed(owner, draft))
            refused = await here.post("/api/events", new_key(), {"events": [event]})
            assert (refused.status_code, refused.json()["type"].rsplit(":")[-1]) == (403, "not-the-author")
            assert (await here.post("/api/events", owner, {"events": [event]})).status_code == 200

    async def test_an_event_goes_in_and_out(self) -> None:
        """The answer names the session and the relays it is on its way to."""
        async with site() as here:
            event = await good(here)
            answer = await here.post("/api/events", new_key(), {"events": [event]})
            (accepted,) = answer.json()["accepted"]
            assert (accepted["id"], accepted["relays"]) == (event["id"], [RELAY])

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"id": "0" * 64}, 400),
            ({"id": ""}, 400),
            ({"id": "A" * 64}, 400),
            ({"sig": "0" * 128}, 400),
            ({"sig": ""}, 400),
            ({"pubkey": "0" * 64}, 400),
            ({"pubkey": "zz"}, 400),
            ({"content": "changed"}, 400),
            ({"tags": []}, 400),
            ({"created_at": 1}, 400),
            ({"kind": 1}, 400),
            ({"kind": -1}, 422),
            ({"kind": 65_536}, 422),
            ({"kind": "31923"}, 422),
            ({"kind": True}, 422),
            ({"created_at": -1}, 422),
            ({"created_at": 2**63}, 422),
            ({"created_at": 10**30}, 422),
            ({"created_at": 1.5}, 422),
            ({"tags": [[]]}, 422),
            ({"tags": [["t", 1]]}, 422),
            ({"tags": [["t", None]]}, 422),
            ({"tags": ["t"]}, 422),
            ({"tags": {}}, 422),
            ({"content": None}, 422),
            ({"id": None}, 422),
            ({"extra": 1}, 422),
        ],
    )
    @one_loop
    async def test_an_event_with_a_flaw_is_refused(self, here: Site, change: dict[str, object], status: int) -> None:
        """A field that was changed breaks the id or the signature; a field of another type is told."""
        answer = await here.post("/api/events", new_key(), {"events": [await good(here) | change]})
        assert answer.status_code == status, answer.text
        assert await here.here.store.sessions.to_list() == []

    @pytest.mark.parametrize("field", ["id", "pubkey", "created_at", "kind", "tags", "content", "sig"])
    @one_loop
    async def test_an_event_without_a_field_is_refused(self, here: Site, field: str) -> None:
        """Each of the seven is needed."""
        event = await good(here)
        del event[field]
        answer = await here.post("/api/events", new_key(), {"events": [event]})
        assert answer.status_code == 422
        assert field in answer.json()["detail"]

    @pytest.mark.parametrize("events", [[], None, {}, "x", [[]], [None]])
    @one_loop
    async def test_no_events_are_no_call(self, here: Site, events: object) -> None:
        """An empty or mistyped list is told."""
        assert (await here.post("/api/events", new_key(), {"events": events})).status_code == 422

    async def test_twenty_at_a_time(self) -> None:
        """A batch has a length, so that one call is one short transaction."""
        async with site() as here:
            row = await here.here.schedule()
            batch = []
            for _ in range(21):
                key = new_key()
                draft = await here.post(here.path_of(row, "rsvp", "draft"), key, {"status": "confirmed"})
                batch.append(here.sign(key, draft.json()["events"][0]))
            assert (await here.post("/api/events", new_key(), {"events": batch})).status_code == 422
            assert (await here.post("/api/events", new_key(), {"events": batch[:20]})).status_code == 200
            assert len(await here.here.store.rsvps.to_list()) == 20

    @one_loop
    async def test_all_or_none(self, here: Site) -> None:
        """One flaw in a batch keeps all of it out, whether it is in the signature, the kind or the time."""
        key = new_key()
        note = signed(key, UnsignedEvent(key.pubkey, here.here.now, 1, (), "hello"))
        old = signed(key, UnsignedEvent(key.pubkey, here.here.now - 7200, kinds.DM_RELAY_LIST, (), ""))
        for bad in (as_json(note), as_json(old), await good(here) | {"sig": "0" * 128}):
            for batch in ([await good(here), bad], [bad, await good(here)]):
                answer = await here.post("/api/events", key, {"events": batch})
                assert answer.status_code == 400
        assert await here.here.store.sessions.to_list() == []
        assert await here.here.outbox.pending_by_relay() == {}

    @one_loop
    async def test_a_signed_event_needs_no_login(self, here: Site) -> None:
        """It is its own proof for any caller; one that was changed on the way is refused as ever."""
        forged = await good(here) | {"content": "changed"}
        assert (await here.post("/api/events", None, {"events": [forged]})).status_code == 400
        assert await here.here.store.sessions.to_list() == []
        assert (await here.post("/api/events", None, {"events": [await good(here)]})).status_code == 200
        assert len(await here.here.store.sessions.to_list()) == 1

    async def test_text_without_a_utf8_form_is_refused(self) -> None:
        """Half a surrogate pair in a title cannot be hashed, stored or sent."""
        async with site() as here:
            import json

            raw = json.dumps({"events": [await good(here) | {"content": "\ud800"}]}).encode()
            headers = {"Content-Type": "application/json"}
            answer = await here.call("POST", "/api/events", by=new_key(), content=raw, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (400, "urn:podium:problem:bad-json")

    async def test_what_somebody_wrote_is_stored_as_it_is(self) -> None:
        """Control characters, markup and long words in an event break nothing, here or in the answer."""
        async with site() as here:
            title = "<script>alert(1)</script> \u202e\u0007 =1+1"
            wish = {"title": title, "scheduledAt": here.here.now + 3600, "duration": 60, "description": "\u2028x\u2029"}
            draft = await here.post("/api/sessions/draft", here.here.instructor, wish)
            assert (await here.sign_and_submit(here.here.instructor, draft)).status_code == 200
            (shown,) = (await here.get("/api/sessions")).json()["sessions"]
            assert shown["title"] == "<script>alert(1)</script> =1+1"


class TestNames:
    """`/.well-known/nostr.json` (NIP-05)."""

    async def test_the_domain_vouches_for_the_service_and_its_instructors(self) -> None:
        """The service is the domain itself; an instructor goes by the name in their profile, without one by the key."""
        async with site() as here:
            instructor = here.here.instructor.pubkey
            names = (await here.get("/.well-known/nostr.json")).json()["names"]
            assert names == {"_": here.here.service.pubkey, nip19.encode_npub(instructor): instructor}
            here.introductions[instructor] = Introduction("Some One")
            names = (await here.get("/.well-known/nostr.json")).json()["names"]
            assert names == {"_": here.here.service.pubkey, "some-one": instructor}

    async def test_one_name_is_answered_alone(self) -> None:
        """`?name=` gives that one, and nobody for a name that nobody has."""
        async with site() as here:
            path = "/.well-known/nostr.json?name="
            assert (await here.get(f"{path}_")).json() == {"names": {"_": here.here.service.pubkey}}
            assert (await here.get(f"{path}nobody")).json() == {"names": {}}

    async def test_pages_of_any_origin_may_read_the_names_and_nothing_else(self) -> None:
        """Web clients ask from their own origin (NIP-05); no other answer is; the Host is checked here too."""
        async with site() as here:
            headers = {"Origin": "https://client.example.org"}
            names = await here.client.get(f"{here.base}/.well-known/nostr.json", headers=headers)
            assert (names.status_code, names.headers["access-control-allow-origin"]) == (200, "*")
            other = await here.client.get(f"{here.base}/api/service", headers=headers)
            assert "access-control-allow-origin" not in other.headers
            headers = {"Host": "evil.example.org"}
            foreign = await here.client.get(f"{here.base}/.well-known/nostr.json", headers=headers)
            assert foreign.status_code == 421
            assert "access-control-allow-origin" not in foreign.headers
