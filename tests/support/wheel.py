"""Podium as it is shipped: the wheel, built once a run, and installed in a folder of its own."""

from __future__ import annotations

import atexit
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
    """Build and install it, or give what was built before; without a package index the caller's test is skipped."""
    if handed_over := os.environ.get(_HANDED_OVER):
        wheel_file, folder = map(Path, handed_over.split(os.pathsep))
        return Installed(wheel_file, folder)
    home = Path(tempfile.mkdtemp(prefix="podium-wheel-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    built = _pip("wheel", str(ROOT), "--no-deps", "--quiet", "--wheel-dir", str(home / "dist"))
    if "hatchling" in built.stderr and "Could not find a version" in built.stderr:
        pytest.skip("no package index to take hatchling from: connect, or set PIP_INDEX_URL")
    assert built.returncode == 0, built.stderr
    (wheel,) = (home / "dist").glob("*.whl")
    put = _pip("install", "--no-deps", "--quiet", "--target", str(home / "site"), str(wheel))
    assert put.returncode == 0, put.stderr
    found = Installed(wheel, home / "site")
    assert _page_folder(found).is_relative_to(found.folder), "the repository's own page would be tested"
    return found


def _page_folder(installed: Installed) -> Path:
    """Where a daemon that is started with this environment takes its page from."""
    environment = os.environ | installed.environment
    said = subprocess.run((sys.executable, "-c", _WHERE), env=environment, check=True, capture_output=True, text=True)
    return Path(said.stdout.strip())


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)
    return subprocess.run(command, check=False, timeout=100, capture_output=True, text=True)
