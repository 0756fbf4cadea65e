"""What child processes are told, and how they end."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from podium_daemon.runtime.child_process import child_environment, kill, python_environment


def test_no_secret_of_ours_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child gets the few variables that are named, and those of them that are set."""
    monkeypatch.setenv("PODIUM_KEY", "secret")
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("HOME", "/home/x")
    for name in ("LC_ALL", "TMPDIR", "RUST_BACKTRACE"):
        monkeypatch.delenv(name, raising=False)
    assert child_environment() == {"PATH": "/bin", "LANG": "de_DE.UTF-8"}
    assert child_environment("HOME", "RUST_BACKTRACE") == {"PATH": "/bin", "LANG": "de_DE.UTF-8", "HOME": "/home/x"}
    assert set(python_environment()) == {"PATH", "LANG", "PYTHONPATH"}


async def test_a_python_child_imports_what_we_import() -> None:
    """Also where our packages are on the path by their folders and not installed."""
    command = "import podium_daemon, sys; sys.stdout.write(podium_daemon.__file__)"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", command), stdout=asyncio.subprocess.PIPE, env=python_environment()
    )
    output, _ = await process.communicate()
    assert output.decode() == sys.modules["podium_daemon"].__file__


async def test_a_killed_process_has_ended() -> None:
    """It is waited for, and one that has ended already is left alone."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    await kill(process)
    assert process.returncode == -9
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    await kill(process)
