"""Tests of whole processes and browsers wait for conditions; what ends such a wait leaves room for a loaded machine."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
SHORTEST = 30  # seconds
_WAITS = {"timeout": 0, "ended": 0, "wait_for": 1, "wait": 1}  # the place of the seconds where they are not named
_MILLISECONDS = {"set_default_timeout": 0, "set_default_navigation_timeout": 0}  # of Playwright


def test_no_wait_of_the_acceptance_tests_ends_under_thirty_seconds() -> None:
    """Neither a time-out nor the `seconds` of `until` is shorter."""
    files = sorted(path for folder in ("acceptance", "faults") for path in (TESTS / folder).glob("*.py"))
    assert files
    short = {f"{path.name}:{line}" for path in files for line in _short_waits(path.read_text(encoding="utf-8"))}
    assert short == set()


def test_short_waits_are_found() -> None:
    """Named, by place, by a constant of the module, and in the milliseconds of Playwright."""
    waits = ("asyncio.timeout(WITHIN)", "asyncio.wait_for(f(), 5)", "until(look, 'it', seconds=29.5)", "d.ended(1)")
    waits += ("page.locator('a').click(timeout=29)", "context.set_default_timeout(20_000)")
    for wait in waits:
        assert list(_short_waits(f"WITHIN = 10.0\n{wait}")) == [2], wait
    for wait in ("asyncio.timeout(30)", "d.ended()", "until(look, 'it')", "context.set_default_timeout(60_000)"):
        assert list(_short_waits(wait)) == [], wait


def _short_waits(source: str) -> Iterator[int]:
    tree = ast.parse(source)
    constants = dict(_constants(tree))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        for value, shortest in _limits(call):
            seconds = constants.get(value.id) if isinstance(value, ast.Name) else _number(value)
            if seconds is not None and seconds < shortest:
                yield call.lineno


def _constants(tree: ast.Module) -> Iterator[tuple[str, float | None]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if node.value:
                yield name, _number(node.value)


def _limits(call: ast.Call) -> Iterator[tuple[ast.expr, float]]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    for places, shortest in ((_WAITS, SHORTEST), (_MILLISECONDS, SHORTEST * 1000)):
        if name in places and len(call.args) > places[name]:
            yield call.args[places[name]], shortest
    for keyword in call.keywords:
        if keyword.arg in ("timeout", "seconds"):
            yield keyword.value, SHORTEST


def _number(value: ast.expr) -> float | None:
    match value:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case _:
            return None
