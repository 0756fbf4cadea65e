"""A daemon that is told to stop, and what it must leave behind."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.faults import check_database
from tests.support.installed import Daemon, Site
from tests.support.processes import Orphans


@asynccontextmanager
async def stopped_by_sigterm(site: Site, *, is_ready: bool = True) -> AsyncIterator[Daemon]:
    """A daemon that is told to stop at the end of the block; what it must leave behind is checked.

    Ten seconds after the signal its own watchdog would end it with 1.
    """
    orphans = Orphans()
    async with site.started() as daemon:
        if is_ready:
            await daemon.until_ready()
        yield daemon
        assert daemon.process.returncode is None, site.texts()[-2000:]
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0, site.texts()[-3000:]
        assert orphans.running() == []
    check_database(site.state)
    assert "Traceback" not in site.texts()
