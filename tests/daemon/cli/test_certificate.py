"""`podium certificate verify`: offline, from any of a certificate's forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from podium_protocol.live.certificate import link_to
from podium_protocol.nips.nip19 import encode_npub
from tests.daemon.cli.conftest import CommandLine
from tests.protocol.live.test_certificate import PARTICIPANT, SERVICE, issued


@pytest.fixture
def podium(own_home: Path) -> CommandLine:
    """A command line that has no daemon."""
    return CommandLine(own_home, None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A text that a person was sent, with the link in it."""
    path = tmp_path / "certificate.txt"
    path.write_text(f"See {link_to(issued(), public_url='https://school.example')}\n", encoding="utf-8")
    return path


def test_a_good_certificate_is_shown(podium: CommandLine, file: Path) -> None:
    """Name, session, minutes and both keys are printed; exit code 0."""
    done = podium("certificate", "verify", str(file))
    assert done.exit_code == 0, done.output
    for part in (
        "holds",
        "Ana",
        "Knots for beginners",
        "31",
        encode_npub(SERVICE.pubkey),
        encode_npub(PARTICIPANT.pubkey),
    ):
        assert part in done.stdout


def test_json_is_for_programs(podium: CommandLine) -> None:
    """The bare event on standard input, the answer as JSON."""
    done = podium("certificate", "verify", "-", "--json", given=issued().to_json().decode())
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["valid"], said["minutes"], said["service"]) == (True, 31, SERVICE.pubkey)


def test_another_service_is_not_taken_for_the_one_asked_for(podium: CommandLine, file: Path) -> None:
    """A signature that holds is not enough where a key was named; exit code 1."""
    assert podium("certificate", "verify", str(file), "--service", encode_npub(SERVICE.pubkey)).exit_code == 0
    done = podium("certificate", "verify", str(file), "--service", encode_npub(PARTICIPANT.pubkey))
    assert done.exit_code == 1
    assert "not by --service" in done.stderr


@pytest.mark.parametrize("content", [b"", b"hello", b'{"kind": 1}', b"\xff\xfe"])
def test_what_is_none_is_refused_with_a_reason(podium: CommandLine, tmp_path: Path, content: bytes) -> None:
    """Any other file is no certificate; exit code 1."""
    path = tmp_path / "file"
    path.write_bytes(content)
    done = podium("certificate", "verify", str(path))
    assert done.exit_code == 1
    assert "is no certificate" in done.stderr


def test_a_changed_certificate_is_found_out(podium: CommandLine, tmp_path: Path) -> None:
    """A name that was changed breaks the signature."""
    path = tmp_path / "forged.json"
    path.write_bytes(issued().to_json().replace(b'"Ana"', b'"Eve"'))
    done = podium("certificate", "verify", str(path))
    assert done.exit_code == 1
    assert "signature" in done.stderr


def test_a_file_that_is_not_there(podium: CommandLine, tmp_path: Path) -> None:
    """It says which file cannot be read."""
    done = podium("certificate", "verify", str(tmp_path / "none.svg"))
    assert done.exit_code == 1
    assert "cannot read" in done.stderr
