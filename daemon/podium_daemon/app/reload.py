"""SIGHUP: the configuration is read again; an invalid file keeps the old one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import structlog

from podium_daemon.config import Config
from podium_daemon.config.changes import changed_keys, in_force, waiting_keys
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.errors import PodiumError

_log = structlog.get_logger(__name__)


class Reloader:
    """Waits for SIGHUP and hands a valid new configuration to `apply`; keys marked RESTART have not changed in it."""

    name = "reload"

    def __init__(self, config: Config, apply: Callable[[Config], None]) -> None:
        self.config = config
        self._started_with = config
        self._apply = apply
        self._asked = asyncio.Event()

    async def run(self, stop: Stop) -> None:
        """Reload on each SIGHUP, until the stop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        try:
            while not stop.is_set():
                await wait_for_first(self._asked.wait(), stop.wait())
                if self._asked.is_set():
                    self._asked.clear()
                    self.reload()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    def reload(self) -> None:
        """Read the file again now. If it is invalid, the problems are logged and the old values stay in force."""
        old = self.config
        try:
            fresh = old.reload()
        except PodiumError as error:
            _refuse(error)
            return
        try:
            self._apply(in_force(self._started_with, fresh))
        except PodiumError as error:
            self._apply(in_force(self._started_with, old))  # the part that refused may stand behind others that did not
            _refuse(error)
            return
        self.config = fresh
        changed = changed_keys(old, fresh)
        later = waiting_keys(self._started_with, fresh)
        text = "configuration reloaded; some keys wait for a restart" if later else "configuration reloaded"
        _log.info(text, action="config.reloaded", changed=list(changed), after_restart=list(later))


def _refuse(error: PodiumError) -> None:
    _log.error("the new configuration is invalid, the old one stays", action="config.refused", error=str(error))
