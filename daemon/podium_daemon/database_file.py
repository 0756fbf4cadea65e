"""What people are told when the database cannot be used: which file it is, and what to do next."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from podium_protocol.errors import PodiumError
from podium_storage.errors import StoreDamaged, StoreFailed, StoreFull, WrongDatabase, damage_in

_DAMAGED: Final = (
    "the database {file} is damaged ({detail}). Put a copy that `podium backup` made in its place, and remove "
    "{name}-wal and {name}-shm beside it. Without a copy, move these files away and start again: sessions, RSVPs and "
    "attendance records are read back from the relays, and what only the file knew is lost (which messages were sent, "
    "who wants none, attendance that was not published)"
)


class DatabaseDamaged(PodiumError):  # noqa: N818  (said to people)
    """The database is damaged; the text names the file and the next step."""

    def __init__(self, file: Path, damage: StoreDamaged) -> None:
        super().__init__(_DAMAGED.format(file=file, name=file.name, detail=damage))


class DatabaseNotWritten(PodiumError):  # noqa: N818  (said to people)
    """The disk does not take what the database has to write; the text names the file and the next step."""

    def __init__(self, file: Path, error: StoreFull | StoreFailed) -> None:
        detail = str(error).partition(" in: ")[0]  # what follows is SQL
        super().__init__(
            f"the database {file} cannot be written ({detail}): make room on its disk and see that it works and may be "
            "written, or move the state directory (storage.state_directory). Nothing that was stored is lost"
        )


@contextlib.contextmanager
def explained(file: Path) -> Iterator[None]:
    """Name the file, and what to do, in whatever failure of the block is the database's.

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
