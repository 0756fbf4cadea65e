"""The page as the server gives it: its files, their types, and an honest answer for sessions that are not here."""

from __future__ import annotations

import json
import posixpath
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.guard import HEADERS
from podium_daemon.web.routes.pages import FOLDER, MEDIA_TYPES, page_files, recording_origin
from tests.support.site import Site, site
from tests.support.wheel import ROOT, installed_wheel

_PACKED = "podium_daemon/web/page/"
TEXTS = {name: file.content.decode() for name, file in page_files().items()}
SCRIPTS = sorted(name for name in TEXTS if name.endswith(".js"))
SHELLS = sorted(name for name in TEXTS if name.endswith(".html"))
_KEY = re.compile(r"""\bt\(\s*["'`]([a-zA-Z0-9_.${}-]+)["'`]""")


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


async def test_the_index_is_html_under_the_strict_policy(here: Site) -> None:
    """`/` is HTML with the guard's content policy, asked about again on each visit."""
    answer = await here.client.get(f"{here.base}/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert (
        "require-trusted-types-for 'script'; trusted-types podium-frames" in answer.headers["content-security-policy"]
    )
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_a_session_has_its_page(here: Site) -> None:
    """`/s/{naddr}` is the shell of the session's page, and so is its address and a prefix of its `d`."""
    row = await here.here.schedule()
    for reference in (here.views.naddr(row), row.session_address, row.session_address.split(":")[2][:6]):
        answer = await here.client.get(f"{here.base}/s/{reference}")
        assert answer.status_code == 200
        assert b"<podium-session>" in answer.content


