"""A Janus of our own: its configuration, its start, and its adoption when it outlived the daemon.

It runs as the daemon's user, reads nothing of /etc/janus, loads the VideoRoom only, and listens on unix sockets in a
folder that no other user can enter. It goes on running when the daemon dies: the next one finds it by its sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
from pathlib import Path
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engines.janus.settings import JanusPlace
from podium_daemon.conference.engines.janus.wire import JanusGone, JanusLink, JanusRefused
from podium_daemon.keys.secret_file import KeyFileError, read_secret_file, replace_secret_file, write_secret_file
from podium_daemon.runtime.child_process import child_environment
from podium_protocol.errors import InvalidInput

_log = structlog.get_logger(__name__)

_START_WITHIN: Final = 10.0  # seconds; it takes 0.15
_STOP_WITHIN: Final = 3.0
_LOOK_EVERY: Final = 0.02
_LONGEST_SOCKET: Final = 107  # bytes of a path (unix(7))
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:+@%=, -]*")
_OTHER_PLUGINS: Final = ",".join(
    f"libjanus_{name}.so"
    for name in (
        *("audiobridge", "duktape", "echotest", "lua", "nosip", "recordplay", "sip", "streaming"),
        *("textroom", "videocall", "voicemail"),
    )
)
_OTHER_TRANSPORTS: Final = ",".join(f"libjanus_{name}.so" for name in ("http", "mqtt", "nanomsg", "pfunix", "rabbitmq"))


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The secrets that a client of this Janus needs; new ones at each start."""

    api: str
    admin: str
    rooms: str
    name: str

    def __repr__(self) -> str:
        return "<Secrets>"


class JanusProcess:
    """Finds or starts one, and ends it."""

    def __init__(self, place: JanusPlace) -> None:
        """Raises `InvalidInput` where a setting cannot stand in Janus's configuration."""
        self._place = place
        self._folder = place.folder
        self._process: asyncio.subprocess.Process | None = None
        self._socket = self._folder / "api"
        if len(os.fsencode(self._socket)) > _LONGEST_SOCKET - len("-admin"):
            raise InvalidInput(f"{self._folder} is too long a path for a socket: set a shorter storage.state_directory")
        for text in (str(self._folder), place.address, place.ports):
            if not _PLAIN.fullmatch(text):
                raise InvalidInput(f"{text!r} cannot stand in Janus's configuration: use plain characters")

    @property
    def pid(self) -> int | None:
        """The process that holds the pid file, if it is ours."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._folder / "pid").read_text("ascii"))
            # a pid may belong to another process later: only a Janus on this folder is ours to end
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if os.fsencode(self._folder / "conf") in words:
                return pid
        return None

    async def connect(self) -> tuple[JanusLink, Secrets, bool]:
        """A link to a running Janus, its secrets, and whether it was adopted.

        Raises:
            JanusGone: it could not be started.
        """
        if self.pid is not None and (known := self._known_secrets()) is not None:
            with contextlib.suppress(JanusGone):
                return await JanusLink.connect(self._socket, known.api), known, True
        await self.end()
        made = Secrets(*(secrets.token_hex(24) for _ in range(4)))
        self._write(made)
        await self._spawn()
        return await self._connected(made), made, False

    async def end(self, *, gently: bool = True) -> None:
        """End it, if it runs; one that hangs hears nothing of a gentle end."""
        pid, process = self.pid, self._process
        for number in (signal.SIGTERM, signal.SIGKILL) if gently else (signal.SIGKILL,):
            if pid is None or not _signal(pid, number) or await self._is_gone(pid):
                break
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            self._process = None
        for name in ("pid", "api", "api-admin"):
            (self._folder / name).unlink(missing_ok=True)

    # -- inside

    async def _is_gone(self, pid: int) -> bool:
        # an adopted Janus is not our child process: the system does not report its end
        for _ in range(round(_STOP_WITHIN / _LOOK_EVERY)):
            if self.pid != pid or (self._process is not None and self._process.returncode is not None):
                return True
            await asyncio.sleep(_LOOK_EVERY)
        return False

    def _known_secrets(self) -> Secrets | None:
        with contextlib.suppress(KeyFileError, msgspec.DecodeError):
            return msgspec.json.decode(read_secret_file(self._folder / "secrets"), type=Secrets)
        return None

    def _write(self, made: Secrets) -> None:
        conf = self._folder / "conf"
        for folder in (self._folder, conf):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        for name, text in self._configuration(made).items():
            _write_secret(conf / name, text.encode())
        _write_secret(self._folder / "secrets", msgspec.json.encode(made))

    def _configuration(self, made: Secrets) -> dict[str, str]:
        given = self._place
        nat = f'nat_1_1_mapping = "{given.address}"\n' if given.address else ""
        media = f'rtp_port_range = "{given.ports}"\n' if given.ports else ""
        return {
            "janus.jcfg": f"""general: {{
configs_folder = "{self._folder / "conf"}"
server_name = "{made.name}"
api_secret = "{made.api}"
admin_secret = "{made.admin}"
debug_level = 2
debug_colors = false
session_timeout = 60
reclaim_session_timeout = 0
}}
media: {{
{media}}}
nat: {{
{nat}}}
plugins: {{
disable = "{_OTHER_PLUGINS}"
}}
transports: {{
disable = "{_OTHER_TRANSPORTS}"
}}
""",
            # the WebSocket transport takes a unix socket too, and messages of any length
            "janus.transport.websockets.jcfg": f"""general: {{
json = "compact"
ws = true
ws_unix = "{self._socket}"
wss = false
}}
admin: {{
admin_ws = true
admin_ws_unix = "{self._socket}-admin"
admin_wss = false
}}
""",
            "janus.plugin.videoroom.jcfg": f"""general: {{
admin_key = "{made.rooms}"
string_ids = true
events = false
}}
""",
        }

    async def _spawn(self) -> None:
        binary = shutil.which(self._place.program)
        if binary is None:
            raise JanusGone(f"there is no program {self._place.program!r}: on Debian 12, apt-get install janus")
        log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(binary, "-F", str(self._folder / "conf"), "-p", str(self._folder / "pid"), "-o"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child_environment(),
                start_new_session=True,  # what ends the daemon is not meant for it
            )
        finally:
            os.close(log)

    async def _connected(self, made: Secrets) -> JanusLink:
        assert self._process is not None, "spawned just now"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_WITHIN):
                while self._process.returncode is None:
                    with contextlib.suppress(JanusGone, JanusRefused):
                        return await JanusLink.connect(self._socket, made.api)
                    await asyncio.sleep(_LOOK_EVERY)
        last = (self._folder / "log").read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise JanusGone(f"Janus did not start: {''.join(last)[:200]}")


def _write_secret(path: Path, content: bytes) -> None:
    if path.exists():
        replace_secret_file(path, content)
    else:
        write_secret_file(path, content)


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
