"""The composition root: what it joins is what runs."""

from __future__ import annotations

import inspect

import msgspec

from podium_daemon.app.parts import Parts
from podium_daemon.runtime.supervisor import Supervisor
from tests.support.world import world


def _made(parts: Parts) -> list[object]:
    """Every part of every feature."""
    bundles = [getattr(parts, name) for name in parts.__struct_fields__ if name != "core"]
    return [getattr(bundle, name) for bundle in bundles for name in bundle.__struct_fields__]


async def test_every_part_that_can_run_is_run_once() -> None:
    """A feature that makes a service and forgets to name it would stand still without a word."""
    async with world() as here:
        stages = here.parts.services()
        running = [one for stage in stages for one in (stage if isinstance(stage, tuple) else (stage,))]
        made = [part for part in _made(here.parts) if inspect.iscoroutinefunction(getattr(part, "run", None))]
        assert sorted(map(id, running)) == sorted(map(id, made))
        assert Supervisor(stages).missing == tuple(service.name for service in running)


async def test_every_feature_is_a_frozen_value() -> None:
    """A reload changes settings of parts; it does not exchange a part under those that were given it."""
    async with world() as here:
        for name in here.parts.__struct_fields__:
            bundle = getattr(here.parts, name)
            assert isinstance(bundle, msgspec.Struct), name
            assert type(bundle).__struct_config__.frozen, name


async def test_another_join_on_the_same_database_has_parts_of_its_own() -> None:
    """A start again shares nothing in memory with the one before."""
    async with world() as here:
        before = _made(here.parts)
        here.join()
        again = {id(part) for part in _made(here.parts) if part is not None}
        assert [part for part in before if id(part) in again] == [here.engine], "which the test hands in"
