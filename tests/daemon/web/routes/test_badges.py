"""Badges over HTTP: asked for by participants, signed by the instructor, published for those who asked only."""

from __future__ import annotations

import msgspec

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.live.badge import read_badge_award, read_badge_definition, write_badge_award
from podium_protocol.live.session import GuestPolicy
from podium_storage.table.models import WatchRow
from tests.daemon.web.routes.test_certificates import attended
from tests.support.private import scheduled
from tests.support.relays import new_key
from tests.support.site import as_json, site
from tests.support.world import signed


async def test_a_badge_is_asked_for_and_signed() -> None:
    """The instructor signs a definition and an award; both are published, and the participant sees it."""
    async with site() as here:
        world = here.here
        row, participant = await attended(here, 46)
        own, badges = here.path_of(row, "badge"), here.path_of(row, "badges")
        assert (await here.get(own, participant)).json() == {"askedAt": None, "awardId": None}
        asked = (await here.post(own, participant)).json()
        assert asked == (await here.post(own, participant)).json() == {"askedAt": world.now, "awardId": None}
        (listed,) = (await here.get(badges, world.instructor)).json()["badges"]
        assert (listed["pubkey"], listed["awardId"]) == (participant.pubkey, None)

        draft = await here.post(f"{badges}/draft", world.instructor)
        assert [event["kind"] for event in draft.json()["events"]] == [kinds.BADGE_DEFINITION, kinds.BADGE_AWARD]
        assert (await here.sign_and_submit(world.instructor, draft)).status_code == 200
        await world.deliver()
        (definition,), (award,) = world.published(kinds.BADGE_DEFINITION), world.published(kinds.BADGE_AWARD)
        session = Address.parse(row.session_address)
        assert read_badge_definition(definition) == session
        given = read_badge_award(award)
        assert given is not None
        assert (given.session, given.participant) == (session, participant.pubkey)
        assert (await here.get(own, participant)).json()["awardId"] == award.id

        nobody_waits = await here.post(f"{badges}/draft", world.instructor)
        assert nobody_waits.json()["type"].endswith(":nothing-to-publish")
        too_late = await here.call("DELETE", own, by=participant)
        assert (too_late.status_code, too_late.json()["type"]) == (409, "urn:podium:problem:badge-awarded")


async def test_the_second_time_there_are_only_awards() -> None:
    """The definition is signed once; a participant who asks later gets an award alone."""
    async with site() as here:
        world = here.here
        row, participant = await attended(here, 46)
        badges = here.path_of(row, "badges")
        await here.post(here.path_of(row, "badge"), participant)
        await here.sign_and_submit(world.instructor, await here.post(f"{badges}/draft", world.instructor))
        watcher = new_key()
        watched = WatchRow(
            session_address=row.session_address,
            pubkey=watcher.pubkey,
            sha256="a" * 64,
            updated_at=1,
            completed_at=world.now,
        )
        await world.store.watches.put(watched)
        await here.post(here.path_of(row, "badge"), watcher)
        draft = (await here.post(f"{badges}/draft", world.instructor)).json()["events"]
        assert [(event["kind"], event["tags"][1][1]) for event in draft] == [(kinds.BADGE_AWARD, watcher.pubkey)]


async def test_nobody_is_named_who_did_not_ask() -> None:
    """An award for a participant who did not ask, or asked no longer, is not accepted, nor one by another signer."""
    async with site() as here:
        world = here.here
        row, participant = await attended(here, 46)
        session = Address.parse(row.session_address)
        assert session is not None
        award = as_json(
            signed(world.instructor, write_badge_award(session, participant.pubkey, relay_hint="", now=world.now))
        )
        own = here.path_of(row, "badge")
        await here.post(own, participant)
        assert (await here.call("DELETE", own, by=participant)).json()["askedAt"] is None
        refused = await here.post("/api/events", world.instructor, {"events": [award]})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:podium:problem:nothing-to-publish")

        await here.post(own, participant)
        other = new_key()
        forged = write_badge_award(session, participant.pubkey, relay_hint="", now=world.now)
        foreign = as_json(signed(other, msgspec.structs.replace(forged, pubkey=other.pubkey)))
        refused = await here.post("/api/events", other, {"events": [foreign]})
        assert (refused.status_code, refused.json()["type"]) == (404, "urn:podium:problem:unknown-session")


async def test_who_gets_none() -> None:
    """Not before the completion, and not for a private session; others neither see who asked nor sign."""
    async with site() as here:
        world = here.here
        row, participant = await attended(here, 10)
        early = await here.post(here.path_of(row, "badge"), participant)
        assert (early.status_code, early.json()["type"]) == (409, "urn:podium:problem:not-completed")
        for method, path in (("GET", "badges"), ("POST", "badges/draft")):
            answer = await here.call(method, here.path_of(row, path), by=participant)
            assert answer.json()["type"] == "urn:podium:problem:not-allowed"
        secret = await scheduled(world, participant)
        answer = await here.post(here.path_of(secret, "badge"), participant)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:podium:problem:no-badge")


async def test_a_guest_has_no_badge() -> None:
    """What is signed for a guest never names their key in public: they are told to use a key of their own."""
    async with site() as here:
        row = await here.here.schedule(starts_in=1200, guests=GuestPolicy.ANYONE)
        entered = (await here.post(here.path_of(row, "guest"), None, {"name": "Ana"})).json()
        answer = await here.call("POST", here.path_of(row, "badge"), token=entered["token"])
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:podium:problem:needs-key")
