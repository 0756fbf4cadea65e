"""`podium guests`: links are made, listed, renewed and taken back."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from podium_protocol.nips.nip19 import encode_npub
from tests.daemon.cli.conftest import CommandLine, Knots
from tests.support.events import key_of
from tests.support.scripted_daemon import Call, Reply, ScriptedDaemon, as_json

ANA, BEA = key_of(5).pubkey, key_of(6).pubkey


def guest(pubkey: str, name: str, state: str = "new", link: str | None = None) -> dict[str, object]:
    """One guest as the daemon tells of it."""
    return {
        "pubkey": pubkey,
        "npub": encode_npub(key_of(5 if pubkey == ANA else 6).pubkey),
        "name": name,
        "assurance": "link",
        "state": state,
        "createdAt": 1,
        "hasOwnKey": False,
        "link": link,
    }


class Desk:
    """What the daemon was asked for."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self.changed: list[str] = []

    def invite(self, call: Call) -> Reply:
        """Links for these names."""
        assert isinstance(call.body, dict)
        self.names.append(call.body["names"])
        made = [guest(ANA, name, link=f"http://podium/s/knots#guest={name}") for name in call.body["names"]]
        return as_json({"policy": "invited", "guests": made})

    def revoke(self, _call: Call) -> Reply:
        """Taken back."""
        self.changed.append("revoke")
        return as_json(guest(ANA, "Ana", "revoked"))

    def renew(self, _call: Call) -> Reply:
        """A new link."""
        self.changed.append("renew")
        return as_json(guest(ANA, "Ana", link="http://podium/s/knots#guest=new"))


@pytest.fixture
def desk(daemon: ScriptedDaemon, knots: Knots) -> Desk:
    """A daemon with two guests."""
    found = Desk()
    listed = as_json({"policy": "invited", "guests": [guest(ANA, "Ana", "opened"), guest(BEA, "Bea")]})
    for name in ("knots", knots.naddr):
        daemon.routes |= {
            f"GET /api/sessions/{name}/guests": listed,
            f"POST /api/sessions/{name}/guests": found.invite,
            f"POST /api/sessions/{name}/guests/{ANA}/revoke": found.revoke,
            f"POST /api/sessions/{name}/guests/{ANA}/renew": found.renew,
        }
    return found


def test_links_are_shown_once(podium: CommandLine, desk: Desk) -> None:
    """Each name with its link."""
    said = podium("guests", "add", "knots", "Ana", "Bea")
    assert said.exit_code == 0, said.output
    assert desk.names == [["Ana", "Bea"]]
    assert "#guest=Ana" in said.stdout
    assert "#guest=Bea" in said.stdout


def test_names_come_from_a_file_and_links_go_to_one(podium: CommandLine, desk: Desk, tmp_path: Path) -> None:
    """The first column, below a heading; what a spreadsheet would calculate is made a text; no file is overwritten."""
    given, written = tmp_path / "class.csv", tmp_path / "links.csv"
    given.write_text("\ufeffname,age\r\nAna,7\r\n\r\n=1+1,8\r\n")
    said = podium("guests", "add", "knots", "--csv", str(given), "--links", str(written))
    assert said.exit_code == 0, said.output
    assert desk.names == [["Ana", "=1+1"]]
    rows = list(csv.reader(written.read_text().splitlines()))
    assert [row[0] for row in rows] == ["name", "Ana", "'=1+1"]
    assert "#guest=" not in said.stdout
    assert written.stat().st_mode & 0o777 == 0o600
    assert podium("guests", "add", "knots", "Ana", "--links", str(written)).exit_code == 1


@pytest.mark.usefixtures("desk")
def test_guests_are_listed(podium: CommandLine) -> None:
    """Name, how they are known, how their link stands."""
    said = podium("guests", "list", "knots")
    assert said.exit_code == 0, said.output
    assert "Ana" in said.stdout
    assert "opened" in said.stdout


def test_a_link_is_renewed_and_taken_back_by_name(podium: CommandLine, desk: Desk) -> None:
    """Taking back asks on a terminal, and does nothing without one."""
    assert "#guest=new" in podium("guests", "renew", "knots", "Ana", "--yes").stdout
    assert podium("guests", "revoke", "knots", "Ana").exit_code == 2
    assert podium("guests", "revoke", "knots", "Ana", "--yes").exit_code == 0
    assert desk.changed == ["renew", "revoke"]
    unknown = podium("guests", "revoke", "knots", "Cy", "--yes")
    assert unknown.exit_code == 1
    assert "no guest" in unknown.output


@pytest.mark.usefixtures("desk")
def test_nobody_is_no_list(podium: CommandLine) -> None:
    """Without a name nothing is asked of the daemon."""
    assert podium("guests", "add", "knots").exit_code == 2
