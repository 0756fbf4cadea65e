"""What a reload changes in the parts of a whole daemon: every key is applied, or waits for a restart and is named.

The daemon is made and joined as for `podium run`, and is not run: its parts are looked at after `apply`.
"""

from __future__ import annotations

import enum
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from fastapi import FastAPI

from podium_daemon.app.core import Core, Current
from podium_daemon.app.reload import Reloader
from podium_daemon.app.run import Daemon
from podium_daemon.config import FIELDS, Config, RelaySection, changed_keys, restart_keys
from podium_daemon.config.changes import in_force, needs_restart, waiting_keys
from podium_daemon.config.values import Section
from podium_daemon.signers.signer import LocalSigner
from podium_protocol.errors import InvalidInput
from podium_protocol.keys import SecretKey
from podium_protocol.live.reminders import ReminderMessage
from podium_protocol.nips.nip11 import RelayLimits
from podium_protocol.relay_url import normalise
from podium_storage.meta import Meta
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow
from tests.support.clock import ManualClock
from tests.support.relays import new_key

HERE: Final = "ws://127.0.0.1:1"
THERE: Final = "ws://127.0.0.1:2"
MEETING: Final = "https://meet.example.org/one"
SOMEBODY: Final = new_key()
KEY: Final = SecretKey(bytes(range(1, 33)))


class Row(NamedTuple):
    """A new value of a key, and what parts of the daemon make of it: none of these values may stay as it was."""

    value: object
    seen: Callable[[Daemon], tuple[object, ...]]


def _lifecycle(name: str) -> Callable[[Daemon], tuple[object, ...]]:
    return lambda daemon: (getattr(daemon.parts.sessions.lifecycle.settings.policy, name),)


def _reminders(name: str) -> Callable[[Daemon], tuple[object, ...]]:
    return lambda daemon: (
        getattr(daemon.parts.messages.reminders.settings.planner.policy, name),
        getattr(daemon.parts.messages.reminders._wrapper.policy, name),
    )


def _offset(message: ReminderMessage) -> Callable[[Daemon], tuple[object, ...]]:
    def seen(daemon: Daemon) -> tuple[object, ...]:
        policies = (
            daemon.parts.messages.reminders.settings.planner.policy,
            daemon.parts.messages.reminders._wrapper.policy,
        )
        return tuple([each for each in policy.offsets if each.message == message] for policy in policies)

    return seen


def _attendance(name: str) -> Callable[[Daemon], tuple[object, ...]]:
    return lambda daemon: (getattr(daemon.parts.attendance.attendance.settings.policy, name),)


def _completion(name: str) -> Callable[[Daemon], tuple[object, ...]]:
    return lambda daemon: (
        getattr(daemon.parts.attendance.attendance.settings.completion, name),
        getattr(daemon.parts.rooms.watching._policy(), name),
    )


def _relays(daemon: Daemon) -> tuple[object, ...]:
    return (
        daemon.parts.relays.pool.urls("read"),
        daemon.parts.relays.pool.urls("dm"),
        daemon.parts.relays.syncer._past.relays,
        tuple(daemon.parts.core.write_relays()),
        tuple(daemon.parts.core.dm_relays()),
        tuple(daemon.web.context.views._hints()),
        tuple(daemon.web.context.drafts._hints()),
        tuple(relay.url for relay in daemon.parts.signers.mailboxes._own),
        tuple(daemon.web.context.service().relays),
        tuple(daemon.parts.signers.pages._relays()),
    )


def _work(daemon: Daemon) -> tuple[object, ...]:
    """The bits that are done for a relay that asks for ten."""
    daemon.parts.relays.pool._relays.known(normalise(HERE) or "")._information.limits = RelayLimits(
        min_pow_difficulty=10
    )
    return (daemon.parts.relays.mining._bits(), daemon.parts.relays.asked_by([HERE]).work)


