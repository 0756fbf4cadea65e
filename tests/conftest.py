"""What all tests share: peers that must be there when PODIUM_REQUIRE_REAL=1."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


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
