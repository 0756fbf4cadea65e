"""`podium signer` and `--bunker`: the command line signs with a key that is not on this machine."""

from __future__ import annotations

import asyncio
import json
import stat
from datetime import timedelta
from pathlib import Path

import nostr_sdk as sdk
import pytest
from typer.testing import Result

from podium_daemon.relays import mailboxes
from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.keys import SecretKey
from podium_protocol.nips.nip19 import encode_npub, encode_nsec, parse_pubkey
from podium_protocol.nips.nip46 import Response
from tests.daemon.cli.conftest import CommandLine, Knots
from tests.support.bunker import ScriptedBunker, serving
from tests.support.events import key_of
from tests.support.ndk import ndk_bunker
from tests.support.relays import new_key, running_relay
from tests.support.scripted_daemon import ScriptedDaemon, as_json

pytestmark = pytest.mark.real_peer  # a relay nobody here wrote is between the two


class Remote(CommandLine):
    """A command line without a key file; its commands run beside the test's own loop."""

    async def run(self, *arguments: str, given: str | None = None) -> Result:
        """The outcome of one command."""
        return await asyncio.to_thread(self, *arguments, given=given)

    def options(self) -> list[str]:
        """No --key."""
        return ["--state", str(self.home / "state")]


@pytest.fixture
def podium(own_home: Path, daemon: ScriptedDaemon) -> Remote:
    """The command line of a person whose key is elsewhere, and a daemon."""
    return Remote(own_home, daemon.url)


def files_of(folder: Path) -> list[Path]:
    """Every file under a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_signer_is_connected_listed_used_and_forgotten(
    podium: Remote, own_home: Path, daemon: ScriptedDaemon
) -> None:
    """One pairing; then RSVPs and sessions are signed by the user's key, which is in no file of this machine."""
    bunker = ScriptedBunker()
    async with running_relay() as relay, serving(bunker, relay.url):
        done = await podium.run("signer", "connect", "-", "--json", given=f"{bunker.url(relay.url)}\n")
        assert done.exit_code == 0, done.output
        signer, user = encode_npub(bunker.key.pubkey), encode_npub(bunker.user.pubkey)
        assert json.loads(done.stdout) == {"signer": signer, "user": user, "relays": [relay.url]}
        assert json.loads((await podium.run("signer", "list", "--json")).stdout)["signers"] == [json.loads(done.stdout)]
        knots = Knots(bunker.user, daemon)
        answered = await podium.run("rsvp", "knots", "confirmed", "--bunker", signer)
        assert answered.exit_code == 0, answered.output
        (rsvp,) = knots.sent
        assert (rsvp.kind, rsvp.pubkey) == (kinds.RSVP, bunker.user.pubkey)
        assert {one.method for one in bunker.requests} == {
            "connect",
            "get_public_key",
            "switch_relays",
            "sign_event",
        }
        assert len({one.id for one in bunker.requests}) == len(bunker.requests)
        (kept,) = files_of(own_home / "state")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        secrets = (bunker.user.expose().hex(), encode_nsec(bunker.user), bunker.secret)
        assert not [path for path in files_of(own_home) if any(one in path.read_text() for one in secrets)]
        gone = await podium.run("signer", "forget", signer, "--yes")
        assert gone.exit_code == 0, gone.output
        assert (bunker.clients, files_of(own_home / "state")) == (set(), [])
        assert (await podium.run("rsvp", "knots", "declined", "--bunker", signer)).exit_code == 2


async def test_an_instructor_schedules_and_cancels_with_the_url_alone(podium: Remote, daemon: ScriptedDaemon) -> None:
    """`--bunker URL` connects at the first command and uses the same connection at the next: one secret, one client."""
    bunker = ScriptedBunker()
    async with running_relay() as relay, serving(bunker, relay.url):
        knots = Knots(bunker.user, daemon)
        url = bunker.url(relay.url)
        created = await podium.run("session", "create", "Knots", "--at", "2030-03-17 18:00", "--bunker", url)
        assert created.exit_code == 0, created.output
        cancelled = await podium.run("session", "cancel", "knots", "--yes", "--bunker", url)
        assert cancelled.exit_code == 0, cancelled.output
        assert {event.pubkey for event in knots.sent} == {bunker.user.pubkey}
        assert [event.kind for event in knots.sent] == [kinds.SESSION, kinds.SESSION, kinds.DELETION]
        assert [one.method for one in bunker.requests].count("connect") == 1


