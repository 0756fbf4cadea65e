"""A secret that the daemon shares with an engine's server; no text form of it shows it."""

from __future__ import annotations

from typing import Final, NoReturn

from podium_protocol.errors import InvalidInput

_SHORTEST: Final = 16  # characters; servers make 32 and more


class SharedSecret:
    """Held for signing and checking. `reveal` is the only way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Take the secret as it stands in its file; white space around it is dropped.

        Raises:
            InvalidInput: it is too short to be one, or holds what no server makes.
        """
        text = text.strip()
        if len(text) < _SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
            raise InvalidInput(f"an engine's secret is one word of at least {_SHORTEST} ASCII characters")
        self._text = text

    def reveal(self) -> str:
        """The text, for a signature. Never for a log, a message or an address that is kept."""
        return self._text

    def __repr__(self) -> str:
        return "<SharedSecret>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
