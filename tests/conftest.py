"""What all tests share: peers that must be there, and browsers that may fail once, when PODIUM_REQUIRE_REAL=1."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

_ACCEPTANCE = Path(__file__).parent / "acceptance"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let an acceptance test fail once on a shared machine that nobody watches; the summary lists it as rerun."""
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