async def test_a_known_signer_that_moved_is_asked_on_its_new_relay(podium: Remote, daemon: ScriptedDaemon) -> None:
    """`--bunker URL` with a new relay asks there, with the key the signer knows; from then on its key alone does."""
    bunker = ScriptedBunker()
    async with running_relay() as new:
        async with running_relay() as old, serving(bunker, old.url):
            assert (await podium.run("signer", "connect", "-", given=bunker.url(old.url))).exit_code == 0
        async with serving(bunker, new.url):
            knots = Knots(bunker.user, daemon)
            for named in (bunker.url(new.url), encode_npub(bunker.key.pubkey)):
                answered = await podium.run("rsvp", "knots", "confirmed", "--bunker", named)
                assert answered.exit_code == 0, answered.output
            assert [event.pubkey for event in knots.sent] == [bunker.user.pubkey] * 2
            assert [one.method for one in bunker.requests].count("connect") == 1


async def test_connecting_a_known_signer_again_notes_where_it_is_now(podium: Remote) -> None:
    """Its new relays are noted without a new pairing; the same URL once more is refused, as nothing is new."""
    bunker = ScriptedBunker()
    async with running_relay() as relay, serving(bunker, relay.url):
        assert (await podium.run("signer", "connect", "-", given=bunker.url(relay.url))).exit_code == 0
    moved = bunker.url("wss://new.example")
    again = await podium.run("signer", "connect", "-", "--json", given=moved)
    assert json.loads(again.stdout)["relays"] == ["wss://new.example", relay.url]
    refused = await podium.run("signer", "connect", "-", given=moved)
    assert (refused.exit_code, "connected already" in refused.stderr) == (2, True)


async def test_a_signer_that_refuses_ends_the_command_with_exit_code_5(podium: Remote, daemon: ScriptedDaemon) -> None:
    """Its words are told, nothing is sent, and no traceback is shown."""
    bunker = ScriptedBunker()
    async with running_relay() as relay, serving(bunker, relay.url):
        knots = Knots(bunker.user, daemon)
        await podium.run("signer", "connect", "-", given=bunker.url(relay.url))
        bunker.behaviour = lambda request: [Response(request.id, error="the person said no")]
        refused = await podium.run("rsvp", "knots", "confirmed", "--bunker", encode_npub(bunker.key.pubkey))
        assert (refused.exit_code, knots.sent) == (5, [])
        assert "the signer refused: the person said no" in refused.stderr
        assert "Traceback" not in refused.output


async def test_a_wrong_secret_leaves_nothing_behind(podium: Remote, own_home: Path) -> None:
    """A pairing that failed keeps no key, and can be tried again."""
    bunker = ScriptedBunker()
    async with running_relay() as relay, serving(bunker, relay.url):
        good = bunker.url(relay.url)
        bad = await podium.run("signer", "connect", "-", given=good.replace("let%20me%20in", "guess"))
        assert (bad.exit_code, files_of(own_home / "state")) == (5, [])
        assert "wrong secret" in bad.stderr
        assert (await podium.run("signer", "connect", "-", given=good)).exit_code == 0
        again = await podium.run("signer", "connect", "-", given=good)
        assert again.exit_code == 2
        assert "podium signer forget" in again.stderr


async def test_a_page_to_agree_on_is_shown(podium: Remote) -> None:
    """`auth_url` is named on the terminal, and the answer that follows counts."""
    bunker = ScriptedBunker()
    bunker.behaviour = lambda request: (
        [
            Response(request.id, result="auth_url", error="https://signer.example/agree"),
            Response(request.id, result="ack"),
        ]
        if request.method == "connect"
        else [Response(request.id, result=bunker.user.pubkey)]
    )
    async with running_relay() as relay, serving(bunker, relay.url):
        done = await podium.run("signer", "connect", "-", given=bunker.url(relay.url))
        assert done.exit_code == 0, done.output
        assert "https://signer.example/agree" in done.stderr


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("bunker://x", "bunker"),
        ("npub1", "--bunker: "),
        (encode_npub(key_of(7).pubkey), "not connected"),
    ],
)
def test_what_names_no_signer_is_refused(podium: Remote, named: str, expected: str) -> None:
    """Exit code 2, with what to do."""
    done = podium("rsvp", "knots", "confirmed", "--bunker", named)
    assert done.exit_code == 2
    assert expected in done.stderr


def test_two_signers_at_once_are_refused(podium: Remote, own_home: Path) -> None:
    """--key beside --bunker would leave open who signs."""
    done = podium("rsvp", "knots", "confirmed", "--bunker", "x", "--key", str(own_home / "k"))
    assert done.exit_code == 2
    assert "give one of them" in done.stderr


