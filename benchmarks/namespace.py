"""A network namespace with an address of its own: Janus uses no loopback for media, and a namespace needs no root."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

ADDRESS: Final = "10.98.0.1"
_SETUP: Final = f"""
set -e
ip link set lo up
ip link add media0 type veth peer name media1
ip address add {ADDRESS}/24 dev media0
ip link set media0 up
ip link set media1 up
exec "$@"
"""
INSIDE: Final = ("unshare", "-rn", "sh", "-c", _SETUP, "sh")
"""What stands before a command that is to run in a namespace of its own."""


def missing() -> str | None:
    """Why there is no such namespace here, or None."""
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            return f"there is no program {program!r}: on Debian, apt-get install {package}"
    done = subprocess.run([*INSIDE, "true"], check=False, capture_output=True, text=True)
    return f"no network namespace here: {done.stderr.strip()[-200:]}" if done.returncode else None
