"""What is missing of the relays that are read: subscriptions they refuse, and a past that was read only in part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from podium_daemon.relays.relay_state import RelayStatus
from podium_protocol.text import single_line

_MAX_WORDS: Final = 200


class Gaps:
    """Reads the gaps from the pool and from the syncer, whenever a caller asks."""

    def __init__(
        self, states: Callable[[], Iterable[RelayStatus]], partial: Callable[[], Mapping[str, Mapping[str, str]]]
    ) -> None:
        """`partial`: by relay and subscription, why the past was read only in part."""
        self._states = states
        self._partial = partial

    def unserved(self) -> list[str]:
        """The subscriptions that no relay serves: the events they ask for are missing here."""
        names = [set(gaps) for gaps in self._all().values()]
        return sorted(set.intersection(*names)) if names else []

    def remarks(self) -> list[str]:
        """One line for each gap, with the relay's words made safe to show."""
        return [
            f"{url} does not serve {name}: {single_line(words, _MAX_WORDS)}"
            for url, gaps in self._all().items()
            for name, words in gaps.items()
        ]

    def _all(self) -> dict[str, dict[str, str]]:
        partial = self._partial()
        states = [one for one in self._states() if one.is_configured and one.read]
        return {one.url: {**partial.get(one.url, {}), **one.closed_subscriptions} for one in states}
