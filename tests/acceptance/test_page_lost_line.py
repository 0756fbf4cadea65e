"""A line that is lost and a page that is loaded again: what people are told, and what they typed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from podium_protocol.nips.nip19 import encode_nsec
from tests.support.page import Here, page_house, press, seen
from tests.support.relays import new_key

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[Here]:
    """One daemon and one browser for all."""
    async with page_house() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(house: Here) -> AsyncIterator[Here]:
    """The house, with no page left open afterwards."""
    yield house
    await house.close_pages()


# a stream whose answer begins and never goes on, in a browser whose minutes are milliseconds: what it says of itself
_SILENT: Final = """async () => {
  const { Stream } = await import("/page/core/stream.js");
  const later = window.setTimeout;
  window.setTimeout = (then, milliseconds) => later(then, milliseconds / 1000);
  window.fetch = async () => new Response(new ReadableStream());
  const said = [];
  const on = { state: (state) => said.push(state), beat() {}, event() {}, refused() {} };
  const stream = new Stream("/api/stream", { token: null, on });
  await stream.open();
  while (said.length < 3) await new Promise((done) => later(done, 10));
  stream.close();
  return said.slice(0, 3);
}"""
OFFLINE = "The service cannot be reached. Look at your connection and try again."


async def test_a_button_without_a_connection_says_so_beside_itself_and_can_be_pressed_again(here: Here) -> None:
    """The line stands directly after the button, once; the next press, with a connection, takes it away and works.

    So it is also where the network is lost before the page's stream was open.
    """
    visitor = await here.person(new_key())
    await visitor.context.route("**/api/stream*", lambda route: route.abort())
    page = await visitor.open(await here.scheduled())
    await seen(page, "0 people have confirmed.")
    question = page.get_by_label("Your question")
    await question.fill("Which rope?")
    await visitor.context.set_offline(True)
    for name in ("Confirm", "Ask", "Sign in"):
        button = page.get_by_role("button", name=name, exact=True)
        for _ in range(2):
            await button.click()
            line = button.locator("xpath=following-sibling::*[1][self::p]")
            await line.wait_for()
            assert (await line.inner_text(), await line.get_attribute("role")) == (OFFLINE, "alert")
    assert await question.input_value() == "Which rope?"
    await visitor.context.unroute("**/api/stream*")
    await visitor.context.set_offline(False)
    await press(page, "Confirm")
    await seen(page, "1 person has confirmed.")
    await press(page, "Ask")
    await seen(page, "Which rope?")
    assert await page.get_by_text(OFFLINE).count() == 1, "that of the button that was not pressed again"
    lost = ("net::ERR_INTERNET_DISCONNECTED", "net::ERR_FAILED")
    assert [error for error in visitor.errors if not any(words in error for words in lost)] == []


async def test_a_stream_of_which_nothing_comes_is_lost_and_opened_again(here: Here) -> None:
    """No end of a connection comes through where the network is gone, so the page does not wait for one."""
    page = await (await here.person()).open(f"{here.stage.base_url}/")
    assert await page.evaluate(_SILENT) == ["live", "lost", "live"]


async def test_what_was_typed_is_there_after_a_reload_until_it_is_sent_or_one_signs_out(here: Here) -> None:
    """A question and the form of a session; a secret key that was pasted there by mistake is not kept."""
    visitor = await here.person(here.instructor)
    page = await visitor.open(await here.scheduled())
    question = page.get_by_label("Your question")
    await question.fill("Which rope?")
    await page.reload()
    typed = "text => document.querySelector('podium-questions textarea')?.value === text"
    await page.wait_for_function(typed, arg="Which rope?")
    await press(page, "Ask")
    await page.wait_for_function(typed, arg="")
    await question.fill("And which knot?")
    await page.goto(f"{here.stage.base_url}/")
    await page.get_by_text("Schedule a session").click()
    await page.get_by_label("Title").fill("Bends")
    await page.get_by_label("Description").fill(encode_nsec(new_key()))
    await page.reload()
    await page.wait_for_function("() => document.querySelector('podium-session-form input')?.value === 'Bends'")
    assert await page.get_by_label("Description").input_value() == ""
    await page.go_back()
    await page.wait_for_function(typed, arg="And which knot?")
    await press(page, "Sign in")
    await press(page, "Sign out")
    left = "() => Object.keys(sessionStorage).some((key) => key.startsWith('podium.draft.'))"
    await page.get_by_role("button", name="Sign in", exact=True).wait_for()
    assert not await page.evaluate(left)
    assert visitor.errors == []