ROW: Final = LiveSessionRow(
    session_address=f"31923:{SOMEBODY.pubkey}:knots",
    conference_room_id="room",
    scheduled_at=2_000_000_000,
    ends_at=2_000_003_600,
    duration=60,
    instructor_pubkey=SOMEBODY.pubkey,
    title="Knots",
    summary="",
    description="",
    requires_rsvp=False,
    waiting_room=False,
    allow_recording=False,
    e2ee_required=False,
    visibility="public",
    co_hosts=(),
    invited=(),
    state="scheduled",
    epoch=0,
    event_id="0" * 64,
    event_created_at=1,
    runs=(),
    adopted_at=1,
)


TABLE: Final[Mapping[str, Row]] = {
    "relays": Row((RelaySection(url=THERE),), _relays),
    "identity.language": Row(
        "de",
        lambda daemon: (
            daemon.parts.core.language(),
            daemon.parts.messages.reminders.settings.language,
        ),
    ),
    "identity.service_name": Row(
        "Others",
        lambda daemon: (
            daemon.parts.people.status.settings.space_name,
            daemon.parts.signers.pages.service_name,
            daemon.web.context.calendar().name,
            daemon.parts.people.announcements.face().name,
        ),
    ),
    "instructors.allow": Row(
        (SOMEBODY.pubkey,),
        lambda daemon: (
            daemon.parts.mirror.instructors.allows(SOMEBODY.pubkey),
            daemon.web.context.service().instructors,
        ),
    ),
    "publishing.proof_of_work": Row(7, _work),
    "outbox.enabled": Row(False, lambda daemon: (daemon.parts.relays.outbox_model.settings.enabled,)),
    "outbox.indexers": Row(
        ("wss://purple.example.org",), lambda daemon: (daemon.parts.relays.outbox_model.settings.indexers,)
    ),
    "reminders.confirmation": Row(
        False, lambda daemon: (daemon.parts.messages.reminders.settings.planner.confirmations,)
    ),
    "reminders.confirmation_window": Row(7, _reminders("quiet_after_confirmation")),
    "reminders.debounce": Row(7, _reminders("moved_debounce")),
    "reminders.debounce_skip": Row(7, _reminders("moved_at_once_under")),
    "reminders.late_after": Row(7, _reminders("late_after")),
    "reminders.undeliverable_recheck": Row(7, _reminders("recheck_every")),
    "reminders.personal_links": Row(False, lambda daemon: (daemon.parts.sessions.guests._links_in_messages(),)),
    "reminders.prepare_ahead": Row(7, lambda daemon: (daemon.parts.messages.reminders.settings.prepare_ahead,)),
    "reminders.rewrap_recent": Row(False, lambda daemon: (daemon.parts.messages.reminders.settings.rewrap_recent,)),
    "reminders.day.enabled": Row(False, _offset(ReminderMessage.DAY)),
    "reminders.day.before": Row(2 * 86_400, _offset(ReminderMessage.DAY)),
    "reminders.day.window": Row(7, _offset(ReminderMessage.DAY)),
    "reminders.hour.enabled": Row(False, _offset(ReminderMessage.HOUR)),
    "reminders.hour.before": Row(7200, _offset(ReminderMessage.HOUR)),
    "reminders.hour.window": Row(7, _offset(ReminderMessage.HOUR)),
    "reminders.quarter.enabled": Row(False, _offset(ReminderMessage.QUARTER)),
    "reminders.quarter.before": Row(600, _offset(ReminderMessage.QUARTER)),
    "reminders.quarter.window": Row(7, _offset(ReminderMessage.QUARTER)),
    "reminders.start.enabled": Row(False, _offset(ReminderMessage.START)),
    "reminders.start.window": Row(7, _offset(ReminderMessage.START)),
    "reminders.recording.enabled": Row(
        False, lambda daemon: (daemon.parts.messages.reminders.settings.planner.recordings,)
    ),
    "reminders.recording.window": Row(7, _reminders("recording_window")),
    "lifecycle.start_policy": Row(
        "instructor", lambda daemon: (daemon.parts.sessions.lifecycle.settings.start_policy,)
    ),
    "lifecycle.doors": Row(
        7,
        lambda daemon: (
            daemon.parts.sessions.lifecycle.settings.policy.doors_before,
            daemon.parts.rooms.rooms.settings.door.doors_before,
            daemon.parts.rooms.rooms._keeper.policy.doors_before,
            daemon.parts.relays.syncer.doors,
            daemon.web.context.views.sessions._doors(),
        ),
    ),
    "lifecycle.no_show": Row(7, _lifecycle("no_show_after")),
    "lifecycle.warning": Row(7, _lifecycle("warn_before_end")),
    "lifecycle.overrun": Row(7, _lifecycle("max_overrun")),
    "lifecycle.arrival_grace": Row(7, _lifecycle("arrival_grace")),
    "lifecycle.reopen": Row(7, _lifecycle("reopen_within")),
    "lifecycle.unclaimed_seats": Row(7, lambda daemon: (daemon.parts.messages.rsvps.policy.unclaimed_after,)),
    "lifecycle.live_refresh": Row(7, lambda daemon: (daemon.parts.people.status.settings.refresh,)),
    "lifecycle.announce_live_event": Row(
        True, lambda daemon: (daemon.parts.people.status.settings.announce_live_event,)
    ),
    "attendance.poll": Row(
        7,
        lambda daemon: (
            daemon.parts.attendance.attendance.settings.poll,
            daemon.parts.attendance.attendance.settings.policy.engine_heartbeat,
            daemon.parts.sessions.lifecycle.settings.policy.presence_grace,
        ),
    ),
    "attendance.bridge": Row(7, _attendance("bridge")),
    "attendance.presence_credit": Row(7, _attendance("presence_heartbeat")),
    "attendance.presence_skew": Row(7, _attendance("presence_skew")),
    "attendance.completion": Row("all", _completion("mode")),
    "attendance.minutes": Row(7, _completion("minimum_seconds")),
    "attendance.percent": Row(7, _completion("percent")),
    "attendance.recording_percent": Row(7, _completion("recording_percent")),
    "attendance.notice": Row("Others are told.", lambda daemon: (daemon.parts.rooms.rooms.settings.notice,)),
    "attendance.publish": Row(False, lambda daemon: (daemon.parts.mirror.projections.sessions._attendance(),)),
    "attendance.retention_days": Row(
        7, lambda daemon: (daemon.parts.housekeeping.housekeeping.retention_days, daemon.parts.core.kept_from())
    ),
    "conference.meeting_url": Row(
        "https://meet.example.org/two",
        lambda daemon: (
            daemon.parts.sessions.lifecycle.settings.room_of(ROW).meeting_url,
            daemon.parts.rooms.rooms.settings.room_of(ROW).meeting_url,
        ),
    ),
    "conference.auto_admit_confirmed": Row(
        True,
        lambda daemon: (
            daemon.parts.rooms.rooms.admits_confirmed,
            daemon.parts.rooms.rooms._keeper.policy.auto_admit_confirmed,
        ),
    ),
    "conference.resume": Row(
        7, lambda daemon: (daemon.parts.rooms.rooms.settings.resume, daemon.parts.rooms.rooms._returns.seconds)
    ),
    "recording.policy": Row(
        "Others.",
        lambda daemon: (
            daemon.parts.rooms.rooms.settings.recording_policies["en"],
            daemon.parts.rooms.recorder.settings.policies["en"],
        ),
    ),
    "recording.policy_de": Row(
        "Andere.",
        lambda daemon: (
            daemon.parts.rooms.rooms.settings.recording_policies["de"],
            daemon.parts.rooms.recorder.settings.policies["de"],
        ),
    ),
    "recording.access": Row("public", lambda daemon: (daemon.parts.mirror.projections.sessions._recording_access(),)),
    "recording.review": Row(False, lambda daemon: (daemon.parts.rooms.recorder._work.settings.review,)),
    "recording.layout": Row("grid", lambda daemon: (daemon.parts.rooms.recorder._work.settings.layout,)),
    "recording.keep_tracks": Row(True, lambda daemon: (daemon.parts.rooms.recorder._work.settings.keep_tracks,)),
    "recording.max_megabytes": Row(7, lambda daemon: (daemon.parts.rooms.recorder._work.settings.max_megabytes,)),
    "recording.transfer_within": Row(7, lambda daemon: (daemon.parts.rooms.blossom.within,)),
    "web.connections": Row(20, lambda daemon: (daemon.web.caps().in_all, daemon.web.context.connections())),
    "web.connections_per_address": Row(20, lambda daemon: (daemon.web.caps().of_an_address,)),
    "storage.max_megabytes": Row(7, lambda daemon: (daemon.parts.relays.admission.budget._most(),)),
    "logging.level": Row("error", lambda _: (logging.getLogger().level,)),
}
"""Every key that is not marked RESTART. A new key has its row here, or its mark."""

