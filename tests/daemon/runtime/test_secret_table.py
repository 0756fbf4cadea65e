"""Secrets that stand for a value once or for a while."""

from __future__ import annotations

import os

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from podium_daemon.runtime.secret_table import SECRET_BYTES, SecretTable, digest_of
from tests.support.clock import ManualClock

MAXIMUM = 4
SECONDS = 60


def table(clock: ManualClock, maximum: int = 20_000, seconds: float = SECONDS) -> SecretTable[str]:
    """A table of texts."""
    return SecretTable(clock, os.urandom, maximum=maximum, seconds=seconds)


def test_a_secret_is_redeemed_once() -> None:
    """It gives back what it stands for, and then nothing; texts that were never issued give nothing."""
    secrets = table(ManualClock())
    first, second = secrets.issue("one"), secrets.issue("two")
    assert secrets.redeem(second) == "two"
    assert secrets.redeem(first) == "one"
    for text in (first, second, "", "x" * 43, "x" * 100_000, first + "=", "\ud800"):
        assert secrets.redeem(text) is None
        assert secrets.get(text) is None


def test_a_look_does_not_spend() -> None:
    """`get` gives the value as often as it is asked, until the secret is withdrawn."""
    secrets = table(ManualClock())
    secret = secrets.issue("one")
    assert [secrets.get(secret), secrets.get(secret)] == ["one", "one"]
    secrets.discard(digest_of(secret))
    secrets.discard(digest_of(secret))
    assert secrets.get(secret) is None


async def test_a_secret_is_good_for_its_time() -> None:
    """Up to the last moment, and not at the end of it."""
    clock = ManualClock()
    secrets = table(clock)
    early, late = secrets.issue("early"), secrets.issue("late")
    await clock.advance(59.9)
    assert secrets.redeem(early) == "early"
    await clock.advance(0.1)
    assert secrets.get(late) is None
    assert secrets.redeem(late) is None


async def test_a_clock_that_is_set_changes_nothing() -> None:
    """Time is measured and not read: a wall clock that jumps neither ends a secret nor lengthens it."""
    clock = ManualClock()
    secrets = table(clock)
    secret = secrets.issue("x")
    clock.jump(100_000)
    assert secrets.redeem(secret) == "x"
    secret = secrets.issue("y")
    clock.jump(-200_000)
    await clock.advance(60)
    assert secrets.redeem(secret) is None


async def test_memory_is_bounded() -> None:
    """The oldest give way when there are too many, and old ones are forgotten when the next is issued."""
    clock = ManualClock()
    secrets = table(clock, maximum=3)
    texts = [secrets.issue(str(number)) for number in range(5)]
    assert list(secrets) == ["2", "3", "4"]
    assert [secrets.redeem(text) for text in texts] == [None, None, "2", "3", "4"]
    for _ in range(3):
        secrets.issue("x")
    await clock.advance(61)
    secrets.issue("y")
    assert len(secrets) == 1


async def test_an_end_can_be_set_later() -> None:
    """`expire_in` counts from now, whatever the table's own time is; unknown secrets stay unknown."""
    clock = ManualClock()
    secrets: SecretTable[str] = SecretTable(clock, os.urandom, maximum=3)
    secret = secrets.issue("x")
    await clock.advance(1_000_000)
    secrets.expire_in(digest_of(secret), 10)
    secrets.expire_in(digest_of("guess"), 10)
    assert secrets.get("guess") is None
    await clock.advance(9.9)
    assert secrets.get(secret) == "x"
    await clock.advance(0.1)
    assert secrets.get(secret) is None


def test_secrets_cannot_be_guessed_and_are_not_kept() -> None:
    """256 bits each, no two alike; what is kept is a hash."""
    asked: list[int] = []

    def counting(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    secrets: SecretTable[str] = SecretTable(ManualClock(), counting, maximum=200)
    texts = {secrets.issue("x") for _ in range(200)}
    assert len(texts) == 200
    assert asked == [SECRET_BYTES] * 200
    assert all(len(text) == 43 for text in texts)
    assert not any(text.encode() in key for text in texts for key in secrets._kept)


class Model(RuleBasedStateMachine):
    """The table against a plain list of (secret, value, end), the oldest first."""

    secrets = Bundle("secrets")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(monotonic=0)
        self.table: SecretTable[int] = SecretTable(self.clock, os.urandom, maximum=MAXIMUM, seconds=SECONDS)
        self.expected: list[tuple[str, int, float]] = []
        self.number = 0

    def _now(self) -> float:
        return self.clock.monotonic()

    def _of(self, secret: str) -> int | None:
        return next((value for text, value, until in self.expected if text == secret and until > self._now()), None)

    def _make_room(self) -> None:
        while self.expected and (len(self.expected) >= MAXIMUM or self.expected[0][2] <= self._now()):
            del self.expected[0]

    @rule(target=secrets)
    def issue(self) -> str:
        """A new secret, which may push out the oldest."""
        self.number += 1
        self._make_room()
        secret = self.table.issue(self.number)
        self.expected.append((secret, self.number, self._now() + SECONDS))
        return secret

    @rule(target=secrets, secret=consumes(secrets), seconds=st.integers(1, 200))
    def restore(self, secret: str, seconds: int) -> str:
        """A secret that was withdrawn comes back with a time of its own."""
        self.discard(secret)
        self._make_room()
        self.number += 1
        self.table.restore(digest_of(secret), self.number, seconds)
        self.expected.append((secret, self.number, self._now() + seconds))
        return secret

    @rule(secret=secrets)
    def redeem(self, secret: str) -> None:
        """What is redeemed is gone."""
        assert self.table.redeem(secret) == self._of(secret)
        self.expected = [one for one in self.expected if one[0] != secret]

    @rule(secret=secrets)
    def discard(self, secret: str) -> None:
        """What is withdrawn is gone."""
        self.table.discard(digest_of(secret))
        self.expected = [one for one in self.expected if one[0] != secret]

    @rule(secret=secrets, seconds=st.integers(1, 200))
    def expire_in(self, secret: str, seconds: int) -> None:
        """A new end counts from now; what is over stays over."""
        self.table.expire_in(digest_of(secret), seconds)
        self.expected = [
            (text, value, self._now() + seconds if text == secret and until > self._now() else until)
            for text, value, until in self.expected
        ]

    @rule(seconds=st.integers(1, 100))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock._move_to(self._now() + seconds)

    @rule(secret=secrets)
    def get(self, secret: str) -> None:
        """A look gives the value while it is good."""
        assert self.table.get(secret) == self._of(secret)

    @invariant()
    def is_bounded(self) -> None:
        """Never more than the maximum, and in the order of issue."""
        assert len(self.table) <= MAXIMUM
        assert list(self.table) == [value for _, value, _ in self.expected]


TestSecretTable = Model.TestCase
