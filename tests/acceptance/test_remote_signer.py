"""A signer nobody here wrote (NDK's) is shown our code: by the command line, and by the daemon for an instructor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium_protocol.events import Pubkey
from podium_protocol.nips.nip19 import encode_npub
from tests.support.installed import PODIUM, Home, Site
from tests.support.ndk import ndk_signer
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = pytest.mark.real_peer


class Command:
    """`podium` at work, with its standard error read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def uri(self) -> str:
        """The code's text, once it is shown."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while line := (await self.process.stderr.readline()).decode():
                self.lines.append(line.rstrip("\n"))
                if line.startswith("nostrconnect://"):
                    return line.strip()
        raise AssertionError(f"no code was shown: {self.lines}")

    async def end(self) -> tuple[int, str, str]:
        """Its exit status, and what it said from then on."""
        async with asyncio.timeout(60):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def command(home: Home, *arguments: str) -> AsyncIterator[Command]:
    """A command that runs beside the test."""
    process = await asyncio.create_subprocess_exec(
        *(PODIUM, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=home.environment(),
        cwd=home.folder,
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def files_of(folder: Path) -> list[Path]:
    """Every file under a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_signer_scans_the_code_of_the_command_line(tmp_path: Path) -> None:
    """The code and its text are shown without a terminal; the signer comes, and its connection is kept for us alone."""
    home = Home(tmp_path / "home")
    async with (
        running_relay() as relay,
        ndk_signer(relay.url) as signer,
        command(home, "--state", "state", "signer", "connect", "--relay", relay.url, "--json") as podium,
    ):
        uri = await podium.uri()
        assert sum("█" in line for line in podium.lines) > 30
        await signer.scan(uri)
        code, out, err = await podium.end()
        npub = encode_npub(Pubkey(signer.pubkey))
        assert code == 0, err
        assert json.loads(out) == {"signer": npub, "user": npub, "relays": [f"{relay.url}"]}
        assert "this machine only" in err
        (kept,) = files_of(home.folder / "state")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert uri.partition("secret=")[2].partition("&")[0] not in kept.read_text()
        listed = await home.read("--state", "state", "signer", "list")
        assert [one["user"] for one in listed["signers"]] == [npub]


async def test_ctrl_c_ends_the_waiting(tmp_path: Path) -> None:
    """Nothing is kept, no traceback is shown, and the command fails."""
    home = Home(tmp_path / "home")
    async with (
        running_relay() as relay,
        command(home, "--state", "state", "signer", "connect", "--relay", relay.url) as podium,
    ):
        await podium.uri()
        podium.process.send_signal(signal.SIGINT)
        code, _, err = await podium.end()
        assert code not in (0, -signal.SIGINT)
        assert "Traceback" not in err
        assert files_of(home.folder / "state") == []


async def test_an_instructor_leaves_a_signer_with_the_service(tmp_path: Path) -> None:
    """The daemon shows the code through the command, has it proven whose key it is, and keeps it; not a stranger's."""
    async with running_relay() as relay, ndk_signer(relay.url) as signer, ndk_signer(relay.url) as stranger:
        site = Site(tmp_path / "site", relays=[relay.url], settings={"instructors.allow": [signer.pubkey]})
        await site.make_key()
        options = ("--config", str(site.config), "signer", "connect", "--for-service")
        async with site.running():
            async with command(site.home, *options, "--json") as podium:
                await signer.scan(await podium.uri())
                code, out, err = await podium.end()
                assert code == 0, err
                assert json.loads(out) == {"user": encode_npub(Pubkey(signer.pubkey))}
            async with command(site.home, *options) as podium:
                await stranger.scan(await podium.uri())
                code, _, err = await podium.end()
                assert code == 5
                assert "not on the service's list of instructors" in err
        assert signer.methods.count("sign_event") == 1
        assert stranger.methods.count("sign_event") == 0
        (kept,) = files_of(site.state / "instructor-signers")
        assert (kept.stem, stat.S_IMODE(kept.stat().st_mode)) == (signer.pubkey, 0o600)


async def test_an_interrupted_command_leaves_no_invitation_open(tmp_path: Path) -> None:
    """Ctrl-C withdraws what the daemon shows: a signer that comes later is not heard."""
    async with running_relay() as relay, ndk_signer(relay.url) as signer:
        site = Site(tmp_path / "site", relays=[relay.url], settings={"instructors.allow": [signer.pubkey]})
        await site.make_key()
        async with (
            site.running(),
            command(site.home, "--config", str(site.config), "signer", "connect", "--for-service") as podium,
        ):
            uri = await podium.uri()
            podium.process.send_signal(signal.SIGINT)
            code, _, err = await podium.end()
            assert code != 0
            assert "Traceback" not in err
            await signer.scan(uri)
            async with command(site.home, "--config", str(site.config), "signer", "connect", "--for-service") as again:
                await signer.scan(await again.uri())
                assert (await again.end())[0] == 0
            await until(lambda: _counted(signer.methods), "one signature")
        assert signer.methods.count("sign_event") == 1


async def _counted(methods: list[str]) -> bool:
    return "sign_event" in methods
