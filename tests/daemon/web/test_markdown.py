"""Descriptions in Markdown, as a tree of the few elements that the page makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.api.sessions import MarkupNode
from podium_daemon.web.markdown import MAX_BRACKETS, MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, parse_markdown

_PIECES = st.sampled_from(
    ["# ", "- ", "1. ", "> ", "*", "**", "_", "`", "```\n", "[a](", "https://a.example", "javascript:x", ")", "![b](",
     "<b>", "<script>", "&lt;", "&#106;avascript:", "\n", "\n\n", "    ", "word", "\\", "---\n", "[r]: https://b.example\n"]
)  # fmt: skip


def sketch(nodes: Sequence[MarkupNode] | None) -> str:
    """A tree as a line of text."""
    assert nodes is not None
    return "".join(
        each.text if each.tag == "" else f"<{each.tag}{f' {each.href}' if each.href else ''}>{sketch(each.children)}</>"
        for each in nodes
    )


def every(nodes: Sequence[MarkupNode], depth: int = 1) -> Iterator[tuple[MarkupNode, int]]:
    """Each node with its depth."""
    for each in nodes:
        yield each, depth
        yield from every(each.children, depth + 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One\n\n## Two\n\n### Three", "<h3>One</><h4>Two</><h5>Three</>"),
        ("- a\n- b", "<ul><li><p>a</></><li><p>b</></></>"),
        ("1. a", "<ol><li><p>a</></></>"),
        ("*soft* **loud** `x`", "<p><em>soft</> <strong>loud</> <code>x</></>"),
        ("[there](https://a.example/x)", "<p><a https://a.example/x>there</></>"),
        ("<https://a.example>", "<p><a https://a.example>https://a.example</></>"),
        ("see https://a.example/x, then", "<p>see <a https://a.example/x>https://a.example/x</>, then</>"),
        ("*https://a.example*", "<p><em><a https://a.example>https://a.example</></></>"),
        ("(https://a.example/b_(c))", "<p>(<a https://a.example/b_(c)>https://a.example/b_(c)</>)</>"),
        ("[https://a.example](https://b.example)", "<p><a https://b.example>https://a.example</></>"),
        ("one line\nand the next", "<p>one line<br></>and the next</>"),
        ("> said", "<blockquote><p>said</></>"),
        ("```\na < b\n```", "<pre>a < b\n</>"),
        ("---", "<hr></>"),
    ],
)
def test_markdown_becomes_elements(text: str, expected: str) -> None:
    """Headings, lists, emphasis, links and code are elements; headings stand below those of the page."""
    assert sketch(parse_markdown(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<script>alert(1)</script>", "<p><script>alert(1)</script></>"),
        ("<img src=x onerror=alert(1)>", "<p><img src=x onerror=alert(1)></>"),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</>"),
        ("[a](data:text/html,x)", "<p>[a](data:text/html,x)</>"),
        ("[a](/elsewhere)", "<p><span>a</></>"),
        ("[a](mailto:a@b.example)", "<p><span>a</></>"),
        ("[a](https://user@a.example)", "<p><span>a</></>"),
        ("http://a.example and ftp://a.example", "<p>http://a.example and ftp://a.example</>"),
        ("https://user@a.example https://", "<p>https://user@a.example https://</>"),
        ("`https://a.example`", "<p><code>https://a.example</></>"),
        ("![a cat](https://a.example/cat.png)", "<p>a cat</>"),
    ],
)
def test_hostile_markdown_stays_text(text: str, expected: str) -> None:
    """HTML is text, a link leads to the web only, and nothing is loaded from elsewhere."""
    assert sketch(parse_markdown(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["a" * (MAX_CHARACTERS + 1), "*a* " * (MAX_NODES // 2), "[" * (MAX_BRACKETS + 1), ">" * 40 + " deep"],
    ids=["long", "busy", "bracketed", "deep"],
)
def test_a_text_beyond_the_bounds_is_not_read(text: str) -> None:
    """What is longer, busier or deeper than a description needs is shown as it is written."""
    assert parse_markdown(text) is None


@given(st.lists(_PIECES, max_size=60).map("".join))
def test_any_text_gives_a_bounded_tree_of_safe_links(text: str) -> None:
    """Whatever is written, links have http or https, and the tree is no deeper than allowed."""
    for node, depth in every(parse_markdown(text) or ()):
        assert depth <= MAX_DEPTH + 2
        assert node.href is None or node.href.startswith(("https://", "http://"))
        assert (node.tag == "a") == (node.href is not None)
