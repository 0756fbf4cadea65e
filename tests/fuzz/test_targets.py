"""What `make fuzz` runs, without atheris: each target with its seeds, cuts of them, and what was found before."""

from __future__ import annotations

import random

import pytest

from fuzz.targets import TARGETS

FINDS = [
    ("frames", b'["OK","x","\xff","\xff",1]'),
    ("frames", b'["NOTICE","\xff",5]'),
    ("sdp", b"a=fingerprint:sha-256 " + b":".join([b"AB"] * 32)),
    ("stun", b""),
]


@pytest.mark.parametrize(("target", "data"), FINDS)
def test_what_was_found_once_is_read_or_refused(target: str, data: bytes) -> None:
    """A find stays mended."""
    TARGETS[target].read(data)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_reads_its_seeds_and_what_is_left_of_them(target: str) -> None:
    """So that the targets themselves stay in step with what they read."""
    chosen = random.Random(target)
    read, seeds = TARGETS[target]
    found = list(seeds())
    assert len(found) >= 3
    for seed in filter(None, found):
        read(seed)
        read(seed[: chosen.randrange(len(seed) + 1)])
        place = chosen.randrange(len(seed))
        read(seed[:place] + bytes([seed[place] ^ 1 << chosen.randrange(8)]) + seed[place + 1 :])
