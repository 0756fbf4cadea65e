"""What is shipped: every file of the three packages, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

from tests.support.wheel import ROOT, installed_wheel

pytestmark = pytest.mark.real_peer

_PACKAGES = (
    ROOT / "daemon" / "podium_daemon",
    ROOT / "protocol" / "podium_protocol",
    ROOT / "storage" / "podium_storage",
)


def test_the_wheel_holds_the_packages_and_nothing_else() -> None:
    """Modules, the page, migrations and type markers are packed; no tests, keys, caches or papers of ours."""
    expected = {
        path.relative_to(package.parent).as_posix()
        for package in _PACKAGES
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(installed_wheel().wheel) as archive:
        packed = set(archive.namelist())
    about = {name for name in packed if name.startswith("podium_nostr-")}
    assert packed - about == expected
    assert {name.split("/", 1)[1] for name in about} >= {"METADATA", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    suffixes = {name.rsplit(".", 1)[1] for name in expected}
    assert suffixes == {"py", "typed", "sql", "js", "css", "html", "json", "svg"}


def test_the_command_of_the_wheel_runs() -> None:
    """What is installed from the wheel alone says its version."""
    environment = os.environ | installed_wheel().environment
    command = (sys.executable, "-P", "-m", "podium_daemon", "--version")
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert said.stdout.strip()