Made = Callable[[Config], Daemon]


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    """Makes daemons of one service, on one database."""
    before = logging.getLogger().level
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(await Store.open(tmp_path / "podium.sqlite3"))
        listener = stack.enter_context(socket.socket())

        def make(config: Config) -> Daemon:
            logging.getLogger().setLevel(config.logging.level.upper())
            core = Core(
                current=Current(config),
                store=store,
                meta=Meta(store.database),
                signer=LocalSigner(KEY),
                clock=ManualClock(),
                random_bytes=os.urandom,
            )
            return Daemon(core, listener)

        yield make
    logging.getLogger().setLevel(before)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """With which every daemon here starts."""
    given = {"relays": [{"url": HERE}], "conference": {"meeting_url": MEETING}}
    return _with(Config.model_validate(given), "storage.state_directory", tmp_path)


def _with(config: Config, key: str, value: object) -> Config:
    """The configuration with one other value."""

    def change(section: Section, names: list[str]) -> Section:
        name, *rest = names
        return section.model_copy(update={name: change(getattr(section, name), rest) if rest else value})

    changed = change(config, key.split("."))
    assert isinstance(changed, Config)
    return changed


def test_every_key_has_its_row_or_waits_for_a_restart() -> None:
    """A new key is either marked RESTART, or it is said here where a reload is seen."""
    assert TABLE.keys() == {key for key in FIELDS if not needs_restart(key)}


