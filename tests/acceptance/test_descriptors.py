"""A daemon that is allowed few open files, and strangers who open more connections than that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.installed import Site
from tests.support.relays import running_relay

LIMIT: Final = 160
UNDER_A_LIMIT: Final = ("sh", "-c", f'ulimit -S -n 64 && ulimit -H -n {LIMIT} && exec "$@"', "sh")


@contextlib.asynccontextmanager
async def _strangers(port: int, count: int, said: bytes) -> AsyncIterator[None]:
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        writers.append(writer)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


@pytest.mark.parametrize("path", ["", "/api/sessions/{naddr}/events"])
async def test_more_connections_than_descriptors_keep_nobody_out(tmp_path: Path, path: str) -> None:
    """The soft limit is raised; signed calls are answered, the relay stays connected, and the log has one line more."""
    async with running_relay() as relay:
        site = Site(tmp_path, relays=[relay.url])
        await site.make_key()
        site.home.under = UNDER_A_LIMIT
        async with site.running():
            made = await site.read("session", "create", "Knots", "--at", "+2h", "--id", "knots", key=site.key_file)
            before = len(site.texts().splitlines())
            head = f"GET {path.format(naddr=made['naddr'])} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
            async with _strangers(site.port, 2 * LIMIT, head.encode() + b"\r\n" if path else b""):
                again = await site.read("session", "create", "Bends", "--at", "+3h", "--id", "bends", key=site.key_file)
                assert again["naddr"] != made["naddr"]
                async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                    (state,) = (await client.get(f"{site.base}/api/relays")).json()["relays"]
                assert (state["state"], state["lastError"]) == ("open", None)
            said = [line for line in site.texts().splitlines()[before:] if "web." in line]
            assert len(said) == 1, said
            assert "web.crowded" in said[0]
