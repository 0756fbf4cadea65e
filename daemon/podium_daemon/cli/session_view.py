"""One session on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium_daemon.cli.output import fields, print_answer
from podium_daemon.cli.times import shown_time
from podium_protocol.events import pubkey_or_none
from podium_protocol.nips.nip19 import encode_npub

if TYPE_CHECKING:
    from podium_daemon.api.sessions import SessionOut


def show_session(one: SessionOut, *, as_json: bool) -> None:
    """Print a session: as the daemon gave it, or for people."""
    if as_json:
        print_answer(one)
    else:
        fields(_rows(one))


def _rows(one: SessionOut) -> dict[str, object]:
    zone = one.timezone
    return {
        "title": one.title,
        "summary": one.summary or None,
        "state": one.state + (f" ({one.end_reason})" if one.end_reason else ""),
        "blocked": one.blocked_reason,
        "last change": one.unread_reason and f"does not count: {one.unread_reason}",
        "reason": one.cancel_reason and one.cancel_reason.replace("\n", " "),
        "start": shown_time(one.scheduled_at, zone),
        "end": shown_time(one.ends_at, zone),
        "duration": f"{one.duration} min",
        "started": shown_time(one.started_at, zone) or None,
        "ended": shown_time(one.ended_at, zone) or None,
        "instructor": npub_or_hex(one.instructor_pubkey),
        "answers": _answers(one),
        "seats": _seats(one),
        "in the room": one.participant_count or None,
        "rules": _rules(one),
        "recording": one.recording_url or (None if one.recording_state == "none" else one.recording_state),
        "join": one.join_url,
        "session": one.naddr,
    }


def _answers(one: SessionOut) -> str:
    counts = one.counts
    return f"{counts.confirmed} confirmed, {counts.tentative} tentative, {counts.declined} declined"


def _seats(one: SessionOut) -> str | None:
    if one.max_participants is None:
        return None
    waiting = f", {one.waiting_count} waiting" if one.waiting_count else ""
    return f"{one.seats_taken} of {one.max_participants} taken{waiting}"


def _rules(one: SessionOut) -> str:
    rules = {
        "RSVP required": one.requires_rsvp,
        "waiting room": one.waiting_room,
        "may be recorded": one.allow_recording,
        "recording for anybody": one.allow_recording and one.recording_access == "public",
        "attendance sealed": one.attendance == "private" and one.visibility == "public",
        "end-to-end encrypted": one.e2ee_required,
    }
    return ", ".join([one.visibility, *(name for name, holds in rules.items() if holds)])


def npub_or_hex(pubkey: str) -> str:
    """The npub of a key, or the text as it came where it is no key."""
    known = pubkey_or_none(pubkey)
    return pubkey if known is None else encode_npub(known)
