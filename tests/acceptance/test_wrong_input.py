"""What people get wrong: each mistake is told in one sentence that names it and the next step, and changes nothing."""

from __future__ import annotations

import asyncio
import re
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nostr_sdk as sdk
import pytest
import pytest_asyncio

from tests.support.installed import Home, Said, Site, free_port
from tests.support.outsiders import Outsider, outsiders, send
from tests.support.relays import running_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILED, USAGE, CONFIG, SIGNER = 1, 2, 3, 5
SESSION = 31923


class Wrong:
    """A running daemon, and people who get things wrong."""

    def __init__(self, site: Site, service: str, person: Outsider) -> None:
        self.site = site
        self.service = service
        self.person = person

    async def create(self, *options: str) -> Said:
        """`podium session create` with these options."""
        return await self.site.podium("session", "create", "Knots", *options)

    async def nothing_was_scheduled(self) -> bool:
        """Neither here nor on the relay."""
        listed = await send("GET", f"{self.site.base}/api/sessions")
        return listed.body["sessions"] == [] and await self.person.find(SESSION) == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wrong(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wrong]:
    """One daemon for all mistakes: none of them may hurt it."""
    async with running_relay() as relay, outsiders(relay.url, 1) as (person,):
        site = Site(tmp_path_factory.mktemp("wrong") / "site", relays=[relay.url])
        service = await site.make_key()
        async with site.running():
            yield Wrong(site, service, person)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A person's empty home."""
    return Home(tmp_path / "home")


def is_one_complaint(said: Said) -> bool:
    """No traceback, nothing on standard output, and the program's name once."""
    return said.out == "" and "Traceback" not in said.err and said.err.count("podium: ") == 1


# -- configuration and keys


async def test_an_unknown_key_is_refused_with_the_nearest_name(home: Home) -> None:
    """A misspelt key of the configuration stops the daemon with exit code 3, the file's name and the right key."""

    async def refuses(number: int, line: str, nearest: str) -> None:
        config = home.folder / f"{number}.toml"
        config.write_text(line + "\n")
        said = await home.podium("run", "--config", str(config))
        assert said.code == CONFIG, said
        assert is_one_complaint(said)
        assert str(config) in said.err
        assert f"did you mean {nearest}?" in said.err

    await asyncio.gather(
        refuses(1, "[web]\nprot = 8000", "web.port"),
        refuses(2, "[reminders.day]\nbefor = 60", "reminders.day.before"),
        refuses(3, "[instructor]\nallow = []", "instructors"),
        refuses(4, '[[relays]]\nulr = "ws://127.0.0.1:1"', "relays.url"),
    )


async def test_everything_wrong_in_a_file_is_told_at_once(home: Home) -> None:
    """Three mistakes are three lines, each with its key, what was expected and what stood there."""
    config = home.folder / "relays.toml"
    config.write_text('[web]\nport = 99999\n[lifecycle]\ndoors = "soon"\n[conference]\nengine = "zoom"\n')
    said = await home.podium("config", "check", "--config", str(config))
    assert said.code == CONFIG
    for key, value in (("web.port", "99999"), ("lifecycle.doors", "soon"), ("conference.engine", "zoom")):
        (line,) = [line for line in said.err.splitlines() if f"{key}:" in line]
        assert "expected" in line
        assert value in line


async def test_a_key_file_that_others_can_read_is_refused(wrong: Wrong, tmp_path: Path) -> None:
    """Neither a command nor the daemon signs with a key that others may have; the mode and what mends it are told."""

    async def refuses(mode: int, *command: str) -> None:
        key_file = tmp_path / f"{mode:o}.key"
        key_file.write_bytes(wrong.site.key_file.read_bytes())
        key_file.chmod(mode)
        said = await wrong.site.podium(*command, key=key_file)
        assert said.code == SIGNER, said
        assert is_one_complaint(said)
        assert f"{mode:04o}" in said.err
        assert f"chmod 600 {key_file}" in said.err
        assert stat.S_IMODE(key_file.stat().st_mode) == mode, "it was repaired in silence"

    await asyncio.gather(
        refuses(0o644, "session", "list"),
        refuses(0o640, "key", "show"),
        refuses(0o604, "run", "--state", str(tmp_path / "state"), "--port", str(free_port())),
    )


