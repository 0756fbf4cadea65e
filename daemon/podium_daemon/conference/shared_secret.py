"""A secret that the daemon shares with an engine's server; no text form of it shows it."""

from __future__ import annotations

from typing import Final, NoReturn

from podium_protocol.errors import InvalidInput

_SHORTEST: Final = 16  # characters; servers make 32 and more


class SharedSecret:
    """A secret for signing and checking. Only `reveal` returns its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Take the secret from its file; white space around it is dropped.

        Raises:
            InvalidInput: it is too short for a secret, or has characters that no server uses.
        """
        text = text.strip()
        if len(text) < _SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
            raise InvalidInput(f"an engine's secret is one word of at least {_SHORTEST} ASCII characters")
        self._text = text

    def reveal(self) -> str:
        """Return the text, for a signature only: never for a log, a message or an address that is stored."""
        return self._text

    def __repr__(self) -> str:
        return "<SharedSecret>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
