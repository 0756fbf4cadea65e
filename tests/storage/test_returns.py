"""Ways back into rooms that outlive the daemon."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from podium_storage.errors import ConstraintViolated
from podium_storage.resume_tokens import Returns, StoredReturn
from podium_storage.table.models import IntervalRow
from tests.support.mirrors import mirrored

ONE = StoredReturn(
    digest=b"\x01" * 32, connection="c1", room="r1", pubkey="a" * 64, device="laptop", role="participant"
)
TWO = msgspec.structs.replace(ONE, digest=b"\x02" * 32, connection="c2", until=2_000)
SIGNED = msgspec.structs.replace(ONE, fingerprint="sha-256 AB")


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    """With its end, which may be told later; what was withdrawn is gone."""
    async with mirrored(tmp_path / "p.sqlite") as here:
        returns = Returns(here.store.database)
        await returns.write([SIGNED, TWO], [])
        await returns.write([msgspec.structs.replace(SIGNED, until=1_500)], [TWO.digest, b"\x03" * 32])
    async with mirrored(tmp_path / "p.sqlite") as here:
        assert await Returns(here.store.database).all() == [msgspec.structs.replace(SIGNED, until=1_500)]


async def test_it_is_told_when_the_person_was_last_seen() -> None:
    """For connections that were open when the daemon was killed, as far as attendance knows them."""
    async with mirrored() as here:
        interval = IntervalRow(
            connection_id="c1",
            session_address="31923:x:y",
            pubkey="a" * 64,
            device="laptop",
            joined_at=1_000,
            last_evidence=1_060,
            source="presence",
        )
        await here.store.intervals.put(interval)
        returns = Returns(here.store.database)
        await returns.write([ONE, TWO], [])
        assert [one.last_evidence for one in await returns.all()] == [1_060, None]


async def test_a_secret_is_never_kept_in_place_of_its_digest() -> None:
    """Whatever is no SHA-256 is refused by the schema."""
    async with mirrored() as here:
        with pytest.raises(ConstraintViolated):
            await Returns(here.store.database).write([msgspec.structs.replace(ONE, digest=b"secret")], [])
