"""Series over HTTP: drafted at once, signed one after the other, read, changed and cancelled from one date on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx

from podium_protocol import kinds
from podium_protocol.keys import SecretKey
from tests.support.relays import new_key
from tests.support.site import Site, site

ZONE = "Europe/Berlin"
WISH: dict[str, object] = {"title": "Knots", "duration": 60, "timezone": ZONE, "repeat": "weekly", "times": 4}


async def drafted(here: Site, **changes: object) -> httpx.Response:
    """The draft of a series that begins tomorrow."""
    wish = WISH | {"scheduledAt": here.here.now + 86_400} | changes
    return await here.post("/api/sessions/draft", here.here.instructor, wish)


async def signed_one_by_one(here: Site, draft: httpx.Response, most: int = 100) -> None:
    """Sign and hand in each session with its deletion, as the page does, and stop after `most` signatures."""
    assert draft.status_code == 200, draft.text
    parts: list[list[dict[str, object]]] = []
    for template in draft.json()["events"][:most]:
        event = here.sign(here.here.instructor, template)
        if template["kind"] == kinds.DELETION:
            parts[-1].append(event)
        else:
            parts.append([event])
    for part in parts:
        answer = await here.post("/api/events", here.here.instructor, {"events": part})
        assert answer.status_code == 200, answer.text


async def made(here: Site, **changes: object) -> list[str]:
    """A series that is there; the addresses of its dates."""
    draft = await drafted(here, **changes)
    await signed_one_by_one(here, draft)
    return [date["lessonId"] for date in await dates(here, draft.json()["lessonId"])]


async def dates(here: Site, reference: str, by: SecretKey | None = None) -> Sequence[dict[str, object]]:
    """The dates of a series."""
    answer = await here.call("GET", f"/api/sessions/{reference}/series", by=by)
    assert answer.status_code == 200, answer.text
    found: Sequence[dict[str, object]] = answer.json()["dates"]
    return found


async def edited(here: Site, reference: str, **wish: object) -> httpx.Response:
    """The draft of an edit of this and all that follow."""
    return await here.post(f"/api/sessions/{reference}/draft", here.here.instructor, {"following": True} | wish)


async def cancelled(here: Site, reference: str, **wish: object) -> httpx.Response:
    """The draft of a cancellation."""
    return await here.post(f"/api/sessions/{reference}/cancel/draft", here.here.instructor, wish)


def number(value: object) -> int:
    """A number of an answer."""
    assert isinstance(value, int)
    return value


def shown(at: object, zone: str = ZONE) -> str:
    """Weekday and time on the wall clock of a zone."""
    return f"{datetime.fromtimestamp(number(at), ZoneInfo(zone)):%a %H:%M}"


def wanted(draft: httpx.Response) -> list[int]:
    """The kinds that are to be signed."""
    assert draft.status_code == 200, draft.text
    return [template["kind"] for template in draft.json()["events"]]


async def test_a_series_is_sessions_and_a_calendar() -> None:
    """Each date is a session that knows its number; the calendar lists them all; a guest reads the dates."""
    async with site() as here:
        draft = await drafted(here)
        assert wanted(draft) == [kinds.SESSION] * 4 + [kinds.CALENDAR]
        assert draft.json()["notice"].startswith("Public")
        calendar = draft.json()["events"][-1]
        await signed_one_by_one(here, draft)
        found = await dates(here, draft.json()["lessonId"])
        assert [(date["number"], date["state"], date["title"]) for date in found] == [
            (number, "scheduled", "Knots") for number in (1, 2, 3, 4)
        ]
        assert len({shown(date["scheduledAt"]) for date in found}) == 1
        assert [row[1] for row in calendar["tags"] if row[0] == "a"] == [date["lessonId"] for date in found]
        session = (await here.get(f"/api/sessions/{found[2]['naddr']}")).json()
        assert (session["series"], session["seriesNumber"]) == (draft.json()["series"], 3)
        path = f"/api/sessions/{found[0]['lessonId']}"
        invited = await here.post(f"{path}/guests", here.here.instructor, {"names": ["Ana"]})
        secret = invited.json()["guests"][0]["link"].partition("#guest=")[2]
        token = (await here.post(f"{path}/guest/open", None, {"link": secret})).json()["token"]
        by_link = await here.call("GET", f"{path}/series", token=token)
        assert by_link.json()["dates"] == found, "a link for one date shows of the others what a stranger sees"


async def test_a_date_that_another_client_cancelled_is_taken_off_the_calendar_by_the_instructor() -> None:
    """The daemon does not sign for the instructor: it tells them, and drafts the calendar; others are told nothing."""
    async with site() as here:
        addresses = await made(here)
        path = f"/api/sessions/{addresses[0]}/series"
        lead = here.here.instructor
        assert (await here.get(path, lead)).json()["outdated"] == 0
        assert wanted(await here.post(f"{path}/draft", lead)) == []
        await here.here.cancel(await here.here.row(addresses[2]))
        assert (await here.get(path, lead)).json()["outdated"] == 1
        assert (await here.get(path, new_key())).json()["outdated"] == 0
        draft = await here.post(f"{path}/draft", lead)
        assert wanted(draft) == [kinds.CALENDAR]
        rows = draft.json()["events"][0]["tags"]
        assert [row[1] for row in rows if row[0] == "a"] == [addresses[0], addresses[1], addresses[3]]
        await signed_one_by_one(here, draft)
        assert (await here.get(path, lead)).json()["outdated"] == 0


async def test_who_stopped_in_the_middle_goes_on_with_the_rest() -> None:
    """What was signed stands; the same wish with the same identifier drafts what is missing, and then nothing."""
    async with site() as here:
        first = await drafted(here, identifier="knots")
        await signed_one_by_one(here, first, most=2)
        assert [date["number"] for date in await dates(here, "knots-01")] == [1, 2]
        rest = await drafted(here, identifier="knots")
        assert wanted(rest) == [kinds.SESSION] * 2 + [kinds.CALENDAR]
        await signed_one_by_one(here, rest)
        assert wanted(await drafted(here, identifier="knots")) == []
        assert [date["number"] for date in await dates(here, "knots-01")] == [1, 2, 3, 4]
        longer = await drafted(here, identifier="knots", times=5)
        assert wanted(longer) == [kinds.SESSION, kinds.CALENDAR], "one more date, and the calendar with it"


async def test_an_edit_of_all_that_follow_moves_them_as_far() -> None:
    """An hour later is an hour later on each date; the ones before stay, and the calendar takes the new title."""
    async with site() as here:
        addresses = await made(here)
        before = await dates(here, addresses[0])
        at = number(before[1]["scheduledAt"]) + 3600
        draft = await edited(here, addresses[1], scheduledAt=at, title="Splices", duration=90)
        assert wanted(draft) == [kinds.SESSION] * 3 + [kinds.CALENDAR]
        await signed_one_by_one(here, draft)
        after = await dates(here, addresses[0])
        assert [date["title"] for date in after] == ["Knots", "Splices", "Splices", "Splices"]
        moved = [
            number(new["scheduledAt"]) - number(old["scheduledAt"]) for old, new in zip(before, after, strict=True)
        ]
        assert moved == [0, 3600, 3600, 3600]
        assert [number(date["endsAt"]) - number(date["scheduledAt"]) for date in after] == [3600] + [5400] * 3
        assert len({shown(date["scheduledAt"]) for date in after[1:]}) == 1
        only_one = await here.post(
            f"/api/sessions/{addresses[2]}/draft", here.here.instructor, {"summary": "Bring rope"}
        )
        assert wanted(only_one) == [kinds.SESSION]


async def test_another_zone_for_all_that_follow_keeps_their_clock() -> None:
    """Those that follow begin at the first one's new time of day, in the new zone."""
    async with site() as here:
        addresses = await made(here, times=30)
        first = number((await dates(here, addresses[0]))[0]["scheduledAt"])
        await signed_one_by_one(here, await edited(here, addresses[0], timezone="America/New_York"))
        after = await dates(here, addresses[0])
        assert after[0]["scheduledAt"] == first
        assert len({shown(one["scheduledAt"], "America/New_York") for one in after}) == 1


