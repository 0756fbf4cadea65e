"""What streams share: the views of one session, encoded once, and how each stream learns that there are new ones."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel

from podium_daemon.web.login import Caller
from podium_protocol.events import Pubkey
from podium_storage.table.models import LiveSessionRow


class EncodedView(NamedTuple):
    """JSON as the data field of an event, encoded once for all streams that are told it; `digest` stands for it."""

    digest: str
    data: bytes

    @classmethod
    def of(cls, text: bytes) -> EncodedView:
        """Encode it; JSON has no bare line break, so no text of a stranger can end the field and begin another."""
        return cls(hashlib.sha256(text).hexdigest()[:16], b"data: " + text + b"\n\n")

    @classmethod
    def of_model(cls, model: BaseModel) -> EncodedView:
        """Encode a model of the API."""
        return cls.of(model.model_dump_json(by_alias=True).encode())


class Channel:
    """One watched session. `session` is its public view; it and `row` are None before it was read and once it is gone.

    `questions` are the views of instructor and co-hosts (True) and of all others; `people` those who listen signed in,
    `own` what is theirs, as far as it was read.
    """

    def __init__(self) -> None:
        self.listeners: set[Subscriber] = set()
        self.people: Counter[Pubkey] = Counter()
        self.row: LiveSessionRow | None = None
        self.session: EncodedView | None = None
        self.questions: dict[bool, EncodedView] = {}
        self.own: dict[Pubkey, EncodedView] = {}
        self.reading = asyncio.Lock()

    def forget_the_gone(self, people: Iterable[Pubkey]) -> None:
        """Forget what is theirs for those of `people` who no longer listen."""
        for pubkey in people:
            if pubkey not in self.people:
                self.own.pop(pubkey, None)


class Bell(asyncio.Event):
    """Set at news of one stream, and after a while, so that it gives a sign of life."""

    def __init__(self) -> None:
        super().__init__()
        self._timer: asyncio.TimerHandle | None = None
        self._is_late = False

    async def news_within(self, seconds: float) -> bool:
        """Wait for news, until `seconds` after the last sign of life at most; False if that was due."""
        if self._timer is None:  # not one for each time that there is news: those to a thousand streams would add up
            self._timer = asyncio.get_running_loop().call_later(seconds, self._run_out)
        await self.wait()
        self.clear()
        was_late, self._is_late = self._is_late, False
        return not was_late

    def close(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()

    def _run_out(self) -> None:
        self._timer, self._is_late = None, True
        self.set()


class Subscriber:
    """One stream: notified when the session's public view or a row of its person changed, or, if leading, any row."""

    def __init__(self, topic: Channel, viewer: Caller | None, bell: Bell) -> None:
        self.topic = topic
        self.viewer = viewer
        self.own_changed = True
        self.changed: set[str] = set()
        self.changed_all = True
        self.closed = False
        self.signed_out = False
        self._bell = bell

    def notify(self) -> None:
        """Tell the stream that there is news."""
        self._bell.set()
