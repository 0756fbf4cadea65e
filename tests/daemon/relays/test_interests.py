"""What the daemon asks relays for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.relays.interests import PER_FILTER, Interests, StableOrder, stands, wraps_for
from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.filters import Filter
from podium_protocol.limits import MAX_SUBSCRIPTION_ID_CHARS
from podium_protocol.messages import encode_req

SERVICE = Pubkey("5" * 64)


def people(count: int, start: int = 0) -> tuple[Pubkey, ...]:
    """So many public keys."""
    return tuple(Pubkey(f"{number:064x}") for number in range(start, start + count))


def lessons(count: int) -> tuple[str, ...]:
    """So many session addresses."""
    return tuple(f"31923:{'a' * 64}:{number}" for number in range(count))


def test_the_service_alone_asks_for_its_own() -> None:
    """With nobody listed and nothing known, only the service's own memory and its profile are read."""
    assert Interests(service=SERVICE).subscriptions() == {
        "own": (
            Filter(
                kinds=(
                    kinds.SPACE,
                    kinds.MEETING,
                    kinds.ATTENDANCE,
                    kinds.RELAY_LIST,
                    kinds.DM_RELAY_LIST,
                    kinds.DELETION,
                ),
                authors=(SERVICE,),
            ),
        ),
        "face": (Filter(kinds=(kinds.METADATA, kinds.HANDLER), authors=(SERVICE,)),),
    }


def test_each_kind_of_interest_has_its_filter() -> None:
    """Sessions and profiles by author, RSVPs by session, message relays by person, each with its deletions."""
    instructors, answered = people(2), people(3, 10)
    wanted = Interests(service=SERVICE, instructors=instructors, addresses=lessons(1), people=answered).subscriptions()
    assert wanted["sessions-0"] == (Filter(kinds=(kinds.SESSION, kinds.CALENDAR, kinds.DELETION), authors=instructors),)
    assert wanted["profiles-0"] == (Filter(kinds=(kinds.METADATA,), authors=instructors),)
    assert wanted["names-0"] == (Filter(kinds=(kinds.METADATA,), authors=answered),)
    assert wanted["rsvps-0"] == (Filter(kinds=(kinds.RSVP,), tags=(("a", lessons(1)),)),)
    assert wanted["people-0"] == (Filter(kinds=(kinds.DM_RELAY_LIST, kinds.DELETION), authors=answered),)


def test_questions_are_asked_for_by_their_meeting() -> None:
    """Live chat messages that name a meeting; a service without open meetings asks for none."""
    meetings = tuple(f"{kind}:{SERVICE}:room" for kind in (kinds.MEETING, kinds.LIVE_EVENT))
    wanted = Interests(service=SERVICE, meetings=meetings).subscriptions()
    assert wanted["chat-0"] == (Filter(kinds=(kinds.LIVE_CHAT,), tags=(("a", meetings),)),)
    assert "chat-0" not in Interests(service=SERVICE).subscriptions()


def test_presence_is_asked_for_by_its_author() -> None:
    """Who leaves names another room, so no filter for a room would tell; without people of live sessions none asks."""
    wanted = Interests(service=SERVICE, attendees=people(2)).subscriptions()
    assert wanted["presence-0"] == (Filter(kinds=(kinds.ROOM_PRESENCE,), authors=people(2)),)
    assert "presence-0" not in Interests(service=SERVICE, people=people(2)).subscriptions()


def test_private_messages_are_asked_for_by_their_recipient() -> None:
    """Gift wraps name nobody but whom they are for."""
    assert wraps_for(SERVICE) == (Filter(kinds=(kinds.GIFT_WRAP,), tags=(("p", (SERVICE,)),)),)


@given(st.integers(0, 3 * PER_FILTER + 1), st.integers(0, PER_FILTER + 1))
@settings(max_examples=40)
def test_long_lists_are_parted_and_lose_nobody(count: int, sessions: int) -> None:
    """No filter is longer than relays take; together they name everybody once, in order."""
    answered = people(count)
    wanted = Interests(service=SERVICE, addresses=lessons(sessions), people=answered).subscriptions()
    named = [author for name, (one,) in wanted.items() if name.startswith("people") for author in one.authors or ()]
    assert tuple(named) == answered
    asked = [value for name, (one,) in wanted.items() if name.startswith("rsvps") for value in dict(one.tags)["a"]]
    assert tuple(asked) == lessons(sessions)
    for name, filters in wanted.items():
        assert len(name) <= MAX_SUBSCRIPTION_ID_CHARS
        assert len(encode_req(name, filters)) < 32_000


def test_ten_thousand_people_fit_into_what_a_relay_keeps_open_of_one_connection() -> None:
    """LocalRelay refuses a REQ with which all open ones have more than 1 MiB; eight pages of the past come on top."""
    wanted = Interests(service=SERVICE, addresses=lessons(100), people=people(10_000)).subscriptions()
    sizes = {name: len(encode_req(name, filters)) for name, filters in wanted.items()}
    standing = sum(size for name, size in sizes.items() if stands(name))
    assert standing + 8 * max(sizes.values()) < 1024 * 1024


@given(st.integers(0, 2 * PER_FILTER + 5))
@settings(max_examples=40)
def test_one_more_person_changes_one_subscription_of_each_kind(count: int) -> None:
    """Who comes last goes into the last group: the others are not asked for again."""
    before = Interests(service=SERVICE, people=people(count)).subscriptions()
    after = Interests(service=SERVICE, people=people(count + 1)).subscriptions()
    changed = [name for name in after if before.get(name) != after[name]]
    assert changed == [f"people-{count // PER_FILTER}", f"names-{count // PER_FILTER}"]
    assert before.keys() <= after.keys()


def test_a_session_that_leaves_changes_two_subscriptions_at_most() -> None:
    """The last one takes its place: the groups between them are not asked for again, whose past is read already."""
    order, many = StableOrder(), lessons(4 * PER_FILTER + 7)
    before = Interests(service=SERVICE, addresses=order.follow(many)).subscriptions()
    after = Interests(service=SERVICE, addresses=order.follow(many[1:])).subscriptions()
    assert [name for name in before if before[name] != after.get(name)] == ["rsvps-0", "rsvps-4"]


@given(st.lists(st.sets(st.integers(0, 12)), max_size=12))
def test_a_stable_order_has_the_values_of_the_set_each_once(sets: list[set[int]]) -> None:
    """Whatever comes and goes, the list holds what the set holds."""
    order = StableOrder()
    for values in sets:
        found = order.follow(map(str, values))
        assert sorted(found) == sorted(map(str, values))
