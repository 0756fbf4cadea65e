"""The README's first session, typed as it stands there, in a shell, on whatever day this runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.support.installed import PODIUM, Daemon, Home, free_port

README = Path(__file__).parents[2] / "README.md"


def commands() -> str:
    """What the section on a first session has one type in the second terminal."""
    found = re.search(r"\n## A first session\n.*?\n```\n(.*?)\n```\n", README.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


async def test_the_first_session_works_as_typed(tmp_path: Path) -> None:
    """Every line succeeds beside a daemon with nothing configured, and the answer of the second person is counted."""
    assert len(commands().splitlines()) >= 5
    home = Home(tmp_path / "podium")
    (home.folder / ".venv" / "bin").mkdir(parents=True)
    (home.folder / ".venv" / "bin" / "podium").symlink_to(PODIUM)
    config = home.folder / ".config" / "podium" / "relays.toml"
    config.parent.mkdir(parents=True)
    port = free_port()
    # others use this machine too: the ports are all that differs from a fresh one
    config.write_text(f"[web]\nport = {port}\n[embedded]\nport = {free_port()}\n")
    daemon = await Daemon.start(home, f"http://127.0.0.1:{port}", "run")
    try:
        await daemon.until_ready()
        out, err, code = await _typed(home, commands())
    finally:
        await daemon.stop()
    assert code == 0, (out, err)
    assert re.search(r"npub1\w+…\w+ .*confirmed", out), out
    assert (home.folder / "attendance.csv").read_text().startswith("name,npub,pubkey")


async def _typed(home: Home, text: str) -> tuple[str, str, int | None]:
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-e"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=home.environment(),
        cwd=home.folder,
    )
    async with asyncio.timeout(120):
        out, err = await shell.communicate(f"shopt -s expand_aliases\n{text}\n".encode())
    return out.decode(), err.decode(), shell.returncode
