"""Rows between Python and SQL: struct to tuple of values, and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Final, Generic, NoReturn, TypeVar

import msgspec

from podium_storage.backend import SqlRow, Value
from podium_storage.errors import BadRow, StoreDamaged
from podium_storage.table.columns import Column, ColumnKind, StoredRow
from podium_storage.table.schema import TableSchema

Row = TypeVar("Row", bound=StoredRow)
T = TypeVar("T")
U = TypeVar("U")

CHUNK: Final = 1_000  # rows turned between two looks at the event loop: some 5 ms
_MAX_SIGNATURES: Final = 1_024

_TYPES: Final = {
    ColumnKind.INTEGER: int,
    ColumnKind.BOOLEAN: bool,
    ColumnKind.TEXT: str,
    ColumnKind.ATOM: str,
    ColumnKind.BYTES: bytes,
}


class RowCodec(Generic[Row]):
    """Turns the rows of one table."""

    def __init__(self, schema: TableSchema[Row]) -> None:
        """Prepare for this table's columns."""
        columns = schema.columns
        self._columns = columns
        self._row_type = schema.row_type
        self._build: Callable[..., Row] = schema.row_type
        self._fields = tuple(column.field for column in columns)
        self._values = attrgetter(*self._fields)
        self._atoms = [at for at, column in enumerate(columns) if column.kind is ColumnKind.ATOM]
        self._atom_fields = tuple(columns[at].field for at in self._atoms)
        self._booleans = [at for at, column in enumerate(columns) if column.kind is ColumnKind.BOOLEAN]
        self._json = [
            (at, msgspec.json.Decoder(column.annotation))
            for at, column in enumerate(columns)
            if column.kind is ColumnKind.JSON
        ]
        self._checked: set[tuple[type, ...]] = set()

    def texts_in(self, rows: Iterable[Row]) -> set[str]:
        """The interned texts of the rows.

        Raises:
            BadRow: one of them is no text.
        """
        texts = {getattr(row, field) for row in rows for field in self._atom_fields}
        texts.discard(None)
        if not all(isinstance(text, str) for text in texts):
            raise BadRow(f"{self._row_type.__name__}: {' and '.join(self._atom_fields)} are texts")
        return texts

    def atoms_in(self, rows: Iterable[SqlRow]) -> set[int]:
        """The ids of interned texts in rows from the database."""
        ids = {row[at] for row in rows for at in self._atoms}
        return {key for key in ids if isinstance(key, int)}

    def encode(self, row: Row, ids: Mapping[str, int]) -> list[Value]:
        """The row's values in the order of the columns.

        Raises:
            BadRow: a value's type is not its column's: SQL would convert it without a word.
        """
        values = list(self._values(row))
        signature = tuple(map(type, values))
        if signature not in self._checked:
            self._check(values)
            if len(self._checked) < _MAX_SIGNATURES:
                self._checked.add(signature)
        for at in self._atoms:
            if values[at] is not None:
                values[at] = ids[values[at]]
        for at in self._booleans:
            if values[at] is not None:
                values[at] = 1 if values[at] else 0  # the driver asks for an adapter for each bool
        for at, decoder in self._json:
            if values[at] is not None:
                values[at] = self._as_json(self._columns[at], decoder, values[at])
        return values

    def decode(self, row: SqlRow, texts: Mapping[int, str]) -> Row:
        """The struct for one row of values in the order of the columns.

        Raises:
            StoreDamaged: a JSON column holds what its type cannot.
        """
        values: list[object] = list(row)
        for at in self._atoms:
            key = values[at]
            values[at] = texts[key] if isinstance(key, int) else None
        for at in self._booleans:
            if values[at] is not None:
                values[at] = bool(values[at])
        for at, decoder in self._json:
            values[at] = self._from_json(self._columns[at], decoder, values[at])
        return self._build(**dict(zip(self._fields, values, strict=True)))

    def _check(self, values: Sequence[object]) -> None:
        for column, value in zip(self._columns, values, strict=True):
            if value is None and (column.is_nullable or column.field == "id"):
                continue
            expected = _TYPES.get(column.kind, object)
            is_truth_for_number = expected is int and isinstance(value, bool)
            if value is None or not isinstance(value, expected) or is_truth_for_number:
                self._refuse(column, value)

    def _as_json(self, column: Column, decoder: msgspec.json.Decoder[object], value: object) -> str:
        try:
            text = msgspec.json.encode(value)
            is_same = decoder.decode(text) == value
        except (TypeError, ValueError):  # msgspec's own errors, and text without a UTF-8 form, are ValueErrors
            is_same = False
        if not is_same:
            self._refuse(column, value)
        return text.decode()

    def _from_json(self, column: Column, decoder: msgspec.json.Decoder[object], value: object) -> object:
        if value is None:
            return None
        try:
            return decoder.decode(str(value))
        except msgspec.DecodeError as error:
            raise StoreDamaged(f"{self._row_type.__name__}.{column.field} cannot be read back: {error}") from error

    def _refuse(self, column: Column, value: object) -> NoReturn:
        expected = f"{column.annotation}" + (" or None" if column.is_nullable else "")
        raise BadRow(f"{self._row_type.__name__}.{column.field}: expected {expected}, not a {type(value).__name__}")


async def turned(items: Iterable[T], turn: Callable[[T], U]) -> list[U]:
    """Each item turned, with a pause for the event loop after every `CHUNK`."""
    result: list[U] = []
    for chunk in chunks(items):
        if result:
            await asyncio.sleep(0)
        result += map(turn, chunk)
    return result


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The items in lists of `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
