"""Logs: a sentence for people, a stable `action=` for machines; never content, never secrets, no control characters.

Every logger of the standard library (uvicorn, websockets, aiosqlite) passes the same processors. Theirs below WARNING
are left out at any level: they would write frames, SQL parameters and addresses with tokens.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from podium_protocol.text import paragraphs, single_line

_MAX_TEXT: Final = 2000
_MAX_TRACE: Final = 50_000
_MAX_ITEMS: Final = 50
_MAX_DEPTH: Final = 4
_QUIET: Final = (
    "aiosqlite",
    "asyncio",
    "httpcore",
    "httpx",
    "uvicorn",
    "uvicorn.access",
    "websockets",
    "aioice",
    "aiortc",
)
_SECRET_TEXT: Final = re.compile(
    r"n(?:crypt)?sec1[0-9a-z]{6,}|Nostr +[A-Za-z0-9+/=]{40,}|Bearer +\S+|(?<=[?&]secret=)[^&\s]+", re.IGNORECASE
)
_SECRET_NAME: Final = re.compile(
    r"secret|nsec|private_?key|seckey|password|passphrase|token|authorization|cookie|credential", re.IGNORECASE
)
_CONTENT_NAME: Final = re.compile(r"content|plaintext|body|message_text|rumor|payload", re.IGNORECASE)
_REMOVED: Final = "[removed]"

_log = structlog.get_logger(__name__)


def configure(level: str, form: Literal["console", "json"], stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (standard error), as text for people or one JSON object a line."""
    out = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # never with local variables: they hold keys
        scrub,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_last(form, out)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def set_level(level: str) -> None:
    """Change the lowest level that is logged, at once; for a reload."""
    logging.getLogger().setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def scrub(_logger: object, _method: str, event: EventDict) -> MutableMapping[str, object]:
    """A structlog processor: removes secrets, content and control characters, and limits the length of the rest."""
    return {_plain(name): _scrubbed(name, value, 0) for name, value in event.items()}


def _last(form: str, stream: TextIO) -> list[Processor]:
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if form == "json":
        return [drop, structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(sort_keys=False)]
    is_terminal = stream.isatty()
    return [drop, structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)]


def _scrubbed(name: str, value: object, depth: int) -> object:
    if name in ("_record", "_from_structlog"):  # the formatter's own
        return value
    if _SECRET_NAME.search(name) or (_CONTENT_NAME.fullmatch(name) and not isinstance(value, int)):
        return _REMOVED
    return _safe(value, depth, name)


def _safe(value: object, depth: int, name: str) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _REMOVED if depth >= _MAX_DEPTH else _safe_all(value, depth, name)
    text = value if isinstance(value, str) else str(value)
    is_trace = name in ("exception", "stack")
    cut = paragraphs(text, _MAX_TRACE) if is_trace else single_line(text, _MAX_TEXT)
    return _SECRET_TEXT.sub(_REMOVED, cut)


def _safe_all(value: object, depth: int, name: str) -> object:
    if isinstance(value, Mapping):
        items = list(value.items())[:_MAX_ITEMS]
        return {_plain(str(key)): _scrubbed(str(key), item, depth + 1) for key, item in items}
    assert isinstance(value, list | tuple | set | frozenset)
    return [_safe(item, depth + 1, name) for item in list(value)[:_MAX_ITEMS]]


def _plain(name: str) -> str:
    return _SECRET_TEXT.sub(_REMOVED, single_line(name, _MAX_TEXT))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: object) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, error.__traceback__)
        return
    _log.critical("stopped by an unforeseen error", action="daemon.crashed", exc_info=(kind, error, trace))
