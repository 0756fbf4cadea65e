"""The words of our messages: the model's headlines exactly, then when the session is and what the reader can do.

The sentences are translated by the reader's `Language`. Babel's locale data are constant files, like the time zones.
Titles are arguments of the sentences and never part of a format, so braces in them are harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from babel.dates import format_date

from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.live.languages import ENGLISH, N_, Catalogue, Language
from podium_protocol.live.reminders import DEFAULT_POLICY, ReminderMessage, ReminderPolicy
from podium_protocol.live.replies import Unclear
from podium_protocol.nips import nip17
from podium_protocol.text import single_line
from podium_protocol.times import UTC, offset_name, zone_or_none

MAX_TITLE: Final = 200


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The subject of a message.

    Args:
        title: the session's, from a stranger.
        starts_at: Unix seconds.
        timezone: IANA name, the session's `start_tzid`.
        join_url: of the session's page; it is in every message.
        is_personal: the address signs the recipient in.
        needs_key: the room is encrypted from end to end, so that a link does not lead into it.
        position: on the waiting list, from 1.
        tentative: the recipient answered maybe.
        moved_from: the start people were told of before, for a message about a move.
        began_at: when the session really began, where it has.
        cancel_reason: the instructor's words, for a message about a cancellation; from a stranger, like the title.
    """

    title: str
    starts_at: int
    timezone: str
    join_url: str
    is_personal: bool = False
    needs_key: bool = False
    position: int = 0
    tentative: bool = False
    moved_from: int | None = None
    cancel_reason: str | None = None
    began_at: int | None = None


class Rendered(msgspec.Struct, frozen=True):
    """A finished text; its first line is the headline."""

    headline: str
    text: str


_HEADLINES: Final = {
    ReminderMessage.CONFIRMATION: N_("You are confirmed: {title}"),
    ReminderMessage.WAITLISTED: N_("You are number {position} on the waiting list: {title}"),
    ReminderMessage.PROMOTED: N_("A seat became free, you are confirmed: {title}"),
    ReminderMessage.DAY: N_("Tomorrow: {title} at {time}"),
    ReminderMessage.HOUR: N_("{title} starting in 1 hour"),
    ReminderMessage.QUARTER: N_("{title} starting soon - Join Now"),
    ReminderMessage.START: N_("Live now: {title}"),
    ReminderMessage.MOVED: N_("Moved: {title}"),
    ReminderMessage.CANCELLED: N_("Cancelled: {title}"),
    ReminderMessage.RESTORED: N_("It takes place after all: {title}"),
    ReminderMessage.RECORDING: N_("Recording available: {title}"),
    ReminderMessage.RECORDING_GONE: N_("Recording not available any more: {title}"),
    ReminderMessage.NO_SHOW: N_("Did not take place: {title}"),
}
_TENTATIVE: Final = N_("You may come: {title}")
_REMAINING: Final = N_("{title} starting {relative}")
_REMAINING_JOIN: Final = N_("{title} starting {relative} - Join Now")
_ANSWER: Final = N_(
    "Reply yes, maybe or no to change your answer, stop to get no more messages about this session, stop all for none "
    "at all."
)
_JOIN: Final = N_("Join: {url}")
_PAGE: Final = N_("The session's page: {url}")
PERSONAL: Final = N_("This link is for you alone: it signs you in to this session. Do not pass it on.")
PERSONAL_NEEDS_KEY: Final = N_(
    "This link is for you alone: it signs you in to this session's page. Do not pass it on. The room is encrypted from "
    "end to end: to enter it, open the page where your key is."
)
_SEATED: Final = frozenset({ReminderMessage.CONFIRMATION, ReminderMessage.PROMOTED, ReminderMessage.HOUR})
_DOORS: Final = 900  # seconds before the start
_STOP: Final = N_("Reply stop all to get no more messages.")
_HOUR: Final = 3600
_DAY: Final = 86_400


def render(
    message: ReminderMessage,
    subject: Subject,
    *,
    due_at: int,
    now: int,
    policy: ReminderPolicy = DEFAULT_POLICY,
    language: Language = ENGLISH,
) -> Rendered:
    """The text of one message.

    Args:
        message: the message to write.
        subject: the session it is about.
        due_at: when it is due, in Unix seconds.
        now: when it is sent, in Unix seconds. Before the due time (texts are prepared) and within a minute after it the
            reminder names its offset; later it names the real remaining time instead.
        policy: the offsets that the words depend on.
        language: the reader's.
    """
    late = now - due_at > policy.late_after
    at = now if late else due_at
    headline = _headline(_template(message, subject, at, policy, late=late), subject, at, language)
    sections = [headline, *_body(message, subject, at, language)]
    return Rendered(headline, "\n\n".join(sections))


