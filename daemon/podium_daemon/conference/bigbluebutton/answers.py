"""BigBlueButton's XML, read as hostile: no document type, no entities, bounded depth and size. No I/O.

The format is that of BigBlueButton's API documentation ("API calls"): a `response` with `returncode`.
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

import msgspec

_MAX_DEPTH: Final = 12
_MAX_ELEMENTS: Final = 100_000


class NotAnAnswer(Exception):  # noqa: N818  (said of what came)
    """What came is not what BigBlueButton sends; the text says why."""


class Element(msgspec.Struct):
    """One element: its name, its text, and the elements in it."""

    name: str
    text: str = ""
    children: list[Element] = msgspec.field(default_factory=list)

    def value(self, name: str) -> str:
        """The text of the first child of that name, or empty."""
        return next((child.text.strip() for child in self.children if child.name == name), "")

    def is_true(self, name: str) -> bool:
        """Whether the first child of that name says `true`."""
        return self.value(name) == "true"

    def all(self, *path: str) -> list[Element]:
        """The elements at a path below this one."""
        found = [self]
        for name in path:
            found = [child for element in found for child in element.children if child.name == name]
        return found


class Answer(msgspec.Struct, frozen=True):
    """A `response`: whether the call succeeded, and the server's key and words for it."""

    ok: bool
    key: str
    message: str
    root: Element


def read_answer(body: bytes) -> Answer:
    """Read an answer.

    Raises:
        NotAnAnswer: it is none.
    """
    root = _parse(body)
    code = root.value("returncode")
    if root.name != "response" or code not in ("SUCCESS", "FAILED"):
        raise NotAnAnswer("it is no `response` with a return code")
    return Answer(code == "SUCCESS", root.value("messageKey")[:100], root.value("message")[:300], root)


def _parse(body: bytes) -> Element:
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    # without a document type there are no entities but XML's own five: no expansion (billion laughs), no files (XXE)
    parser.StartDoctypeDeclHandler = builder.refuse_doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise NotAnAnswer("it is no XML") from error
    if builder.root is None:
        raise NotAnAnswer("it is empty")
    return builder.root


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._elements = 0

    def refuse_doctype(self, *_: object) -> None:
        raise NotAnAnswer("it declares a document type")

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._open) >= _MAX_DEPTH or self._elements > _MAX_ELEMENTS:
            raise NotAnAnswer("it is too deep or too large")
        element = Element(name)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        self._open[-1].text += text
