"""What a pasted link says: the tags in the page's head, and the card."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from defusedxml import ElementTree

from podium_daemon.services.people.profiles import Introduction
from podium_daemon.web.calendars import Face
from podium_protocol.live.session import Visibility
from tests.support.site import Site, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = 'Knots "><script>alert(1)</script> & more'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """One server; its sessions differ."""
    async with site() as running:
        running.calendar = Face("Harbour <school>")
        yield running


async def page_of(here: Site, **fields: object) -> tuple[str, str]:
    """A session's page, and its path."""
    row = await here.here.schedule(**fields)
    path = f"/s/{here.views.naddr(row)}"
    return (await here.get(path)).text, path


def told(page: str, name: str) -> str:
    """What one tag says, as it stands there."""
    found = re.search(rf'<meta (?:property|name)="{name}" content="([^"]*)">', page)
    assert found is not None, name
    return found[1]


async def test_a_pasted_link_says_what_it_is(here: Site) -> None:
    """Title, time with its end, summary and the service's name stand in the head, and the address of a card."""
    page, path = await page_of(here, summary="An evening with rope")
    assert "<title>Know your rights · Harbour &lt;school&gt;</title>" in page
    assert ">Harbour &lt;school&gt;</a>" in page
    assert told(page, "og:title") == told(page, "twitter:title") == "Know your rights"
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d–\d\d:\d\d CES?T · An evening with rope", told(page, "og:description")
    )
    assert told(page, "og:url") == here.base + path
    assert told(page, "og:image") == f"{here.base}{path}/card.svg"


async def test_a_title_is_text_in_the_head(here: Site) -> None:
    """An instructor's title ends neither a tag nor the title, and is no element."""
    page, path = await page_of(here, summary=HOSTILE)
    assert "<script>alert" not in page
    assert told(page, "og:description").endswith("Knots &quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; more")
    card = await here.get(f"{path}/card.svg")
    assert card.headers["content-type"] == "image/svg+xml"
    ElementTree.fromstring(card.content)


async def test_the_card_names_title_time_instructor_and_service(here: Site) -> None:
    """It is a well-formed picture, kept by its tag, that other origins may show."""
    here.introductions[here.here.instructor.pubkey] = Introduction(name="Prof. Grace")
    _, path = await page_of(here)
    card = await here.get(f"{path}/card.svg")
    said = [node.text for node in ElementTree.fromstring(card.content).iter("{http://www.w3.org/2000/svg}text")]
    assert said[:2] == ["Harbour <school>", "Know your rights"]
    assert said[-1] == "Prof. Grace"
    assert card.headers["cross-origin-resource-policy"] == "cross-origin"
    again = await here.call("GET", f"{path}/card.svg", headers={"If-None-Match": card.headers["etag"]})
    assert again.status_code == 304


async def test_a_private_session_is_not_told(here: Site) -> None:
    """Neither the page nor the card of a private or an unknown session says anything of it."""
    page, path = await page_of(here, summary="An evening with rope", visibility=Visibility.PRIVATE)
    assert "og:" not in page
    assert "rope" not in page
    assert "<title>Harbour &lt;school&gt;</title>" in page
    assert (await here.get(f"{path}/card.svg")).status_code == 404
    assert "og:" not in (await here.get("/s/nothing")).text


async def test_a_changed_title_is_a_new_version_of_the_page(here: Site) -> None:
    """A browser that has the page of before is not told that it is the newest."""
    row = await here.here.schedule()
    path = f"/s/{here.views.naddr(row)}"
    before = await here.get(path)
    assert (await here.call("GET", path, headers={"If-None-Match": before.headers["etag"]})).status_code == 304
    here.calendar = Face("Another name")
    after = await here.call("GET", path, headers={"If-None-Match": before.headers["etag"]})
    here.calendar = Face("Harbour <school>")
    assert (after.status_code, after.headers["etag"] != before.headers["etag"]) == (200, True)
