"""The examples of the documentation, run as a reader runs them: against a daemon, in a process of their own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.installed import Site, free_port

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


async def test_one_session(tmp_path: Path) -> None:
    """Every line of the story is printed, and nothing is said on standard error."""
    site = Site(tmp_path / "podium", relays=[], settings={"embedded.port": free_port(), "embedded.in_memory": True})
    pubkey = await site.make_key()
    site.set(instructors__allow=[pubkey])
    async with site.running():
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(EXAMPLES / "one_session.py"), site.base, str(site.key_file)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    lines = out.decode().splitlines()
    assert (process.returncode, err) == (0, b""), (out, err)
    assert [line.split(":")[0] for line in lines[:5]] == ["scheduled", "answered", "live", "attending", "ended"]
    assert lines[1].startswith("answered: confirmed, starts in ")
    assert lines[3] == "attending: True, 1 in the room"
    assert lines[4] == "ended: True, recording: None"


def test_every_example_is_run() -> None:
    """An example that nobody runs would not work for long."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"one_session.py"}
