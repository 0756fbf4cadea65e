"""Remote signers that know us: the client key they let in, kept in a file of mode 0600 for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from podium_daemon.keys.secret_file import KeyFileError, read_secret_file, replace_secret_file, write_secret_file
from podium_protocol.errors import InvalidInput, PodiumError
from podium_protocol.events import Pubkey, pubkey_or_none
from podium_protocol.keys import SecretKey
from podium_protocol.limits import MAX_DM_RELAYS
from podium_protocol.nips import nip19
from podium_protocol.relay_url import normalise_all

_SUFFIX: Final = ".json"


class KnownBunker(msgspec.Struct, frozen=True):
    """One signer: `client` is our key there, `user` the public key that it signs with."""

    signer: Pubkey
    user: Pubkey
    relays: tuple[str, ...]
    client: SecretKey


class _Stored(msgspec.Struct):
    signer: str
    user: str
    relays: tuple[str, ...]
    client: str


class KnownBunkers:
    """The files of one folder, one for each signer, or one for each user: a signer may hold the keys of several."""

    def __init__(self, folder: Path, *, by: Literal["signer", "user"] = "signer") -> None:
        """`by`: whether the signer's key or the user's key names a file."""
        self._folder = folder
        self._by = by

    def all(self) -> list[KnownBunker]:
        """The connections, in the order of their keys.

        Raises:
            KeyFileError: as `get`.
        """
        found = (pubkey_or_none(path.stem) for path in sorted(self._folder.glob(f"*{_SUFFIX}")))
        return [known for key in found if key is not None and (known := self.get(key)) is not None]

    def get(self, key: Pubkey) -> KnownBunker | None:
        """The connection of this key, or None.

        Raises:
            KeyFileError: the file cannot be read safely, or is damaged.
        """
        path = self._path(key)
        if not path.is_symlink() and not path.exists():
            return None
        known = _read(read_secret_file(path))
        if known is None or self._key_of(known) != key:
            raise KeyFileError(f"{path} is damaged: remove it and connect the signer again")
        return known

    def add(self, known: KnownBunker) -> Path:
        """Store a new connection and return the path of its file.

        Raises:
            KeyFileError: there is one of this key already, or the folder cannot be written.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise KeyFileError(f"{self._folder} cannot be made: {error.strerror}") from None
        write_secret_file(self._path(self._key_of(known)), _written(known))
        return self._path(self._key_of(known))

    def move(self, known: KnownBunker, relays: Sequence[str]) -> KnownBunker:
        """Store the relays that a known signer names now; they come first, and the older ones are kept.

        A URL may be older than what the signer said last, so only asking on all of them finds it. Our client key stays
        the same. Returns what is stored now; the file is replaced as a whole.

        Raises:
            KeyFileError: as `get`, or the folder cannot be written.
        """
        joined = normalise_all([*relays, *known.relays], MAX_DM_RELAYS)
        if set(joined) == set(known.relays):
            return known
        moved = msgspec.structs.replace(known, relays=joined)
        replace_secret_file(self._path(self._key_of(known)), _written(moved))
        return moved

    def forget(self, key: Pubkey) -> None:
        """Remove a connection and its key.

        Raises:
            InvalidInput: there is none.
        """
        try:
            self._path(key).unlink()
        except FileNotFoundError:
            raise InvalidInput("there is no connection to that signer: see `podium signer list`") from None

    def _key_of(self, known: KnownBunker) -> Pubkey:
        return known.signer if self._by == "signer" else known.user

    def _path(self, key: Pubkey) -> Path:
        return self._folder / f"{key}{_SUFFIX}"


def _written(known: KnownBunker) -> bytes:
    return msgspec.json.encode(_Stored(known.signer, known.user, known.relays, nip19.encode_nsec(known.client)))


def _read(raw: bytes) -> KnownBunker | None:
    try:
        stored = msgspec.json.decode(raw, type=_Stored)
        client = nip19.decode(stored.client)
    except (msgspec.DecodeError, UnicodeDecodeError, PodiumError):
        return None
    signer, user = pubkey_or_none(stored.signer), pubkey_or_none(stored.user)
    relays = normalise_all(stored.relays, MAX_DM_RELAYS)
    if signer is None or user is None or not relays or not isinstance(client, nip19.Nsec):
        return None
    return KnownBunker(signer, user, relays, client.secret)
