"""Which messages are sent when."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field

from podium_daemon.config.values import PositiveSeconds, Seconds, Section


class BeforeStart(Section):
    """A reminder before the start: due `before` it, and sent no later than `window` after it was due."""

    enabled: bool = Field(default=True, description="Send it.")
    before: PositiveSeconds = Field(description="How long before the start it is due.")
    window: PositiveSeconds = Field(description="How long after it was due it may still be sent.")


class DayReminder(BeforeStart):
    """The first reminder."""

    before: PositiveSeconds = Field(default=86_400, description="How long before the start it is due.")
    window: PositiveSeconds = Field(
        default=22 * 3600, description="How long after it was due it may still be sent: until 2 h before the start."
    )


class HourReminder(BeforeStart):
    """The second reminder."""

    before: PositiveSeconds = Field(default=3600, description="How long before the start it is due.")
    window: PositiveSeconds = Field(
        default=40 * 60, description="How long after it was due it may still be sent: until 20 min before the start."
    )


class QuarterReminder(BeforeStart):
    """The third reminder, with the link."""

    before: PositiveSeconds = Field(default=15 * 60, description="How long before the start it is due.")
    window: PositiveSeconds = Field(
        default=15 * 60, description="How long after it was due it may still be sent: until the start."
    )


class StartReminder(Section):
    """The message at the start, with the link."""

    enabled: bool = Field(default=True, description="Send it.")
    window: PositiveSeconds = Field(default=15 * 60, description="How long after the start it may still be sent.")


class RecordingReminder(Section):
    """The message that a recording is available."""

    enabled: bool = Field(default=True, description="Send it.")
    window: PositiveSeconds = Field(default=14 * 86_400, description="How long after publication it may still be sent.")


class EnabledOffset(NamedTuple):
    """One enabled reminder around the start. Seconds."""

    name: Literal["day", "hour", "quarter", "start"]
    before: int
    window: int


class RemindersSection(Section):
    """Private messages to those who confirmed or answered tentatively."""

    confirmation: bool = Field(default=True, description="Confirm each RSVP by one message.")
    confirmation_window: Seconds = Field(
        default=600, description="A reminder due within this time after a confirmation is left out."
    )
    debounce: Seconds = Field(default=600, description="How long after the last move a moved session is announced.")
    debounce_skip: Seconds = Field(
        default=1800, description="It is announced at once when the new start is nearer than this."
    )
    late_after: Seconds = Field(
        default=60, description="A message later than this is written again with the time that really remains."
    )
    undeliverable_recheck: PositiveSeconds = Field(
        default=3600, description="How often to look again for the message relays of people who had none."
    )
    prepare_ahead: Seconds = Field(default=600, description="How long ahead messages are encrypted and signed.")
    rewrap_recent: bool = Field(
        default=True,
        description="Send a message that a relay refuses for its date once more, dated within the last ten minutes.",
    )
    personal_links: bool = Field(
        default=True,
        description="The links in messages sign their recipient in, for that session and without a signer. false: they "
        "lead to the page only, also those that were sent before.",
    )
    day: DayReminder = Field(default_factory=DayReminder)
    hour: HourReminder = Field(default_factory=HourReminder)
    quarter: QuarterReminder = Field(default_factory=QuarterReminder)
    start: StartReminder = Field(default_factory=StartReminder)
    recording: RecordingReminder = Field(default_factory=RecordingReminder)

    def offsets(self) -> tuple[EnabledOffset, ...]:
        """The enabled reminders around the start, earliest first."""
        before: tuple[tuple[Literal["day", "hour", "quarter"], BeforeStart], ...]
        before = (("day", self.day), ("hour", self.hour), ("quarter", self.quarter))
        found = [EnabledOffset(name, reminder.before, reminder.window) for name, reminder in before if reminder.enabled]
        return (*found, *([EnabledOffset("start", 0, self.start.window)] if self.start.enabled else []))
