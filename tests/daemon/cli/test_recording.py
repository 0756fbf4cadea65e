"""`podium recording`."""

from __future__ import annotations

import hashlib
import json

import pytest

from podium_daemon.api.recordings import RecordingRunOut
from podium_daemon.api.rooms import RoomOut
from podium_protocol.nips import nip98
from podium_protocol.nips.nip19 import encode_npub
from tests.daemon.cli.conftest import CommandLine, Knots
from tests.support.answers import answer
from tests.support.relays import new_key
from tests.support.scripted_daemon import Call, Reply, ScriptedDaemon, as_json

CONTENT = b"a recording" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def run(daemon: ScriptedDaemon, **changes: object) -> dict[str, object]:
    """One recording as the daemon tells it."""
    values: dict[str, object] = {
        "state": "available",
        "progress": 100,
        "url": f"{daemon.url}/recordings/{DIGEST}.webm",
        "sha256": DIGEST,
        "size": 11_000_000,
        "length": 3725.4,
        "mediaType": "video/webm",
        "publishedAt": 1,
    }
    return answer(RecordingRunOut, **(values | changes))


def told(*runs: dict[str, object], **more: object) -> Reply:
    """The daemon's answer."""
    state = {"isRecording": False, "policy": "p", "policyHash": "h", "agreed": None, "undecided": []}
    return as_json(state | {"recordings": runs} | more)


@pytest.mark.parametrize("words", [("recording", "knots"), ("recording", "show", "knots")])
def test_each_run_stands_in_a_line(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon, words: tuple[str, ...]
) -> None:
    """State, length, size and address; `show` may be left out."""
    assert knots
    daemon.routes["GET /api/sessions/knots/recording"] = told(
        run(daemon), run(daemon, run=1, state="processing", progress=40, url=None, length=None, size=None)
    )
    done = podium(*words)
    assert done.exit_code == 0, done.output
    first, second = done.stdout.splitlines()[1:]
    assert all(part in first for part in ("available", "11.0 MB", f"{DIGEST}.webm"))
    assert "processing 40 %" in second


def test_why_it_failed_and_who_has_not_agreed_are_told(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon
) -> None:
    """The reason is in the line; people are named on standard error, without control characters."""
    assert knots
    key = new_key().pubkey
    failed = run(daemon, state="failed", url=None, reason="the disk\x1b[31m is full")
    daemon.routes["GET /api/sessions/knots/recording"] = told(failed, undecided=[key], isRecording=True)
    done = podium("recording", "knots")
    assert "is full" in done.stdout
    assert "\x1b" not in done.stdout
    assert encode_npub(key) in done.stderr


def test_json_is_the_daemons_answer(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """Nothing is left out of it."""
    assert knots
    daemon.routes["GET /api/sessions/knots/recording"] = told(run(daemon))
    assert json.loads(podium("recording", "knots", "--json").stdout)["recordings"] == [run(daemon)]


def test_retry_start_and_stop_are_signed_calls(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """Each is one call by the caller's key."""
    seen: list[object] = []

    def switch(call: Call) -> Reply:
        assert call.caller == knots.author.pubkey
        seen.append(call.body)
        return as_json(answer(RoomOut))

    daemon.routes["POST /api/sessions/knots/room/recording"] = switch
    daemon.routes["POST /api/sessions/knots/recording/retry"] = told(run(daemon, state="pending"))
    assert podium("recording", "start", "knots").stdout == "It is being recorded.\n"
    assert podium("recording", "stop", "knots").stdout == "It is not being recorded.\n"
    assert "pending" in podium("recording", "retry", "knots").stdout
    assert seen == [{"on": True}, {"on": False}]


@pytest.mark.parametrize(("act", "state"), [("publish", "available"), ("unpublish", "unpublished")])
def test_publish_and_unpublish_are_signed_calls(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon, act: str, state: str
) -> None:
    """Each says how the recording stands then."""

    def acted(call: Call) -> Reply:
        assert call.caller == knots.author.pubkey
        return told(run(daemon, state=state))

    daemon.routes[f"POST /api/sessions/knots/recording/{act}"] = acted
    assert state in podium("recording", act, "knots").stdout


def test_delete_asks_or_is_told_not_to(podium: CommandLine, daemon: ScriptedDaemon) -> None:
    """It is for good: where nobody can be asked it takes --yes."""
    daemon.routes["POST /api/sessions/knots/recording/delete"] = told(run(daemon, state="deleted"))
    refused = podium("recording", "delete", "knots")
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert "/recording/delete" not in "".join(call.path for call in daemon.calls)
    assert "deleted" in podium("recording", "delete", "knots", "--yes").stdout


def consents(key: object) -> Reply:
    """Two signed answers, one of them spoilt."""
    good = nip98.write(key.pubkey, "http://x/join", "POST", None, 1)  # type: ignore[attr-defined]  # a SecretKey
    event = json.loads(key.sign(good, b"\x01" * 32).to_json())  # type: ignore[attr-defined]  # the same
    rows = [
        {"pubkey": key.pubkey, "npub": "", "given": True, "policyHash": "h", "keptAt": 1, "event": each}  # type: ignore[attr-defined]  # the same
        for each in (event, event | {"content": "another"})
    ]
    return as_json({"lessonId": "x", "policy": "p", "policyHash": "h", "policies": [], "consents": rows})


def test_an_export_has_the_file_and_the_signed_answers(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon
) -> None:
    """The file's hash is right, the answers are whole events, and a bad signature is pointed out."""
    assert knots
    base = "GET /api/sessions/knots/recording"
    daemon.routes |= {base: told(run(daemon)), f"{base}/consents": consents(new_key())}
    daemon.routes[f"GET /recordings/{DIGEST}.webm"] = Reply(200, CONTENT, "video/webm")
    folder = podium.home / "saved"
    done = podium("recording", "export", "knots", str(folder))
    assert done.exit_code == 0, done.output
    assert (folder / f"{DIGEST}.webm").read_bytes() == CONTENT
    kept = json.loads((folder / "consents.json").read_text())["consents"]
    assert [one["event"]["kind"] for one in kept] == [27235, 27235]
    assert done.stderr.count("has no good signature") == 1
    assert folder.stat().st_mode & 0o777 == 0o700


def test_another_file_than_the_recording_is_not_saved(
    podium: CommandLine, knots: Knots, daemon: ScriptedDaemon
) -> None:
    """A wrong hash leaves nothing under the name of the right one."""
    assert knots
    base = "GET /api/sessions/knots/recording"
    daemon.routes |= {base: told(run(daemon)), f"{base}/consents": consents(new_key())}
    daemon.routes[f"GET /recordings/{DIGEST}.webm"] = Reply(200, b"something else", "video/webm")
    folder = podium.home / "saved"
    assert podium("recording", "export", "knots", str(folder)).exit_code == 1
    assert not (folder / f"{DIGEST}.webm").exists()


def test_a_folder_that_is_there_is_left_alone(podium: CommandLine, knots: Knots, daemon: ScriptedDaemon) -> None:
    """An export never mixes with what is there already."""
    assert knots
    base = "GET /api/sessions/knots/recording"
    daemon.routes |= {base: told(run(daemon)), f"{base}/consents": consents(new_key())}
    done = podium("recording", "export", "knots", str(podium.home))
    assert done.exit_code == 1
    assert "cannot be made" in done.stderr
