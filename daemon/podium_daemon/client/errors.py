"""What can go wrong between a program and a daemon. Each error says which side has to act."""

from __future__ import annotations

from podium_protocol.errors import PodiumError, RemoteProtocolError


class DaemonUnreachable(PodiumError):
    """No answer from the daemon's address, or the connection broke: it is not known whether the call was done.

    Args:
        text: what happened.
        is_closed: nothing could be connected to, so the call was not done.
    """

    def __init__(self, text: str, *, is_closed: bool = False) -> None:
        super().__init__(text)
        self.is_closed = is_closed


class ApiProblem(PodiumError):
    """The daemon refused a call, with its reason and its advice.

    Args:
        status: HTTP status.
        slug: the last part of the problem's type; stable, for programs.
        detail: what was wrong.
        next_step: what to do about it.
    """

    def __init__(self, status: int, slug: str, detail: str, next_step: str) -> None:
        super().__init__("\n".join(filter(None, (detail, next_step))))
        self.status = status
        self.slug = slug
        self.detail = detail
        self.next_step = next_step


class DraftRefused(RemoteProtocolError):
    """The daemon composed an event that was not asked for. Nothing was signed."""


class TurnedAway(PodiumError):
    """The door of a room refused the person; `reason` is stable, the text is for people."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text or reason)
        self.reason = reason


class StillWaiting(PodiumError):
    """The person was not let in within the given time; `reason` is the last reason to wait."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not let in yet: {reason or 'no reason was told'}")
        self.reason = reason
