"""The chat of an encrypted room in a real browser: only its key opens a line, under its sender's name and purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from podium_protocol.live.chat import MAX_SEALED, MAX_TEXT, read_text
from podium_protocol.live.polls import MAX_OPTION, MAX_OPTIONS, MAX_QUESTION, Poll, SealedTexts, read_sealed
from tests.support.browsers import chromium, visit
from tests.support.site import site

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

_SET_UP: Final = """async () => {
  const { TalkCipher } = await import("/page/room/talk-cipher.js");
  const { ChatLog } = await import("/page/room/chat-log.js");
  const polls = await import("/page/room/poll-log.js");
  const cipher = (...pairs) => {
    const made = new TalkCipher();
    for (const [epoch, fill] of pairs) made.use(epoch, new Uint8Array(32).fill(fill));
    return made;
  };
  Object.assign(window, { cipher, ChatLog, ...polls });
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page() -> AsyncIterator[Any]:
    """A page of the daemon, under its content policy, with the modules loaded."""
    async with site() as here, chromium() as browser:
        visitor = await visit(browser)
        opened = await visitor.open(f"{here.base}/")
        await opened.evaluate(_SET_UP)
        yield opened


async def test_only_the_key_opens_a_line(page: Any) -> None:
    """Not another secret, sender or purpose, nor what was changed on the way; without a secret nothing is sealed."""
    found = await page.evaluate(
        """async () => {
          const sealed = await cipher([3, 1]).seal("Grüße", "aa", "private");
          const opened = (made, who, purpose, text = sealed) => made.open(text, who, purpose);
          return [
            await opened(cipher([2, 9], [3, 1]), "aa", "private"),
            await opened(cipher([3, 2]), "aa", "private"),
            await opened(cipher([4, 1]), "aa", "private"),
            await opened(cipher([3, 1]), "bb", "private"),
            await opened(cipher([3, 1]), "aa", "all"),
            await opened(cipher([3, 1]), "aa", "private", sealed.slice(0, -6) + "AAAAA="),
            await opened(cipher([3, 1]), "aa", "private", "Grüße"),
            await cipher().seal("Grüße", "aa", "private"),
          ];
        }"""
    )
    assert found == ["Grüße", *[None] * 7]


async def test_the_daemon_takes_what_the_page_seals(page: Any) -> None:
    """The longest line, encrypted, is within what the daemon takes; the same line in the clear is refused."""
    sealed = await page.evaluate(f"cipher([65535, 1]).seal('\\u{{1f600}}'.repeat({MAX_TEXT}), 'aa', 'all')")
    assert read_text(sealed, sealed=True) == sealed
    assert len(sealed) <= MAX_SEALED
    assert read_text("in the clear", sealed=True) is None


async def test_a_late_key_opens_what_came_before_it(page: Any) -> None:
    """The history may come before the key; a line of an older key stays closed; without a key nothing is sent."""
    found = await page.evaluate(
        """async () => {
          const old = await cipher([1, 7]).seal("before", "bb", "all");
          const now = await cipher([2, 8]).seal("Hello", "bb", "all");
          const sent = [];
          const mine = cipher();
          const how = { send: (message) => sent.push(message), changed: () => {}, own: () => "aa", cipher: mine };
          const log = new ChatLog({ ...how, mustSeal: true });
          const line = (id, text) => ({ id, from: "bb", text, at: 1 });
          await log.take({ type: "chat-history", lines: [line(1, old), line(2, now)] });
          await log.say("too early", false);
          const before = [log.lines.map((one) => one.text), log.refused.reason, log.fresh.size];
          mine.use(2, new Uint8Array(32).fill(8));
          while (log.lines[1].text === null) await new Promise((done) => setTimeout(done));
          await log.say("Hi", true);
          const opened = await mine.open(sent[0].text, "aa", "private");
          return [before, log.lines.map((one) => one.text), sent.length, opened];
        }"""
    )
    assert found == [[[None, None], "no-key", 0], [None, "Hello"], 1, "Hi"]


async def test_what_came_while_one_was_there_is_fresh(page: Any) -> None:
    """A history at first is not; one's own lines are not; what a lost connection missed is; a deleted line is none."""
    found = await page.evaluate(
        """async () => {
          const how = { send: () => {}, changed: () => {}, own: () => "aa" };
          const log = new ChatLog({ ...how, cipher: null, mustSeal: false });
          const line = (id, from) => ({ id, from, text: "x", at: 1 });
          await log.take({ type: "chat-history", lines: [line(1, "bb")] });
          await log.take({ type: "chat", ...line(2, "aa") });
          await log.take({ type: "chat", ...line(3, "bb") });
          await log.take({ type: "chat-history", lines: [line(1, "bb"), line(3, "bb"), line(4, "bb"), line(5, "bb")] });
          await log.take({ type: "chat-deleted", id: 4 });
          return [[...log.fresh], log.lines.map((one) => one.id)];
        }"""
    )
    assert found == [[3, 5], [1, 2, 3, 5]]


async def test_a_poll_is_read_with_its_key_only(page: Any) -> None:
    """A late key opens it; what is right opens with its own poll; the clear, and what is no poll, is not shown."""
    found = await page.evaluate(
        """async () => {
          const texts = { question: "Which knot?", options: ["Bowline", "Granny"], right: [0], multiple: false };
          const one = await sealPoll(cipher([2, 8]), "bb", texts);
          const other = await sealPoll(cipher([2, 8]), "bb", { ...texts, right: [] });
          const mine = cipher();
          const log = new PollLog({ send: () => {}, changed: () => {}, cipher: mine, mustSeal: true });
          const empty = { type: "poll", options: ["", ""], multiple: false, stage: "open", sealedBy: "bb" };
          const poll = (id, more) => ({ ...empty, id, ...more });
          log.take(poll(1, { question: one.sealed, sealedRight: one.sealedRight }));
          log.take(poll(2, { question: one.sealed, sealedRight: other.sealedRight }));
          log.take(poll(3, { question: one.sealed, options: ["", "", ""] }));
          log.take(poll(4, { question: "Which knot?", options: ["Bowline", "Granny"], sealedBy: undefined }));
          const before = [log.polls.map((each) => each.isReadable), log.unanswered];
          mine.use(2, new Uint8Array(32).fill(8));
          while (!log.polls.at(-1).right || !log.polls.at(-2).isReadable) await new Promise((done) => setTimeout(done));
          const sizes = new Set([one.sealedRight.length, other.sealedRight.length]);
          const none = await sealPoll(cipher(), "bb", texts);
          const after = log.polls.map((each) => [each.question, each.options, each.right]);
          return [before, after, log.unanswered, sizes.size, none];
        }"""
    )
    texts = ["Which knot?", ["Bowline", "Granny"]]
    assert found == [
        [[False] * 4, 0],
        [["", [], None], ["", [], None], [*texts, None], [*texts, [0]]],
        2,
        1,
        None,
    ]


async def test_the_daemon_takes_the_poll_that_the_page_seals(page: Any) -> None:
    """The longest poll, encrypted, is within what the daemon takes."""
    sealed = await page.evaluate(
        """([question, options]) => sealPoll(cipher([65535, 1]), "aa", { question, options, right: [0] })""",
        [
            "\U0001f600" * (MAX_QUESTION // 2),
            [f"{number}" + "\u20ac" * (MAX_OPTION - 1) for number in range(MAX_OPTIONS)],
        ],
    )
    poll = Poll(question="", options=("",) * MAX_OPTIONS)
    assert isinstance(read_sealed(poll, SealedTexts(texts=sealed["sealed"], right=sealed["sealedRight"])), Poll)
