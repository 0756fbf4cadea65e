"""What streams share: the views of one session, encoded once, and how each stream learns that there are new ones."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel

from podium_daemon.web.login import Caller
from podium_protocol.events import Pubkey
from podium_storage.table.models import LiveSessionRow


class View(NamedTuple):
    """JSON as the data field of an event, encoded once for all streams that are told it; `digest` stands for it."""

    digest: str
    data: bytes

    @classmethod
    def of(cls, text: bytes) -> View:
        """Encode it; JSON has no bare line break, so no text of a stranger can end the field and begin another."""
        return cls(hashlib.sha256(text).hexdigest()[:16], b"data: " + text + b"\n\n")

    @classmethod
    def of_model(cls, model: BaseModel) -> View:
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
        self.session: View | None = None
        self.questions: dict[bool, View] = {}
        self.own: dict[Pubkey, View] = {}
        self.reading = asyncio.Lock()

    def forget_the_gone(self, people: Iterable[Pubkey]) -> None:
        """Forget what is theirs for those of `people` who no longer listen."""
        for pubkey in people:
            if pubkey not in self.people:
                self.own.pop(pubkey, None)


class Subscriber:
    """One stream: notified when the session's public view or a row of its person changed, or, if leading, any row."""

    def __init__(self, topic: Channel, viewer: Caller | None, bell: asyncio.Event) -> None:
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


async def rung_within(bell: asyncio.Event, seconds: float) -> bool:
    """Wait for news, `seconds` at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await bell.wait()
    rung = bell.is_set()
    bell.clear()
    return rung