async def test_one_date_is_cancelled_and_taken_back() -> None:
    """A cancelled date costs its two signatures and the calendar's; taken back, it is listed again."""
    async with site() as here:
        addresses = await made(here)
        draft = await cancelled(here, addresses[1], reason="Holiday")
        assert wanted(draft) == [kinds.SESSION, kinds.DELETION, kinds.CALENDAR]
        listed = [row[1] for row in draft.json()["events"][-1]["tags"] if row[0] == "a"]
        assert listed == [addresses[0], *addresses[2:]]
        await signed_one_by_one(here, draft)
        states = [date["state"] for date in await dates(here, addresses[0])]
        assert states == ["scheduled", "cancelled", "scheduled", "scheduled"]
        back = await here.post(f"/api/sessions/{addresses[1]}/restore/draft", here.here.instructor, {})
        assert wanted(back) == [kinds.SESSION, kinds.CALENDAR]
        again = [row[1] for row in back.json()["events"][-1]["tags"] if row[0] == "a"]
        assert again == addresses
        await signed_one_by_one(here, back)
        assert [date["state"] for date in await dates(here, addresses[0])] == ["scheduled"] * 4


async def test_all_that_follow_are_cancelled() -> None:
    """From one date on all are cancelled with one reason; who was stopped goes on with the rest."""
    async with site() as here:
        addresses = await made(here)
        draft = await cancelled(here, addresses[1], reason="The hall is closed", following=True)
        assert wanted(draft) == [kinds.SESSION, kinds.DELETION] * 3 + [kinds.CALENDAR]
        await signed_one_by_one(here, draft, most=2)
        rest = await cancelled(here, addresses[1], reason="The hall is closed", following=True)
        assert wanted(rest) == [kinds.SESSION, kinds.DELETION] * 2 + [kinds.CALENDAR]
        await signed_one_by_one(here, rest)
        assert [date["state"] for date in await dates(here, addresses[0])] == ["scheduled"] + ["cancelled"] * 3
        shown_reason = (await here.get(f"/api/sessions/{addresses[3]}")).json()["cancelReason"]
        assert shown_reason == "The hall is closed"


