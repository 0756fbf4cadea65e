"""Files that commands write: for their owner alone, never over one that is there, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from podium_daemon.cli.failures import CommandFailed


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary file of mode 0600 beside `path`, to be filled; it becomes `path` if nothing fails.

    Raises:
        CommandFailed: `path` exists already, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        try:
            yield temporary
            os.link(temporary, path)  # unlike rename, it does not replace
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise CommandFailed(f"{path} exists already and was left as it is: name another file") from None
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}") from None


def write_new_file(path: Path, content: bytes) -> None:
    """Write `content` to `path`, which must not exist.

    Raises:
        CommandFailed: as `new_file`.
    """
    with new_file(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
