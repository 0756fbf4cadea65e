"""The login of one connection (NIP-42): which challenge counts, where the signature is, how often we tried."""

from __future__ import annotations

from enum import Enum, auto

from podium_protocol.events import EventId
from podium_protocol.limits import MAX_AUTH_ATTEMPTS


class LoginStage(Enum):
    """The stage of the login. Only these moves exist: IDLE -> ASKED -> SENT -> DONE or REFUSED, and again."""

    IDLE = auto()  # no login asked of us yet, or the last attempt timed out
    ASKED = auto()  # the caller is having a challenge signed
    SENT = auto()  # the relay has our signature and has not answered: one in flight
    DONE = auto()
    REFUSED = auto()


class RelayLogin:
    """State of the login on one connection; a new connection starts with a new one."""

    def __init__(self) -> None:
        self.stage = LoginStage.IDLE
        self.challenge: str | None = None
        self.sent_id: EventId | None = None
        self.successes = 0
        self._attempts = 0
        self._tried: str | None = None

    def may_ask(self) -> bool:
        """Whether the caller should be asked for a signature: a fresh challenge, none under way, attempts left."""
        return (
            self.challenge is not None
            and self.challenge != self._tried
            and not self.is_under_way()
            and self._attempts < MAX_AUTH_ATTEMPTS
        )

    def is_hopeful(self) -> bool:
        """Whether refused requests may wait: a login is under way, can be asked for, or awaits its challenge."""
        return self.is_under_way() or self.challenge is None or self.may_ask()

    def is_under_way(self) -> bool:
        """Whether a login is being signed, or waits for its answer."""
        return self.stage in (LoginStage.ASKED, LoginStage.SENT)

    def ask_signature(self) -> str:
        """Note that the caller is asked to sign the newest challenge, and return it."""
        assert self.challenge is not None
        self.stage, self._tried = LoginStage.ASKED, self.challenge
        self._attempts += 1
        return self.challenge

    def send(self, event_id: EventId) -> None:
        """Note that a signed login was sent."""
        self.stage, self.sent_id, self._tried = LoginStage.SENT, event_id, self.challenge

    def answer(self, accepted: bool) -> None:
        """Note the relay's OK to the login, even a late one."""
        self.stage, self.sent_id = (LoginStage.DONE if accepted else LoginStage.REFUSED), None
        self.successes += accepted

    def refuse(self) -> None:
        """Note that the caller will not sign."""
        self.stage = LoginStage.REFUSED

    def put_off(self) -> None:
        """Note that the caller could not sign for now: the challenge may be tried again, and no attempt is lost."""
        self.stage, self._tried = LoginStage.IDLE, None

    def drop_stale(self) -> None:
        """Note that the signed challenge is no longer the newest one."""
        self.stage = LoginStage.IDLE

    def give_up(self) -> None:
        """Note that no signature, or no answer, came in time: the same challenge may be tried again later."""
        if self.stage is LoginStage.ASKED:
            self._attempts -= 1  # our signer was slow, which is not the relay's doing
        self.stage, self._tried = LoginStage.IDLE, None
