"""Bech32 (BIP-173), the outer form of NIP-19: a readable prefix, data in 5-bit characters, a checksum.

Strict: one case, the checksum of bech32 and not of bech32m (BIP-350), no spare bits. Errors never echo the text, since
a mistyped secret key is still most of a secret key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache, reduce
from operator import xor
from typing import Final

from podium_protocol.errors import InvalidInput
from podium_protocol.limits import MAX_BECH32_CHARS

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_LETTERS: Final = _ALPHABET.encode().ljust(256)  # by value
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
# of the generators whose bits are set: a list of sessions has hundreds of these texts
_SUMS: Final = tuple(
    reduce(xor, (generator for place, generator in enumerate(_GENERATORS) if top >> place & 1), 0) for top in range(32)
)
_BECH32: Final = 1
_BITS: Final = 5  # of a character
_BECH32M: Final = 0x2BC830A3
_FORM: Final = re.compile(r"([!-~]{1,83})1([a-z0-9]{6,})")


def encode(prefix: str, data: bytes) -> str:
    """Encode `data` under `prefix`; both are used unchanged."""
    values = _in_fives(data)
    checksum = _polymod([*values, 0, 0, 0, 0, 0, 0], _after_prefix(prefix)) ^ _BECH32
    values += [(checksum >> 5 * (5 - place)) & 31 for place in range(6)]
    return f"{prefix}1{bytes(values).translate(_LETTERS).decode()}"


def decode(text: str) -> tuple[str, bytes]:
    """Return the prefix in lower case, and the data.

    Raises:
        InvalidInput: not bech32; the message says in what way.
    """
    if len(text) > MAX_BECH32_CHARS:
        raise InvalidInput(f"the text is longer than the {MAX_BECH32_CHARS} characters NIP-19 allows")
    if text not in (text.lower(), text.upper()):
        raise InvalidInput("the text mixes capitals and small letters, which bech32 forbids (BIP-173)")
    match = _FORM.fullmatch(text.lower())
    if match is None or not _VALUES.keys() >= set(match[2]):
        raise InvalidInput("the text is not bech32: it looks like `npub1...`, with letters and digits only")
    values = [_VALUES[character] for character in match[2]]
    checksum = _polymod([*_expand(match[1]), *values])
    if checksum == _BECH32M:
        raise InvalidInput("the text is bech32m, and NIP-19 uses plain bech32")
    if checksum != _BECH32:
        raise InvalidInput("the checksum is wrong: a character was changed, lost or added; copy the text again")
    return match[1], _without_spare_bits(values[:-6])


def leading_bits(characters: str) -> tuple[int, int] | None:
    """The bits that these characters after the `1` stand for: as a number, and how many; None for other characters."""
    if not _VALUES.keys() >= set(characters):
        return None
    bits = reduce(lambda held, character: held << _BITS | _VALUES[character], characters, 0)
    return bits, _BITS * len(characters)


def _expand(prefix: str) -> Iterator[int]:
    yield from (ord(character) >> 5 for character in prefix)
    yield 0
    yield from (ord(character) & 31 for character in prefix)


@lru_cache(maxsize=16)
def _after_prefix(prefix: str) -> int:
    return _polymod(_expand(prefix))


def _polymod(values: Iterable[int], remainder: int = 1) -> int:
    for value in values:
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value ^ _SUMS[remainder >> 25]
    return remainder


def _without_spare_bits(values: list[int]) -> bytes:
    spare = len(values) * 5 % 8
    if spare >= 5 or (values and values[-1] & ((1 << spare) - 1)):
        # else one key would have several spellings
        raise InvalidInput("the text has bits to spare at its end, which bech32 forbids (BIP-173)")
    return bytes(_regroup(values, 5, 8))[: len(values) * 5 // 8]


def _in_fives(data: bytes) -> list[int]:
    """The bits of `data` in groups of five, the last one filled with zeros: as `_regroup`, in a third of the time."""
    spare = -8 * len(data) % 5
    number = int.from_bytes(data, "big") << spare
    return [number >> shift & 31 for shift in range(8 * len(data) + spare - 5, -1, -5)]


def _regroup(values: Iterable[int], width: int, new_width: int) -> Iterator[int]:
    """The same bits in groups of `new_width`, the last one filled with zeros."""
    bits, held = 0, 0
    for value in values:
        bits, held = bits << width | value, held + width
        while held >= new_width:
            held -= new_width
            yield bits >> held & ((1 << new_width) - 1)
        bits &= (1 << held) - 1
    if held:
        yield bits << (new_width - held) & ((1 << new_width) - 1)
