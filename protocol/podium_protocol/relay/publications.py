"""The publications of a `RelaySession`: the events on their way to the relay, until its OK or the time-out."""

from __future__ import annotations

from podium_protocol import limits, messages
from podium_protocol.events import EventId
from podium_protocol.messages import OkFrame
from podium_protocol.relay import verdicts
from podium_protocol.relay.events import Published
from podium_protocol.relay.exchange import Exchange, pop_due, remember
from podium_protocol.relay.verdicts import EventAccepted, Unknown, Verdict, Violation


class Publication:
    """One EVENT on its way, or waiting for a login."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.was_retried = False
        self.logins_before = 0


class Publications:
    """The publications on one connection."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.reset()

    def reset(self) -> None:
        """Forget the state of the last connection."""
        self._all: dict[EventId, Publication] = {}
        self._waiting: dict[EventId, Publication] = {}  # refused until we have logged in
        self._ok_due: dict[EventId, float] = {}  # in order of deadline, so that the first entry is the next one
        self.overdue: dict[EventId, float] = {}  # to distinguish late answers from invented ones

    def add(self, event_id: EventId, event_json: bytes) -> None:
        """Send an event, unless it still awaits its OK."""
        if event_id not in self._all:
            self.overdue.pop(event_id, None)
            publication = self._all[event_id] = Publication(messages.encode_event(event_json))
            self._send(event_id, publication)

    def on_ok(self, event_id: EventId) -> Publication | None:
        """Note that an event was answered; it is to be `wait`ed with or `finish`ed. None: it is not on its way."""
        publication = self._all.get(event_id)
        if publication is not None:
            self._exchange.has_answered = True
            self._ok_due.pop(event_id, None)
        return publication

    def on_other_ok(self, frame: OkFrame) -> None:
        """Take an OK to an event that is not on its way: a late one, or one that was never sent."""
        if self.overdue.pop(frame.event_id, None) is None:
            self._exchange.blame(Violation.UNSOLICITED_OK)
        elif isinstance(verdict := verdicts.of_ok(frame.accepted, frame.message), EventAccepted):
            self._exchange.events.append(Published(frame.event_id, verdict))  # the caller still wants to know

    def finish(self, event_id: EventId, verdict: Verdict) -> None:
        """Hand on the outcome of a publication."""
        del self._all[event_id]
        self._waiting.pop(event_id, None)
        self._exchange.events.append(Published(event_id, verdict))

    def on_disconnected(self) -> None:
        """Note that the connection is gone: what was on its way may have arrived."""
        for event_id in self._all:
            verdict = Unknown("the connection was lost before the relay answered")
            self._exchange.events.append(Published(event_id, verdict))

    def tick(self) -> None:
        """Handle the OKs that did not come in time."""
        now = self._exchange.now
        for event_id in pop_due(self._ok_due, now):
            remember(self.overdue, event_id, now)
            self.finish(event_id, Unknown("the relay did not answer in time"))

    def next_deadline(self) -> float | None:
        """When the next OK is due."""
        return next(iter(self._ok_due.values()), None)

    @property
    def has_waiting(self) -> bool:
        """Whether publications wait for a login."""
        return bool(self._waiting)

    def wait(self, event_id: EventId, publication: Publication) -> None:
        """Put a refused publication aside until we have logged in."""
        self._waiting[event_id] = publication

    def retry_waiting(self) -> None:
        """Send again what waited for the login."""
        waiting, self._waiting = self._waiting, {}
        for event_id, publication in waiting.items():
            publication.was_retried = True
            self._send(event_id, publication)

    def fail_waiting(self, verdict: Verdict) -> None:
        """Give up what waited for the login."""
        for event_id in tuple(self._waiting):
            self.finish(event_id, verdict)

    def _send(self, event_id: EventId, publication: Publication) -> None:
        publication.logins_before = self._exchange.login.successes
        self._exchange.frames.append(publication.frame)
        self._ok_due[event_id] = self._exchange.now + limits.OK_TIMEOUT
