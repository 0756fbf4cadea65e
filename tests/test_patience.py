"""Tests wait for conditions; what ends a wait for something that never happens leaves room for a loaded machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
SHORTEST = 30  # seconds
# the place of the seconds where they are not named
_WAITS = {"timeout": 0, "ended": 0, "wait": 0, "join": 0, "result": 0, "settimeout": 0, "wait_for": 1, "communicate": 1}
_MILLISECONDS = {"set_default_timeout": 0, "set_default_navigation_timeout": 0}  # of Playwright
# what stands in any text with a wait: to read all the others would take seconds
_MAY_WAIT = re.compile(r"timeout|seconds=|proxy=|httpx\.|wait_for\(|\.(ended|wait|join|result|communicate)\([\d\w]")
_CALLS = {"AsyncClient", "Client", "delete", "get", "head", "patch", "post", "put", "request", "stream"}  # of httpx


def test_no_wait_of_a_test_ends_under_thirty_seconds() -> None:
    """Neither a time-out nor the `seconds` of `until` is shorter, nor one that a library brings."""
    files = sorted(TESTS.rglob("*.py"))
    assert len(files) > 100
    texts = {str(path.relative_to(TESTS)): path.read_text(encoding="utf-8") for path in files}
    short = {f"{name}:{line}" for name, text in texts.items() if _MAY_WAIT.search(text) for line in _short_waits(text)}
    assert short == set()


def test_short_waits_are_found() -> None:
    """Named, by place, by a constant of the module, in the milliseconds of Playwright, and those nobody named."""
    waits = ("asyncio.timeout(WITHIN)", "asyncio.wait_for(f(), 5)", "until(look, 'it', seconds=29.5)", "d.ended(1)")
    waits += ("page.locator('a').click(timeout=29)", "context.set_default_timeout(20_000)", "thread.join(10)")
    waits += ("connect(url, proxy=None)", "httpx.AsyncClient(trust_env=False)", "httpx.get(url)")
    for wait in waits:
        assert _MAY_WAIT.search(wait), wait
        assert list(_short_waits(f"WITHIN = 10.0\n{wait}")) == [2], wait
    for wait in ("asyncio.timeout(30)", "d.ended()", "until(look, 'it')", "context.set_default_timeout(60_000)"):
        assert list(_short_waits(wait)) == [], wait


def test_a_look_and_a_clock_of_the_test_are_no_waits() -> None:
    """Nothing is waited for with 0 seconds, nor by what is made with a number of seconds."""
    for call in ("asyncio.timeout(0)", "asyncio.wait(them, timeout=0)", "Secrets(clock, seconds=10)"):
        assert list(_short_waits(call)) == [], call
    for call in ("httpx.AsyncClient(transport=own)", "httpx.get(url, timeout=60)", "connect(url, open_timeout=60)"):
        assert list(_short_waits(call)) == [], call


def _short_waits(source: str) -> Iterator[int]:
    tree = ast.parse(source)
    constants = dict(_constants(tree))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if _takes_a_library_s_time(call):
            yield call.lineno
        for value, shortest in _limits(call):
            seconds = constants.get(value.id) if isinstance(value, ast.Name) else _number(value)
            if seconds is not None and 0 < seconds < shortest:
                yield call.lineno


def _constants(tree: ast.Module) -> Iterator[tuple[str, float | None]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if node.value:
                yield name, _number(node.value)


def _limits(call: ast.Call) -> Iterator[tuple[ast.expr, float]]:
    name = _name_of(call)
    for places, shortest in ((_WAITS, SHORTEST), (_MILLISECONDS, SHORTEST * 1000)):
        if name in places and len(call.args) > places[name]:
            yield call.args[places[name]], shortest
    for keyword in call.keywords:
        if keyword.arg in ("timeout", "open_timeout") or (keyword.arg == "seconds" and name.islower()):
            yield keyword.value, SHORTEST


def _takes_a_library_s_time(call: ast.Call) -> bool:
    """Whether it waits for as long as httpx (5 s) or websockets (10 s until it is open) do unless they are told."""
    named = {keyword.arg for keyword in call.keywords}
    match call.func:
        case ast.Attribute(value=ast.Name(id="httpx"), attr=name) if name in _CALLS:
            return named.isdisjoint({"timeout", "transport"})
        case ast.Name(id="connect"):
            return "proxy" in named and "open_timeout" not in named
        case _:
            return False


def _name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _number(value: ast.expr) -> float | None:
    match value:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case _:
            return None
