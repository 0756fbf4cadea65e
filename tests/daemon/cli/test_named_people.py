"""People as they are named on the command line."""

from __future__ import annotations

import json

import pytest

from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.session_writing import named_people
from podium_daemon.services.people.nip05_lookup import look_up
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey
from podium_protocol.nips.nip19 import encode_nprofile, encode_npub, encode_nsec
from tests.daemon.cli.conftest import CommandLine
from tests.daemon.services.people.test_nip05_lookup import ADA, CLIENT, DOMAIN, LOOPBACK, SERVER, leading_to, saying
from tests.support.events import key_of
from tests.support.relays import new_key
from tests.support.scripted_daemon import ScriptedDaemon
from tests.support.tls import https_server

BEN = key_of(2).pubkey


async def asked(texts: list[str], body: bytes) -> list[Pubkey]:
    """Whom the texts name, where a domain answers with this document."""
    async with https_server(saying(body), SERVER) as port:

        async def look(name: str) -> Pubkey | None:
            return await look_up(name, leading_to("127.0.0.1"), permitted=LOOPBACK, tls=CLIENT, port=port)

        return await named_people(texts, "--invite", look)


def document(**names: str) -> bytes:
    """What a domain says of its names (NIP-05)."""
    return json.dumps({"names": names}).encode()


async def test_keys_and_names_stand_in_the_order_they_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    """Hex, npub, nprofile, nostr: and NIP-05; what a name means is shown, so that a wrong one is noticed."""
    forms = [BEN, encode_npub(BEN), encode_nprofile(BEN), f"nostr:{encode_npub(BEN)}"]
    found = await asked([*forms[:2], f"Ada@{DOMAIN}", *forms[2:]], document(ada=ADA))
    assert found == [BEN, BEN, ADA, BEN, BEN]
    assert f"ada@{DOMAIN} is {encode_npub(ADA)}" in capsys.readouterr().err


async def test_a_name_that_names_nobody_is_refused() -> None:
    """The domain knows no such name: the option and the name are told."""
    with pytest.raises(InvalidInput, match=rf"--invite: ada@{DOMAIN} names no key"):
        await asked([f"ada@{DOMAIN}"], document(ben=BEN))


async def test_a_domain_that_does_not_answer_is_told_with_a_way_out() -> None:
    """Nobody is left out in silence: the person's npub works without a domain."""
    with pytest.raises(CommandFailed, match=r"--invite: ada@.* cannot be looked up .*npub"):
        await asked([f"ada@{DOMAIN}"], b"nonsense")


async def test_nothing_is_looked_up_beside_a_mistake() -> None:
    """All texts are read before any domain is asked, and a secret key is neither used nor repeated."""
    secret = encode_nsec(new_key())

    async def look(_name: str) -> Pubkey | None:
        raise AssertionError

    for wrong in ("somebody", "ada@example", "@example.org", "", secret):
        with pytest.raises(InvalidInput, match="--co-host: ") as caught:
            await named_people([f"ada@{DOMAIN}", wrong], "--co-host", look)
        assert secret[5:] not in str(caught.value)


def test_a_session_with_a_name_that_cannot_be_looked_up_is_not_made(
    podium: CommandLine, daemon: ScriptedDaemon
) -> None:
    """The command fails before anything is asked of the daemon."""
    done = podium("session", "create", "Knots", "--at", "+2h", "--invite", "ada@nowhere.invalid")
    assert done.exit_code == 1
    assert "ada@nowhere.invalid cannot be looked up" in done.stderr
    assert daemon.calls == []
