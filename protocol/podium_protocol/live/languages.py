"""The languages in which people are written to, and a catalogue of the sentences for each.

English stands in the code: every sentence passes a `Catalogue`, whose two methods are those of gettext (and of Babel's
`Translations`), and `pybabel extract -k N_` finds the sentences. A test holds each catalogue whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from podium_protocol.live import german


class Catalogue(Protocol):
    """Translations into one language."""

    def gettext(self, message: str) -> str:
        """The sentence in the language."""
        ...

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """The form for `n` of them."""
        ...


class English:
    """The sentences as they stand in the code."""

    def gettext(self, message: str) -> str:
        """The sentence itself."""
        return message

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """English has two forms."""
        return singular if n == 1 else plural


class Translated:
    """Sentences by their English form, of a language with two forms as English has them."""

    def __init__(self, sentences: Mapping[str, str], counted: Mapping[str, tuple[str, str]]) -> None:
        """`counted`: by the English singular, the form for one and the form for any other number."""
        self._sentences = sentences
        self._counted = counted

    def gettext(self, message: str) -> str:
        """The sentence in the language; in English if it is not in the catalogue."""
        return self._sentences.get(message, message)

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """The form for `n` of them."""
        return self._counted.get(singular, (singular, plural))[n != 1]


class Language(msgspec.Struct, frozen=True):
    """A catalogue with the locale of its dates."""

    catalogue: Catalogue
    locale: str


ENGLISH: Final = Language(English(), "en_GB")  # day before month, and 24 hours: 12/01 cannot be misread
GERMAN: Final = Language(Translated(german.SENTENCES, german.COUNTED), "de_DE")
LANGUAGES: Final[Mapping[str, Language]] = MappingProxyType({"en": ENGLISH, "de": GERMAN})
"""By their tag (BCP 47), the languages of the page."""


def language_of(tag: str | None, otherwise: str = "en") -> Language:
    """The language with this tag; the one of `otherwise` for a tag that is None or has no catalogue (any more)."""
    return LANGUAGES.get(tag or "") or LANGUAGES[otherwise]


def known_tag(tag: str) -> str | None:
    """The tag of the catalogue for a language tag as browsers write it (`de-AT`); None if there is none."""
    primary = tag.strip().partition("-")[0].lower()
    return primary if primary in LANGUAGES else None


def N_(message: str) -> str:  # noqa: N802  (gettext's name for a sentence that is translated later)
    """Mark a sentence for extraction."""
    return message