async def test_no_relay_of_the_signer_ends_with_exit_code_5(podium: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said with the relay and what went wrong there."""
    monkeypatch.setattr(mailboxes, "_OPEN_WITHIN", 1.0)
    async with running_relay() as relay:
        url = ScriptedBunker().url(relay.url)
        await relay.stop()
        done = await podium.run("signer", "connect", "-", given=url)
        assert done.exit_code == 5
        assert relay.url in done.stderr


async def test_nostr_sdk_gets_signatures_from_the_same_scripted_signer() -> None:
    """The scripted signer is no mirror of our own mistakes: a client nobody here wrote understands it."""
    bunker = ScriptedBunker()
    async with running_relay() as relay, serving(bunker, relay.url):
        uri = sdk.NostrConnectUri.parse(bunker.url(relay.url))
        client = sdk.NostrConnect(uri, sdk.Keys.generate(), timedelta(seconds=60), None)
        assert (await client.get_public_key_async()).to_hex() == bunker.user.pubkey
        draft = sdk.EventBuilder(sdk.Kind(1), "hello").finalize_unsigned(sdk.PublicKey.parse(bunker.user.pubkey))
        assert (await client.sign_event_async(draft)).verify()


async def test_ndks_signer_signs_for_the_command_line(podium: Remote, daemon: ScriptedDaemon) -> None:
    """NDK's bunker: a wrong token is refused; with the right one an instructor schedules, edits and answers."""
    async with running_relay() as relay, ndk_bunker(relay.url, "token") as pubkey:
        base = f"bunker://{pubkey}?relay={relay.url}"
        refused = await podium.run("signer", "connect", "-", given=f"{base}&secret=guess")
        assert refused.exit_code == 5
        assert "unknown token" in refused.stderr
        done = await podium.run("signer", "connect", "-", "--json", given=f"{base}&secret=token")
        assert done.exit_code == 0, done.output
        user = json.loads(done.stdout)["user"]
        assert user == encode_npub(parse_pubkey(pubkey))
        knots = Knots(PublicHalf(parse_pubkey(pubkey)), daemon)
        for command in (
            ("session", "create", "Knots", "--at", "2030-03-17 18:00"),
            ("session", "edit", "knots", "--title", "Knöpfe & Knoten"),
            ("rsvp", "knots", "tentative"),
        ):
            said = await podium.run(*command, "--bunker", user)
            assert said.exit_code == 0, said.output
        assert [(event.kind, event.pubkey) for event in knots.sent] == [
            (kinds.SESSION, pubkey),
            (kinds.SESSION, pubkey),
            (kinds.RSVP, pubkey),
        ]


def test_a_signer_left_with_the_service_is_shown_and_taken_back(
    own_home: Path, key: SecretKey, daemon: ScriptedDaemon
) -> None:
    """With a signed login each; none is said as such."""
    podium, signer = CommandLine(own_home, daemon.url), new_key().pubkey
    path = "/api/service/signer"
    daemon.routes[f"GET {path}"] = as_json({"signer": encode_npub(signer), "relays": ["wss://one.example"]})
    daemon.routes[f"DELETE {path}"] = as_json({"signer": None, "relays": []})
    listed = podium("signer", "list", "--for-service", "--json")
    assert json.loads(listed.stdout)["signers"] == [
        {"signer": encode_npub(signer), "user": encode_npub(key.pubkey), "relays": ["wss://one.example"]}
    ]
    assert podium("signer", "forget", "--for-service", "--yes").exit_code == 0
    daemon.routes[f"GET {path}"] = as_json({"signer": None, "relays": []})
    assert "No signer is connected" in podium("signer", "list", "--for-service").stdout
    assert [call.caller for call in daemon.calls] == [key.pubkey] * 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("connect", "bunker://x"), "bunker"),
        (("connect", "--relay", "https://x"), "--relay: not a relay URL"),
        (("connect", "--for-service", "--relay", "wss://x.example"), "its own relays"),
        (("forget",), "podium signer list"),
    ],
)
def test_what_cannot_be_meant_is_refused(podium: Remote, arguments: tuple[str, ...], expected: str) -> None:
    """Exit code 2, with what to do."""
    done = podium("signer", *arguments)
    assert done.exit_code == 2
    assert expected in done.stderr


class PublicHalf(SecretKey):
    """Whose session it is, where the secret is elsewhere."""

    def __init__(self, pubkey: Pubkey) -> None:
        self.pubkey = pubkey
