"""What people write when they answer a message, by language: one row for each catalogue that the page has.

Only a whole saying counts, with or without polite words around it: the "no" in "no problem" says nothing. Sayings are
in lower case and without punctuation. What may be a mere acknowledgement ("ok", a heart) is no answer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

SAYINGS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "en": {
        "yes": (
            "yes",
            "yep",
            "yeah",
            "yup",
            "yes of course",
            "of course",
            "sure",
            "yes sure",
            "yes i will",
            "i will come",
        ),
        "maybe": ("maybe", "perhaps", "not sure", "not sure yet"),
        "no": ("no", "nope", "no i cannot", "no i can't", "i cannot come", "i can't come"),
        "stop": ("stop", "stop it", "unsubscribe"),
        "stop all": ("stop all", "stop everything", "unsubscribe all"),
    },
    "de": {
        "yes": (
            "ja",
            "jo",
            "jep",
            "klar",
            "ja klar",
            "na klar",
            "ja natürlich",
            "natürlich",
            "ich komme",
            "ja ich komme",
        ),
        "maybe": ("vielleicht", "eventuell", "evtl", "weiß nicht", "weiß noch nicht", "mal sehen"),
        "no": ("nein", "nee", "nö", "ich kann nicht", "ich komme nicht", "nein ich kann nicht"),
        "stop": ("stopp", "abmelden", "aufhören"),
        "stop all": ("stopp alle", "stopp alles", "alle stoppen", "alles stoppen", "alle abmelden"),
    },
}

POLITENESS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": (
        *("please", "thanks", "thank you", "thank you very much", "thank you so much", "many thanks", "thanks a lot"),
        *("thx", "sorry", "i am sorry", "i'm sorry", "hi", "hello", "dear podium", "podium", "with pleasure", "gladly"),
    ),
    "de": (
        *("bitte", "danke", "danke schön", "dankeschön", "vielen dank", "besten dank", "herzlichen dank", "danke sehr"),
        *("gern", "gerne", "sehr gern", "sehr gerne", "leider", "tut mir leid", "sorry", "hallo", "viele grüße"),
        *("liebe grüße", "lg", "vg"),
    ),
}

_EMOJI: Final = {
    "yes": "👍✅✔☑🙋👌",
    "no": "👎❌✖🙅",
    "maybe": "🤔🤷",
    "stop": "🛑🔕",
}
_REACTIONS: Final = {"+": "yes", "": "yes", "-": "no"}
"""NIP-25: a like and a dislike."""

_MEANING: Final = {
    saying.casefold(): meaning for sayings in SAYINGS.values() for meaning, known in sayings.items() for saying in known
}
_MEANING_OF_EMOJI: Final = {emoji: meaning for meaning, known in _EMOJI.items() for emoji in known}
_POLITE: Final = frozenset(tuple(phrase.casefold().split()) for phrases in POLITENESS.values() for phrase in phrases)
_LONGEST: Final = max(map(len, _POLITE))
_INTERNATIONAL: Final = ("stop",)  # our messages ask for it, and it is written in other languages too
_VOCABULARIES: Final = {
    tag: frozenset(
        word
        for phrase in (*_INTERNATIONAL, *POLITENESS[tag], *(one for known in sayings.values() for one in known))
        for word in phrase.casefold().split()
    )
    for tag, sayings in SAYINGS.items()
}


def meaning_of(text: str) -> str | None:
    """yes, maybe, no, stop or stop all; "" for mere politeness, which wants no answer; None for anything else."""
    words, symbols = _parts(text)
    meanings = {_MEANING_OF_EMOJI[symbol] for symbol in symbols if symbol in _MEANING_OF_EMOJI}
    if rest := _without_politeness(words):
        meanings.add(_MEANING.get(" ".join(rest), "?"))
    if len(meanings) > 1 or "?" in meanings or not (words or symbols):
        return None
    return next(iter(meanings), "")


def language_of_reply(text: str) -> str | None:
    """The tag of the only language that has all words of a reply; None if several have, or none, or there are none."""
    words, _ = _parts(text)
    fitting = [tag for tag, vocabulary in _VOCABULARIES.items() if vocabulary.issuperset(words)]
    return fitting[0] if words and len(fitting) == 1 else None


def meaning_of_reaction(content: str) -> str | None:
    """Interpret a kind 7 (NIP-25) to a message as yes or no; None if it only acknowledges."""
    plain = content.strip()
    return _REACTIONS[plain] if plain in _REACTIONS else meaning_of(plain) or None


def _parts(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words in lower case without punctuation, and the symbols, of which emoji are made."""
    letters, symbols = [], []
    for character in unicodedata.normalize("NFC", text).replace("’", "'"):
        category = unicodedata.category(character)
        if category == "So":
            symbols.append(character)
        is_letter = category[0] in "LN" or (category[0] == "M" and category != "Me" and character != "\ufe0f")
        letters.append(character if is_letter or character == "'" else " ")
    return tuple(word for word in "".join(letters).casefold().split() if word.strip("'")), tuple(symbols)


def _without_politeness(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words between polite ones."""
    while words:
        for size in range(min(_LONGEST, len(words)), 0, -1):
            if words[:size] in _POLITE:
                words = words[size:]
                break
            if words[-size:] in _POLITE:
                words = words[:-size]
                break
        else:
            return words
    return words
