"""The media process: only rooms, connections and packets. It has no key, no database and no network name.

Run as `python -P -m podium_daemon.conference.engines.embedded.child SETTINGS` with a socket as its stdin, on
which it and the daemon speak `wire`. It lives until that socket is closed, which also happens when the daemon dies,
however it dies.

It is a process of its own so that media and the daemon's database work do not share an event loop, and so that what
parses strangers' packets holds no secrets.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from collections import Counter
from importlib.metadata import version
from typing import Final

import msgspec

from podium_daemon.conference.engines.embedded.wire import (
    CannotRun,
    Ping,
    Pong,
    ProcessReport,
    ProcessSettings,
    Ready,
    commands,
    read_message,
    write_message,
)

_STDIN: Final = 0
_EXIT_FAILED: Final = 1
_MAX_UNSENT: Final = 16 * 1024 * 1024  # bytes that the daemon did not take: it hangs, and will start another of us


def main(settings_json: str) -> None:
    """Serve until the socket is closed; never returns."""
    # the daemon decides when we stop: Ctrl-C, or a service manager that signals the whole group, is for it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    settings = msgspec.json.decode(settings_json, type=ProcessSettings)
    import uvloop

    uvloop.run(_serve(settings))
    os._exit(0)  # threads of libraries hold nothing that is worth waiting for


async def _serve(settings: ProcessSettings) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=os.dup(_STDIN)))

    def tell(report: ProcessReport) -> None:
        if writer.is_closing():  # the daemon has gone: reports have no reader
            return
        if writer.transport.get_write_buffer_size() > _MAX_UNSENT:
            os._exit(_EXIT_FAILED)
        writer.write(write_message(report))

    try:
        from podium_daemon.conference.engines.embedded.aiortc_names import check_names
        from podium_daemon.conference.engines.embedded.connections import use_addresses
        from podium_daemon.conference.engines.embedded.datagrams import guard
        from podium_daemon.conference.engines.embedded.room import MediaServer

        use_addresses(settings.addresses)
        await check_names()
        guard(drops := Counter[str]())
    except Exception as error:  # noqa: BLE001  (a boundary: whatever went wrong is told to the daemon)
        tell(CannotRun(str(error) or type(error).__name__))
        await writer.drain()
        os._exit(_EXIT_FAILED)
    server = MediaServer(settings.stun, tell, drops)
    tell(Ready(version("aiortc")))
    reports = asyncio.create_task(server.run())
    while (command := await read_message(reader, commands)) is not None:
        if isinstance(command, Ping):
            tell(Pong(command.number))
            continue
        try:
            await server.handle(command)
        except Exception:  # noqa: BLE001  (a boundary: a failure with one person must not end the others' media)
            traceback.print_exc()
    reports.cancel()
    await server.close()


if __name__ == "__main__":
    main(sys.argv[1])
