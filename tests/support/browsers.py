"""Debian's Chromium under playwright: people with a NIP-07 extension whose key is real, each in their own context."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.keys import SecretKey

CHROMIUM: Final = shutil.which("chromium") or "/usr/bin/chromium"
# the same engine without windows, menus and profiles: a person's first page costs half of the CPU time
_QUICK: Final = shutil.which("chromium-headless-shell") or CHROMIUM
_FLAGS: Final = (
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_EXTENSION: Final = """
window.nostr = {
  getPublicKey: async () => %s,
  signEvent: async (event) => JSON.parse(await window.podiumSign(JSON.stringify(event))),
};
"""


class Visitor:
    """A person's browser. Signs of a successful attack, or of a broken promise of the page, are kept in lists."""

    def __init__(self, context: Any, secret: SecretKey | None) -> None:
        self.context = context
        self.secret = secret
        self.signed: list[dict[str, Any]] = []
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        self.requests: list[str] = []

    async def open(self, url: str) -> Any:
        """A page of theirs, loaded."""
        page = await self.context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._listen)
        page.on("dialog", self._dismiss)
        await page.goto(url)
        return page

    def foreign(self, base: str) -> list[str]:
        """Requests to any other host than the daemon's."""
        own = urlsplit(base).netloc
        return [url for url in self.requests if not url.startswith(("data:", "blob:")) and urlsplit(url).netloc != own]

    def sign(self, text: str) -> str:
        """What the extension does."""
        assert self.secret is not None
        asked = json.loads(text)
        self.signed.append(asked)
        tags = tuple(tuple(tag) for tag in asked["tags"])
        draft = UnsignedEvent(Pubkey(asked["pubkey"]), asked["created_at"], asked["kind"], tags, asked["content"])
        return self.secret.sign(draft, os.urandom(32)).to_json().decode()

    def _listen(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    async def _dismiss(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        await dialog.dismiss()


@asynccontextmanager
async def chromium(*flags: str, is_whole: bool = False) -> AsyncIterator[Any]:
    """A headless browser for as long as the block runs; `flags` beside the usual ones.

    It is Chromium's headless shell where that is installed, unless `is_whole`: the shell lets no page choose a camera.

    Without playwright or Chromium the test is skipped, with what to install; where PODIUM_REQUIRE_REAL=1 it fails.
    """
    api = pytest.importorskip("playwright.async_api", reason="pip install playwright (no browser is downloaded)")
    program = CHROMIUM if is_whole else _QUICK
    if not os.access(program, os.X_OK):
        pytest.skip("no Chromium: apt-get install chromium")
    async with api.async_playwright() as play:
        browser = await play.chromium.launch(executable_path=program, args=(*_FLAGS, *flags))
        try:
            yield browser
        finally:
            await browser.close()


async def visit(browser: Any, secret: SecretKey | None = None, **options: Any) -> Visitor:
    """A person with an extension that holds `secret`, or without one; `options` are the context's (locale, ...)."""
    settings = {"locale": "en-GB", "timezone_id": "Europe/Berlin", "reduced_motion": "reduce"} | options
    context = await browser.new_context(**settings)
    context.set_default_timeout(60_000)
    visitor = Visitor(context, secret)
    if secret is not None:
        await context.expose_function("podiumSign", visitor.sign)
        await context.add_init_script(_EXTENSION % json.dumps(secret.pubkey))
    return visitor
