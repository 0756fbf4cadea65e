"""The daemon's folder: private, and held by one daemon at a time.

SQLite means one active daemon. The lock is the kernel's (flock), so that a daemon that was killed leaves none behind.
It belongs to the open file and a forked child would keep it after our end: helper processes are started by exec and do
not inherit it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from podium_protocol.errors import InvalidInput, PodiumError
from podium_storage.errors import StoreDamaged, StoreFailed, StoreFull, WrongDatabase, damage_in

_LOCK: Final = "podium.lock"
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.05
_PID: Final = re.compile(r"[1-9][0-9]{0,9}")


class AlreadyRunning(PodiumError):
    """Another daemon holds the state directory. `pid` is None where it could not be read."""

    def __init__(self, pid: int | None, path: Path) -> None:
        self.pid = pid
        named = "" if pid is None else f" (process {pid})"
        super().__init__(
            f"another daemon{named} is running on {path}: stop it first, or give this one its own --state directory"
        )


class StateLock:
    """The lock on a state directory, held until `release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Release the lock. The file stays: if it were removed, two daemons could hold two files of its name."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def prepare_state_directory(path: Path) -> None:
    """Make `path` if it is missing, and close it to other users: it holds keys, and who attended what.

    Raises:
        InvalidInput: it is no folder, is someone else's, or cannot be made or written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
        if status.st_uid != os.geteuid():
            raise InvalidInput(f"the state directory {path} belongs to another user: run as its owner, or set --state")
        if stat.S_IMODE(status.st_mode) != 0o700:
            path.chmod(0o700)
    except FileExistsError:
        raise InvalidInput(f"the state directory {path} is a file: remove it, or set storage.state_directory") from None
    except OSError as error:
        raise InvalidInput(
            f"the state directory {path} cannot be used ({error.strerror}): set storage.state_directory to one that can"
        ) from None


def lock_state_directory(path: Path) -> StateLock:
    """Lock `path` for this process and write its pid there.

    Raises:
        AlreadyRunning: another process holds it.
        InvalidInput: as `prepare_state_directory`.
    """
    prepare_state_directory(path)
    descriptor = _open_lock(path, os.O_RDWR | os.O_CREAT)
    if not _lock_soon(descriptor):
        pid = _read_pid(descriptor)
        os.close(descriptor)
        raise AlreadyRunning(pid, path)
    try:
        os.ftruncate(descriptor, 0)  # a pid in there is of a daemon that was killed
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        os.close(descriptor)
        raise InvalidInput(
            f"nothing can be written to the state directory {path} ({error.strerror}): make room on its disk, or set "
            "storage.state_directory to another one"
        ) from None
    return StateLock(descriptor)


def running_daemon(path: Path) -> AlreadyRunning | None:
    """The daemon that holds `path`, or None; takes nothing and changes nothing."""
    with contextlib.suppress(InvalidInput):
        descriptor = _open_lock(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return AlreadyRunning(_read_pid(descriptor), path)
        finally:
            os.close(descriptor)
    return None


def _lock_soon(descriptor: int) -> bool:
    """Try the lock for a moment: `running_daemon` holds it only briefly, a daemon for as long as it runs."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_PAUSE)
    return False


def _open_lock(path: Path, flags: int) -> int:
    try:
        return os.open(path / _LOCK, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise InvalidInput(
            f"the lock file {path / _LOCK} cannot be used ({error.strerror}): set storage.state_directory to a folder "
            "that can be written"
        ) from None


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return int(text) if _PID.fullmatch(text) else None


_DAMAGED: Final = (
    "the database {file} is damaged ({detail}). Put a copy that `podium backup` made in its place, and remove "
    "{name}-wal and {name}-shm beside it. Without a copy, move these files away and start again: sessions, RSVPs and "
    "attendance records are read back from the relays, and what only the file knew is lost (which messages were sent, "
    "who wants none, attendance that was not published)"
)


class DatabaseDamaged(PodiumError):
    """The database is damaged; the text names the file and the next step."""

    def __init__(self, file: Path, damage: StoreDamaged) -> None:
        super().__init__(_DAMAGED.format(file=file, name=file.name, detail=damage))


class DatabaseNotWritten(PodiumError):
    """The disk does not accept the database's writes; the text names the file and the next step."""

    def __init__(self, file: Path, error: StoreFull | StoreFailed) -> None:
        detail = str(error).partition(" in: ")[0]  # what follows is SQL
        super().__init__(
            f"the database {file} cannot be written ({detail}): make room on its disk and see that it works and may be "
            "written, or move the state directory (storage.state_directory). Nothing that was stored is lost"
        )


@contextlib.contextmanager
def explained(file: Path) -> Iterator[None]:
    """Turn each failure of the database in the block into an error that names the file and what to do.

    Raises:
        DatabaseDamaged: it is damaged, or a service failed because it is.
        DatabaseNotWritten: its disk is full, read-only or broken.
        WrongDatabase: it is another program's, or a newer Podium's.
    """
    try:
        yield
    except WrongDatabase as error:
        raise WrongDatabase(f"{file}: {error}") from error
    except (StoreFull, StoreFailed) as error:
        raise DatabaseNotWritten(file, error) from error
    except Exception as error:
        if (damage := damage_in(error)) is None:
            raise
        raise DatabaseDamaged(file, damage) from error
