"""Names of sessions that would be bad names of files: what is downloaded and stored is named by us."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from podium_protocol.addresses import Address
from podium_protocol.kinds import SESSION
from podium_protocol.live.session_spec import SessionSpec
from podium_storage.table.models import LiveSessionRow
from tests.support.site import Site, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = [
    # out of the folder (CWE-22), in the spellings of shells, of URLs and of Windows
    "../../etc/passwd",
    "..",
    ".",
    "/etc/passwd",
    "~/.ssh/authorized_keys",
    "a/../../b",
    "..\\..\\boot.ini",
    "C:\\autoexec.bat",
    "\\\\server\\share",
    "%2e%2e%2f%2e%2e%2fetc",
    "..%c0%af..%c0%afetc",
    "file:///etc/passwd",
    # names that systems keep for themselves
    "CON",
    "nul.txt",
    "aux.webm",
    "name:stream",
    ".htaccess",
    "desktop.ini",
    # what ends a header or begins another (CWE-113), and what ends a quoted name (RFC 6266)
    'x"; filename="evil.exe',
    "x\r\nSet-Cookie: a=b",
    "x\nContent-Type: text/html",
    "x\x00.webm",
    "x\x1b[2J",
    # what shows another extension than there is (CWE-451), what is too long, and what shells would run
    "cod\u202excs.exe",
    "a" * 255,
    "-rf",
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned",
    "*?[x]",
    "name. ",
    "é" * 120,
]
OURS = {
    "calendar.ics": 'attachment; filename="podium-session.ics"',
    "attendance?format=csv": 'attachment; filename="attendance.csv"',
    "chat?format=text": 'attachment; filename="chat.txt"',
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """One server for all names."""
    async with site() as running:
        yield running


async def scheduled(here: Site, identifier: str, title: str) -> LiveSessionRow | None:
    """A session as a stranger's client publishes it, if its identifier is one."""
    world = here.here
    spec = SessionSpec(identifier="x", title="x", starts_at=world.now + 3600, duration_minutes=30, timezone="Etc/UTC")
    draft, changed = world.draft(spec), {"d": identifier, "title": title}
    tags = tuple((tag[0], changed[tag[0]]) if tag[0] in changed else tag for tag in draft.tags)
    await world.publish(world.instructor, msgspec.structs.replace(draft, tags=tags))
    address = str(Address(SESSION, world.instructor.pubkey, identifier))
    return await world.store.sessions.where("lessonId").equals(address).first()


@pytest.mark.family("file names")
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_name_of_a_stranger_is_no_name_of_a_file(here: Site, name: str) -> None:
    """As identifier or title of a session it names nothing: each download has the name that we gave it."""
    rows = [await scheduled(here, name, name), await scheduled(here, f"plain-{NAMES.index(name)}", name)]
    assert rows[1] is not None
    kept = set(here._folder.rglob("*"))
    for row in filter(None, rows):
        for path, disposition in OURS.items():
            answer = await here.get(here.path_of(row, path), here.here.instructor)
            assert answer.status_code == 200, (path, answer.text)
            assert answer.headers["Content-Disposition"] == disposition
            assert "Set-Cookie" not in answer.headers
    assert set(here._folder.rglob("*")) == kept
