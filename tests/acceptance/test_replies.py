"""People who answer their reminders from another client (nostr-sdk): the installed daemon notes it and acts on it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import nostr_sdk as sdk
import pytest

from tests.support.installed import Site, offsets
from tests.support.outsiders import Letter, Outsider, outsiders
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = pytest.mark.real_peer

QUIET_START = 600  # seconds to the session: no reminder falls due while the test runs
SOON = 20  # seconds to the session: one reminder falls due, five before the start


async def test_replies_from_another_client_change_rsvps_and_end_reminders(tmp_path: Path) -> None:
    """`no` as a reply declines, over a restart too; `maybe` without a reference is understood; both are counted."""
    async with running_relay() as relay, outsiders(relay.url, 3) as (instructor, ada, ben):
        site = Site(tmp_path / "site", relays=[relay.url], settings=offsets(60, 20, 4))
        service = await site.make_key()
        site.set(instructors__allow=[instructor.npub])
        for person in (ada, ben):
            await person.open_inbox()
        async with site.running():
            start = int(time.time()) + QUIET_START
            lesson = await instructor.schedule(service, "knots", start, start + 3600)
            for person in (ada, ben):
                await person.answer(lesson, "accepted")
            first = await until(lambda: confirmation(ada), "Ada is told that she is confirmed")
            await until(lambda: confirmation(ben), "Ben too")
            await reply(ada, service, "No, ", about=first)
            await until(lambda: answered(site, ada, "declined"), "her reply is an RSVP")
            await reply(ben, service, "maybe")
            await until(lambda: answered(site, ben, "tentative"), "his bare word is one too")
            assert 'podium_messages_total{outcome="rsvp"} 2.0' in await scraped(site)
        async with site.running():
            await until(lambda: answered(site, ada, "declined"), "the restarted daemon knows it")
            await reply(ada, service, "yes", about=first)
            await until(lambda: answered(site, ada, "confirmed"), "and reads what comes then")


async def test_stop_ends_the_reminders_of_who_said_it(tmp_path: Path) -> None:
    """Ben says stop after his confirmation: Ada is reminded, he is not, and the ledger says skipped."""
    async with running_relay() as relay, outsiders(relay.url, 3) as (instructor, ada, ben):
        site = Site(tmp_path / "site", relays=[relay.url], settings=offsets(3600, 1800, 5))
        service = await site.make_key()
        site.set(instructors__allow=[instructor.npub])
        for person in (ada, ben):
            await person.open_inbox()
        async with site.running():
            start = int(time.time()) + SOON
            lesson = await instructor.schedule(service, "knots", start, start + 3600)
            for person in (ada, ben):
                await person.answer(lesson, "accepted")
            about = await until(lambda: confirmation(ben), "Ben is told that he is confirmed")
            await reply(ben, service, "Stop!", about=about)
            wanted = {ada.pubkey: "sent", ben.pubkey: "skipped"}
            await until(lambda: settled(site, "quarter", wanted), "the reminder is sent to her and skipped for him")
        assert [letter.subject for letter in ben.letters] == [about.subject]


async def scraped(site: Site) -> str:
    """The daemon's counters."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return (await client.get(f"{site.base}/metrics")).text


async def settled(site: Site, message: str, wanted: dict[str, str]) -> bool:
    """Whether the ledger says this of one message."""
    rows = (await site.read("reminders", "knots", key=site.key_file))["reminders"]
    return {row["pubkey"]: row["state"] for row in rows if row["message"] == message} == wanted


async def confirmation(person: Outsider) -> Letter | None:
    """The message that confirms an RSVP."""
    return next((letter for letter in person.letters if letter.subject.startswith("You are confirmed")), None)


async def answered(site: Site, person: Outsider, status: str) -> Any:
    """Whether the daemon shows this answer."""
    shown = (await site.read("rsvps", "knots", key=site.key_file))["rsvps"]
    return [one for one in shown if one["pubkey"] == person.pubkey and one["status"] == status]


async def later_than(second: int) -> bool:
    """Whether that second has begun."""
    return time.time() >= second


async def reply(person: Outsider, service: str, text: str, *, about: Letter | None = None) -> None:
    """Send a private message (NIP-17), made and sealed by nostr-sdk, as a reply where `about` says to what."""
    written = time.time()  # of two answers of one second the lower id wins (NIP-01): nobody types that fast
    await until(lambda: later_than(int(written) + 1), "the next second")
    tags = [] if about is None else [sdk.Tag.parse(["e", about.rumor_id, "", "reply"])]
    wrap = sdk.nip17_make_private_msg(person.keys, sdk.PublicKey.parse(service), text, rumor_extra_tags=tags)
    assert not (await person._client.send_event(wrap)).failed
