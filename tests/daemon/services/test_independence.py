"""Services do not import each other: the contract that says so names them all."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = "podium_daemon.services"


def modules() -> dict[str, set[str]]:
    """Each module of the services, with the others of them that it imports."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "daemon/podium_daemon/services").glob("[!_]*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        found[path.stem] = {name.rpartition(".")[2] for name in imports if name.startswith(f"{PACKAGE}.")}
    return found


def test_every_service_stands_in_the_contract() -> None:
    """What no other module here imports is a service, and not a part of one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (listed,) = (set(contract["modules"]) for contract in contracts if contract["type"] == "independence")
    uses = modules()
    services = uses.keys() - set[str]().union(*uses.values())
    missing = {f"{PACKAGE}.{name}" for name in services} - listed
    assert not missing, "list them in the independence contract of pyproject.toml"
    assert {name.rpartition(".")[2] for name in listed} <= uses.keys()
