"""A `RelaySession` and the relay's side of it, spoken by the test: the session has no I/O, so this needs no fakes."""

from __future__ import annotations

import msgspec

from podium_protocol import kinds
from podium_protocol.events import SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.nips import nip42
from podium_protocol.relay.events import SessionEvent
from podium_protocol.relay.session import RelaySession
from podium_protocol.relay.verdicts import Violation
from tests.support.events import NOW, key_of, signed

URL = "wss://relay.example.com/"
KEY = key_of(1)
EVENT = signed(KEY, content="one")
OTHER = signed(KEY, content="two")
LIVE = Filter(kinds=(kinds.RSVP,))


class Talk:
    """One conversation; `now` is monotonic seconds and moves when the test says so."""

    def __init__(self, *, may_authenticate: bool = False, connect: bool = True) -> None:
        self.session = RelaySession(URL, may_authenticate=may_authenticate)
        self.now = 1000.0
        if connect:
            self.session.connected(self.now)

    def hears(self, *frame: object) -> None:
        """The relay sends a frame."""
        self.session.receive(msgspec.json.encode(frame), self.now)

    def later(self, seconds: float) -> None:
        """Time goes by, and the pump ticks."""
        self.now += seconds
        self.session.tick(self.now)

    def subscribe(self, subscription_id: str = "live", *wanted: Filter) -> None:
        """The caller asks for events."""
        self.session.subscribe(subscription_id, wanted or (LIVE,), self.now)

    def publish(self, event: SignedEvent = EVENT) -> None:
        """The caller publishes."""
        self.session.publish(event, self.now)

    def reconnects(self) -> None:
        """The connection is lost, and there is a new one a second later."""
        self.session.disconnected()
        self.now += 1
        self.session.connected(self.now)

    def login(self, challenge: str) -> SignedEvent:
        """The caller signs a challenge and hands it over."""
        event = KEY.sign(nip42.write_auth(KEY.pubkey, URL, challenge, NOW), bytes(32))
        self.session.authenticate(event, self.now)
        return event

    def sent(self) -> list[list[object]]:
        """What leaves, decoded."""
        return [msgspec.json.decode(frame, type=list[object]) for frame in self.session.data_to_send()]

    def labels(self) -> list[tuple[object, object]]:
        """The labels of what leaves, with the subscription's or event's id."""
        return [(label, first["id"] if isinstance(first, dict) else first) for label, first, *_ in self.sent()]

    def told(self) -> list[SessionEvent]:
        """What the caller is told."""
        return self.session.events_received()

    def faults(self) -> dict[Violation, int]:
        """What is held against the relay."""
        return dict(self.session.misbehaviour.counts)
