"""A command line with a home of its own, and a daemon to talk to."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import structlog
from typer.testing import CliRunner, Result

from podium_daemon.api.sessions import AcceptedEvent, SessionOut
from podium_daemon.cli import app
from podium_daemon.keys.key_file import write_key_file
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.live.session import SessionSpec, cancel, write_session
from podium_protocol.nips.nip19 import encode_naddr
from tests.support.answers import answer
from tests.support.relays import new_key
from tests.support.scripted_daemon import Call, Reply, ScriptedDaemon, as_json, scripted_daemon

STARTS_AT = 1_900_000_800


class CommandLine:
    """Runs `podium` in this process."""

    def __init__(self, home: Path, url: str | None) -> None:
        self.home = home
        self.url = url

    def __call__(self, *arguments: str, given: str | None = None) -> Result:
        """The outcome of one command, with the key of `home` and the daemon's address."""
        address = ["--url", self.url] if self.url else []
        return CliRunner().invoke(app, [*self.options(), *address, *arguments], input=given)

    def options(self) -> list[str]:
        """What stands before every command."""
        return ["--key", str(self.home / "caller.key"), "--state", str(self.home / "state")]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the configuration of the developer who runs it."""
    names = ("PODIUM_CONFIG", "PODIUM_SECRET_KEY", "PODIUM_SECRET_KEY_FILE", "PODIUM_PASSWORD_FILE")
    for name in (*names, "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """What a command does to the logs of its process ends with the test."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    yield
    structlog.reset_defaults()
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def key(own_home: Path) -> SecretKey:
    """The caller's key, in the file that the command line names."""
    secret = new_key()
    write_key_file(own_home / "caller.key", secret)
    return secret


@pytest.fixture
def daemon() -> Iterator[ScriptedDaemon]:
    """A daemon that answers as the test tells it."""
    with scripted_daemon() as running:
        yield running


@pytest.fixture
def podium(own_home: Path, key: SecretKey, daemon: ScriptedDaemon) -> CommandLine:  # noqa: ARG001  (makes the key file)
    """The command line of a person with a key."""
    return CommandLine(own_home, daemon.url)


class Knots:
    """One session of the caller's, as the daemon would compose and show it."""

    def __init__(self, author: SecretKey, daemon: ScriptedDaemon) -> None:
        self.author = author
        self.service = new_key().pubkey
        self.address = Address(kinds.SESSION, author.pubkey, "knots")
        self.naddr = encode_naddr(self.address)
        self.sent: list[VerifiedEvent] = []
        self.relays = ["wss://relay.example.org"]
        base = f"/api/sessions/{self.naddr}"
        daemon.routes |= {
            "POST /api/sessions/draft": self.draft,
            "POST /api/events": self.take,
            "GET /api/sessions": as_json({"sessions": [self.shown()], "next": None}),
            "GET /api/sessions/knots": as_json(self.shown()),
            f"GET {base}": as_json(self.shown()),
            f"POST {base}/draft": self.draft_edit,
            f"POST {base}/cancel/draft": self.cancellation,
            f"POST {base}/rsvp/draft": self.draft_rsvp,
        }

    def shown(self, **changes: object) -> dict[str, object]:
        """The session in the model's JSON."""
        values: dict[str, object] = {
            "lessonId": str(self.address),
            "naddr": self.naddr,
            "title": "Knots",
            "summary": "",
            "description": "",
            "state": "scheduled",
            "visibility": "public",
            "recordingState": "none",
            "scheduledAt": STARTS_AT,
            "duration": 60,
            "endsAt": STARTS_AT + 3600,
            "timezone": "Europe/Berlin",
            "instructorPubkey": self.author.pubkey,
            "maxParticipants": 12,
            "requiresRSVP": True,
            "waitingRoom": False,
            "seatsTaken": 2,
            "waitingCount": 1,
            "counts": {"confirmed": 2, "tentative": 1, "declined": 0},
            "joinUrl": f"https://live.example.org/s/{self.naddr}",
            "epoch": 0,
        }
        return answer(SessionOut, **values) | changes

    def event(self, **changes: object) -> UnsignedEvent:
        """The session's event."""
        fields = {"identifier": "knots", "title": "Knots", "starts_at": STARTS_AT, "duration_minutes": 60} | changes
        return write_session(
            msgspec.convert(fields, SessionSpec),
            instructor=self.author.pubkey,
            service=self.service,
            relay_hint="",
            join_url="https://live.example.org/s/x",
            now=int(time.time()),
        )

    def draft(self, call: Call) -> Reply:
        """A first revision of what was asked for."""
        wish = call.body
        assert isinstance(wish, dict)
        event = self.event(
            title=wish["title"],
            starts_at=wish["scheduledAt"],
            duration_minutes=wish["duration"],
            attendance=wish.get("attendance"),
        )
        return self.drafted(event, notice="Public: anybody can read this.")

    def draft_edit(self, call: Call) -> Reply:
        """The next revision."""
        wish = call.body
        assert isinstance(wish, dict)
        event = self.event(
            title=wish.get("title", "Knots"),
            starts_at=wish.get("scheduledAt", STARTS_AT),
            duration_minutes=wish.get("duration", 60),
            attendance=wish.get("attendance"),
        )
        return self.drafted(event)

    def cancellation(self, _call: Call | None = None) -> Reply:
        """The cancelled revision and its deletion."""
        return self.drafted(*cancel(self.event(), int(time.time())))

    def draft_rsvp(self, call: Call) -> Reply:
        """The caller's answer."""
        assert isinstance(call.body, dict)
        assert call.caller is not None
        status = RsvpStatus(call.body["status"])
        return self.drafted(write_rsvp(self.address, status, pubkey=call.caller, now=int(time.time())))

    def drafted(self, *events: UnsignedEvent, notice: str = "") -> Reply:
        """A draft of these events."""
        return as_json({"lessonId": str(self.address), "events": events, "notice": notice})

    def take(self, call: Call) -> Reply:
        """Verify what the caller signed, as the daemon does."""
        assert isinstance(call.body, dict)
        events = [verify(msgspec.convert(event, SignedEvent)) for event in call.body["events"]]
        assert all(isinstance(event, VerifiedEvent) for event in events)
        self.sent += [event for event in events if isinstance(event, VerifiedEvent)]
        rows = [
            answer(AcceptedEvent, id=event.id, kind=event.kind, lessonId=str(self.address), relays=self.relays)
            for event in self.sent
        ]
        return as_json({"accepted": rows})


@pytest.fixture
def knots(key: SecretKey, daemon: ScriptedDaemon) -> Knots:
    """A session at the daemon, by the caller."""
    return Knots(key, daemon)


@pytest.fixture
def stranger() -> Pubkey:
    """A person's public key."""
    return new_key().pubkey
