"""The pace of a relay itself: every event in one write, and nothing done with the answers but counting them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from websockets.client import ClientProtocol
from websockets.protocol import CONNECTING
from websockets.uri import parse_uri

from benchmarks.child import Meter, Run, complete

_PIECE = 65_536
_OK = b",true,"


async def blast(relay: str, events: Sequence[bytes]) -> Run:
    """Send all events, framed beforehand; ends with the last OK."""
    uri = parse_uri(relay)
    reader, writer = await asyncio.open_connection(uri.host, uri.port)
    try:
        frames = await _prepared(ClientProtocol(uri, max_size=None), reader, writer, events)
        with Meter() as meter:
            writer.write(frames)
            done = await _count_oks(reader, len(events))
    finally:
        writer.transport.abort()
    return complete(meter.run(done), len(events))


async def _prepared(
    protocol: ClientProtocol, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, events: Sequence[bytes]
) -> bytes:
    """Shake hands, then make the frames."""
    protocol.send_request(protocol.connect())
    writer.write(b"".join(protocol.data_to_send()))
    while protocol.state is CONNECTING:
        protocol.receive_data(await reader.read(_PIECE))
    for event in events:
        protocol.send_text(b'["EVENT",%b]' % event)
    return b"".join(protocol.data_to_send())


async def _count_oks(reader: asyncio.StreamReader, wanted: int) -> int:
    done, tail = 0, b""
    while done < wanted and (piece := await reader.read(_PIECE)):
        done += (tail + piece).count(_OK)
        tail = piece[1 - len(_OK) :]
    return done
