"""BigBlueButton's XML, read as hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.conference.engines.bigbluebutton.answers import NotAnAnswer, read_answer

_BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<response><returncode>SUCCESS</returncode><x>&b;</x></response>"
)
_FILE = (
    b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    b"<response><returncode>SUCCESS</returncode><x>&f;</x></response>"
)


def test_an_answer_is_read() -> None:
    """Code, key, words and nested elements come out; CDATA and XML's own entities are text."""
    answer = read_answer(
        b"<?xml version='1.0'?><response><returncode>FAILED</returncode><messageKey>notFound</messageKey>"
        b"<message><![CDATA[a <b> & c]]></message><a><b>1</b><b>2 &amp; 3</b></a></response>"
    )
    assert (answer.ok, answer.key, answer.message) == (False, "notFound", "a <b> & c")
    assert [element.text for element in answer.root.all("a", "b")] == ["1", "2 & 3"]
    assert answer.root.value("nothing") == ""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(_BOMB, "document type", id="billion laughs"),
        pytest.param(_FILE, "document type", id="a file"),
        pytest.param(b'<!DOCTYPE response SYSTEM "http://evil.example/x.dtd"><response/>', "document type", id="dtd"),
        pytest.param(b"<response>&undefined;</response>", "no XML", id="unknown entity"),
        pytest.param(b"<a>" * 50 + b"</a>" * 50, "too deep", id="deep"),
        pytest.param(b"<response>" + b"<a/>" * 100_001 + b"</response>", "too large", id="wide"),
        pytest.param(b"<response><returncode>SUCCESS</returncode>", "no XML", id="cut off"),
        pytest.param(b"{}", "no XML", id="json"),
        pytest.param(b"\xff\xfe\x00", "no XML", id="bytes"),
        pytest.param(b"", "no XML", id="empty"),
        pytest.param(b"<?xml version='1.0' encoding='bogus'?><response/>", "no XML", id="no encoding"),
        pytest.param(b"<?xml version='1.0' encoding='hex'?><response/>", "no XML", id="no text encoding"),
        pytest.param(b"<?xml version='1.0' encoding='shift_jis'?><response/>", "no XML", id="multi-byte encoding"),
        pytest.param(b"<?xml version='1.0' encoding='idna'?><response/>", "no XML", id="encoding that fails"),
        pytest.param(b"<html/>", "no `response`", id="html"),
        pytest.param(b"<response><returncode>YES</returncode></response>", "no `response`", id="another code"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(body: bytes, why: str) -> None:
    """Bombs, foreign files and other programs' pages are refused before anything is made of them."""
    with pytest.raises(NotAnAnswer, match=why):
        read_answer(body)


def test_an_answer_at_the_limits_is_read() -> None:
    """Twelve levels and a hundred thousand elements are an answer yet; comments and what names them say nothing."""
    body = b"<response><!-- x --><returncode>SUCC<!-- y -->ESS</returncode>"
    deep = b"<a>" * 11 + b"</a>" * 11
    answer = read_answer(body + deep + b"<b/>" * (100_000 - 13) + b"</response>")
    assert answer.ok
    assert len(answer.root.all("b")) == 100_000 - 13
    assert [element.name for element in answer.root.all(*["a"] * 11)] == ["a"]


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    """Whatever a server sends, there is one way to fail."""
    with pytest.raises(NotAnAnswer):
        read_answer(body)