@pytest.mark.parametrize(
    "reference",
    ["nothing", "naddr1qqqq", "31923:zz:x", "31923:x"],
)
async def test_an_unknown_session_says_so(here: Site, reference: str) -> None:
    """A reference that names no session gets a page that says so, with status 404, and is not repeated in it."""
    answer = await here.client.get(f"{here.base}/s/{reference}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "There is no such session here" in answer.text
    assert reference not in answer.text


@pytest.mark.parametrize("name", sorted(page_files()))
async def test_every_file_has_its_type_and_can_be_kept(here: Site, name: str) -> None:
    """A file comes with its media type and a tag; asked again with the tag, it is not sent again."""
    first = await here.client.get(f"{here.base}/page/{name}")
    assert first.status_code == 200
    assert first.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
    assert first.headers["x-content-type-options"] == "nosniff"
    again = await here.client.get(
        f"{here.base}/page/{name}", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'}
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.family("file names")
@pytest.mark.parametrize(
    "path",
    [
        "/page/nothing.js",
        "/page/..%2Fsite.py",
        "/page/%2e%2e/site.py",
        "/page/core/../../site.py",
        "/page/core/%2e%2e/%2e%2e/site.py",
        "/page/core/..%2F..%2Fsite.py",
        "/page//etc/passwd",
        "/page/core",
        "/page/core/",
        "/page/core/../style.css",
        "/page/core\\api.js",
        "/page/style.css%00",
        "/page/",
        "/page/INDEX.HTML",
    ],
)
async def test_nothing_but_the_page_is_served(here: Site, path: str) -> None:
    """A path outside the page's own list of files finds nothing."""
    answer = await here.raw(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{here.port}\r\nConnection: close\r\n\r\n".encode())
    assert answer.status == 404
    assert b"import" not in answer.body


async def test_a_head_request_has_no_body(here: Site) -> None:
    """HEAD tells the type and the length."""
    answer = await here.client.head(f"{here.base}/page/style.css", headers={"Accept-Encoding": "identity"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(page_files()["style.css"].content)


@pytest.mark.parametrize("name", SHELLS)
def test_the_html_needs_no_exception_from_the_policy(name: str) -> None:
    """No shell has an inline script or style, an event attribute, or anything from another host."""
    text = TEXTS[name]
    assert re.search(r"<script(?![^>]*\ssrc=)", text) is None
    assert re.search(r"<style|\sstyle=|\son\w+=|javascript:", text) is None
    assert re.search(r"(?:src|href)=\"(?!/|#)", text) is None


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_can_turn_text_into_markup(name: str) -> None:
    """No module uses a sink that parses HTML or code."""
    sinks = (
        r"(inner|outer)HTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|new Function"
    )
    assert re.search(sinks, TEXTS[name]) is None


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_its_types_checked(name: str) -> None:
    """Each module asks for the check of its types, and none takes a line out of it."""
    assert TEXTS[name].startswith("// @ts-check\n")
    assert re.search(r"@ts-(ignore|nocheck|expect-error)", TEXTS[name]) is None


@pytest.mark.parametrize("name", [*SCRIPTS, *SHELLS])
def test_every_file_that_is_named_exists(name: str) -> None:
    """What a module imports or starts as a worker, and what a shell loads, is part of the page."""
    imported = re.findall(r"(?:from|import) \"(\.[\w./-]+)\"", TEXTS[name])
    named = [posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in imported]
    named += re.findall(r"\"/page/([\w./-]+)\"", TEXTS[name])
    assert set(named) <= set(TEXTS)


def test_modules_for_other_pages_keep_their_addresses() -> None:
    """Each module that docs/page.md tells people to import is served at that address."""
    told = set(re.findall(r"/page/([\w./-]+\.js)", (ROOT / "docs/page.md").read_text(encoding="utf-8")))
    assert {"use-live-session.js", "podium-signer.js"} <= told <= set(SCRIPTS)


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("identity", False), ("gzip;q=0", False), ("gzip; q=0.0, br", False)],
)
async def test_files_are_packed_for_browsers_that_take_it(here: Site, accepted: str, packed: bool) -> None:
    """Gzip where it is accepted, with a tag of its own; the content is the same."""
    url = f"{here.base}/page/en.json"
    answer = await here.client.get(url, headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.text == TEXTS["en.json"]
    assert (int(answer.headers["content-length"]) < len(answer.content) / 2) is packed
    headers = {"Accept-Encoding": accepted, "If-None-Match": answer.headers["etag"]}
    assert (await here.client.get(url, headers=headers)).status_code == 304
    headers["Accept-Encoding"] = "identity" if packed else "gzip"
    assert (await here.client.get(url, headers=headers)).status_code == 200


def test_both_languages_have_the_same_words() -> None:
    """The catalogues have the same keys, and the same names to fill in."""
    english, german = json.loads(TEXTS["en.json"]), json.loads(TEXTS["de.json"])
    assert english.keys() == german.keys()
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", german[key])), key


_NOT_MET: Final = {
    "bad-json", "not-json", "not-http", "header-twice",  # the page writes its requests right
    "bad-signature", "bad-webhook", "entrance-used",  # between the service and an engine's server
    "unknown-calendar", "range",  # answers to programs that read a file
    "no-conference", "other-configuration",  # of the model's calling service
}  # fmt: skip


def test_every_refusal_that_a_page_meets_has_words_in_both_languages() -> None:
    """Each slug of the service, and each of the page's own errors without words of its own, is in the catalogues."""
    own = {slug for name in SCRIPTS for slug in re.findall(r'new PodiumError\("([a-z0-9-]+)"\)', TEXTS[name])}
    met = {slug.value for slug in Slug} - _NOT_MET | own
    for language in ("en", "de"):
        words = json.loads(TEXTS[f"{language}.json"])
        assert {slug for slug in met if f"problem.{slug}" not in words} == set(), language


def test_every_word_that_the_page_says_is_in_the_catalogue() -> None:
    """Each literal key has its text, with or without a plural form; each composed key has texts of its beginning."""
    english = json.loads(TEXTS["en.json"])
    for name in SCRIPTS:
        for key in _KEY.findall(TEXTS[name]):
            stem = key.split("${")[0]
            found = (
                key in english
                or f"{key}.other" in english
                or (stem != key and any(k.startswith(stem) for k in english))
            )
            assert found, (name, key)
    for name in SHELLS:
        assert set(re.findall(r'data-text="([\w.-]+)"', TEXTS[name])) <= english.keys()


@pytest.mark.real_peer
def test_the_wheel_holds_the_page() -> None:
    """The built wheel packs every file of the page, byte for byte."""
    with zipfile.ZipFile(installed_wheel().wheel) as archive:
        packed = {
            name.removeprefix(_PACKED): archive.read(name) for name in archive.namelist() if name.startswith(_PACKED)
        }
    there = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}
    assert packed.keys() == there.keys() == TEXTS.keys()
    assert packed == {name: path.read_bytes() for name, path in there.items()}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://recordings.example.org/a.mp4?x=1", "https://recordings.example.org"),
        ("https://Recordings.Example.org:8443/a", "https://recordings.example.org:8443"),
        ("http://192.0.2.7/a", "http://192.0.2.7"),
        ("https://[2001:db8::1]:8443/a", "https://[2001:db8::1]:8443"),
        *((bad, None) for bad in (None, "", "javascript:pwned()", "/recordings/a.mp4", "ftp://example.org/a")),
        *(
            (f"https://{host}/a.mp4", None)
            for host in (
                *("", "*", "*.example.org", "a;script-src *", "a,default-src *", "a b", "a'b", "bücher.example"),
                *("user@example.org", "example.org:x", "a\r\nX: y", "a\tb", "[x]", "example.org:123456"),
            )
        ),
    ],
)
def test_a_recordings_origin_cannot_write_a_policy(url: str | None, origin: str | None) -> None:
    """Only a plain host of http(s) gets into the content policy: no wildcard, no separator, no quote."""
    assert recording_origin(url) == origin


async def test_players_may_load_from_the_recordings_host_alone(here: Site) -> None:
    """The page of a session with a recording elsewhere names its host for players; all else stays, other pages too."""
    usual = HEADERS["Content-Security-Policy"]
    row = await here.here.schedule()
    path = f"{here.base}/s/{here.views.naddr(row)}"
    before = await here.client.get(path)
    assert before.headers["content-security-policy"] == usual
    url = "https://recordings.example.org/one.mp4"
    await here.here.store.sessions.put(msgspec.structs.replace(row, recording_url=url))
    after = await here.client.get(path, headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200, "the browser would keep the policy that it has"
    policy = after.headers["content-security-policy"]
    assert "; media-src 'self' https://recordings.example.org blob:; " in policy
    assert policy.replace(" https://recordings.example.org", "") == usual
    again = await here.client.get(path, headers={"If-None-Match": after.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await here.client.get(f"{here.base}/")).headers["content-security-policy"] == usual
