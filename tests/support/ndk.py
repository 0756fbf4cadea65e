"""A remote signer by other authors: NDK's NIP-46 backend, from npm, as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

PACKAGES = "@nostr-dev-kit/ndk@3.0.3 nostr-tools@2.25.2 ws"
_SCRIPT = Path(__file__).with_name("ndk_bunker.mjs")
_DEFAULT = Path.home() / ".cache" / "podium-tests"


class NdkSigner:
    """A running signer. Its key is its user's too; `methods` are what it was asked and permitted, in order."""

    def __init__(self, process: asyncio.subprocess.Process, pubkey: str) -> None:
        self.pubkey = pubkey
        self.methods: list[str] = []
        self._process = process

    async def scan(self, uri: str) -> None:
        """Its person shows it a nostrconnect:// URI."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{uri}\n".encode())
        await self._process.stdin.drain()

    async def listen(self) -> None:
        """Read what it prints."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.methods.append(str(json.loads(line)["method"]))


@contextlib.asynccontextmanager
async def ndk_bunker(relay_url: str, token: str) -> AsyncIterator[str]:
    """The public key of a running signer that lets in a client with the token; see `ndk_signer`."""
    async with ndk_signer(relay_url, token) as signer:
        yield signer.pubkey


@contextlib.asynccontextmanager
async def ndk_signer(relay_url: str, token: str = "") -> AsyncIterator[NdkSigner]:
    """A running signer; skips where NDK is not installed."""
    node, root = shutil.which("node"), Path(os.environ.get("PODIUM_TEST_DATA", _DEFAULT))
    if node is None or not (root / "node_modules" / "@nostr-dev-kit" / "ndk").is_dir():
        reason = f"no NDK in {root}: `npm install --prefix {root} {PACKAGES}`, PODIUM_TEST_DATA names another folder"
        if os.environ.get("PODIUM_REQUIRE_REAL") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    process = await asyncio.create_subprocess_exec(
        *(node, str(_SCRIPT), str(root), relay_url, token),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            said = await process.stdout.readline()
        signer = NdkSigner(process, str(json.loads(said)["pubkey"]))
        listening = asyncio.create_task(signer.listen())
        yield signer
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(60):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        await listening
