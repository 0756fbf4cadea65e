"""The state directory: private, and one daemon at a time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium_daemon.runtime.state_directory import (
    AlreadyRunning,
    lock_state_directory,
    prepare_state_directory,
    running_daemon,
)
from podium_protocol.errors import InvalidInput

_HOLDER = """
import sys
from pathlib import Path
from podium_daemon.runtime.state_directory import lock_state_directory
lock = lock_state_directory(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
NOBODY = 65_534


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `tmp_path / "state"`."""
    command = [sys.executable, "-c", _HOLDER, str(tmp_path / "state")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """A new state directory has mode 0700, parents and all."""
    path = tmp_path / "a" / "b"
    with lock_state_directory(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE((path / "podium.lock").stat().st_mode) == 0o600


def test_a_directory_open_to_others_is_closed(tmp_path: Path) -> None:
    """A directory that others may look into, as systemd makes them, is tightened."""
    path = tmp_path / "state"
    path.mkdir(mode=0o755)
    prepare_state_directory(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_second_daemon_is_told_the_first_ones_pid(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """The second daemon learns which process to stop."""
    with pytest.raises(AlreadyRunning, match=f"process {holder.pid}") as caught:
        lock_state_directory(tmp_path / "state")
    assert caught.value.pid == holder.pid


def test_a_killed_daemon_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """After kill -9 the old pid stands in the file, and the next daemon starts all the same."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "state" / "podium.lock").read_text() == f"{holder.pid}\n"
    assert running_daemon(tmp_path / "state") is None
    with lock_state_directory(tmp_path / "state"):
        assert (tmp_path / "state" / "podium.lock").read_text() == f"{os.getpid()}\n"


def test_release_lets_the_next_one_in(tmp_path: Path) -> None:
    """A daemon that stopped leaves the directory free, and releasing twice does no harm."""
    first = lock_state_directory(tmp_path)
    first.release()
    first.release()
    with lock_state_directory(tmp_path):
        pass


def test_a_look_finds_the_daemon_and_changes_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """Asking who runs neither takes the lock nor makes files."""
    running = running_daemon(tmp_path / "state")
    assert running is not None
    assert running.pid == holder.pid
    assert running_daemon(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", ["", "12x", "-5", "999999999999", "\x00\xff"])
@pytest.mark.usefixtures("holder")
def test_a_pid_that_cannot_be_read_is_left_out(tmp_path: Path, content: str) -> None:
    """Whatever stands in the lock file, the second daemon is refused in clear words."""
    (tmp_path / "state" / "podium.lock").write_text(content)
    with pytest.raises(AlreadyRunning) as caught:
        lock_state_directory(tmp_path / "state")
    assert caught.value.pid is None
    assert "another daemon is running" in str(caught.value)


def test_a_child_process_does_not_inherit_the_hold(tmp_path: Path) -> None:
    """A helper that outlives a killed daemon does not keep the next one out."""
    lock = lock_state_directory(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        lock.release()
        with lock_state_directory(tmp_path):
            pass
        child.kill()


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    """A file where the directory should be is named, not removed."""
    (tmp_path / "state").write_text("mine")
    with pytest.raises(InvalidInput, match="is a file"):
        lock_state_directory(tmp_path / "state")
    assert (tmp_path / "state").read_text() == "mine"


def test_a_link_in_the_lock_files_place_is_refused(tmp_path: Path) -> None:
    """The lock is not taken on a file elsewhere that a link names."""
    (tmp_path / "podium.lock").symlink_to(tmp_path / "other")
    with pytest.raises(InvalidInput, match="lock file"):
        lock_state_directory(tmp_path)
    assert not (tmp_path / "other").exists()


def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    """Its owner could put a database of their own into it."""
    path = tmp_path / "state" if os.geteuid() == 0 else Path("/etc")
    if os.geteuid() == 0:
        path.mkdir()
        os.chown(path, NOBODY, NOBODY)
    with pytest.raises(InvalidInput, match="belongs to another user"):
        prepare_state_directory(path)
