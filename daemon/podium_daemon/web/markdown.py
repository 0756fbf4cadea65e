"""Descriptions in Markdown (CommonMark) as a tree that the page makes nodes of: no HTML passes.

The text is a stranger's. Raw HTML stays text, pictures become their description, links lead to the web only, and what
is longer, deeper or busier than a description needs is not read as Markdown at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from podium_daemon.api.sessions import MarkupNode, MarkupTag
from podium_protocol.live import fields

MAX_CHARACTERS: Final = 10_000
"""A long description has some 3,000; of this many characters the parser has made a tree in 50 ms."""

MAX_BRACKETS: Final = 400
"""The parser looks for the end of each, up to the end of the text: 10,000 of them take it a quarter of a second."""

MAX_NODES: Final = 2_000
MAX_DEPTH: Final = 12

_PARSER: Final = MarkdownIt("commonmark", {"html": False, "maxNesting": 2 * MAX_DEPTH})
_TAGS: Final[dict[str, MarkupTag]] = {
    "paragraph": "p",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "blockquote": "blockquote",
    "em": "em",
    "strong": "strong",
    "link": "a",
}
_HEADINGS: Final[dict[str, MarkupTag]] = {"h1": "h3", "h2": "h4"}  # the page has h1 and h2 itself
_ADDRESS: Final = re.compile(r"(?<![\w/])https://[^\s<>\"'`]+")
_AFTER: Final = ".,;:!?…*_"  # what closes a sentence belongs to no address
_BREAKS: Final = ("softbreak", "hardbreak")  # who writes plain text means the ends of its lines


class _TooMuch(Exception):
    """The text has more nodes, or deeper ones, than a description needs."""


@lru_cache(maxsize=256)
def parse_markdown(text: str) -> tuple[MarkupNode, ...] | None:
    """The nodes of a text; None if it is to be shown as it is written: it is too long, too deep or has too many."""
    if len(text) > MAX_CHARACTERS or text.count("[") > MAX_BRACKETS:
        return None
    reader = _Reader()
    try:
        return reader.read(_PARSER.parse(text))
    except _TooMuch:
        return None


class _Open:
    """A node whose end has not come yet."""

    def __init__(self, tag: MarkupTag, href: str | None = None) -> None:
        self.tag = tag
        self.href = href
        self.children: list[MarkupNode] = []

    def closed(self) -> MarkupNode:
        return MarkupNode(tag=self.tag, href=self.href, children=tuple(self.children))


class _Reader:
    """Makes a tree of the parser's tokens, counting what it makes."""

    def __init__(self) -> None:
        self._count = 0
        self._open = [_Open("")]

    def read(self, tokens: Sequence[Token]) -> tuple[MarkupNode, ...]:
        self._take(tokens)
        return tuple(self._open[0].children)

    def _take(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            if token.type == "inline":
                self._take(token.children or ())
            elif token.nesting == 1:
                self._start(token)
            elif token.nesting == -1:
                done = self._open.pop()
                self._add(done.closed())
            elif token.type == "text" and all(one.tag != "a" for one in self._open):
                for node in _linked(token.content):
                    self._add(node)
            else:
                self._add(_leaf(token))

    def _start(self, token: Token) -> None:
        if len(self._open) > MAX_DEPTH:
            raise _TooMuch
        kind = token.type.removesuffix("_open")
        href = fields.web_url(str(token.attrGet("href") or "")) if kind == "link" else None
        # a link that leads anywhere else is its text
        tag: MarkupTag = _HEADINGS.get(token.tag, "h5") if kind == "heading" else _TAGS.get(kind, "span")
        self._open.append(_Open("span" if tag == "a" and href is None else tag, href))

    def _add(self, node: MarkupNode) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise _TooMuch
        self._open[-1].children.append(node)


def _linked(text: str) -> Iterator[MarkupNode]:
    """A text with its bare https addresses as links: people write them so."""
    start = 0
    for found in _ADDRESS.finditer(text):
        address = _trimmed(found.group())
        if (href := fields.web_url(address)) is None:
            continue
        if found.start() > start:
            yield MarkupNode(tag="", text=text[start : found.start()])
        yield MarkupNode(tag="a", href=href, children=(MarkupNode(tag="", text=address),))
        start = found.start() + len(address)
    if start < len(text):
        yield MarkupNode(tag="", text=text[start:])


def _trimmed(address: str) -> str:
    """Without what follows an address in a sentence; a bracket that was opened in it is its own."""
    address = address.rstrip(_AFTER)
    unopened = address.count(")") - address.count("(")
    while unopened > 0 and address.endswith(")"):
        address = address[:-1].rstrip(_AFTER)
        unopened -= 1
    return address


def _leaf(token: Token) -> MarkupNode:
    if token.type in _BREAKS:
        return MarkupNode(tag="br")
    if token.type == "hr":
        return MarkupNode(tag="hr")
    text = MarkupNode(tag="", text=token.content)
    if token.type in ("fence", "code_block"):
        return MarkupNode(tag="pre", children=(text,))
    return MarkupNode(tag="code", children=(text,)) if token.type == "code_inline" else text
