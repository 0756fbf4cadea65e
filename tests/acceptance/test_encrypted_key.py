"""A daemon whose key file is encrypted (NIP-49): it starts with the password from a file, and shows neither."""

from __future__ import annotations

from pathlib import Path

import nostr_sdk as sdk
import pytest

from tests.support.installed import Site
from tests.support.outsiders import outsiders
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = pytest.mark.real_peer

PASSWORD = "correct horse battery staple"


async def test_a_daemon_runs_on_an_encrypted_key(tmp_path: Path) -> None:
    """Without the password it ends with exit code 5 and the next step; with it, it is the same service as before."""
    async with running_relay() as relay, outsiders(relay.url, 1) as (reader,):
        site = Site(tmp_path / "site", relays=[relay.url])
        service = await site.make_key()
        nsec = site.key_file.read_text().strip()
        password = tmp_path / "password"
        password.write_text(f"{PASSWORD}\n")
        password.chmod(0o600)
        await site.home.ok("key", "encrypt", site.key_file, "--password-file", password)
        stored = sdk.EncryptedSecretKey.from_bech32(site.key_file.read_text().strip())
        assert sdk.Keys(stored.decrypt(PASSWORD)).public_key().to_hex() == service
        async with site.started() as daemon:
            assert await daemon.ended() == 5
        assert "PODIUM_PASSWORD_FILE" in site.texts()
        async with site.started(PODIUM_PASSWORD_FILE=str(password)) as daemon:
            await daemon.until_ready()
            await until(lambda: reader.find(10050, author=service), "it says where it reads messages")
        said = site.texts() + "".join(
            path.read_bytes().decode(errors="replace") for path in site.folder.rglob("*") if path.is_file()
        )
        for canary in (PASSWORD, nsec, sdk.SecretKey.parse(nsec).to_hex()):
            assert canary not in said
