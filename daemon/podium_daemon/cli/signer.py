"""`podium signer`: connect a remote signer (NIP-46), so that an instructor's key never touches this machine."""

from __future__ import annotations

import contextlib
import getpass
import ipaddress
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from podium_daemon.cli.caller import CommandCaller, caller_of
from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.cli.options import Json, Yes, confirm, helped
from podium_daemon.cli.output import fields, note, print_json, say, table
from podium_protocol.errors import InvalidInput, LocalProtocolError, PodiumError
from podium_protocol.limits import MAX_DM_RELAYS
from podium_protocol.nips import nip19, nip46
from podium_protocol.relay_url import require_all

if TYPE_CHECKING:
    from podium_daemon.api.signers import OpenedOut, SignerOut
    from podium_daemon.client.left_signer import LeftSigner

app = typer.Typer(no_args_is_help=True, help="Connect remote signers (NIP-46).")
_MAX_CHARACTERS: Final = 8192

ForService = Annotated[
    bool, typer.Option("--for-service", help="The signer that you leave with the service, at the daemon.")
]


@app.command(
    short_help="Connect a remote signer.",
    help=helped(
        "Connect a remote signer. Without an argument a QR code and its text are shown for the signer to scan. With - "
        "the bunker:// URL that the signer shows is asked for without being shown, or read from standard input, since "
        "its secret lets one client in. Afterwards --bunker names the signer by its key.",
        "podium signer connect",
        "podium signer connect --relay wss://relay.example.org",
        "podium signer connect -",
        "podium session create Knots --at +2h --bunker npub1...",
        "podium signer connect --for-service",
    ),
)
def connect(
    context: typer.Context,
    *,
    url: Annotated[str | None, typer.Argument(metavar="URL", help="- or a bunker:// URL; none to show a code.")] = None,
    relay: Annotated[
        list[str] | None, typer.Option("--relay", help="Where the signer finds us. Default: the configured relays.")
    ] = None,
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=60, help="How long to wait for a scan.")] = 10,
    for_service: ForService = False,
    as_json: Json = False,
) -> None:
    caller = caller_of(context)
    bunker = _read_url() if url == "-" else url
    if for_service:
        if relay:
            raise InvalidInput("--relay: the daemon invites your signer to its own relays")
        _leave(caller, bunker, as_json=as_json)
        return
    from podium_daemon.cli import remote_signer

    if bunker is not None:
        made = caller.run(remote_signer.connect(nip46.parse_bunker(bunker), caller.bunkers()))
    else:
        relays = _relays(caller, relay or [])
        patience = minutes * 60.0
        made = caller.run(remote_signer.invite(relays, caller.bunkers(), show=_Shower(relays), patience=patience))
    rows = {"signer": nip19.encode_npub(made.signer), "user": nip19.encode_npub(made.user)}
    if as_json:
        print_json({**rows, "relays": list(made.relays)})
    else:
        fields({**rows, "use it with": f"--bunker {rows['signer']}"})


@app.command(
    "list",
    short_help="Signers that are connected.",
    help=helped(
        "Signers that are connected, and whose keys they sign with.",
        "podium signer list --json",
        "podium signer list --for-service",
    ),
)
def list_(context: typer.Context, for_service: ForService = False, as_json: Json = False) -> None:
    caller = caller_of(context)
    found = _left(caller) if for_service else _connected(caller)
    if as_json:
        print_json({"signers": found})
        return
    table(
        ("signer", "signs as", "relays"),
        ((one["signer"], one["user"], ", ".join(one["relays"])) for one in found),
        empty="No signer is connected. `podium signer connect` connects one.",
        whole=("signer",),
        details=("signs as", "relays"),
    )


