"""An open room of the link engine: who sits in it, on which devices."""

from __future__ import annotations

from podium_daemon.conference.base import Person, RoomSpec
from podium_daemon.conference.link_seat import LinkSeat
from podium_daemon.runtime.outcomes import Refused
from podium_protocol.events import Pubkey


class LinkRoom:
    """`run` makes the ids of this opening's events differ from those of an earlier one."""

    def __init__(self, spec: RoomSpec, run: str, *, devices: int) -> None:
        self.spec = spec
        self._devices = devices
        self.run = run
        self._people: dict[Pubkey, dict[str, LinkSeat]] = {}

    def seats(self, pubkey: Pubkey | None = None) -> list[LinkSeat]:
        """The seats of one person, or all."""
        people = self._people.values() if pubkey is None else (self._people.get(pubkey, {}),)
        return [seat for devices in people for seat in devices.values()]

    def seat_of(self, person: Person) -> LinkSeat | None:
        """Where this device of this person sits."""
        return self._people.get(person.pubkey, {}).get(person.device)

    def put(self, seat: LinkSeat) -> None:
        """Let a seat be taken; the device has none."""
        self._people.setdefault(seat.connection.pubkey, {})[seat.connection.device] = seat

    def clear(self, seat: LinkSeat) -> None:
        """Let a seat be free again."""
        devices = self._people[seat.connection.pubkey]
        del devices[seat.connection.device]
        if not devices:
            del self._people[seat.connection.pubkey]

    def too_many_devices(self, person: Person) -> Refused | None:
        """Refuse one device too many, but never a device that is here: it may come back and replace itself."""
        devices = self._people.get(person.pubkey, {})
        if person.device in devices or len(devices) < self._devices:
            return None
        # the newest loses: were it the oldest, one forgotten page that joins again by itself would throw out the others
        detail = f"this key is on all the devices that may be in the room: {self._devices}"
        return Refused("too-many-devices", detail, "Leave on one of them, then join again.")
