"""Clients that generators make from /openapi.json, and that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

import httpx
import pytest

from podium_daemon.client import PodiumClient, SessionWish
from podium_daemon.keys.key_file import read_key_file
from tests.support.installed import Said, Site, free_port

BIN: Final = Path(sys.executable).parent
PACKAGES: Final = "openapi-typescript@7.13.0 typescript@5.9.3"
_DEFAULT: Final = Path.home() / ".cache" / "podium-tests"

CALLS: Final = """
import importlib, json, pkgutil, sys
import podium_client
from podium_client.api.calendar import create_calendar_address
from podium_client.api.sessions import list_sessions, show_session

for module in pkgutil.walk_packages(podium_client.__path__, "podium_client."):
    importlib.import_module(module.name)
with podium_client.Client(sys.argv[1], httpx_args={"trust_env": False}) as client:
    listed = list_sessions.sync(client=client)
    shown = show_session.sync(listed.sessions[0].naddr, client=client)
    refused = create_calendar_address.sync(client=client)
print(json.dumps({"listed": listed.to_dict(), "shown": shown.to_dict(), "refused": refused.to_dict()}))
"""

USE: Final = """
import type { components, operations, paths } from "./podium";
type Listed = operations["list_sessions"]["responses"][200]["content"]["application/json"];
export const titles = (listed: Listed): string[] => listed.sessions.map((session) => session.title);
export const next = (problem: components["schemas"]["Problem"]): string => problem.next;
export const path: keyof paths = "/api/sessions/{reference}/draft";
// @ts-expect-error a session has no such field
export const none = (listed: Listed) => listed.sessions[0].nothing;
"""


async def said_by(folder: Path, *command: str | Path, **variables: str) -> Said:
    """What a program says that runs in a folder, with nothing of this process's environment but the path."""
    environment = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8"}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment | variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


async def described_by(base: str, folder: Path) -> Path:
    """The daemon's /openapi.json, as a file."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        document = (await client.get(f"{base}/openapi.json")).raise_for_status()
    file = folder / "openapi.json"
    file.write_bytes(document.content)
    return file


async def test_a_python_client_is_generated_and_calls_a_daemon(tmp_path: Path) -> None:
    """openapi-python-client makes a client without a warning: it imports whole, lists sessions and reads a refusal."""
    site = Site(tmp_path / "podium", relays=[], settings={"embedded.port": free_port(), "embedded.in_memory": True})
    site.set(instructors__allow=[await site.make_key()])
    async with site.running():
        document = await described_by(site.base, tmp_path)
        assert json.loads(document.read_bytes())["servers"] == [{"url": site.base}]
        made = await said_by(
            tmp_path, BIN / "openapi-python-client", "generate", "--path", document, "--fail-on-warning"
        )
        assert (made.code, made.err) == (0, ""), made.text
        assert "warning" not in made.out.lower(), made.out
        async with PodiumClient(site.base, read_key_file(site.key_file)) as podium:
            wish = SessionWish(title="Knots", scheduled_at=int(time.time()) + 600, duration=30)
            address = (await podium.session(await podium.create_session(wish))).lesson_id
        called = await said_by(
            tmp_path, sys.executable, "-W", "error", "-c", CALLS, site.base, PYTHONPATH=str(tmp_path / "podium-client")
        )
    assert called.code == 0, called.text
    (session,), refused = called.json()["listed"]["sessions"], called.json()["refused"]
    assert called.json()["shown"] == session
    assert (session["title"], session["lessonId"]) == ("Knots", address)
    assert (refused["status"], refused["type"]) == (401, "urn:podium:problem:login")


@pytest.mark.real_peer
async def test_types_are_generated_for_typescript(tmp_path: Path) -> None:
    """openapi-typescript makes types without a warning, and a strict compiler finds in them what a page would use."""
    node, modules = generator()
    site = Site(tmp_path / "podium", relays=[], settings={"embedded.port": free_port(), "embedded.in_memory": True})
    await site.make_key()
    async with site.running():
        document = await described_by(site.base, tmp_path)
    made = await said_by(
        tmp_path, node, modules / "openapi-typescript" / "bin" / "cli.js", document, "--output", "podium.ts"
    )
    assert (made.code, made.err) == (0, ""), made.text
    # a greeting, and what was made out of what in how long
    assert len(made.out.strip().splitlines()) == 2, made.out
    (tmp_path / "use.ts").write_text(USE)
    compiled = await said_by(tmp_path, node, modules / "typescript" / "bin" / "tsc", "--noEmit", "--strict", "use.ts")
    assert compiled.code == 0, compiled.text


def generator() -> tuple[str, Path]:
    """Node.js, and the folder of its packages; else the caller's test skips, or fails if PODIUM_REQUIRE_REAL=1."""
    node, root = shutil.which("node"), Path(os.environ.get("PODIUM_TEST_DATA", _DEFAULT))
    modules = root / "node_modules"
    if node is None or not all((modules / name).is_dir() for name in ("openapi-typescript", "typescript")):
        pytest.skip(
            f"no openapi-typescript in {root}: `npm install --prefix {root} {PACKAGES}`, PODIUM_TEST_DATA names another"
        )
    return node, modules
