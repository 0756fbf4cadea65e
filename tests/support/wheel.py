"""Podium as it is shipped: the wheel, built once a run, and installed in a folder of its own."""

from __future__ import annotations

import atexit
import fcntl
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec
import pytest

ROOT: Final = Path(__file__).parents[2]
_HANDED_OVER: Final = "PODIUM_TEST_WHEEL"
_SHARED: Final = "PODIUM_TEST_WHEEL_FOLDER"
_WHERE: Final = "import podium_daemon.web.routes.pages as pages; print(pages.FOLDER)"


class Installed(msgspec.Struct, frozen=True):
    """The wheel's file, and the folder that it was installed in."""

    wheel: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a Python of these tests run this Podium and not the one of the repository."""
        return {"PYTHONPATH": str(self.folder)}

    @property
    def handed_over(self) -> dict[str, str]:
        """What makes tests in another process use this one: where there is no network, none can be built."""
        return {_HANDED_OVER: f"{self.wheel}{os.pathsep}{self.folder}"}


@functools.cache
def installed_wheel() -> Installed:
    """Build and install it, or give what another process of this run built.

    Without a package index the caller's test is skipped.
    """
    if handed_over := os.environ.get(_HANDED_OVER):
        wheel_file, folder = map(Path, handed_over.split(os.pathsep))
        return Installed(wheel_file, folder)
    home = _home()
    # all workers of a run want it at the same moment: one builds, the others wait for it
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "done").exists():
            _build(home)
            (home / "done").touch()
    (wheel,) = (home / "dist").glob("*.whl")
    return Installed(wheel, home / "site")


def share_a_wheel() -> Path | None:
    """Make the folder in which the processes that this one starts share a wheel; None where this one is given it."""
    if _SHARED in os.environ:
        return None
    os.environ[_SHARED] = tempfile.mkdtemp(prefix="podium-wheel-")
    return Path(os.environ[_SHARED])


def _home() -> Path:
    if (made := share_a_wheel()) is not None:
        atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(os.environ[_SHARED])


def _build(home: Path) -> None:
    built = _pip("wheel", str(ROOT), "--no-deps", "--quiet", "--wheel-dir", str(home / "dist"))
    if "hatchling" in built.stderr and "Could not find a version" in built.stderr:
        pytest.skip("no package index to take hatchling from: connect, or set PIP_INDEX_URL")
    assert built.returncode == 0, built.stderr
    (wheel,) = (home / "dist").glob("*.whl")
    put = _pip("install", "--no-deps", "--quiet", "--target", str(home / "site"), str(wheel))
    assert put.returncode == 0, put.stderr
    found = Installed(wheel, home / "site")
    assert _page_folder(found).is_relative_to(found.folder), "the repository's own page would be tested"


def _page_folder(installed: Installed) -> Path:
    """Where a daemon that is started with this environment takes its page from."""
    environment = os.environ | installed.environment
    said = subprocess.run((sys.executable, "-c", _WHERE), env=environment, check=True, capture_output=True, text=True)
    return Path(said.stdout.strip())


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)
    return subprocess.run(command, check=False, timeout=250, capture_output=True, text=True)