def write_message(rendered: Rendered, *, service: Pubkey, recipient: Pubkey, due_at: int) -> UnsignedEvent:
    """Write the kind 14 rumor of a message (NIP-17).

    The same text gives the same rumor: `created_at` is the due time, so a retry after a crash makes no second message.
    """
    return nip17.write_message(service, recipient, rendered.text, created_at=due_at, subject=rendered.headline)


def spoken_time(at: int, timezone: str, language: Language = ENGLISH) -> str:
    """Weekday, date, time, zone and UTC offset: `Tuesday, 1 December 2026, 18:00 (Europe/Berlin, UTC+01:00)`."""
    local = _local(at, timezone)
    zone, offset = str(local.tzinfo), offset_name(local.utcoffset() or timedelta())
    place = zone if zone == offset else f"{zone}, {offset}"
    return f"{format_date(local, 'full', locale=language.locale)}, {local:%H:%M} ({place})"


def spoken_distance(seconds: int, language: Language = ENGLISH) -> str:
    """`in 1 hour 30 minutes`, `now`, `5 minutes ago`: the two largest units, broken ones cut off."""
    if seconds == 0:
        return language.catalogue.gettext(N_("now"))
    span = " ".join(_units(abs(seconds), language.catalogue))
    return language.catalogue.gettext(N_("in {span}") if seconds > 0 else N_("{span} ago")).format(span=span)


def _headline(template: str, subject: Subject, at: int, language: Language) -> str:
    return language.catalogue.gettext(template).format(
        title=single_line(subject.title, MAX_TITLE),
        time=f"{_local(subject.starts_at, subject.timezone):%H:%M}",
        relative=spoken_distance(subject.starts_at - at, language),
        position=subject.position,
    )


def _template(message: ReminderMessage, subject: Subject, at: int, policy: ReminderPolicy, *, late: bool) -> str:
    if message is ReminderMessage.CONFIRMATION and subject.tentative:
        return _TENTATIVE
    if message in _TIMED and (late or not _holds(message, subject, at, policy)):
        return _REMAINING_JOIN if message is ReminderMessage.QUARTER else _REMAINING
    return _HEADLINES[message]


_TIMED: Final = frozenset({ReminderMessage.DAY, ReminderMessage.HOUR, ReminderMessage.QUARTER})


def _holds(message: ReminderMessage, subject: Subject, at: int, policy: ReminderPolicy) -> bool:
    """Whether the model's words for a reminder are true when it is sent in time."""
    offset = policy.offset(message)
    if message is ReminderMessage.QUARTER or offset is None:
        return True
    if message is ReminderMessage.HOUR:
        return offset.spoken == _HOUR
    if offset.before != offset.spoken:  # time is compressed for the demo
        return offset.spoken == _DAY
    # 24 h before is the same date where the clocks are set back in between
    here, there = (_local(time, subject.timezone).date() for time in (at, subject.starts_at))
    return there - here == timedelta(days=1)


def _body(message: ReminderMessage, subject: Subject, at: int, language: Language) -> Iterator[str]:
    say = language.catalogue.gettext
    when = spoken_time(subject.starts_at, subject.timezone, language)
    if message is ReminderMessage.RECORDING:
        yield say(N_("You can watch the session of {when}:")).format(when=when)
        yield subject.join_url  # the page checks who may watch and gives credit; a link to the file would do neither
        if subject.is_personal:
            yield say(PERSONAL)
        yield say(_STOP)
        return
    if message is ReminderMessage.RECORDING_GONE:
        yield say(N_("The recording of the session of {when} was taken back by those who lead it.")).format(when=when)
        yield say(_PAGE).format(url=subject.join_url)
        yield say(_STOP)
        return
    if message is ReminderMessage.MOVED and subject.moved_from is not None:
        before = spoken_time(subject.moved_from, subject.timezone, language)
        yield say(N_("From: {before}\nTo: {when}")).format(before=before, when=when)
    else:
        yield when
    yield from _closing(message, subject, at, language)


