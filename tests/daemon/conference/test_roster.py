"""The book of who is in rooms on another server; what the engines' own tests do not reach."""

from __future__ import annotations

import msgspec

from podium_daemon.conference.engine import LeaveReason, Left, Origin, RoomId, RoomSpec, Snapshot
from podium_daemon.conference.roster import Roster
from podium_daemon.runtime.outcomes import Rejection
from podium_protocol.events import Pubkey
from tests.support.clock import ManualClock
from tests.support.conference import new_person, new_pubkey, seeded_bytes

ROOM = RoomId("b0c4")


def _roster(clock: ManualClock | None = None, *, keys_return: bool = False) -> Roster:
    roster = Roster(
        clock=clock or ManualClock(),
        random_bytes=seeded_bytes(),
        devices=3,
        remembered=20_000,
        keys_return=keys_return,
    )
    roster.open(RoomSpec(room=ROOM, title="x"))
    return roster


def _present(roster: Roster) -> list[Pubkey]:
    snapshot = roster.snapshot(ROOM)
    assert isinstance(snapshot, Snapshot)
    return [one.connection.pubkey for one in snapshot.present]


async def _lefts(roster: Roster) -> list[Left]:
    found = []
    roster.close(ROOM)
    async for event in roster.journal.follow():
        if isinstance(event, Left):
            found.append(event)
        if getattr(event, "room", None) == ROOM and type(event).__name__ == "RoomClosed":
            return found
    return found


async def test_a_list_that_was_asked_for_before_somebody_came_does_not_send_them_out() -> None:
    """Webhook and list cross on the way: neither a join nor a leave of that moment is undone."""
    roster = _roster()
    early, late, gone = new_person(), new_person(), new_person()
    roster.arrived(ROOM, "early", early, roster.now())
    roster.arrived(ROOM, "gone", gone, roster.now())
    mark = roster.mark()
    roster.arrived(ROOM, "late", late, roster.now())
    roster.note_departure(ROOM, "gone", roster.now(), LeaveReason.LEFT)
    roster.reconcile(ROOM, {"early": early, "gone": gone}, mark)
    assert _present(roster) == [early.pubkey, late.pubkey]
    assert [left.connection.pubkey for left in await _lefts(roster)] == [gone.pubkey, early.pubkey, late.pubkey]


async def test_what_a_list_lacks_ended_when_it_was_last_seen() -> None:
    """Nobody is credited for the time until the next question."""
    clock = ManualClock()
    roster, person = _roster(clock), new_person()
    roster.arrived(ROOM, "a", person, roster.now())
    await clock.advance(10)
    roster.reconcile(ROOM, {"a": person}, roster.mark())
    seen = roster.now()
    await clock.advance(10)
    roster.reconcile(ROOM, {}, roster.mark())
    (left,) = await _lefts(roster)
    assert (left.at, left.reason, left.origin) == (seen, LeaveReason.UNKNOWN, Origin.SNAPSHOT)


def test_a_key_comes_back_only_where_keys_do() -> None:
    """A user id of BigBlueButton returns with a reloaded page; a connection's id of LiveKit never does."""
    for keys_return in (True, False):
        roster, person = _roster(keys_return=keys_return), new_person()
        roster.arrived(ROOM, "a", person, roster.now())
        roster.note_departure(ROOM, "a", roster.now(), LeaveReason.UNKNOWN)
        assert roster.arrived(ROOM, "a", person, roster.now())
        assert bool(_present(roster)) == keys_return


def test_what_was_given_to_somebody_removed_lets_nobody_in() -> None:
    """Used or not, all their entrances are barred; another person's are not."""
    roster, person, other = _roster(), new_person(), new_person()
    roster.issued(ROOM, "entrance", person.pubkey)
    roster.issued(ROOM, "others", other.pubkey)
    assert not isinstance(roster.remove(ROOM, person.pubkey), Rejection)
    assert not roster.arrived(ROOM, "k", person, roster.now(), entrance="entrance")
    assert roster.arrived(ROOM, "o", other, roster.now(), entrance="others")


def test_nothing_is_known_of_a_room_that_is_not_open() -> None:
    """Late words of the server about a closed room are nothing."""
    roster, person = _roster(), new_person()
    roster.close(ROOM)
    assert not roster.arrived(ROOM, "a", person, roster.now())
    roster.note_departure(ROOM, "a", roster.now(), LeaveReason.LEFT)
    assert roster.reconcile(ROOM, {"a": person}, roster.mark()) == []
    assert isinstance(roster.snapshot(ROOM), Rejection)


def test_a_room_is_brought_up_to_date() -> None:
    """Opening again changes what is said of the room, and nobody's place."""
    roster, person = _roster(), new_person(new_pubkey())
    roster.arrived(ROOM, "a", person, roster.now())
    spec = msgspec.structs.replace(roster.rooms[ROOM].spec, title="y")
    assert not roster.open(spec).created
    assert roster.rooms[ROOM].spec.title == "y"
    assert _present(roster) == [person.pubkey]
