"""Dexie's grammar of table declarations: `++id, &lessonId, *tags, [a+b], &[a+b]`.

`++` counts up by itself, `&` is unique, `*` has one entry for each element of a list, `[a+b]` is compound. The first
entry is the primary key. Source: Dexie's documentation of `Version.stores()`.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

import msgspec

from podium_storage.errors import BadSchema

_ENTRY: Final = re.compile(r"(?P<marks>[+&*]*)(?P<body>.*)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")  # becomes an SQL identifier, so nothing else is let through
_MARKS: Final = frozenset({"", "++", "&", "*", "&*"})


class Index(msgspec.Struct, frozen=True):
    """One index: its columns in order, and what holds for its entries."""

    columns: tuple[str, ...]
    is_unique: bool = False
    is_multi: bool = False

    @property
    def path(self) -> str:
        """The name by which a query asks for it: `lessonId` or `[lessonId+pubkey]`."""
        return self.columns[0] if len(self.columns) == 1 else f"[{'+'.join(self.columns)}]"


class IndexSpec(msgspec.Struct, frozen=True):
    """A parsed declaration: the primary key and the indexes in their order."""

    primary: Index
    is_auto: bool
    indexes: tuple[Index, ...]


def parse(text: str) -> IndexSpec:
    """Parse one table's declaration.

    Raises:
        BadSchema: naming the bad token and what was expected.
    """
    entries = [entry.strip() for entry in text.split(",")]
    primary, is_auto = _primary(entries[0])
    indexes = tuple(_index(entry) for entry in entries[1:])
    seen = {primary.path}
    for index in indexes:
        if index.path in seen:
            _refuse(index.path, "it is declared twice")
        seen.add(index.path)
    return IndexSpec(primary, is_auto, indexes)


def _primary(token: str) -> tuple[Index, bool]:
    marks, columns = _split(token)
    if marks not in {"", "&", "++"}:
        _refuse(token, 'a primary key is written "++id" or "id"')
    if marks == "++" and len(columns) > 1:
        _refuse(token, "a compound key cannot count up by itself")
    return Index(columns, is_unique=True), marks == "++"


def _index(token: str) -> Index:
    marks, columns = _split(token)
    if "++" in marks:
        _refuse(token, "only the primary key, which comes first, counts up by itself")
    if "*" in marks and len(columns) > 1:
        _refuse(token, "a compound index cannot be multi-entry")
    return Index(columns, is_unique="&" in marks, is_multi="*" in marks)


def _split(token: str) -> tuple[str, tuple[str, ...]]:
    if not token:
        _refuse(token, "an entry is empty: is there a comma too many?")
    match = _ENTRY.fullmatch(token)
    assert match is not None
    marks, body = match["marks"], match["body"]
    if marks not in _MARKS:
        _refuse(token, f'the marks {marks!r} do not go together: "++", "&", "*" or "&*" may stand before a name')
    return marks, _compound(token, body) if body.startswith("[") else (_name(token, body),)


def _compound(token: str, body: str) -> tuple[str, ...]:
    if not body.endswith("]"):
        _refuse(token, 'the bracket is not closed: a compound index is written "[a+b]"')
    columns = tuple(_name(token, part) for part in body[1:-1].split("+"))
    if len(columns) == 1:
        _refuse(token, "a compound index needs two columns or more")
    if len(set(columns)) < len(columns):
        _refuse(token, "a column is repeated")
    return columns


def _name(token: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        _refuse(token, f"{name!r} is no column: letters and digits only, a letter first")
    return name


def _refuse(token: str, why: str) -> NoReturn:
    raise BadSchema(f"bad index {token!r}: {why}")
