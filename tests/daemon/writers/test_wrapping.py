"""Many messages are wrapped by worker processes, few by the daemon; a worker that dies loses none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from podium_daemon.runtime.clock import SystemClock
from podium_daemon.writers.wrapping import BACKLOG, MessageWrapping
from podium_daemon.writers.wrapping_child import WrapOrder
from podium_protocol import kinds
from podium_protocol.events import Rejected, SignedEvent, UnsignedEvent, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip59
from podium_protocol.nips.nip11 import RequiredByRelays
from tests.support.events import NOW, key_of
from tests.support.soon import soon

SERVICE, ADA, BEN = key_of(1), key_of(2), key_of(3)


@asynccontextmanager
async def wrapping() -> AsyncIterator[MessageWrapping]:
    """A wrapping that may start one worker."""
    service = MessageWrapping(SERVICE, SystemClock(), os.urandom, count=1)
    try:
        yield service
    finally:
        await service.close()


def orders(service: MessageWrapping, count: int, *, work: int = 0) -> list[WrapOrder]:
    """Numbered messages to Ada and Ben in turn."""
    found: list[WrapOrder] = []
    for number in range(count):
        person = (ADA, BEN)[number % 2].pubkey
        rumor = UnsignedEvent(SERVICE.pubkey, NOW, kinds.PRIVATE_MESSAGE, (("p", person),), str(number))
        asked = RequiredByRelays(work=work)
        found.append(service.order(rumor, person, now=NOW, expiration=NOW + 60, asked=asked))
    return found


def opened(wraps: list[SignedEvent]) -> list[str]:
    """The texts that Ada and Ben read, each in turn."""
    return [_opened(wrap, (ADA, BEN)[number % 2]) for number, wrap in enumerate(wraps)]


def _opened(wrap: SignedEvent, person: SecretKey) -> str:
    event = verify_json(wrap.to_json())
    assert not isinstance(event, Rejected)
    letter = nip59.unwrap(event, person, now=NOW)
    assert isinstance(letter, nip59.Unwrapped)
    assert letter.sender == SERVICE.pubkey
    return letter.rumor.content


async def test_few_messages_need_no_process_and_many_are_wrapped_by_workers() -> None:
    """Each recipient can open their own wraps, in the order of the orders, whoever made them."""
    async with wrapping() as service:
        assert opened(await service.wrap_all(orders(service, 30))) == [str(number) for number in range(30)]
        service.start()
        await soon(lambda: len(service.pids) == 1)
        wraps = await service.wrap_all(orders(service, BACKLOG))
        assert opened(wraps) == [str(number) for number in range(BACKLOG)]


async def test_a_worker_that_dies_or_is_left_loses_no_message_and_mixes_up_none() -> None:
    """What it had in hand is wrapped by the daemon; an answer that is not awaited any more is not taken for another."""
    async with wrapping() as service:
        for number in (signal.SIGKILL, None):
            service.start()
            await soon(lambda: len(service.pids) == 1)
            (pid,) = service.pids
            os.kill(pid, signal.SIGSTOP)
            making = asyncio.create_task(service.wrap_all(orders(service, 100)))
            await soon(lambda: service.free == 0)
            if number is None:
                making.cancel()
                await asyncio.wait([making])
                with contextlib.suppress(ProcessLookupError):  # it may have been ended already
                    os.kill(pid, signal.SIGCONT)
            else:
                os.kill(pid, number)
                assert opened(await making) == [str(one) for one in range(100)]
                await service.close()
                service._not_before = float("-inf")
        assert opened(await service.wrap_all(orders(service, 60))) == [str(one) for one in range(60)]


def _shown(pid: int) -> bytes:
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


async def test_the_key_is_on_no_command_line_and_in_no_environment() -> None:
    """Other users of the machine may read both."""
    async with wrapping() as service:
        service.start()
        await soon(lambda: len(service.pids) == 1)
        shown = _shown(service.pids[0])
        assert b"wrapping_child" in shown
        assert SERVICE.expose() not in shown
        assert SERVICE.expose().hex().encode() not in shown


async def test_what_has_to_be_mined_keeps_its_place() -> None:
    """Wraps with proof of work are made one by one, between the others."""
    async with wrapping() as service:
        mixed = [*orders(service, 2), *orders(service, 2, work=4), *orders(service, 2)]
        wraps = await service.wrap_all(mixed)
        assert opened(wraps) == ["0", "1"] * 3
        assert all(int(wrap.id[0], 16) == 0 for wrap in wraps[2:4])
