"""A known secret key goes through a whole day of the daemon and is looked for in every place where it must not be."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import nostr_sdk as sdk
import pytest
import pytest_asyncio

from tests.support.installed import Daemon, Said, Site, free_port, offsets
from tests.support.outsiders import outsiders, send
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

READS = (
    ("key", "show", "--json"),
    ("config", "show", "--json"),
    ("config", "show"),
    ("config", "check", "--json"),
    ("doctor", "--json"),
    ("relays", "check", "--json"),
    ("session", "list", "--json"),
    ("session", "show", "knots", "--json"),
    ("rsvps", "knots", "--json"),
    ("attendance", "knots", "--json"),
    ("reminders", "knots", "--json"),
)
ROUTES = ("/api/service", "/api/relays", "/api/sessions", "/openapi.json", "/metrics", "/readyz", "/api/nothing")


class Canary:
    """The key, and everything that was collected while it was in use."""

    def __init__(self, site: Site, keys: sdk.Keys) -> None:
        self.site = site
        self.pubkey = keys.public_key().to_hex()
        secret = keys.secret_key()
        raw = bytes.fromhex(secret.to_hex())
        bech32 = secret.to_bech32().removeprefix("nsec1")[:50]  # without the checksum
        self._forms = {
            "hex": raw.hex().encode(),
            "HEX": raw.hex().upper().encode(),
            "nsec": bech32.encode(),
            "NSEC": bech32.upper().encode(),
            "bytes": raw,
            "base64": base64.b64encode(raw).rstrip(b"=")[:42],
            "base64url": base64.urlsafe_b64encode(raw).rstrip(b"=")[:42],
            "repr": repr(raw)[2:-1].encode(),
            "decimal": str(int.from_bytes(raw)).encode(),
        }
        self.processes: dict[str, bytes] = {}
        self.commands: dict[str, bytes] = {}
        self.answers: dict[str, bytes] = {}
        self.crash = Said(0, "", "")

    def found_in(self, places: dict[str, bytes]) -> list[tuple[str, str]]:
        """Where the key is, and in which form."""
        assert places
        return [
            (place, form) for place, text in places.items() for form, secret in self._forms.items() if secret in text
        ]

    def files(self) -> dict[str, bytes]:
        """Every file of the daemon's but the key itself: database, write-ahead log, relay, logs, configuration."""
        files = (path for path in self.site.folder.rglob("*") if path.is_file() and path != self.site.key_file)
        return {str(path.relative_to(self.site.folder)): path.read_bytes() for path in files}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def canary(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Canary]:
    """A day with the noisiest log there is: its own relay, a session with messages, refused calls, and a crash."""
    relay_port = free_port()
    settings = {"embedded.port": relay_port, "logging.level": "debug", **offsets(60, 50, 2)}
    site = Site(tmp_path_factory.mktemp("canary") / "site", relays=[], settings=settings)
    keys = sdk.Keys.generate()
    imported = await site.podium("key", "import", site.key_file, stdin=keys.secret_key().to_bech32().encode())
    assert imported.code == 0, imported
    bird = Canary(site, keys)
    bird.commands["key import"] = imported.text.encode()
    daemon = await site.start()
    try:
        await daemon.until_ready()
        await _live_a_day(bird, f"ws://127.0.0.1:{relay_port}")
        bird.processes = _processes(daemon)
        await _crash(bird, daemon)
    finally:
        await daemon.stop()
    yield bird


async def _live_a_day(bird: Canary, relay_url: str) -> None:
    site = bird.site
    async with outsiders(relay_url, 1) as (ada,):
        await ada.open_inbox()
        made = await site.podium("session", "create", "Knots", "--at", "+4s", "--id", "knots", "--json")
        bird.commands["session create"] = made.text.encode()
        session_address = made.json()["lessonId"]
        await ada.answer(session_address, "accepted")

        async def live_now() -> bool:
            return any(letter.subject.startswith("Live now") for letter in ada.letters)

        await until(live_now, "messages were signed and sent")
        seat = await ada.join(site.base, "knots", session_address)
        assert seat.is_taken
        said = await asyncio.gather(*(site.podium(*command) for command in READS))
        bird.commands |= {" ".join(command): one.text.encode() for command, one in zip(READS, said, strict=True)}
        bird.answers |= {route: await _body(site.base + route) for route in ROUTES}
        await _provoke(bird, ada.sign(27235, [["u", "http://elsewhere.example/"], ["method", "GET"]]))
        await seat.leave()
        ended = await site.podium("session", "end", "knots")
        assert ended.code == 0, ended
        wrapped = [event for event in ada.heard if event["kind"] == 1059]
        bird.answers["messages"] = json.dumps([*wrapped, *(letter.rumor for letter in ada.letters)]).encode()