def _closing(message: ReminderMessage, subject: Subject, at: int, language: Language) -> Iterator[str]:
    say = language.catalogue.gettext
    if message is ReminderMessage.CANCELLED:
        yield say(N_("The instructor cancelled the session."))
        if subject.cancel_reason:
            yield say(N_("Reason: {reason}")).format(reason=subject.cancel_reason)
        yield say(_PAGE).format(url=subject.join_url)
    elif message is ReminderMessage.NO_SHOW:
        yield say(N_("The instructor did not come."))
        yield say(_PAGE).format(url=subject.join_url)
    else:
        ahead = (subject.starts_at if subject.began_at is None else subject.began_at) - at
        begins = N_("It starts {relative}.") if ahead >= 0 else N_("It started {relative}.")
        yield say(begins).format(relative=spoken_distance(ahead, language))
        yield say(_JOIN if _may_join(message, ahead) else _PAGE).format(url=subject.join_url)
        if subject.is_personal:
            yield say(PERSONAL_NEEDS_KEY if subject.needs_key else PERSONAL)
        yield say(_ANSWER)
        return
    yield say(_STOP)


def _may_join(message: ReminderMessage, ahead: int) -> bool:
    """Whether the link leads into the room; before, and for people without a seat, it leads to the session's page."""
    if message in (ReminderMessage.QUARTER, ReminderMessage.START):
        return True
    return message in _SEATED and ahead <= _DOORS


def _units(seconds: int, catalogue: Catalogue) -> Iterator[str]:
    if seconds < 60:
        yield catalogue.ngettext("{n} second", "{n} seconds", seconds).format(n=seconds)
        return
    minutes = seconds // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        yield catalogue.ngettext("{n} day", "{n} days", days).format(n=days)
    if hours:
        yield catalogue.ngettext("{n} hour", "{n} hours", hours).format(n=hours)
    if rest and not days:
        yield catalogue.ngettext("{n} minute", "{n} minutes", rest).format(n=rest)


def _local(at: int, timezone: str) -> datetime:
    return datetime.fromtimestamp(at, zone_or_none(timezone) or UTC)


_MAX_TITLES: Final = 10
_WHICH: Final = N_("Which session do you mean?")
_HOW: Final = N_(
    "You said {reply}. Several sessions wait for you, so nothing was changed. Reply to a message about the session you "
    "mean (most apps call it reply or quote), with yes, maybe, no or stop."
)
_ALL: Final = N_("Reply stop all to get no more messages at all.")
_PUZZLED: Final = N_("That was not understood: {title}")
_AUTOMATIC: Final = N_(
    "These messages are written by a program, and nobody reads what you answer. You can reply yes, maybe or no to say "
    "whether you come, stop to get no more messages about this session, stop all for none at all."
)
_OVER: Final = N_("That session is over, so nothing was changed.")
_SAID: Final = (N_("yes"), N_("maybe"), N_("no"), N_("stop"), N_("stop all"))
"""What a reply can be, as `explain` names it."""


def explain_words(title: str, page: str | None, language: Language = ENGLISH) -> Rendered:
    """The answer to a reply that was not understood, about the session called `title`: it lists what can be said."""
    say = language.catalogue.gettext
    headline = say(_PUZZLED).format(title=single_line(title, MAX_TITLE))
    where = () if page is None else (say(_PAGE).format(url=page),)
    return Rendered(headline, "\n\n".join((headline, say(_AUTOMATIC), *where)))


def explain(why: Unclear, reply: str, titles: Sequence[str], language: Language = ENGLISH) -> Rendered:
    """The answer to an ambiguous reply, which lists the sessions it could mean, or to one that came too late."""
    say = language.catalogue.gettext
    if why is Unclear.OVER:
        return Rendered(say(_OVER), f"{say(_OVER)}\n\n{say(_ALL)}")
    listed = "\n".join(f"- {single_line(title, MAX_TITLE)}" for title in titles[:_MAX_TITLES])
    sections = (say(_WHICH), say(_HOW).format(reply=say(reply)), listed, say(_ALL))
    return Rendered(say(_WHICH), "\n\n".join(section for section in sections if section))


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose older revision stays in force, and the reason. `page` is where it can be edited."""

    title: str
    starts_at: int
    timezone: str
    reason: str
    page: str


def write_unread(
    told: Unread, *, service: Pubkey, recipient: Pubkey, created_at: int, language: Language = ENGLISH
) -> UnsignedEvent:
    """Write the kind 14 rumor (NIP-17) for the instructor; with the revision's `created_at` it is always the same."""
    say = language.catalogue.gettext
    headline = say(N_("Your last change could not be read: {title}")).format(title=single_line(told.title, MAX_TITLE))
    when = spoken_time(told.starts_at, told.timezone, language)
    text = "\n\n".join(
        (
            headline,
            say(N_("Reason: {reason}.")).format(reason=told.reason),
            say(N_("The session stays as it was: {when}.")).format(when=when),
            say(N_("Put this right where you made the change, or edit the session here: {page}")).format(
                page=told.page
            ),
        )
    )
    return nip17.write_message(service, recipient, text, created_at=created_at, subject=headline)
