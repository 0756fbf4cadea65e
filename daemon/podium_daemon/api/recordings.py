"""Recordings, and the reports of players. Lengths in seconds, times in Unix seconds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from podium_daemon.api.base import EventModel, Model


class RecordingRunOut(Model):
    """The recording of one run. `reason` and `notes` are sent to instructor and co-hosts, `recorded` and `consents` to
    participants too.
    """

    run: int
    state: str
    progress: Annotated[int, Field(description="percent, while it is processed")]
    access: Annotated[str, Field(description="who may see it: participants, or public")]
    url: Annotated[str | None, Field(description="of the file; a recording for participants is not public")]
    sha256: str | None
    size: Annotated[int | None, Field(description="bytes")]
    length: float | None
    media_type: str | None
    published_at: int | None
    recorded: Annotated[int | None, Field(description="how many people are in it")]
    consents: Annotated[int | None, Field(description="how many signed consents are kept with it")]
    reason: str | None
    notes: tuple[str, ...]


class RecordingsOut(Model):
    """`agreed`: whether the caller has agreed to this policy; null for callers who are not known.

    `undecided`, sent to instructor and co-hosts: people in the room who have not agreed.
    """

    is_recording: bool
    policy: str
    policy_hash: str
    agreed: bool | None
    recordings: tuple[RecordingRunOut, ...]
    undecided: tuple[str, ...]


class RecordingOut(Model):
    recording_url: str | None


class ConsentAnswerOut(Model):
    given: bool


class ConsentEventOut(Model):
    """A signed answer. `event` is the join proof, or the later call, that gave it."""

    pubkey: str
    npub: str
    given: bool
    policy_hash: str
    kept_at: int
    event: EventModel


class PolicyOut(Model):
    """The recording policy in one language (a BCP 47 tag)."""

    language: str
    policy: str
    policy_hash: str


class ConsentEventsOut(Model):
    """`policies`: the texts in force in every language, since answers name theirs by its SHA-256."""

    lesson_id: str
    policy: Annotated[str, Field(description="the text in force, in the language of the call")]
    policy_hash: str
    policies: tuple[PolicyOut, ...]
    consents: tuple[ConsentEventOut, ...]


_Part = Annotated[list[float], Field(min_length=2, max_length=2, description="from and to")]


class SeenOut(Model):
    """What the caller has seen of a recording; each second counts once."""

    watched: float
    percent: int
    parts: Annotated[tuple[_Part, ...], Field(description="what was seen, in order; very short gaps are left out")]
    completed_at: int | None


class WatchingOut(Model):
    """An open player. Reports carry `Authorization: Podium <secret>`."""

    secret: Annotated[str, Field(repr=False)]
    url: Annotated[str, Field(description="what to play")]
    media_type: str
    length: float
    seen: SeenOut


class PlayedIn(Model):
    """Segments of the recording that were played since the last report, in their order."""

    segments: Annotated[list[_Part], Field(max_length=100)]