async def _provoke(bird: Canary, login: dict[str, Any]) -> None:
    """Calls that are refused: errors are where secrets get out."""
    for path, body in (("/api/events", b"{"), ("/api/sessions/draft", b"[1]"), ("/api/sessions/knots/join", b"")):
        refused = await send("POST", bird.site.base + path, body, login)
        assert 400 <= refused.status < 500
        bird.answers[f"refused {path}"] = json.dumps(refused.body).encode()


async def _body(url: str) -> bytes:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return (await client.get(url)).content


def _processes(daemon: Daemon) -> dict[str, bytes]:
    """What other programs of this user can read of the daemon and of its relay."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    assert children, "the embedded relay is a process of its own"
    return {f"{pid} {what}": _read(Path(f"/proc/{pid}/{what}")) for pid in (daemon.pid, *children) for what in _PROC}


_PROC = ("cmdline", "environ", "comm", "maps")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read()


async def _crash(bird: Canary, daemon: Daemon) -> None:
    """Spoil the daemon's database, so that it fails for good and reports it."""
    for name in ("podium.sqlite3", "podium.sqlite3-wal"):
        path = bird.site.state / name
        with path.open("r+b") as file:
            file.write(b"not a database. " * (path.stat().st_size // 16))

    async def has_reported() -> bool:
        with contextlib.suppress(httpx.TransportError):
            broken = await send("GET", f"{bird.site.base}/api/sessions/knots")
            bird.answers["broken"] = json.dumps(broken.body).encode()
        return daemon.process.returncode is not None

    await until(has_reported, "it reported that its database is damaged")


async def test_the_key_was_really_used(canary: Canary) -> None:
    """The daemon ran with this key, its public half is all over the place, and a crash was really provoked."""
    assert canary.pubkey.encode() in canary.commands["key show --json"]
    assert canary.pubkey.encode() in canary.answers["/api/service"]
    assert b"Live now" in canary.answers["messages"]
    assert canary.found_in({"its own file": canary.site.key_file.read_bytes()}) == [("its own file", "nsec")]
    assert "is damaged" in canary.site.texts()


async def test_the_key_is_in_no_file_but_its_own(canary: Canary) -> None:
    """Neither database nor write-ahead log, relay storage, debug log with tracebacks or configuration holds it."""
    files = canary.files()
    assert any("podium.sqlite3" in name for name in files)
    assert any("daemon.log" in name for name in files)
    assert canary.found_in(files) == []


async def test_the_key_is_not_what_other_programs_see_of_the_process(canary: Canary) -> None:
    """Command line and environment of the daemon and of its relay are clean."""
    assert canary.found_in(canary.processes) == []


async def test_the_key_is_in_no_output_of_a_command(canary: Canary) -> None:
    """No command shows it, the import of the key itself included."""
    assert len(canary.commands) == len(READS) + 2
    assert canary.found_in(canary.commands) == []


async def test_the_key_is_in_no_answer_over_http(canary: Canary) -> None:
    """No route gives it, none of the refusals and broken answers either, and no message carries it."""
    assert canary.found_in(canary.answers) == []


async def test_a_key_in_the_environment_is_taken_out_of_it(tmp_path: Path) -> None:
    """Allowed or not, a key in PODIUM_SECRET_KEY reaches neither the embedded relay's environment nor any file."""
    site = Site(tmp_path, relays=[], settings={"embedded.port": free_port(), "logging.level": "debug"})
    keys = sdk.Keys.generate()
    nsec = keys.secret_key().to_bech32()
    refused = await site.podium("run", PODIUM_SECRET_KEY=nsec)
    assert refused.code == 5, refused
    assert nsec[5:30] not in refused.text
    site.set(identity__allow_environment_key=True)
    async with site.started(PODIUM_SECRET_KEY=nsec) as daemon:
        await daemon.until_ready()
        bird = Canary(site, keys)
        assert (await send("GET", f"{site.base}/api/service")).body["servicePubkey"] == bird.pubkey
        own = {f"{daemon.pid} environ", f"{daemon.pid} maps"}  # the kernel keeps what a process was started with
        assert bird.found_in({name: text for name, text in _processes(daemon).items() if name not in own}) == []
    assert bird.found_in(bird.files()) == []
