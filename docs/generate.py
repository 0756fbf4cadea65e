"""Writes the generated pages: `python docs/generate.py` after a configuration key or a route has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from podium_daemon.config import FIELDS, Config, needs_restart, purpose_of, shown_default
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.site import described_api

FOLDER = Path(__file__).parent
_METHODS = ("get", "post", "put", "patch", "delete")


def configuration() -> str:
    """Every configuration key: its default, what it means, and whether it waits for a restart."""
    return "\n".join(_configuration(Config())).rstrip() + "\n"


def http_api() -> str:
    """Every route with its sentence, its parameters and its answers, out of /openapi.json."""
    return "\n".join(_http_api(described_api("https://podium.example.org").openapi())).rstrip() + "\n"


PAGES = {"configuration.md": configuration, "http-api.md": http_api}


def _configuration(defaults: Config) -> Iterator[str]:
    yield from ("# Configuration", "", "<!-- Written by docs/generate.py from the declarations of the keys. -->", "")
    yield "One TOML file. A flag wins over an environment variable, that over the file, and the file over the defaults."
    yield "The variable of `web.port` is `PODIUM_WEB__PORT`. SIGHUP reads it again; an invalid file changes nothing."
    yield "Keys marked *restart* wait for the next start, and the log of a reload names those that changed."
    yield ""
    yield "`relays` is a list of tables; without any, the embedded relay is started."
    section = ""
    for key, field in FIELDS.items():
        if key == "relays":
            continue
        if (found := key.rpartition(".")[0]) != section:
            section = found
            yield from (
                "",
                f"## {section}",
                "",
                purpose_of(section),
                "",
                "| key | default | what it means |",
                "|---|---|---|",
            )
        restart = " *restart*" if needs_restart(key) else ""
        text = (field.description or "").replace("|", "\\|")
        yield f"| `{key.rpartition('.')[2]}` | `{shown_default(defaults, key)}` | {text}{restart} |"


def _http_api(schema: dict[str, Any]) -> Iterator[str]:
    yield from ("# HTTP interface", "", "<!-- Written by docs/generate.py from /openapi.json. -->", "")
    yield "Calls are signed with NIP-98 where a login is named, or carry the token of `POST /api/login` as `Bearer`."
    yield "Field names are the model's; times are Unix seconds."
    yield "Errors are problem documents (RFC 9457) that say what to do next. `/openapi.json` has every shape."
    for path, methods in schema["paths"].items():
        for method in (name for name in _METHODS if name in methods):
            yield from ("", f"## {method.upper()} {path}", "")
            yield from _operation(methods[method])
    yield from _problems()


def _problems() -> Iterator[str]:
    yield from (
        "",
        "## Problems",
        "",
        "The `type` of a problem document is `urn:podium:problem:` and one of these. They are stable.",
    )
    yield from ("", "| slug | status |", "|---|---|")
    for slug in Slug:
        yield f"| `{slug}` | {slug.status.value} {slug.status.phrase} |"


def _operation(operation: dict[str, Any]) -> Iterator[str]:
    yield operation.get("description") or operation.get("summary", "")
    yield ""
    for parameter in operation.get("parameters", ()):
        required = "" if parameter.get("required") else ", optional"
        yield f"- `{parameter['name']}` ({parameter['in']}{required}) {parameter.get('description', '')}".rstrip()
    if body := operation.get("requestBody"):
        yield f"- body: {', '.join(_shapes(body))}"
    good = {code: answer for code, answer in operation["responses"].items() if code < "400"}
    for code, answer in good.items():
        yield f"- {code}: {', '.join(_shapes(answer)) or answer['description']}"


def _shapes(part: dict[str, Any]) -> Iterator[str]:
    for kind, media in part.get("content", {}).items():
        name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
        yield f"`{name}`" if name else f"`{kind}`"


if __name__ == "__main__":
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")