NSEC_PLACES = (
    ("session", "create", "Knots", "--at", "+1h", "--co-host", "{nsec}"),
    ("session", "create", "Knots", "--at", "+1h", "--invite", "nostr:{nsec}"),
    ("session", "create", "{nsec}", "--at", "+1h"),
    ("session", "show", "{nsec}"),
    ("rsvp", "{nsec}", "confirmed"),
    ("--key", "{nsec}", "key", "show"),
    ("key", "import", "{nsec}"),
)


async def test_an_nsec_on_the_command_line_is_refused_and_never_repeated(wrong: Wrong) -> None:
    """Wherever a secret key is put on the command line, it is neither used, nor shown, nor stored."""

    async def refuses(place: tuple[str, ...]) -> None:
        nsec = sdk.Keys.generate().secret_key().to_bech32()
        said = await wrong.site.podium(*(part.format(nsec=nsec) for part in place))
        assert said.code == USAGE, said
        assert is_one_complaint(said)
        assert "secret key" in said.err
        assert nsec[5:30] not in said.text
        assert not _holds(wrong.site.folder, nsec)

    await asyncio.gather(*map(refuses, NSEC_PLACES))
    assert await wrong.nothing_was_scheduled()


SECRET_LINES = {
    "a pubkey's place": '[instructors]\nallow = ["{nsec}"]',
    "a path": '[identity]\nkey_file = "{nsec}"',
    "a comment": "# my key: {nsec}",
    "a name": '[identity]\nservice_name = "{nsec}"',
    "an unknown key": '[identity]\nsecret = "{hex}"',
    "not quite a pubkey": '[instructors]\nallow = ["{hex}x"]',
}


async def test_a_secret_in_the_configuration_is_refused_and_never_repeated(home: Home) -> None:
    """A secret key in the file, wherever it stands, stops every command and appears in no message."""

    async def refuses(name: str, line: str, command: tuple[str, ...]) -> None:
        secret = sdk.Keys.generate().secret_key()
        config = home.folder / f"{name}.toml"
        config.write_text(line.format(nsec=secret.to_bech32(), hex=secret.to_hex()) + "\n")
        said = await home.podium(*command, "--config", str(config))
        assert said.code == CONFIG, (name, said)
        assert secret.to_bech32()[5:30] not in said.text
        assert secret.to_hex() not in said.text

    commands = (("run",), ("doctor",), ("config", "check"))
    cases = zip(SECRET_LINES.items(), commands * 2, strict=True)
    await asyncio.gather(*(refuses(name, line, command) for (name, line), command in cases))


async def test_a_secret_handed_to_the_running_daemon_is_not_kept(wrong: Wrong) -> None:
    """A person who sends an nsec as a session's reference or inside a draft over HTTP finds it nowhere afterwards."""
    secret = sdk.Keys.generate().secret_key()
    base = wrong.site.base
    shown = await wrong.person.call("GET", f"{base}/api/sessions/{secret.to_bech32()}")
    drafted = await wrong.person.call(
        "POST", f"{base}/api/sessions/draft", {"title": "x", "coHosts": [secret.to_bech32()]}
    )
    assert 400 <= shown.status < 500
    assert 400 <= drafted.status < 500
    assert secret.to_bech32()[5:30] not in str(shown.body) + str(drafted.body)
    assert not _holds(wrong.site.folder, secret.to_bech32())


