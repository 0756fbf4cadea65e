"""Events as rows of the mirror: how their JSON is kept and which of their tags are indexed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from podium_protocol.events import EventId, VerifiedEvent
from podium_storage.backend import SqlRow
from podium_storage.errors import StoreDamaged
from podium_storage.replacement import Entry
from podium_storage.slices import in_slices

INDEXED_TAGS: Final = ("a", "e", "p")  # all their values; of `d` those that are not the event's identifier
MAX_INDEXED_CHARS: Final = 512  # an address has 327 at most; longer values are compared, not indexed
TAG_BITS: Final = 16  # a frame of 512 KiB has room for fewer than 65536 different tags

# Only what was verified is ever stored, so that reading it back needs no second look at the signature.
_decode = msgspec.json.Decoder(VerifiedEvent).decode


def read_event(json: object) -> VerifiedEvent:
    """The event in a column.

    Raises:
        StoreDamaged: the column holds something else.
    """
    try:
        return _decode(json)  # type: ignore[arg-type]  # whatever the driver gave; anything but bytes is refused below
    except (msgspec.MsgspecError, TypeError) as error:
        raise StoreDamaged(
            f"an event in the mirror cannot be read ({error}): restore a backup, or start empty"
        ) from None


async def read_entries(rows: Sequence[SqlRow]) -> list[Entry]:
    """The events of rows (surrogate key, JSON), without holding up the loop."""
    entries: list[Entry] = []
    async for part in in_slices(rows):
        entries += [Entry.of(read_event(json), key) for key, json in part if isinstance(key, int)]
    return entries


def id_bytes(event_id: EventId) -> bytes:
    """An id as its column keeps it."""
    return bytes.fromhex(event_id)


def is_indexable(value: str) -> bool:
    """Whether a tag's value is interned; others must be compared with the event itself."""
    return len(value) <= MAX_INDEXED_CHARS


def indexed_tags(entry: Entry) -> dict[tuple[str, str], None]:
    """The tags of an event that have rows of their own: pairs of name and value, each once, in order."""
    identifier = None if entry.address is None else entry.address.identifier
    return {
        (tag[0], tag[1]): None
        for tag in entry.event.tags
        if len(tag) > 1
        and (tag[0] in INDEXED_TAGS or (tag[0] == "d" and tag[1] != identifier))
        and is_indexable(tag[1])
    }


def tag_range(row: int) -> tuple[int, int]:
    """The first and last key that an event's tags can have."""
    return row << TAG_BITS, ((row + 1) << TAG_BITS) - 1
