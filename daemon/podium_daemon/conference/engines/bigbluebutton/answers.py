"""BigBlueButton's XML, read as hostile: no document type, no entities, bounded depth and size. No I/O.

The format is that of BigBlueButton's API documentation ("API calls"): a `response` with `returncode`.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Final
from xml.etree.ElementTree import Element as Node

import msgspec

_MAX_DEPTH: Final = 12
_MAX_ELEMENTS: Final = 100_000


class NotAnAnswer(Exception):
    """The bytes are not an answer of BigBlueButton; the text says why."""


class Element(msgspec.Struct, frozen=True):
    """One element of an answer: its name, its text, and the elements in it."""

    _found: Node

    @property
    def name(self) -> str:
        """The element's tag."""
        return self._found.tag

    @property
    def text(self) -> str:
        """The text before the first child, unchanged."""
        return self._found.text or ""

    def value(self, name: str) -> str:
        """The text of the first child of that name, or empty."""
        return self._found.findtext(name, "").strip()

    def is_true(self, name: str) -> bool:
        """Whether the first child of that name says `true`."""
        return self.value(name) == "true"

    def all(self, *path: str) -> list[Element]:
        """The elements at a path below this one."""
        return [Element(found) for found in self._found.iterfind("/".join(path))]


class ServerAnswer(msgspec.Struct, frozen=True):
    """A `response`: whether the call succeeded, and the server's key and words for it."""

    ok: bool
    key: str
    message: str
    root: Element


def read_answer(body: bytes) -> ServerAnswer:
    """Read an answer.

    Raises:
        NotAnAnswer: `body` is not an answer.
    """
    root = _parse(body)
    code = root.value("returncode")
    if root.name != "response" or code not in ("SUCCESS", "FAILED"):
        raise NotAnAnswer("it is no `response` with a return code")
    return ServerAnswer(code == "SUCCESS", root.value("messageKey")[:100], root.value("message")[:300], root)


def _parse(body: bytes) -> Element:
    # here, since only a service with BigBlueButton reads XML
    from defusedxml.common import DTDForbidden
    from defusedxml.ElementTree import ParseError, iterparse

    try:
        # without a document type there are only XML's own entities: no expansion (billion laughs), no files (XXE)
        return _bounded(iterparse(BytesIO(body), events=("start", "end"), forbid_dtd=True))
    except DTDForbidden as error:
        raise NotAnAnswer("it declares a document type") from error
    except (ParseError, LookupError, ValueError) as error:  # the last two: of an encoding that it names
        raise NotAnAnswer("it is no XML") from error


def _bounded(events: Iterable[tuple[str, Node]]) -> Element:
    depth, elements, root = 0, 0, Node("")
    for event, found in events:
        if event == "end":
            depth -= 1
            continue
        depth, elements, root = depth + 1, elements + 1, root if elements else found
        if depth > _MAX_DEPTH or elements > _MAX_ELEMENTS:
            raise NotAnAnswer("it is too deep or too large")
    return Element(root)