def _holds(folder: Path, secret: str) -> list[Path]:
    needle = secret[5:30].encode()
    return [path for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


# -- sessions


async def test_a_session_in_the_past_is_refused(wrong: Wrong) -> None:
    """A start that is over is an error of the person's, told as such, and nothing is published."""
    said = await wrong.create("--at", "2020-02-03 18:00", "--tz", "Europe/Berlin")
    assert said.code == FAILED, said
    assert is_one_complaint(said)
    assert "past" in said.err
    assert await wrong.nothing_was_scheduled()


async def test_a_duration_that_is_none_is_refused(wrong: Wrong) -> None:
    """An end that is not after the start, or days later, is refused with what is expected."""

    async def refuses(duration: str) -> None:
        said = await wrong.create("--at", "+1h", f"--duration={duration}")
        assert said.code in (FAILED, USAGE), said
        assert is_one_complaint(said)
        assert "duration" in said.err
        assert "expected" in said.err

    await asyncio.gather(*map(refuses, ("0", "-30", "0 min", "25 h", "an hour", "90 s")))
    assert await wrong.nothing_was_scheduled()


async def test_an_event_that_ends_before_it_starts_is_refused(wrong: Wrong) -> None:
    """Signed by a person's own client and handed in over HTTP, it is refused with the reason and not passed on."""
    now = int(time.time())
    tags = [["d", "upside-down"], ["title", "x"], ["start", str(now + 900)], ["end", str(now + 300)]]
    event = wrong.person.sign(SESSION, [*tags, ["t", "live-session"], ["p", wrong.service, "", "service"]])
    answer = await wrong.person.call("POST", f"{wrong.site.base}/api/events", {"events": [event]})
    assert 400 <= answer.status < 500, answer
    assert answer.body["type"] == "urn:podium:problem:not-a-session"
    assert "end" in answer.body["detail"]
    assert await wrong.nothing_was_scheduled()


async def test_an_unknown_time_zone_is_refused_with_the_nearest(wrong: Wrong) -> None:
    """A misspelt zone is answered with the one that was probably meant."""

    async def refuses(zone: str, nearest: str) -> None:
        said = await wrong.create("--at", "2030-12-01 18:00", "--tz", zone)
        assert said.code == USAGE, said
        assert is_one_complaint(said)
        assert nearest in said.err

    pairs = (("Europe/Berln", "Europe/Berlin"), ("berlin", "Europe/Berlin"), ("America/New_Yrok", "America/New_York"))
    await asyncio.gather(*(refuses(*pair) for pair in pairs))


async def test_an_hour_that_the_clocks_skip_or_show_twice_is_refused(wrong: Wrong) -> None:
    """A local time that does not exist, or exists twice, is refused with the times that can be meant."""
    skipped, twice = await asyncio.gather(
        wrong.create("--at", "2030-03-31 02:30", "--tz", "Europe/Berlin"),
        wrong.create("--at", "2030-10-27 02:30", "--tz", "Europe/Berlin"),
    )
    for said in (skipped, twice):
        assert said.code == USAGE, said
        assert is_one_complaint(said)
    assert "01:59" in skipped.err
    assert "03:00" in skipped.err
    assert {"+01:00", "+02:00"} <= set(re.findall(r"[+]\d\d:\d\d", twice.err)), twice.err
    assert await wrong.nothing_was_scheduled()


async def test_a_session_that_is_not_there_is_named_as_such(wrong: Wrong) -> None:
    """An unknown reference and an empty one are refused with the command that lists sessions."""
    unknown, empty = await asyncio.gather(
        wrong.site.podium("session", "show", "nowhere"), wrong.site.podium("session", "show", "")
    )
    assert (unknown.code, empty.code) == (FAILED, USAGE), (unknown, empty)
    assert is_one_complaint(unknown)
    assert is_one_complaint(empty)
    assert "podium session list" in unknown.err


async def test_encryption_that_the_engine_cannot_promise_is_refused(wrong: Wrong) -> None:
    """With a meeting on another server, `--e2ee` says that it cannot be had here; nothing is published."""
    said = await wrong.create("--at", "+1h", "--e2ee")
    assert said.code == FAILED, said
    assert "--e2ee" in said.err
    assert await wrong.nothing_was_scheduled()