@app.command(
    short_help="End a connection.",
    help=helped(
        "Remove our key for a signer, and tell the signer if it is there.",
        "podium signer forget npub1...",
        "podium signer forget --for-service",
    ),
)
def forget(
    context: typer.Context,
    signer: Annotated[str | None, typer.Argument(metavar="SIGNER", help="The signer's key.")] = None,
    for_service: ForService = False,
    yes: Yes = False,
) -> None:
    from podium_daemon.cli import remote_signer

    caller = caller_of(context)
    if for_service or signer is not None:
        confirm("Forget this signer? Connecting it again takes its QR code or bunker:// URL.", yes=yes)
    if for_service:
        caller.run(caller.signing().left_signer.take_back())
        say("the service has no signer of yours any more")
        return
    if signer is None:
        raise InvalidInput("name the signer by its key: `podium signer list` shows those that are connected")
    bunkers, pubkey = caller.bunkers(), nip19.parse_pubkey(signer)
    known = bunkers.get(pubkey)
    bunkers.forget(pubkey)  # first: the key goes, whether the signer hears of it or not (NIP-46, "logout")
    if known is not None:
        caller.run(remote_signer.say_goodbye(known))
    say(f"forgotten: {nip19.encode_npub(pubkey)}")


class _Shower:
    """Shows the code, and says what to do with it."""

    def __init__(self, relays: Sequence[str]) -> None:
        self._relays = relays

    def __call__(self, uri: str) -> None:
        from podium_daemon.cli.qr_output import show_qr

        show_qr(uri)
        note("Scan the code with your signer, or paste the text into it. Ctrl-C ends this.")
        if all(_is_loopback(relay) for relay in self._relays):
            note(
                f"It names relays on this machine only ({', '.join(self._relays)}): a signer elsewhere cannot come. "
                "Name one that both reach with --relay wss://..."
            )


def _leave(caller: CommandCaller, bunker: str | None, *, as_json: bool) -> None:
    left = _left_with_service(caller, bunker)
    if as_json:
        print_json({"user": left.npub})
    else:
        say(f"the service can ask the signer of {left.npub} now; `podium signer forget --for-service` takes that back")


def _connected(caller: CommandCaller) -> list[dict[str, list[str] | str]]:
    return [
        {"signer": nip19.encode_npub(one.signer), "user": nip19.encode_npub(one.user), "relays": list(one.relays)}
        for one in caller.bunkers().all()
    ]


def _left(caller: CommandCaller) -> list[dict[str, list[str] | str]]:
    podium = caller.signing()
    left = caller.run(podium.left_signer.show())
    if left.signer is None or podium.pubkey is None:
        return []
    return [{"signer": left.signer, "user": nip19.encode_npub(podium.pubkey), "relays": list(left.relays)}]


def _read_url() -> str:
    return getpass.getpass("bunker:// URL: ") if sys.stdin.isatty() else sys.stdin.read(_MAX_CHARACTERS)


def _relays(caller: CommandCaller, named: list[str]) -> tuple[str, ...]:
    config = caller.config()
    own = [config.embedded_url] if config.runs_embedded_relay else []
    given = named or [*own, *(relay.url for relay in config.relays if relay.read and relay.write)][:MAX_DM_RELAYS]
    try:
        return require_all(given, MAX_DM_RELAYS)
    except LocalProtocolError as error:
        raise InvalidInput(f"--relay: {error}") from None


def _is_loopback(relay: str) -> bool:
    host = urlsplit(relay).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _left_with_service(caller: CommandCaller, bunker: str | None) -> SignerOut:
    """Have the daemon connect a signer for the instructor, by the signer's URL or by one that is shown here.

    Raises:
        CommandFailed: it was not connected; says why.
    """
    left = caller.daemon(caller.config(), None).left_signer
    opened = caller.run(left.connect(bunker))
    try:
        seen = caller.run(_followed(left, opened))
    except BaseException:  # Ctrl-C too: the command no longer waits for a signer
        with contextlib.suppress(PodiumError):
            caller.run(left.give_up(opened))
        raise
    if seen.state != "kept":
        raise CommandFailed(f"no signer was left with the service: {seen.problem}", Exit.SIGNER)
    return seen


async def _followed(left: LeftSigner, opened: OpenedOut) -> SignerOut:
    from podium_daemon.cli.qr_output import show_qr

    seen = opened.signer
    shown: set[str] = set()
    while seen.state == "pairing":
        if seen.uri is not None and seen.uri not in shown:
            show_qr(seen.uri)
        if seen.page is not None and seen.page not in shown:
            note(f"Your signer asks you to agree on this page: {seen.page}")
        shown |= {text for text in (seen.uri, seen.page) if text is not None}
        seen = await left.follow(opened, seen)
    return seen