@pytest.mark.parametrize("key", TABLE)
async def test_a_reload_applies_the_key(key: str, made: Made, config: Config) -> None:
    """Every part that goes by it has another value after the reload, and the one that a restart would have given."""
    wanted = _with(config, key, TABLE[key].value)
    assert changed_keys(config, wanted) == (key,)
    restarted = TABLE[key].seen(made(wanted))
    daemon = made(config)
    before = TABLE[key].seen(daemon)
    daemon.apply(in_force(config, wanted))
    after = TABLE[key].seen(daemon)
    assert [old for old, new in zip(before, after, strict=True) if old == new] == []
    assert after == restarted


async def test_a_reloaded_daemon_is_as_one_that_started_so(made: Made, config: Config) -> None:
    """No part anywhere keeps a copy of an old value: what is in them is what a restart would have put there."""
    wanted = config
    for key, row in TABLE.items():
        wanted = _with(wanted, key, row.value)
    daemon = made(config)
    daemon.apply(in_force(config, wanted))
    reloaded, fresh, other = (_values(one) for one in (daemon, made(wanted), made(wanted)))
    chance = {path for path in fresh if fresh[path] != other.get(path)}
    told = {path: (reloaded.get(path), fresh.get(path)) for path in (reloaded.keys() | fresh.keys()) - chance}
    stale = {path: pair for path, pair in told.items() if pair[0] != pair[1] and not path.endswith(_ONCE)}
    assert stale == {}
    assert len(fresh) > 500


_ONCE: Final = ("._is_announced", "._look_at_all_at", "_gaps._tolerance")
"""What a reload sets off, and what is read at the start only."""

_ASKED: Final = ("._relay_state.session.", "._relay_state.shared.", "._relay_state._wanted.", "._subscriptions.")
"""What relays are asked for: a daemon that starts has asked nothing yet."""


