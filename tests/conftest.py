"""What all tests share: peers that must be there, browsers that may fail once, and the count of bad input."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from tests.support.families import FAMILIES, cases_of, count
from tests.support.wheel import share_a_wheel

_ACCEPTANCE = Path(__file__).parent / "acceptance"
_FAMILY = "family of bad input"


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed of the faults and the folder of the wheel, for this process and for its workers."""
    os.environ.setdefault("PODIUM_SEED", str(secrets.randbelow(10**9)))
    if (folder := share_a_wheel()) is not None:
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_report_header() -> str:
    """Name the seed, so that a run can be repeated."""
    return f"faults: PODIUM_SEED={os.environ['PODIUM_SEED']}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note which cases each test tries, and let an acceptance test fail once where PODIUM_REQUIRE_REAL=1.

    Such a machine is shared, and nobody watches it; the summary lists the test as rerun.
    """
    for item in items:
        if (found := cases_of(item)) is not None:
            item.user_properties.append((_FAMILY, found))  # travels with the report, also out of an xdist worker
    if os.environ.get("PODIUM_REQUIRE_REAL") != "1" or not config.pluginmanager.hasplugin("rerunfailures"):
        return
    for item in items:
        if item.path.is_relative_to(_ACCEPTANCE):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a `real_peer` test into a failure where real peers are required."""
    report = yield
    required = os.environ.get("PODIUM_REQUIRE_REAL") == "1"
    if required and report.skipped and call.excinfo is not None and item.get_closest_marker("real_peer"):
        report.outcome = "failed"
        report.longrepr = f"PODIUM_REQUIRE_REAL=1, but: {call.excinfo.value}"
    return report


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Say why tests were run again, and how many cases of each family of bad input passed, or were collected."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"first try of {report.nodeid}", sep="_")
        report.toterminal(terminalreporter._tw)
    if config.getoption("collectonly"):
        found = count(filter(None, map(cases_of, terminalreporter._session.items)))
    else:
        passed = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
        found = count(tuple(value) for report in passed for key, value in report.user_properties if key == _FAMILY)
    if found:
        terminalreporter.section("bad input survived")
        for name, about in ((name, about) for name, about in FAMILIES.items() if name in found):
            terminalreporter.line(f"{found[name]:5} of about {about}  {name}")
