"""What the doctor finds."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium_daemon.cli import doctor
from podium_daemon.cli.doctor import Check, Verdict
from podium_daemon.config import Config, load_config
from podium_daemon.keys.key_file import write_key_file
from podium_daemon.runtime.state_directory import lock_state_directory
from podium_protocol import kinds
from podium_protocol.nips.nip19 import encode_npub, encode_nsec
from podium_storage.meta import Meta
from podium_storage.mirror.mirror import Mirror
from podium_storage.projections.sessions import SessionProjection
from podium_storage.store import Store
from tests.support.events import NOW, verified
from tests.support.relays import new_key


def config_in(folder: Path, **values: object) -> Config:
    """A configuration whose state is in `folder` and whose ports are free."""
    overrides = {"storage.state_directory": str(folder / "state"), "web.port": 0, "embedded.port": 0}
    return load_config(
        None, overrides | {key.replace("__", "."): value for key, value in values.items()}, environment={}
    )


async def answers(_url: str) -> str | None:
    """A relay that answers."""
    return None


async def silent(_url: str) -> str | None:
    """A relay that does not."""
    return "cannot be reached"


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which a program listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


async def test_a_good_machine_passes_every_check(tmp_path: Path) -> None:
    """With a key, a meeting and a free port nothing is found but ok."""
    config = config_in(tmp_path, conference__meeting_url="https://meet.example.org/x")
    config.state_directory.mkdir()
    write_key_file(config.key_file, new_key())
    found = await doctor.examine(config, environment={}, reach=answers)
    assert {check.verdict for check in found} == {Verdict.OK}
    assert {"key", "state directory", "web port", "public URL", "libsecp256k1", "SQLite", "relays"} <= {
        check.name for check in found
    }


async def test_whatever_is_not_ok_comes_with_advice(tmp_path: Path, taken_port: int) -> None:
    """Each finding that is not ok says what to do."""
    config = config_in(
        tmp_path,
        web__port=taken_port,
        web__public_url="http://live.example.org",
        relays="wss://a.example.org,ws://b.example.org",
        conference__engine="link",
    )
    found = await doctor.examine(config, environment={}, reach=silent)
    troubled = [check for check in found if check.verdict is not Verdict.OK]
    assert {check.name for check in troubled} == {"key", "web port", "public URL", "conference", "relay"}
    assert all(check.advice for check in troubled)


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("1.14.0", Verdict.OK), ("1.16.2", Verdict.OK), ("1.13.0", Verdict.FAIL), ("1.17.0", Verdict.FAIL)],
)
def test_the_embedded_engine_is_told_what_it_stands_on(version: str, verdict: Verdict) -> None:
    """A library whose private names nobody looked at is not tried out in a lesson."""
    check = doctor.check_aiortc(version)
    assert check.verdict is verdict
    assert version in check.detail
    assert bool(check.advice) == (verdict is Verdict.FAIL)


def test_the_embedded_engine_needs_no_meeting(tmp_path: Path) -> None:
    """Its rooms are its own."""
    assert doctor.check_meeting(config_in(tmp_path)).verdict is Verdict.OK


def test_the_key_is_named_by_its_public_half(tmp_path: Path) -> None:
    """The finding tells whose key it is and where, never the secret."""
    secret = new_key()
    write_key_file(tmp_path / "key", secret)
    found = doctor.check_key(config_in(tmp_path), {}, tmp_path / "key")
    assert encode_npub(secret.pubkey) in found.detail
    assert secret.expose().hex() not in found.detail


def test_a_key_file_open_to_others_fails(tmp_path: Path) -> None:
    """The command that closes the file is in the finding."""
    write_key_file(tmp_path / "key", new_key())
    (tmp_path / "key").chmod(0o644)
    found = doctor.check_key(config_in(tmp_path), {}, tmp_path / "key")
    assert found.verdict is Verdict.FAIL
    assert "chmod 600" in found.detail


def test_a_key_in_the_environment_is_a_warning_and_stays_there(tmp_path: Path) -> None:
    """The doctor looks and takes nothing away."""
    environment = {"PODIUM_SECRET_KEY": encode_nsec(new_key())}
    config = config_in(tmp_path, identity__allow_environment_key=True)
    assert doctor.check_key(config, environment, None).verdict is Verdict.WARN
    assert "PODIUM_SECRET_KEY" in environment


def test_a_running_daemon_is_told_with_its_pid_and_its_ports_are_its_own(tmp_path: Path, taken_port: int) -> None:
    """While the daemon runs, its ports are in use as they should be."""
    config = config_in(tmp_path, web__port=taken_port)
    with lock_state_directory(config.state_directory):
        assert f"process {os.getpid()}" in doctor.check_state_directory(config.state_directory).detail
        assert [check.verdict for check in doctor.check_ports(config)] == [Verdict.OK, Verdict.OK]
    assert next(doctor.check_ports(config)).verdict is Verdict.FAIL


def test_a_file_in_the_place_of_the_state_directory_fails(tmp_path: Path) -> None:
    """Nothing can be kept there."""
    (tmp_path / "state").write_text("")
    assert doctor.check_state_directory(tmp_path / "state").verdict is Verdict.FAIL


def test_a_state_directory_that_cannot_be_made_fails(tmp_path: Path) -> None:
    """A place in which no folder can be made is told before the daemon starts."""
    (tmp_path / "file").write_text("")
    assert doctor.check_state_directory(tmp_path / "file" / "a" / "state").verdict is Verdict.FAIL


def test_a_host_that_is_not_this_machines_fails(tmp_path: Path) -> None:
    """An address of another machine cannot be listened on."""
    config = config_in(tmp_path, web__host="192.0.2.1", web__port=7448)
    found = next(doctor.check_ports(config))
    assert found.verdict is Verdict.FAIL
    assert "web.port" in found.advice


@pytest.mark.parametrize(
    ("url", "verdict"),
    [
        ("https://live.example.org", Verdict.OK),
        ("http://localhost:7448", Verdict.OK),
        ("http://127.0.0.1:7448", Verdict.OK),
        ("http://[::1]:7448", Verdict.OK),
        ("http://live.example.org", Verdict.WARN),
        ("http://192.168.1.5:7448", Verdict.WARN),
        ("http://localhost.example.org", Verdict.WARN),
    ],
)
def test_browsers_give_cameras_to_https_and_localhost_only(url: str, verdict: Verdict) -> None:
    """Plain http elsewhere is a warning: getUserMedia is not there."""
    assert doctor.check_public_url(url).verdict is verdict


def test_a_clock_before_this_program_was_written_is_wrong() -> None:
    """A machine without a battery starts in 1970; its sessions would never start."""
    assert doctor.check_clock(0.0, is_monotonic=True).verdict is Verdict.FAIL
    assert doctor.check_clock(1_800_000_000.0, is_monotonic=True).verdict is Verdict.OK
    assert doctor.check_clock(1_800_000_000.0, is_monotonic=False).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("version", "verdict"), [((3, 36, 9), Verdict.FAIL), ((3, 37, 0), Verdict.OK), ((3, 40, 1), Verdict.OK)]
)
def test_strict_tables_need_sqlite_3_37(version: tuple[int, ...], verdict: Verdict) -> None:
    """An older SQLite is refused before it meets a schema it does not know."""
    assert doctor.check_sqlite(version).verdict is verdict


async def test_each_relay_is_told_with_its_trouble(tmp_path: Path) -> None:
    """A relay that answers without encryption over the network is a warning, one that does not answer a failure."""

    async def reach(url: str) -> str | None:
        return "no answer within 10 s" if "dead" in url else None

    config = config_in(
        tmp_path, relays="wss://good.example.org,ws://plain.example.org,ws://127.0.0.1:1,wss://dead.example.org"
    )
    found = await doctor.check_relays(config, reach)
    assert [check.verdict for check in found] == [Verdict.OK, Verdict.WARN, Verdict.OK, Verdict.FAIL]
    assert found[3] == Check(
        "relay",
        Verdict.FAIL,
        "wss://dead.example.org: no answer within 10 s",
        "Correct its URL, or list another relay.",
    )


async def test_the_daemons_own_relay_is_asked_while_it_runs(tmp_path: Path) -> None:
    """It may take connections and answer nothing; before a start there is none to ask."""

    async def hangs(_url: str) -> str | None:
        return "no answer within 10 s"

    config = config_in(tmp_path, embedded__port=7449)
    config.state_directory.mkdir(mode=0o700)
    assert [check.verdict for check in await doctor.check_relays(config, hangs)] == [Verdict.OK]
    with lock_state_directory(config.state_directory):
        (found,) = await doctor.check_relays(config, hangs)
    assert (found.verdict, found.detail) == (Verdict.FAIL, f"{config.embedded_url}: no answer within 10 s")


class TestJanus:
    """The engine that needs a program of Debian's."""

    @staticmethod
    def _program(folder: Path, says: str) -> str:
        program = folder / "janus"
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o700)
        return str(program)

    @pytest.mark.parametrize(
        ("version", "verdict"),
        [("1.1.2", Verdict.WARN), ("1.4.0", Verdict.WARN), ("1.4.1", Verdict.OK), ("2.0.0", Verdict.OK)],
    )
    def test_an_old_one_is_warned_of(self, tmp_path: Path, version: str, verdict: Verdict) -> None:
        """Before 1.4.1 a person in a room can reach memory errors."""
        check = doctor.check_janus(self._program(tmp_path, f"Janus version: 1102 ({version})"))
        assert check.verdict is verdict
        assert version in check.detail
        assert bool(check.advice) == (verdict is not Verdict.OK)

    def test_a_program_that_is_missing_or_another_fails(self, tmp_path: Path) -> None:
        """The daemon would have no rooms."""
        for program in (str(tmp_path / "nowhere"), self._program(tmp_path, "hello")):
            check = doctor.check_janus(program)
            assert check.verdict is Verdict.FAIL
            assert check.advice


