"""`podium certificate`: check a participant's certificate, without a daemon and without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import Json, helped, pubkey_of
from podium_daemon.cli.output import fields, print_json
from podium_daemon.cli.times import shown_time
from podium_protocol.events import Pubkey
from podium_protocol.live.certificate import (
    MAX_FILE_BYTES,
    Certificate,
    NoCertificate,
    find_certificate,
    read_certificate,
)
from podium_protocol.nips.nip19 import encode_npub

app = typer.Typer(no_args_is_help=True, help="Check certificates of attendance.")

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The picture, a text with its link, or - for standard input.")
]
Service = Annotated[
    str | None, typer.Option("--service", metavar="KEY", help="Whose signature it must be: npub or hex.")
]


@app.callback()
def certificate() -> None:
    """Keep `verify` a command of its own, since others will follow."""


@app.command(
    short_help="Check a certificate's signature.",
    help=helped(
        "Check the signature of a certificate and show what it says. Nothing is asked of any server. "
        "Compare the service's key with the one that the school publishes, or give it with --service.",
        "podium certificate verify certificate.svg",
        "podium certificate verify certificate.svg --service npub1...",
    ),
)
def verify(file: File, service: Service = None, as_json: Json = False) -> None:
    event = find_certificate(_content(file))
    found = event if isinstance(event, NoCertificate) else read_certificate(event)
    if isinstance(event, NoCertificate) or isinstance(found, NoCertificate):
        reason = found.reason if isinstance(found, NoCertificate) else ""
        raise CommandFailed(f"{file} is no certificate: {reason}.")
    wanted = pubkey_of(service, "--service") if service else None
    if wanted is not None and event.pubkey != wanted:
        raise CommandFailed(f"the signature holds, but it is by {encode_npub(event.pubkey)}, and not by --service.")
    _show(found, event.pubkey, as_json=as_json)


def _content(file: Path) -> bytes:
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}.") from None


def _show(found: Certificate, service: Pubkey, *, as_json: bool) -> None:
    record = found.record
    completed = record.completed
    assert completed is not None, "only a completed record is read as a certificate"
    if as_json:
        print_json(
            {
                "valid": True,
                "name": found.name,
                "participant": record.participant,
                "title": found.title,
                "session": str(record.session),
                "startsAt": found.starts_at,
                "minutes": found.minutes,
                "completedBy": completed.way.value,
                "completedAt": completed.at,
                "assurance": record.assurance.value,
                "serviceName": found.service_name,
                "service": service,
            }
        )
        return
    fields(
        {
            "signature": "holds",
            "name": found.name or None,
            "participant": encode_npub(record.participant),
            "session": found.title,
            "date": shown_time(found.starts_at),
            "minutes": found.minutes,
            "completed": f"{completed.way.value}, {shown_time(completed.at)}",
            "assurance": record.assurance.value,
            "issued by": found.service_name or None,
            "service key": encode_npub(service),
        }
    )
