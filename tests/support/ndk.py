"""A remote signer that nobody here wrote: NDK's NIP-46 backend, from npm, as a process of its own."""

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


@contextlib.asynccontextmanager
async def ndk_bunker(relay_url: str, token: str) -> AsyncIterator[str]:
    """The public key of a running signer, which is its user's too; skips where NDK is not installed."""
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
        async with asyncio.timeout(20):
            said = await process.stdout.readline()
        yield str(json.loads(said)["pubkey"])
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
