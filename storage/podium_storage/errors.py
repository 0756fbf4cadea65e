"""What can go wrong in the store: each error says whose fault it is, and its text names the next step."""

from __future__ import annotations

from typing import TypeVar

from podium_protocol.errors import InvalidInput, LocalProtocolError, PodiumError


class StoreError(PodiumError):
    """Root of what the database answers; its text names what was being done."""


class StoreClosed(StoreError):
    """The store was closed, or is being closed, while it was asked for something."""


class StoreBusy(StoreError):
    """Another process held the write lock for longer than the busy time-out. Nothing was written: try again."""


class ConstraintViolated(StoreError):
    """A row breaks a rule of the schema (type, NOT NULL, CHECK, foreign key)."""


class NotUnique(ConstraintViolated):
    """A row has the same unique key as another one; the text names the columns."""


class StoreFull(StoreError):
    """There is no space left on the device. The transaction was rolled back: make room, then try again."""


class StoreFailed(StoreError):
    """The device or the file system failed (an I/O error), or memory ran out. The transaction was rolled back."""


class StoreDamaged(StoreError):
    """The file is not a database, or is damaged. Restore a backup, or start empty: the relays hold the record."""


class CommitUncertain(StoreError):
    """COMMIT itself raised. What was written may still be durable: write it again under the same unique keys."""


_Found = TypeVar("_Found", bound=StoreError)


def damage_in(error: BaseException) -> StoreDamaged | None:
    """The damage behind a failure: the error itself, one of its causes, or one of a group. Trying again is no use."""
    return _search(error, StoreDamaged)


def disk_trouble_in(error: BaseException) -> StoreError | None:
    """The full, failing or locked disk behind a failure, sought as damage is. To try again is all there is to do."""
    return _search(error, (StoreFull, StoreFailed, StoreBusy, CommitUncertain))


def _search(error: BaseException, kinds: type[_Found] | tuple[type[_Found], ...]) -> _Found | None:
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, kinds):
            return one
        seen.add(id(one))
        left += [one.__cause__, one.__context__, *(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]
    return None


class TransactionLost(StoreError):
    """The database ended the transaction after an error inside it; the scope went on regardless and was stopped."""


class WrongDatabase(InvalidInput):
    """The file belongs to another program, to a newer Podium, or to one whose migrations were edited."""


class TransactionMisused(LocalProtocolError):
    """A transaction was nested, used after its end, or used for a table or an access it did not declare."""


class BadSchema(LocalProtocolError):
    """A table declaration cannot be read; the text names the bad token."""


class BadQuery(LocalProtocolError):
    """A query asks for what the schema does not offer; the text names what there is."""


class BadRow(LocalProtocolError):
    """A row or a key holds a value that its column cannot keep; the text names the column."""
