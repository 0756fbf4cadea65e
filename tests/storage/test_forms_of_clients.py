"""Sessions and answers in the forms in which programs on the market write them (NIP-52 leaves much open)."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium_protocol import kinds
from podium_protocol.live.session import names_service
from podium_protocol.tags import Tags
from podium_storage.mirror.mirror import Mirror
from podium_storage.projections.rsvps import RsvpProjection
from podium_storage.projections.sessions import SessionProjection
from podium_storage.store import Store
from tests.support.events import NOW, key_of, verified

INSTRUCTOR, SERVICE, PERSON = (key_of(number) for number in range(1, 4))
START, END = str(NOW + 3600), str(NOW + 9000)
LESSON = f"31923:{INSTRUCTOR.pubkey}:knots"
BASE: Tags = (("d", "knots"), ("title", "Knots"), ("start", START), ("end", END))
US = ("p", SERVICE.pubkey)

ADOPTED: dict[str, Tags] = {
    "key alone": (*BASE, US),
    "key and relay": (*BASE, (*US, "wss://relay.example")),
    "an empty relay": (*BASE, (*US, "")),
    "an empty role": (*BASE, (*US, "", "")),
    "our own role": (*BASE, (*US, "", "service")),
    "participant": (*BASE, (*US, "", "participant")),
    "host in capitals": (*BASE, (*US, "", "HOST")),
    "speaker": (*BASE, (*US, "wss://relay.example", "speaker")),
    "role in the relay's place": (*BASE, (*US, "attendee")),
    "two mentions": (*BASE, US, (*US, "", "invited")),
    "among others": (*BASE, ("p", PERSON.pubkey), ("p", "not a key"), US),
    "no end": (*BASE[:3], US),
    "an empty end": (*BASE[:3], ("end", ""), US),
    "a name for a title": (BASE[0], ("name", "Knots"), *BASE[2:], US),
    "both names": (*BASE, ("name", "knots!"), US),
    "zones of both ends": (*BASE, ("start_tzid", "Europe/Berlin"), ("end_tzid", "Europe/Paris"), US),
    "an unknown zone": (*BASE, ("start_tzid", "Home/Office"), US),
    "days, places, hashtags": (
        *BASE,
        ("D", "20000"),
        ("location", "R"),
        ("location", "x"),
        ("g", "u33"),
        ("t", "x"),
        US,
    ),
    "pictures and calendars": (*BASE, ("image", "https://a.example/i"), ("a", f"31924:{INSTRUCTOR.pubkey}:c"), US),
    "a confirmed status": (*BASE, ("status", "confirmed"), US),
    "references": (*BASE, ("r", "https://a.example/x"), ("alt", "Calendar event"), ("client", "x"), US),
}
PASSED_OVER: dict[str, tuple[Tags, str]] = {
    "not named": ((*BASE, ("t", "live-session")), "does not name this service"),
    "another service": ((*BASE, ("p", PERSON.pubkey)), "does not name this service"),
    "an appointment": (BASE, "another kind"),
    "a date for a start": ((*BASE[:2], ("start", "2026-12-01"), US), "start is no Unix time"),
    "milliseconds": ((*BASE[:2], ("start", START + "000"), US), "start is no Unix time"),
    "an end before the start": ((*BASE[:3], ("end", str(NOW)), US), "end is no Unix time after start"),
    "no title": ((BASE[0], *BASE[2:], US), "no title"),
    "two starts": ((*BASE, ("start", END), US), "start is given twice"),
}


@pytest.mark.parametrize("tags", ADOPTED.values(), ids=ADOPTED)
async def test_a_session_is_taken_in_the_form_in_which_it_is_written(tmp_path: Path, tags: Tags) -> None:
    """The instructor's event with our key in any `p` is a session, with its time and its title."""
    async with await Store.open(tmp_path / "podium.sqlite3") as store:
        rows, passed = await read(store, tags)
        assert passed == []
        assert rows == [(LESSON, "Knots", NOW + 3600, 60 if ("end", END) not in tags else 90)]


