"""Plain HTTP calls to an engine's server: no redirects, no proxy of the environment, capped in time and size."""

from __future__ import annotations

import asyncio
from typing import Final

import httpx

from podium_daemon.conference.base import EngineUnavailable

MAX_ANSWER: Final = 2 * 1024 * 1024  # bytes; a meeting of 1,000 people is told in 400 kB


class EngineHttp:
    """One server's client. Errors never hold the address: it is signed."""

    def __init__(self, who: str, *, patience: float = 10.0, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`who` names the server in errors; `patience` is seconds for a whole answer."""
        self._who = who
        self._patience = patience
        # a redirect would carry the signature to whoever the answer names
        self._client = httpx.AsyncClient(timeout=patience, follow_redirects=False, trust_env=False, transport=transport)

    async def get(self, url: str) -> bytes:
        """The body of a 200 answer.

        Raises:
            EngineUnavailable: there was none in time, it was too long, or it was another answer.
        """
        try:
            async with asyncio.timeout(self._patience), self._client.stream("GET", url) as answer:
                return await self._body(answer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            # only the kind of error: the text of some has the address in it
            raise EngineUnavailable(f"{self._who} did not answer ({type(error).__name__})") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _body(self, answer: httpx.Response) -> bytes:
        if answer.status_code != httpx.codes.OK:
            raise EngineUnavailable(f"{self._who} answered with status {answer.status_code}")
        body = bytearray()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > MAX_ANSWER:
                raise EngineUnavailable(f"{self._who} sent an answer of more than {MAX_ANSWER} bytes")
        return bytes(body)
