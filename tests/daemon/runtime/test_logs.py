"""Logs for people and machines, without secrets."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from podium_daemon.runtime import logs
from podium_protocol.nips.nip19 import encode_nsec
from tests.support.relays import new_key

Form = Literal["console", "json"]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leaves logging as pytest had it."""
    root = logging.getLogger()
    handlers, level, hook = list(root.handlers), root.level, sys.excepthook
    yield
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def written(form: Form = "json", level: str = "info") -> io.StringIO:
    """Where the logs go in a test."""
    stream = io.StringIO()
    logs.configure(level, form, stream)
    return stream


def fail(error: Exception) -> None:
    """Raise, so that there is a trace."""
    raise error


def objects(stream: io.StringIO) -> list[dict[str, object]]:
    """The lines as objects."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_machines_get_one_object_a_line_with_a_stable_action() -> None:
    """A line names time, level, logger, message and action, and keeps values as they are."""
    stream = written()
    structlog.get_logger("podium_daemon.x").info("a session moved", action="session.moved", people=3, late=False)
    (line,) = objects(stream)
    assert line.pop("timestamp")
    assert line == {
        "message": "a session moved",
        "action": "session.moved",
        "people": 3,
        "late": False,
        "level": "info",
        "logger": "podium_daemon.x",
    }


def test_people_get_a_sentence() -> None:
    """The console form begins with the time and the sentence, and has no colours without a terminal."""
    stream = written("console")
    structlog.get_logger("x").warning("the clock jumped", action="clock.jumped", seconds=90)
    text = stream.getvalue()
    assert "the clock jumped" in text
    assert "action=clock.jumped" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("place", ["message", "value", "name", "nested", "exception", "stdlib", "argument"])
def test_a_secret_key_never_reaches_the_log(form: Form, place: str) -> None:
    """An nsec is taken out of messages, values, names, nested values, tracebacks and other libraries' records."""
    stream = written(form)
    secret = encode_nsec(new_key())
    log = structlog.get_logger("x")
    match place:
        case "message":
            log.info(f"using {secret} now")  # noqa: G004  (what a careless caller would write)
        case "value":
            log.info("m", path=secret.upper())
        case "name":
            log.info("m", **{secret: 1})
        case "nested":
            log.info("m", data={"a": [{"b": secret}], secret: 1})
        case "exception":
            try:
                fail(ValueError(secret))
            except ValueError:
                log.exception("failed")
        case "stdlib":
            logging.getLogger("other").warning("using %s", secret)
        case _:
            logging.getLogger("other").warning("m", extra={"where": secret})
    assert stream.getvalue()
    assert secret[5:].lower() not in stream.getvalue().lower()


@pytest.mark.parametrize(
    "name",
    ["secret", "secret_key", "private_key", "nsec", "password", "token", "socket_token", "Authorization", "set-cookie"],
)
def test_values_under_the_name_of_a_secret_are_removed(name: str) -> None:
    """Hex digits and tokens cannot be told from public values by their looks, so their names decide."""
    stream = written()
    value = new_key().expose().hex()
    structlog.get_logger("x").info("m", **{name: value, "data": {name: [value]}, "pubkey": "ab" * 32})
    assert value not in stream.getvalue()
    assert "ab" * 32 in stream.getvalue()


def test_a_login_header_is_removed_from_text() -> None:
    """An Authorization header quoted in a message could be used within its minute."""
    stream = written()
    structlog.get_logger("x").info("got Nostr " + "A" * 60 + " and Bearer abc.def")
    assert "AAAA" not in stream.getvalue()
    assert "abc.def" not in stream.getvalue()


def test_the_secret_of_a_signers_address_is_removed_from_text() -> None:
    """With it another client could be let in, as long as the signer was not told of this one."""
    stream = written()
    structlog.get_logger("x").info("no answer from bunker://ab?relay=wss%3A%2F%2Fr.example.org&secret=pear&x=1")
    assert "pear" not in stream.getvalue()
    assert "r.example.org" in stream.getvalue()


@pytest.mark.parametrize("name", ["content", "plaintext", "body", "rumor", "payload"])
def test_the_content_of_messages_is_not_logged(name: str) -> None:
    """What people write stays with them; a size is no content."""
    stream = written()
    structlog.get_logger("x").info("m", **{name: "see you at six"})
    structlog.get_logger("x").info("m", **{name: 17})
    first, second = objects(stream)
    assert first[name] == "[removed]"
    assert second[name] == 17


@pytest.mark.parametrize("form", ["console", "json"])
def test_control_characters_of_strangers_do_not_reach_a_terminal(form: Form) -> None:
    """Titles and relays' words can neither move the cursor, nor start a line, nor turn the reading direction."""
    stream = written(form)
    hostile = "a\x1b[2Jb\x9b31mc\u202ed\nFAKE LINE\x07"
    structlog.get_logger("x").info("m " + hostile, title=hostile, many=[hostile], **{"na\x1bme": hostile})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert not set("\x1b\x9b\u202e\x07") & set(stream.getvalue())


def test_bytes_and_huge_values_are_bounded() -> None:
    """Bytes are counted, not printed; long text, long lists and deep values are cut."""
    stream = written()
    deep: object = "end"
    for _ in range(50):
        deep = [deep]
    structlog.get_logger("x").info("m", raw=b"\x00" * 99, text="x" * 100_000, items=list(range(10_000)), deep=deep)
    (line,) = objects(stream)
    assert line["raw"] == "<99 bytes>"
    assert len(stream.getvalue()) < 6000


def test_lone_surrogates_do_not_break_the_log() -> None:
    """Half a surrogate pair from a relay has no UTF-8 form, and must not end a task that logs it."""
    stream = written()
    structlog.get_logger("x").info("m", title="\ud800")
    stream.getvalue().encode()


def test_frames_parameters_and_addresses_of_libraries_are_not_logged_at_any_level() -> None:
    """Even at debug the libraries that would write frames, SQL parameters and tokens stay silent; warnings pass."""
    stream = written(level="debug")
    for name in ("websockets.client", "aiosqlite", "httpx", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).info("private text")
        logging.getLogger(name).debug("private text")
    assert stream.getvalue() == ""
    logging.getLogger("websockets.client").warning("connection lost")
    assert objects(stream)[0]["message"] == "connection lost"


def test_the_level_is_kept_and_can_be_changed() -> None:
    """What is below the level is left out, and a reload may change the level at once."""
    stream = written(level="warning")
    log = structlog.get_logger("x")
    log.info("no")
    logs.set_level("debug")
    log.debug("yes")
    assert [line["message"] for line in objects(stream)] == ["yes"]


def test_tracebacks_do_not_show_local_variables() -> None:
    """A local variable may be a key."""
    stream = written("console")
    canary = "zebra" + "crossing"
    try:
        fail(ValueError(len(canary)))
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert "ValueError: 13" in stream.getvalue()
    assert canary not in stream.getvalue()


def test_an_uncaught_error_is_logged() -> None:
    """What nobody caught ends in the log, with its trace, for people who read only that."""
    stream = written()
    try:
        fail(RuntimeError("boom"))
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    (line,) = objects(stream)
    assert line["action"] == "daemon.crashed"
    assert "RuntimeError: boom" in str(line["exception"])


def test_warnings_go_to_the_log() -> None:
    """Python's own warnings are lines like any other."""
    stream = written()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("look here", UserWarning, stacklevel=1)
    logging.captureWarnings(capture=False)
    assert "look here" in stream.getvalue()
