from __future__ import annotations

import pytest

from podium_protocol.relay import verdicts
from podium_protocol.relay.verdicts import (
    AuthRequired,
    BlockedByRelay,
    EventAccepted,
    Invalid,
    Pow,
    RateLimited,
    Restricted,
    Unknown,
    Verdict,
)


@pytest.mark.parametrize("message", ["", "pow: difficulty 25>=24", "duplicate: already have this event", "error: what"])
def test_ok_true_is_done_whatever_it_says(message: str) -> None:
    """The boolean decides; the words are kept for the ledger."""
    assert verdicts.of_ok(True, message) == EventAccepted(message)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("duplicate: already have this event", EventAccepted),
        ("replaced: have newer event", EventAccepted),
        ("rate-limited: slow down there chief", RateLimited),
        ("auth-required: we only accept events from registered users", AuthRequired),
        ("restricted: not allowed to write.", Restricted),
        ("blocked: you are banned from posting here", BlockedByRelay),
        ("deleted: user requested deletion", BlockedByRelay),
        ("mute: no one was listening to your ephemeral event", BlockedByRelay),
        ("error: could not connect to the database", Unknown),
        ("", Unknown),
        ("go away", Unknown),
        ("something-new: hm", Unknown),
        ("blocked", Unknown),
        (": blocked", Unknown),
        ("  Rate-Limited : slow", RateLimited),
        ("BLOCKED: no", BlockedByRelay),
    ],
)
def test_a_refusal_is_read_by_its_prefix(message: str, kind: type[Verdict]) -> None:
    """The machine-readable prefixes of NIP-01 and NIP-42 decide; without one the outcome is unknown."""
    assert verdicts.of_ok(False, message) == kind(message=message)


@pytest.mark.parametrize(
    ("message", "bits"),
    [
        ("pow: difficulty 26 is less than 30", 30),
        ("pow: 28 bits needed. (2)", 28),
        ("pow: more work", None),
        ("pow: difficulty 0", None),
        ("pow: 99999 bits", None),
        ("pow: 256", 256),
        ("pow: 257 or 12", 12),
    ],
)
def test_the_bits_of_work_are_taken_from_the_words(message: str, bits: int | None) -> None:
    """The highest number a SHA-256 can have leading zeros counts; nonsense counts as none."""
    assert verdicts.of_ok(False, message) == Pow(bits, message)


@pytest.mark.parametrize(
    "message",
    [
        "invalid: event creation date is too far off from the current time",
        "invalid: created_at too early",
        "invalid: created_at is too far in the future",
        "invalid: bad timestamp",
        "invalid: event is too old",
    ],
)
def test_a_complaint_about_the_time_is_told_apart(message: str) -> None:
    """Such an event may be signed again once with another time."""
    assert verdicts.of_ok(False, message) == Invalid(True, message)


@pytest.mark.parametrize(
    "message", ["invalid: bad signature", "invalid: ", "unsupported: filter contains unknown elements"]
)
def test_another_invalid_is_final(message: str) -> None:
    """Signing again would not help."""
    assert verdicts.of_ok(False, message) == Invalid(False, message)


def test_closed_is_never_done() -> None:
    """A subscription that was closed as a duplicate is not served, so it is asked for again."""
    assert verdicts.of_closed("duplicate: have it") == Unknown("duplicate: have it")
    assert verdicts.of_closed("auth-required: who") == AuthRequired("auth-required: who")


def test_long_words_are_cut() -> None:
    """A megabyte in an OK is not stored."""
    assert len(verdicts.of_ok(False, "blocked: " + "x" * 10**6).message) == 500
    assert len(verdicts.of_ok(True, "x" * 10**6).message) == 500


@pytest.mark.parametrize(
    ("verdict", "final"),
    [
        (EventAccepted(), True),
        (RateLimited(), False),
        (AuthRequired(), True),
        (Restricted(), True),
        (BlockedByRelay(), True),
        (Pow(), True),
        (Invalid(), True),
        (Unknown(), False),
    ],
)
def test_only_pauses_and_the_unknown_are_tried_again(verdict: Verdict, final: bool) -> None:
    """The same bytes are sent again only where that can change the answer."""
    assert verdicts.is_final(verdict) is final
