"""The signer that an instructor leaves with the service: connected by the daemon, shown and taken back from here."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from podium_daemon.cli.api_client import Api, decode
from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.cli.output import note
from podium_daemon.cli.qr_output import show_qr

_PATH: Final = "/api/service/signer"
_WAIT: Final = 25  # seconds that the daemon may hold one look


class Connection(msgspec.Struct, rename="camel"):
    """How the daemon's connection stands."""

    id: str
    version: int
    state: str
    uri: str | None
    npub: str | None
    page: str | None
    is_slow: bool
    problem: str | None


class _Opened(msgspec.Struct):
    secret: str
    signer: Connection


class LeftSigner(msgspec.Struct):
    """What the caller left."""

    signer: str | None
    relays: list[str]


def leave(api: Api, bunker: str | None) -> Connection:
    """Have the daemon connect a signer for the instructor, by the signer's URL or by one that is shown here.

    Raises:
        CommandFailed: it was not connected; says why.
    """
    wish = {"purpose": "service"} if bunker is None else {"purpose": "service", "bunker": bunker}
    opened = decode(api.post("/api/signers", wish), _Opened)
    api.authorization = f"Podium-Signer {opened.secret}"
    try:
        seen = _followed(api, opened.signer)
    except BaseException:  # Ctrl-C too: nobody waits for a signer any more
        with contextlib.suppress(CommandFailed):
            api.delete(f"/api/signers/{opened.signer.id}")
        raise
    if seen.state != "kept":
        raise CommandFailed(f"no signer was left with the service: {seen.problem}", Exit.SIGNER)
    return seen


def left_by(api: Api) -> LeftSigner:
    """What the caller left with the service."""
    return decode(api.get(_PATH), LeftSigner)


def take_back(api: Api) -> None:
    """Have the daemon forget it."""
    api.delete(_PATH)


def _followed(api: Api, seen: Connection) -> Connection:
    shown: set[str] = set()
    while seen.state == "pairing":
        if seen.uri is not None and seen.uri not in shown:
            show_qr(seen.uri)
        if seen.page is not None and seen.page not in shown:
            note(f"Your signer asks you to agree on this page: {seen.page}")
        shown |= {text for text in (seen.uri, seen.page) if text is not None}
        query = {"seen": str(seen.version), "wait": str(_WAIT)}
        seen = decode(api.get(f"/api/signers/{seen.id}", query), Connection)
    return seen
