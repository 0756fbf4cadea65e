"""`podium signer`: connect a remote signer (NIP-46), so that an instructor's key never touches this machine."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated, Final

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, helped
from podium_daemon.cli.output import fields, print_json, say, table
from podium_protocol.nips import nip19, nip46

app = typer.Typer(no_args_is_help=True, help="Connect remote signers (NIP-46).")
_MAX_CHARACTERS: Final = 8192


@app.command(
    short_help="Connect a remote signer.",
    help=helped(
        "Connect a remote signer: give the bunker:// URL it shows. It is asked for without being shown, or read from "
        "standard input, since its secret lets one client in. Afterwards --bunker names the signer by its key.",
        "podium signer connect",
        "podium session create Knots --at +2h --bunker npub1...",
    ),
)
def connect(context: typer.Context, as_json: Json = False) -> None:
    from podium_daemon.cli import remote_signer

    text = getpass.getpass("bunker:// URL: ") if sys.stdin.isatty() else sys.stdin.read(_MAX_CHARACTERS)
    made = remote_signer.connect(nip46.parse_bunker(text), caller_of(context).bunkers())
    rows = {"signer": nip19.encode_npub(made.signer), "user": nip19.encode_npub(made.user)}
    if as_json:
        print_json({**rows, "relays": list(made.relays)})
    else:
        fields({**rows, "use it with": f"--bunker {rows['signer']}"})


@app.command(
    "list",
    short_help="Signers that are connected.",
    help=helped("Signers that are connected, and whose keys they sign with.", "podium signer list --json"),
)
def list_(context: typer.Context, as_json: Json = False) -> None:
    found = [
        {"signer": nip19.encode_npub(one.signer), "user": nip19.encode_npub(one.user), "relays": list(one.relays)}
        for one in caller_of(context).bunkers().all()
    ]
    if as_json:
        print_json({"signers": found})
        return
    table(
        ("signer", "signs as", "relays"),
        ((str(one["signer"]), str(one["user"]), ", ".join(one["relays"])) for one in found),
        empty="No signer is connected. `podium signer connect` connects one.",
    )


@app.command(
    short_help="End a connection.",
    help=helped("Remove our key for a signer, and tell the signer if it is there.", "podium signer forget npub1..."),
)
def forget(
    context: typer.Context, signer: Annotated[str, typer.Argument(metavar="SIGNER", help="The signer's key.")]
) -> None:
    from podium_daemon.cli import remote_signer

    bunkers, pubkey = caller_of(context).bunkers(), nip19.parse_pubkey(signer)
    known = bunkers.get(pubkey)
    bunkers.forget(pubkey)  # first: the key goes, whether the signer hears of it or not (NIP-46, "logout")
    if known is not None:
        remote_signer.say_goodbye(known)
    say(f"forgotten: {nip19.encode_npub(pubkey)}")