async def test_a_private_series_has_no_calendar() -> None:
    """Its dates are read by those who are invited; nothing public lists them."""
    async with site() as here:
        ada = new_key()
        draft = await drafted(here, visibility="private", invited=[ada.pubkey])
        assert wanted(draft) == [kinds.SESSION] * 4
        await signed_one_by_one(here, draft)
        address = draft.json()["lessonId"]
        assert len(await dates(here, address, ada)) == 4
        assert (await here.get(f"/api/sessions/{address}/series")).status_code == 404
        assert wanted(await cancelled(here, address)) == [kinds.SESSION, kinds.DELETION]


async def test_what_is_no_series_is_refused_in_words() -> None:
    """A repetition without a number of times, too many of them, a last date out of range, an identifier too long."""
    async with site() as here:
        assert (await drafted(here, times=None)).status_code == 422
        assert (await drafted(here, times=53)).status_code == 422
        assert (await drafted(here, repeat="daily")).status_code == 422
        late = await drafted(here, scheduledAt=32_503_680_000)
        assert (late.status_code, "no usable time" in late.json()["detail"]) == (400, True)
        long = await drafted(here, identifier="k" * 118)
        assert (long.status_code, "at most" in long.json()["detail"]) == (400, True)
        row = await here.here.schedule()
        alone = await here.get(here.path_of(row) + "/series")
        assert (alone.status_code, alone.json()["detail"]) == (404, "the session is in no series")