@pytest.mark.parametrize("engine", ["bigbluebutton", "livekit"])
def test_an_engine_without_its_server_fails(tmp_path: Path, engine: str) -> None:
    """A chosen engine whose server nobody named is said before the daemon is started."""
    missing = doctor.check_meeting(config_in(tmp_path, conference__engine=engine))
    assert missing.verdict is Verdict.FAIL
    assert "docs/engines.md" in missing.advice
    url = {"bigbluebutton": "https://bbb.example.org/bigbluebutton/", "livekit": "wss://livekit.example.org"}[engine]
    named = config_in(tmp_path, conference__engine=engine, **{f"conference__{engine}__url": url})
    assert doctor.check_meeting(named).verdict is Verdict.OK


async def test_what_instructors_signed_in_vain_is_found_in_the_database(tmp_path: Path) -> None:
    """A revision that does not count is named with its reason, other events by number; without either all is well."""
    config = config_in(tmp_path)
    config.state_directory.mkdir()
    service, instructor = new_key(), new_key()
    assert list(doctor.check_sessions(config)) == []
    async with await Store.open(config.database_file) as store:
        await Meta(store.database).bind_service(service.pubkey, now=NOW)
        projection = SessionProjection(store.sessions, service=service.pubkey, accepts=lambda _session: True)
        mirror = Mirror(store.database, store.interner, [projection])
        base = (("d", "knots"), ("start", str(NOW)), ("p", service.pubkey))
        good = verified(instructor, kind=kinds.SESSION, tags=(*base, ("title", "Knots")), created_at=NOW)
        await mirror.ingest([good], received_at=NOW)
        (found,) = doctor.check_sessions(config)
        assert found.verdict is Verdict.OK
        other = verified(instructor, kind=kinds.SESSION, tags=(("d", "dinner"), ("title", "Dinner")), created_at=NOW)
        await mirror.ingest([other], received_at=NOW)
        (found,) = doctor.check_sessions(config)
        assert (found.verdict, found.detail[:8]) == (Verdict.WARN, "1 events")
        await mirror.ingest([verified(instructor, kind=kinds.SESSION, tags=base, created_at=NOW + 1)], received_at=NOW)
        (found,) = doctor.check_sessions(config)
        assert (found.verdict, found.detail) == (Verdict.WARN, "Knots: the last change does not count, no title")
        assert "podium session passed-over" in found.advice


async def test_a_database_at_its_budget_is_told(tmp_path: Path) -> None:
    """Strangers' events are refused then: the operator is told what to do about it."""
    config = config_in(tmp_path, storage__max_megabytes=1)
    config.state_directory.mkdir()
    assert list(doctor.check_budget(config)) == []
    async with await Store.open(config.database_file) as store:
        (check,) = doctor.check_budget(config)
        assert check.verdict is Verdict.OK
        rows = [(f"{number}", "x" * 1_000) for number in range(1_100)]
        await store.database.transact(lambda tx: tx.execute_many("INSERT INTO meta (name, value) VALUES (?, ?)", rows))
    (check,) = doctor.check_budget(config)
    assert check.verdict is Verdict.WARN
    assert "what strangers send is refused" in check.detail
    assert list(doctor.check_budget(config_in(tmp_path, storage__max_megabytes=0))) == []