@pytest.mark.parametrize(("tags", "reason"), PASSED_OVER.values(), ids=PASSED_OVER)
async def test_what_is_passed_over_has_a_reason(tmp_path: Path, tags: Tags, reason: str) -> None:
    """Nothing that an instructor signed vanishes without a word."""
    async with await Store.open(tmp_path / "podium.sqlite3") as store:
        rows, passed = await read(store, tags)
        assert rows == []
        (said,) = passed
        assert reason in said


async def read(store: Store, tags: Tags) -> tuple[list[tuple[str, str, int, int]], list[str]]:
    """The sessions after one event of the instructor, and why it was passed over."""
    passed: list[str] = []
    projection = SessionProjection(
        store.sessions,
        service=SERVICE.pubkey,
        accepts=lambda session: names_service(session, SERVICE.pubkey),
        passed_over=lambda _event, reason: passed.append(reason),
    )
    mirror = Mirror(store.database, store.interner, [projection])
    await mirror.ingest([verified(INSTRUCTOR, kind=kinds.SESSION, tags=tags, created_at=NOW)], received_at=NOW)
    rows = await store.sessions.to_list()
    return [(row.session_address, row.title, row.scheduled_at, row.duration) for row in rows], passed


TO = ("a", LESSON)
ANSWERS: dict[str, tuple[Tags, str | None]] = {
    "as NIP-52 has it": ((TO, ("d", "1"), ("status", "accepted")), "confirmed"),
    "with a relay": (((*TO, "wss://relay.example"), ("d", "1"), ("status", "accepted")), "confirmed"),
    "without d": ((TO, ("status", "declined")), "declined"),
    "an empty d": ((TO, ("d", ""), ("status", "tentative")), "tentative"),
    "capitals": ((TO, ("d", "1"), ("status", "ACCEPTED")), "confirmed"),
    "a capital": ((TO, ("d", "1"), ("status", "Tentative")), "tentative"),
    "blanks": ((TO, ("d", "1"), ("status", " declined ")), "declined"),
    "a line end": ((TO, ("d", "1"), ("status", "accepted\n")), "confirmed"),
    "the older label": ((TO, ("d", "1"), ("L", "status"), ("l", "accepted", "status")), "confirmed"),
    "the older label in capitals": ((TO, ("L", "status"), ("l", "Declined", "status")), "declined"),
    "both": ((TO, ("status", "tentative"), ("l", "accepted", "status")), "tentative"),
    "busy or free": ((TO, ("status", "accepted"), ("fb", "busy")), "confirmed"),
    "the revision": ((TO, ("e", "ab" * 32), ("status", "accepted")), "confirmed"),
    "author before address": ((("p", INSTRUCTOR.pubkey), TO, ("status", "accepted")), "confirmed"),
    "a calendar before it": ((("a", f"31924:{INSTRUCTOR.pubkey}:c"), TO, ("status", "accepted")), "confirmed"),
    "another word": ((TO, ("status", "maybe")), None),
    "no word": ((TO, ("d", "1")), None),
    "no address": ((("e", "ab" * 32), ("status", "accepted")), None),
    "a day's event": ((("a", f"31922:{INSTRUCTOR.pubkey}:knots"), ("status", "accepted")), None),
}


@pytest.mark.parametrize(("tags", "status"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_is_read_in_the_form_in_which_it_is_written(
    tmp_path: Path, tags: Tags, status: str | None
) -> None:
    """Each is the answer its author meant, with their note; what says nothing is none."""
    async with await Store.open(tmp_path / "podium.sqlite3") as store:
        projection = RsvpProjection(store.rsvps, store.database, store.interner)
        mirror = Mirror(store.database, store.interner, [projection])
        event = verified(PERSON, kind=kinds.RSVP, tags=tags, content="I bring a rope.", created_at=NOW)
        await mirror.ingest([event], received_at=NOW)
        found = [(row.session_address, row.status, row.note) for row in await store.rsvps.to_list()]
    assert found == ([] if status is None else [(LESSON, status, "I bring a rope.")])
