"""The session that a person names: finding it, and showing it on a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from podium_daemon.cli.output import fields, print_answer
from podium_daemon.cli.times import shown_time
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput
from podium_protocol.events import pubkey_or_none
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.nips import nip19
from podium_protocol.nips.nip19 import encode_npub

if TYPE_CHECKING:
    from podium_daemon.api.sessions import SessionOut
    from podium_daemon.client import PodiumClient


_ENTITY: Final = re.compile(r"(nostr:)?n(sec|cryptsec|pub|profile|event|addr|ote)1", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]{1,512}")


async def find_session(podium: PodiumClient, reference: str) -> SessionOut:
    """The session named by naddr, address or the beginning of its `d`.

    Raises:
        InvalidInput: it names something else, or more than one.
        ApiProblem: the daemon does not know it.
    """
    return await podium.session(await plain_reference(podium, reference))


async def plain_reference(podium: PodiumClient, reference: str) -> str:
    """The reference in a form that no proxy and no router reads otherwise: an naddr, or plain characters.

    A path with escaped characters may be signed in one spelling and checked in another.
    """
    trimmed = reference.strip()
    if not trimmed:
        raise InvalidInput("SESSION is empty: give an naddr, an address, or the beginning of an identifier")
    if _ENTITY.match(trimmed):
        return nip19.encode_naddr(nip19.parse_address(trimmed))
    if (address := Address.parse(trimmed)) is not None:
        return nip19.encode_naddr(address)
    return trimmed if _PLAIN.fullmatch(trimmed) else await _by_prefix(podium, trimmed)


async def _by_prefix(podium: PodiumClient, prefix: str) -> str:
    matching = [one for one in await podium.sessions() if one.identifier.startswith(prefix)]
    exact = [one for one in matching if one.identifier == prefix]
    found = exact or matching
    if len(found) != 1:
        raise InvalidInput(
            f"SESSION: {len(found)} sessions begin like that; `podium session list` shows their identifiers"
        )
    return found[0].naddr


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
        "series": one.series_number and f"date {one.series_number}; all dates: podium session dates {one.identifier}",
        "state": one.state + (f" ({one.end_reason})" if one.end_reason else ""),
        "blocked": one.blocked_reason,
        "last change": one.unread_reason and f"does not count: {one.unread_reason}",
        "reason": one.cancel_reason and one.cancel_reason.replace("\n", " "),
        "start": shown_time(one.scheduled_at, zone),
        "end": shown_time(one.ends_at, zone),
        "doors open": shown_time(one.doors_open_at, zone) if one.state == SessionState.SCHEDULED else None,
        "duration": f"{one.duration} min",
        "started": shown_time(one.started_at, zone) or None,
        "ended": shown_time(one.ended_at, zone) or None,
        "instructor": _instructor(one),
        "answers": _answers(one),
        "seats": _seats(one),
        "in the room": one.participant_count or None,
        "rules": _rules(one),
        "recording": one.recording_url or (None if one.recording_state == "none" else one.recording_state),
        "join": one.join_url,
        "session": one.naddr,
    }


def _instructor(one: SessionOut) -> str:
    npub = npub_or_hex(one.instructor_pubkey)
    return f"{one.instructor_name} ({npub})" if one.instructor_name else npub


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
