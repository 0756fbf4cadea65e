"""Connections to remote signers, kept in private files."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from podium_daemon.keys.secret_file import KeyFileError
from podium_daemon.signers.known_bunkers import KnownBunker, KnownBunkers
from podium_protocol.errors import InvalidInput
from tests.support.relays import new_key


def fresh() -> KnownBunker:
    """A connection to a signer of its own."""
    return KnownBunker(new_key().pubkey, new_key().pubkey, ("wss://a.example", "ws://127.0.0.1:7"), new_key())


def test_a_connection_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    """The same connection is read back from a file of mode 0600 in a folder of mode 0700; nothing shows its key."""
    bunkers, known = KnownBunkers(tmp_path / "a" / "signers"), fresh()
    path = bunkers.add(known)
    assert bunkers.get(known.signer) == known
    assert bunkers.all() == [known]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert known.client.expose().hex() not in repr(known)


def test_one_connection_is_not_put_over_another(tmp_path: Path) -> None:
    """A second one to the same signer is refused, and the first stays."""
    bunkers, known = KnownBunkers(tmp_path), fresh()
    bunkers.add(known)
    with pytest.raises(KeyFileError, match="exists already"):
        bunkers.add(KnownBunker(known.signer, known.user, known.relays, new_key()))
    assert bunkers.get(known.signer) == known


def test_a_signer_that_moved_is_known_on_its_new_relays_first(tmp_path: Path) -> None:
    """The key stays, the file stays private, and relays of older days are asked too, ten in all."""
    bunkers, known = KnownBunkers(tmp_path), fresh()
    path = bunkers.add(known)
    moved = bunkers.move(known, ["wss://new.example", known.relays[1], "https://none.example"])
    assert moved.relays == ("wss://new.example", known.relays[1], known.relays[0])
    assert bunkers.get(known.signer) == moved
    assert moved.client == known.client
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bunkers.move(moved, [known.relays[0]]) is moved
    many = bunkers.move(moved, [f"wss://{number}.example" for number in range(20)])
    assert many.relays == tuple(f"wss://{number}.example" for number in range(10))


def test_a_forgotten_connection_is_gone(tmp_path: Path) -> None:
    """Its key is removed; forgetting it again is told."""
    bunkers, known, other = KnownBunkers(tmp_path), fresh(), fresh()
    bunkers.add(known)
    bunkers.add(other)
    bunkers.forget(known.signer)
    assert (bunkers.get(known.signer), bunkers.all()) == (None, [other])
    with pytest.raises(InvalidInput, match="no connection"):
        bunkers.forget(known.signer)


def test_where_there_is_no_folder_nothing_is_known(tmp_path: Path) -> None:
    """Looking makes nothing."""
    bunkers = KnownBunkers(tmp_path / "none")
    assert (bunkers.all(), bunkers.get(new_key().pubkey), list(tmp_path.iterdir())) == ([], None, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"client": "nsec1qqqq"},
        {"client": "0" * 64},
        {"user": "f" * 64},
        {"signer": new_key().pubkey},
        {"relays": []},
        {"relays": ["https://a.example"]},
        {"relays": "wss://a.example"},
    ],
)
def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path, changes: dict[str, object]) -> None:
    """Each names the file and repeats no key; another signer's file under this name is damage too."""
    bunkers, known = KnownBunkers(tmp_path), fresh()
    path = bunkers.add(known)
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | changes))
    with pytest.raises(KeyFileError, match=str(path)) as caught:
        bunkers.get(known.signer)
    assert stored["client"] not in str(caught.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The rules of key files hold here."""
    bunkers, known = KnownBunkers(tmp_path), fresh()
    path = bunkers.add(known)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        bunkers.get(known.signer)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    """What is not named after a key is not read."""
    bunkers, known = KnownBunkers(tmp_path), fresh()
    bunkers.add(known)
    (tmp_path / "notes.json").write_text("mine")
    (tmp_path / f".{known.signer}.json.tmp").write_text("mine")
    assert bunkers.all() == [known]