def _values(daemon: Daemon) -> dict[str, object]:
    """Every plain value in the daemon's own objects, by the way to it."""
    found: dict[str, object] = {}
    seen: set[int] = set()
    left: list[tuple[str, Any]] = [("", daemon)]
    while left:
        path, value = left.pop(0)
        if isinstance(value, int | float | str | bytes | enum.Enum | None):
            if not any(part in path for part in _ASKED):
                found[path] = value
        elif isinstance(value, msgspec.Struct | tuple) or id(value) not in seen:  # parts may share a value
            seen.add(id(value))
            left += [(f"{path}.{name}", inside) for name, inside in _inside(value)]
    return found


def _inside(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, FastAPI):
        return list(value.state._state.items())
    if isinstance(value, dict):
        return [(str(key), inside) for key, inside in value.items()]
    if isinstance(value, list | tuple):
        return [(str(number), inside) for number, inside in enumerate(value)]
    if isinstance(value, msgspec.Struct):
        return [(name, getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, Config | Reloader) or not type(value).__module__.startswith("podium_"):
        return []
    return list(vars(value).items()) if hasattr(value, "__dict__") else []


async def test_keys_that_wait_for_a_restart_change_nothing_until_then(made: Made, config: Config) -> None:
    """Half of the parts with an old value and half with a new one would be worse than either."""
    wanted = _with(_with(config, "web.public_url", "https://other.example.org"), "conference.devices", 7)
    kept = in_force(config, wanted)
    assert kept == config
    daemon = made(config)
    before = _values(daemon)
    daemon.apply(kept)
    after = _values(daemon)
    assert {path for path in before if before[path] != after[path] and not path.endswith(_ONCE)} == set()


def test_all_that_waits_for_a_restart_is_named_at_every_reload(config: Config) -> None:
    """Also what an earlier reload changed, and what follows from other keys."""
    wanted = _with(config, "web.port", 1234)
    assert waiting_keys(config, wanted) == ("web.port",)
    again = _with(wanted, "lifecycle.doors", 7)
    assert restart_keys(changed_keys(wanted, again)) == ()
    assert waiting_keys(config, again) == ("web.port",)
    assert waiting_keys(config, _with(config, "conference.meeting_url", "")) == ("conference.engine",)
    assert waiting_keys(config, _with(config, "relays", ())) == ("embedded.enabled",)


async def test_relays_are_not_all_taken_away(made: Made, config: Config) -> None:
    """The embedded relay starts with the daemon only: a reload that would leave none is refused as a whole."""
    daemon = made(config)
    wanted = _with(_with(config, "relays", ()), "lifecycle.doors", 7)
    with pytest.raises(InvalidInput, match="restart"):
        daemon.apply(in_force(config, wanted))
    assert (daemon.parts.relays.pool.urls("read"), daemon.parts.relays.syncer.doors) == (
        (HERE,),
        config.lifecycle.doors,
    )


async def test_nobody_is_unreachable_before_they_were_looked_for_where_they_write(made: Made, config: Config) -> None:
    """What our own relays have told does not suffice, unless there is nobody else to ask."""
    daemon = made(_with(config, "outbox.indexers", ("wss://indexer.example.org",)))
    daemon.parts.relays.syncer._name_of[SOMEBODY.pubkey] = "people-0"
    daemon.parts.relays.syncer._past.marks[HERE, "people-0"] = 1
    assert daemon.parts.relays.lists_read(SOMEBODY.pubkey) is None
    daemon.parts.relays.outbox_model._plan.concern((), [SOMEBODY.pubkey], [HERE])
    assert daemon.parts.relays.lists_read(SOMEBODY.pubkey) is False
    daemon.parts.relays.outbox_model._plan.lists_were_asked([SOMEBODY.pubkey], 0.0, of_all=True)
    assert daemon.parts.relays.lists_read(SOMEBODY.pubkey) is True
    daemon.parts.relays.syncer._past.marks.clear()
    assert daemon.parts.relays.lists_read(SOMEBODY.pubkey) is False
    off = made(config)
    off.parts.relays.syncer._name_of[SOMEBODY.pubkey] = "people-0"
    off.parts.relays.syncer._past.marks[HERE, "people-0"] = 1
    assert off.parts.relays.lists_read(SOMEBODY.pubkey) is True
