"""The contract's and the support's asserts are explained like a test's own."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.daemon.conference.contract", "tests.support.conference")
