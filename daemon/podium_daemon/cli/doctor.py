"""`podium doctor`: what stands between this machine and a working daemon."""

from __future__ import annotations

import asyncio
import os

import msgspec
import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.doctor_checks import Check, Verdict, examine
from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import Json, helped
from podium_daemon.cli.output import print_json, say, table
from podium_daemon.cli.relays import probe

app = typer.Typer()


@app.command(
    short_help="Check this machine and say what to do.",
    help=helped(
        "Check configuration, key, disk, ports and relays, and say what to do. Exit code 1 if something will not work.",
        "podium doctor",
        "podium doctor --json",
    ),
)
def doctor(context: typer.Context, as_json: Json = False) -> None:
    caller = caller_of(context)
    config = caller.config()
    found = asyncio.run(examine(config, environment=os.environ, key_option=caller.key_option, reach=probe))
    source = str(caller.config_file or "no file: defaults and environment")
    checks = (Check("configuration", Verdict.OK, source), *found)
    if as_json:
        print_json({"checks": msgspec.to_builtins(checks)})
    else:
        _show(checks)
    failed = [check.name for check in checks if check.verdict is Verdict.FAIL]
    if failed:
        raise CommandFailed(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def _show(checks: tuple[Check, ...]) -> None:
    table(("check", "", "finding"), ((one.name, one.verdict.value, one.detail) for one in checks), empty="")
    advice = [f"{one.name}: {one.advice}" for one in checks if one.advice]
    if advice:
        say("\n" + "\n".join(advice))
