"""What relays say of themselves."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.errors import RemoteProtocolError
from podium_protocol.limits import MAX_BACKDATING
from podium_protocol.nips.nip11 import NO_LIMITS, NOTHING_ASKED, RelayLimits, asked_by, read_limits

# ten subscriptions, as a relay of the kind of nostream allows them
NOSTREAM = {
    "name": "a relay",
    "supported_nips": [1, 2, 4, 9, 11, 11, 12, 15, 16, 20, 22, 28, 33, 40],
    "limitation": {
        "max_message_length": 524288,
        "max_subscriptions": 10,
        "max_filters": 10,
        "max_limit": 5000,
        "max_subid_length": 256,
        "max_event_tags": 2500,
        "max_content_length": 65536,
        "min_pow_difficulty": 0,
        "auth_required": False,
        "payment_required": False,
    },
}


def test_the_limits_of_a_relay_are_read() -> None:
    """Those that change what is sent, and no others."""
    assert read_limits(json.dumps(NOSTREAM).encode()) == RelayLimits(
        max_subscriptions=10, max_filters=10, max_limit=5000, max_message_length=524288
    )


@pytest.mark.parametrize("document", [b"{}", b'{"name":"x"}', b'{"limitation":{}}', b'{"limitation":{"x":[{}]}}'])
def test_a_document_that_names_no_limits_has_none(document: bytes) -> None:
    """They are all optional."""
    assert read_limits(document) == NO_LIMITS


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b"[]", b"null", b'{"limitation":null}', b'{"limitation":[]}', b"[" * 9999, b"\xff"]
)
def test_what_is_no_document_is_the_relays_fault(document: bytes) -> None:
    """A web page, or something else."""
    with pytest.raises(RemoteProtocolError, match="NIP-11"):
        read_limits(document)


@pytest.mark.parametrize("value", [True, "10", 10.5, -1, 0, None, [], {}, 10**30])
@pytest.mark.parametrize(
    "name",
    [
        "max_subscriptions",
        "max_filters",
        "max_limit",
        "max_message_length",
        "min_pow_difficulty",
        "created_at_lower_limit",
        "created_at_upper_limit",
    ],
)
def test_a_number_that_cannot_be_meant_is_no_limit(name: str, value: object) -> None:
    """Field by field: the others count."""
    other = "max_limit" if name != "max_limit" else "max_filters"
    said = read_limits(json.dumps({"limitation": {name: value, other: 7}}).encode())
    assert said == RelayLimits(**{other: 7})


def test_limits_nobody_can_keep_are_passed_over() -> None:
    """Messages of ten bytes, and dates given as dates."""
    limitation = {"max_message_length": 10, "created_at_lower_limit": 1_700_000_000, "min_pow_difficulty": 257}
    assert read_limits(json.dumps({"limitation": limitation}).encode()) == NO_LIMITS


@given(st.integers(1, 10**9))
def test_wraps_are_dated_within_what_a_relay_takes(lower: int) -> None:
    """Two days back where it takes that, else less than its limit."""
    back = RelayLimits(created_at_lower_limit=lower).backdating
    assert back <= min(MAX_BACKDATING, lower)
    assert RelayLimits().backdating == MAX_BACKDATING


@given(st.lists(st.none() | st.integers(1, 10**6), max_size=4))
def test_the_tightest_of_several_relays_counts(lower: list[int | None]) -> None:
    """What is dated within the tightest limit is within all of them; no relay, or none with a limit, asks nothing."""
    asked = asked_by(RelayLimits(created_at_lower_limit=each) for each in lower)
    assert all(asked.backdating <= each for each in lower if each is not None)
    assert asked_by([]) == asked_by([NO_LIMITS]) == NOTHING_ASKED


@given(st.lists(st.integers(0, 256), max_size=4), st.integers(0, 20))
def test_the_most_work_that_is_done_for_anybody_is_done(bits: list[int], most: int) -> None:
    """All are content who ask for no more than is done at most, and nothing is done for the others."""
    work = asked_by([RelayLimits(min_pow_difficulty=each) for each in bits], most_work=most).work
    assert all(each <= work or each > most for each in bits)
    assert work in (0, *bits)
