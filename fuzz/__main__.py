"""Run one target, or all of them one after the other: `python -m fuzz [TARGET] [--seconds N]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["podium_protocol", "podium_daemon.conference", "aioice.stun"]):
    from fuzz.targets import TARGETS

_CORPUS: Final = Path("build/fuzz")
_LONGEST: Final = {"nip19": 256, "frames": 4096, "events": 4096, "nip46": 4096, "sdp": 8192}  # bytes of one input


def main() -> int:
    """Fuzz; 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=30, help="of each target")
    chosen = parser.parse_args()
    if chosen.target is not None:
        _fuzz(chosen.target, chosen.seconds)
        return 0
    failed = [name for name in TARGETS if not _fuzz_in_a_process(name, chosen.seconds)]
    print("found something in: " + ", ".join(failed) if failed else f"nothing found in {len(TARGETS)} targets")
    return 1 if failed else 0


def _fuzz_in_a_process(name: str, seconds: int) -> bool:
    print(f"==> {name}, {seconds} s", flush=True)
    return subprocess.run([sys.executable, "-m", "fuzz", name, "--seconds", str(seconds)], check=False).returncode == 0


def _fuzz(name: str, seconds: int) -> None:
    corpus = _CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={corpus}-find-", "-print_final_stats=1", "-verbosity=1"]
    options += [f"-max_len={_LONGEST.get(name, 1500)}", "-timeout=5", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name].read)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
