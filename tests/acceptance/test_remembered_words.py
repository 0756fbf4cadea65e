"""What people said by message outlives the disk: the installed daemon, a real relay, people with another client."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import nostr_sdk as sdk
import pytest

from tests.support.installed import Site, offsets
from tests.support.outsiders import Letter, Outsider, outsiders
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = pytest.mark.real_peer

AHEAD = 6000  # seconds to the sessions: no reminder falls due while the test runs
SAID = 4  # messages to the service, each of which it seals once more for itself


async def test_a_lost_disk_forgets_no_answer_and_no_stop(tmp_path: Path) -> None:
    """Declined stays declined, who said stop hears of no cancellation, and nobody is asked what they meant."""
    async with running_relay() as relay, outsiders(relay.url, 5) as (instructor, ada, ben, cem, dee):
        site = Site(tmp_path / "site", relays=[relay.url], settings=offsets(600, 300, 60))
        service = await site.make_key()
        site.set(instructors__allow=[instructor.npub])
        people = (ada, ben, cem, dee)
        counted = {ada.pubkey: "declined", ben.pubkey: "confirmed", cem.pubkey: "tentative", dee.pubkey: "confirmed"}
        await asyncio.gather(*(person.open_inbox() for person in people))
        start = int(time.time()) + AHEAD
        async with site.running():
            for name in ("knots", "bends"):
                lesson = await instructor.schedule(service, name, start, start + 600)
                for person in people:
                    await person.answer(lesson, "accepted")
            await until(lambda: have_letters(2, *people), "all are told of both")
            for person, words in ((ada, "no"), (ben, "stop"), (cem, "maybe"), (dee, "stop all")):
                await tell(person, service, words)
            await until(lambda: answered(site, instructor, counted), "what they said counts")
            await until(lambda: is_sealed(instructor, service), "the service has sealed it for itself")
        shutil.rmtree(site.state)
        async with site.running():
            await until(lambda: answered(site, instructor, counted), "what they said counts again")
            gone = [["d", "knots"], ["start", "0"], ["status", "cancelled"], ["p", service, "", "service"]]
            await instructor.publish(31923, gone)
            wanted = {ben.pubkey: "skipped", cem.pubkey: "sent", dee.pubkey: "skipped"}
            await until(lambda: settled(site, instructor, wanted), "those who want it are told")
            await until(lambda: have_letters(3, cem), "Cem has it")
        assert [[one.subject for one in person.letters[2:]] for person in people] == [[], [], ["Cancelled: Knots"], []]


def about_knots(person: Outsider) -> Letter:
    """The message about the first session; a bare word could mean either."""
    return next(letter for letter in person.letters if letter.subject.endswith("Knots"))


async def tell(person: Outsider, service: str, text: str) -> None:
    """Reply by private message (NIP-17), made and sealed by nostr-sdk."""
    written = time.time()  # of two answers of one second the lower id wins (NIP-01)
    await until(lambda: later_than(int(written) + 1), "the next second")
    tags = [sdk.Tag.parse(["e", about_knots(person).rumor_id, "", "reply"])]
    wrap = sdk.nip17_make_private_msg(person.keys, sdk.PublicKey.parse(service), text, rumor_extra_tags=tags)
    assert not (await person._client.send_event(wrap)).failed


async def later_than(second: int) -> bool:
    """Whether that second has begun."""
    return time.time() >= second


async def is_sealed(anybody: Outsider, service: str) -> bool:
    """Whether the relay has each message, and what the service makes of it."""
    return len(await anybody.find(1059, p=service)) >= 2 * SAID


async def have_letters(count: int, *people: Outsider) -> bool:
    """Whether each of them has so many messages."""
    return all(len(person.letters) == count for person in people)


async def answered(site: Site, instructor: Outsider, wanted: dict[str, str]) -> bool:
    """Whether the daemon shows these answers."""
    shown = (await instructor.call("GET", f"{site.base}/api/sessions/knots/rsvps")).body
    return {row["pubkey"]: row["status"] for row in shown.get("rsvps", ())} == wanted


async def settled(site: Site, instructor: Outsider, wanted: dict[str, str]) -> bool:
    """Whether the ledger says this of the cancellation."""
    rows = (await instructor.call("GET", f"{site.base}/api/sessions/knots/reminders")).body["reminders"]
    return {row["pubkey"]: row["state"] for row in rows if row["message"] == "cancelled"} == wanted
