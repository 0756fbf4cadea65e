"""NIP-98 on each call: one signed event, for one URL, method and body, within a minute, used once."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from httpx import Response

from podium_daemon.web.login import UsedLogins
from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip98
from podium_storage.table.models import LiveSessionRow
from tests.support.clock import ManualClock
from tests.support.relays import new_key
from tests.support.site import Site, as_json, site
from tests.support.world import signed

one_loop = pytest.mark.asyncio(loop_scope="module")
BODY = b'{"status": "confirmed"}'


class Desk:
    """A server with one session, and a call that needs a login."""

    def __init__(self, here: Site, row: LiveSessionRow) -> None:
        self.here = here
        self.key = new_key()
        self.path = here.path_of(row, "rsvp", "draft")

    def draft(self) -> UnsignedEvent:
        """A good login for the call."""
        return self.here.login_draft(self.key, "POST", self.path, BODY)

    async def call(self, login: UnsignedEvent, key: SecretKey | None = None) -> Response:
        """The call with this login, signed."""
        return await self.send(nip98.write_header(signed(key or self.key, login)))

    async def send(self, header: str) -> Response:
        """The call with this header."""
        headers = {"Authorization": header, "Content-Type": "application/json"}
        return await self.here.call("POST", self.path, content=BODY, headers=headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    """One server that has been up for a while; each call has a login of its own."""
    async with site() as here:
        row = await here.here.schedule()
        await here.here.clock.advance(600)
        yield Desk(here, row)


def changed(
    event: UnsignedEvent,
    *,
    kind: int | None = None,
    at: int | None = None,
    tags: Callable[[tuple[tuple[str, ...], ...]], tuple[tuple[str, ...], ...]] = lambda rows: rows,
) -> UnsignedEvent:
    """The login with something else in it."""
    return UnsignedEvent(
        event.pubkey, at if at is not None else event.created_at, kind or event.kind, tags(event.tags), event.content
    )


def with_tag(name: str, value: str) -> Callable[[tuple[tuple[str, ...], ...]], tuple[tuple[str, ...], ...]]:
    """Say something else under a name."""
    return lambda rows: tuple((name, value) if row[0] == name else row for row in rows)


def without(name: str) -> Callable[[tuple[tuple[str, ...], ...]], tuple[tuple[str, ...], ...]]:
    """Leave a tag out."""
    return lambda rows: tuple(row for row in rows if row[0] != name)


def twice(name: str, value: str) -> Callable[[tuple[tuple[str, ...], ...]], tuple[tuple[str, ...], ...]]:
    """Say a second thing under a name."""
    return lambda rows: (*rows, (name, value))


def is_refused(answer: Response) -> bool:
    """Whether the caller was told to sign in, and how."""
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == "Nostr"
    problem = answer.json()
    assert problem["type"] == "urn:podium:problem:login"
    assert "27235" in problem["next"]
    return True


@one_loop
async def test_a_good_login_passes(desk: Desk) -> None:
    """The right event for the right call is let in, also when the scheme is written in another case."""
    assert (await desk.call(desk.draft())).status_code == 200
    header = nip98.write_header(signed(desk.key, desk.draft()))
    assert (await desk.send(header.replace("Nostr", "nostr"))).status_code == 200


@one_loop
async def test_a_call_without_a_login_is_refused(desk: Desk) -> None:
    """What needs a login says so, and what needs none needs none."""
    answer = await desk.here.call("POST", desk.path, content=BODY, headers={"Content-Type": "application/json"})
    assert is_refused(answer)
    assert (await desk.here.get("/api/sessions")).status_code == 200


@pytest.mark.family("HTTP")
@one_loop
@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param("Nostr", id="scheme alone"),
        pytest.param("Bearer {event}", id="another scheme"),
        pytest.param("Basic {event}", id="basic"),
        pytest.param("{event}", id="no scheme"),
        pytest.param("Nostr {event} {event}", id="two events"),
        pytest.param("Nostr {event}!", id="a character that is no base64"),
        pytest.param("Nostr {event}=", id="padding too much"),
        pytest.param("Nostr {cut}", id="cut"),
        pytest.param("Nostr {urlsafe}-_", id="the other alphabet"),
        pytest.param("Nostr {json}", id="JSON as it is"),
        pytest.param("Nostr {list}", id="base64 of a list"),
        pytest.param("Nostr {twice}", id="an event with a key twice"),
        pytest.param("Nostr " + "A" * 20_000, id="longer than any login"),
    ],
)
async def test_a_header_that_holds_no_login_is_refused(desk: Desk, header: str) -> None:
    """Anything but `Nostr` and one event in strict base64 is no login."""
    raw = signed(desk.key, desk.draft()).to_json()
    event = base64.b64encode(raw).decode()
    text = header.format(
        event=event,
        cut=event[:-5],
        urlsafe=event.rstrip("="),
        json=raw.decode(),
        list=base64.b64encode(b"[]").decode(),
        twice=base64.b64encode(raw.replace(b'{"id"', b'{"kind":27235,"id"')).decode(),
    )
    assert is_refused(await desk.send(text))


@one_loop
@pytest.mark.parametrize("kind", [1, 22242, 24242, 27236, 31925])
async def test_an_event_of_another_kind_is_no_login(desk: Desk, kind: int) -> None:
    """An event that was signed for something else opens nothing here."""
    assert is_refused(await desk.call(changed(desk.draft(), kind=kind)))


@one_loop
@pytest.mark.parametrize(
    "url",
    [
        pytest.param("{base}/api/sessions", id="another path"),
        pytest.param("{url}/", id="trailing slash"),
        pytest.param("{url}?", id="empty query"),
        pytest.param("{url}?state=active", id="a query that was not sent"),
        pytest.param("{url}#x", id="a fragment"),
        pytest.param("http://localhost:{port}{path}", id="another name of ours"),
        pytest.param("http://evil.example.com{path}", id="another host"),
        pytest.param("https://127.0.0.1:{port}{path}", id="another scheme"),
        pytest.param("http://127.0.0.1{path}", id="another port"),
        pytest.param("{path}", id="no host"),
        pytest.param("{upper}", id="another case"),
        pytest.param(" {url}", id="with a space"),
        pytest.param("{url}\n", id="with a line feed"),
        pytest.param("", id="empty"),
    ],
)
async def test_a_login_for_another_url_is_refused(desk: Desk, url: str) -> None:
    """The URL is the public one, letter for letter, with the query as it was sent."""
    base = desk.here.base
    wrong = url.format(
        base=base, url=base + desk.path, path=desk.path, port=desk.here.port, upper=(base + desk.path).upper()
    )
    assert is_refused(await desk.call(changed(desk.draft(), tags=with_tag("u", wrong))))


@one_loop
async def test_the_query_belongs_to_the_login(desk: Desk) -> None:
    """A login for the list alone does not fetch the table, and the other way round."""
    path = desk.path.removesuffix("/rsvp/draft") + "/attendance"
    here, key = desk.here, new_key()
    for asked, signed_for, status in (
        (f"{path}?format=csv", f"{path}?format=csv", 403),  # let in, and then no leader
        (f"{path}?format=csv", path, 401),
        (path, f"{path}?format=csv", 401),
        (f"{path}?format=csv", f"{path}?format=csv-intervals", 401),
    ):
        header = nip98.write_header(here.login(key, "GET", signed_for))
        assert (await here.call("GET", asked, headers={"Authorization": header})).status_code == status


@one_loop
async def test_the_path_counts_as_it_was_sent(desk: Desk) -> None:
    """An escaped character is not its plain one: a login covers the spelling that was signed and no other."""
    here, key = desk.here, new_key()
    row = await here.here.schedule()
    plain = f"/api/sessions/{row.session_address}/rsvps"
    escaped = plain.replace(":", "%3A")
    for path in (plain, escaped):
        assert (await here.call("GET", path, by=key)).status_code == 200
    header = nip98.write_header(here.login(key, "GET", plain))
    assert is_refused(await here.call("GET", escaped, headers={"Authorization": header}))
    question = "/api/sessions/a%3Fb/rsvps"
    header = nip98.write_header(here.login(key, "GET", "/api/sessions/a?b/rsvps"))
    assert is_refused(await here.call("GET", question, headers={"Authorization": header}))


@one_loop
@pytest.mark.parametrize("method", ["GET", "PUT", "get", "", "POST "])
async def test_a_login_for_another_method_is_refused(desk: Desk, method: str) -> None:
    """A login to look is none to change."""
    assert is_refused(await desk.call(changed(desk.draft(), tags=with_tag("method", method))))


@one_loop
@pytest.mark.parametrize(
    "tags",
    [
        pytest.param(with_tag("payload", "0" * 64), id="another body"),
        pytest.param(with_tag("payload", ""), id="empty"),
        pytest.param(without("payload"), id="missing"),
        pytest.param(without("u"), id="no URL"),
        pytest.param(without("method"), id="no method"),
        pytest.param(twice("payload", "0" * 64), id="two payloads"),
        pytest.param(twice("u", "http://evil.example.com/"), id="two URLs"),
        pytest.param(twice("method", "POST"), id="the method twice"),
    ],
)
async def test_a_login_must_say_each_thing_once_and_truly(
    desk: Desk, tags: Callable[[tuple[tuple[str, ...], ...]], tuple[tuple[str, ...], ...]]
) -> None:
    """The hash of the body is that of the body that came; no tag is missing, and none is there twice."""
    assert is_refused(await desk.call(changed(desk.draft(), tags=tags)))


@one_loop
async def test_the_hash_in_capitals_is_another_text(desk: Desk) -> None:
    """Hex is lower case: two spellings of one hash would be two logins."""
    draft = desk.draft()
    digest = next(row[1] for row in draft.tags if row[0] == "payload")
    assert is_refused(await desk.call(changed(draft, tags=with_tag("payload", digest.upper()))))


@one_loop
@pytest.mark.parametrize(
    ("seconds", "status"), [(-61, 401), (-60, 200), (0, 200), (60, 200), (61, 401), (-3600, 401), (3600, 401)]
)
async def test_a_login_is_dated_now_give_or_take_a_minute(desk: Desk, seconds: int, status: int) -> None:
    """Sixty seconds either way are let in, sixty-one are not."""
    now = desk.here.here.now
    assert (await desk.call(changed(desk.draft(), at=now + seconds))).status_code == status


@one_loop
async def test_a_login_is_good_for_one_call(desk: Desk) -> None:
    """A header that was seen on the way cannot be sent again, not even at the far end of its minute."""
    login = signed(desk.key, changed(desk.draft(), at=desk.here.here.now + 60))
    header = nip98.write_header(login)
    assert (await desk.send(header)).status_code == 200
    assert is_refused(await desk.send(header))
    await desk.here.here.clock.advance(119)
    assert is_refused(await desk.send(header))


@one_loop
@pytest.mark.parametrize("method", ["post", "Post"])
async def test_a_method_may_be_in_small_letters(desk: Desk, method: str) -> None:
    """nostr-tools signs what its caller wrote, and its own example writes "post"."""
    assert (await desk.call(changed(desk.draft(), tags=with_tag("method", method)))).status_code == 200


@one_loop
async def test_a_read_may_be_repeated_within_its_second(desk: Desk) -> None:
    """A client without a nonce signs the same event twice in one second; a second later it is a copy."""
    here, path = desk.here, desk.path.removesuffix("/draft") + "s"
    plain = nip98.write(desk.key.pubkey, here.base + path, "GET", None, here.here.now)
    headers = {"Authorization": nip98.write_header(signed(desk.key, plain))}
    for _ in range(3):
        assert (await here.call("GET", path, headers=headers)).status_code == 200
    await here.here.clock.advance(1)
    assert is_refused(await here.call("GET", path, headers=headers))


@one_loop
async def test_a_login_that_failed_can_be_used_rightly(desk: Desk) -> None:
    """A good login sent to the wrong place is not used up: only a success uses it up."""
    header = nip98.write_header(signed(desk.key, desk.draft()))
    elsewhere = await desk.here.call("GET", desk.path, headers={"Authorization": header})
    assert elsewhere.status_code == 405
    assert (await desk.send(header)).status_code == 200


@one_loop
async def test_a_body_that_was_changed_on_the_way_is_refused(desk: Desk) -> None:
    """The login names the hash of the body, so another body does not pass."""
    header = nip98.write_header(signed(desk.key, desk.draft()))
    headers = {"Authorization": header, "Content-Type": "application/json"}
    answer = await desk.here.call("POST", desk.path, content=b'{"status": "declined"}', headers=headers)
    assert is_refused(answer)


@one_loop
@pytest.mark.parametrize("field", ["id", "sig", "pubkey", "created_at", "content"])
async def test_a_login_that_was_changed_after_signing_is_refused(desk: Desk, field: str) -> None:
    """One byte in any place breaks the id or the signature."""
    event = as_json(signed(desk.key, desk.draft()))
    values = {"content": "x", "created_at": desk.here.here.now + 1, "pubkey": new_key().pubkey}
    wrong = {"id": "0" * 64, "sig": "0" * 128} | values
    raw = json.dumps(event | {field: wrong[field]}).encode()
    assert is_refused(await desk.send("Nostr " + base64.b64encode(raw).decode()))


@one_loop
async def test_another_keys_signature_is_refused(desk: Desk) -> None:
    """An event that names one person and is signed by another is nobody's."""
    mine, theirs = signed(desk.key, desk.draft()), new_key()
    forged = as_json(mine) | {"pubkey": theirs.pubkey}
    assert is_refused(await desk.send("Nostr " + base64.b64encode(json.dumps(forged).encode()).decode()))


@one_loop
async def test_two_authorization_headers_are_refused(desk: Desk) -> None:
    """A proxy may look at the one and we at the other."""
    header = nip98.write_header(signed(desk.key, desk.draft()))
    lines = (f"Host: 127.0.0.1:{desk.here.port}", "Content-Type: application/json", f"Content-Length: {len(BODY)}")
    head = "\r\n".join(
        (
            f"POST {desk.path} HTTP/1.1",
            *lines,
            f"Authorization: {header}",
            "Authorization: x",
            "Connection: close",
            "",
            "",
        )
    )
    assert (await desk.here.raw(head.encode() + BODY)).status == 400


@one_loop
async def test_the_reason_is_told(desk: Desk) -> None:
    """The refusal says which check failed and names the URL that should have been signed."""
    answer = await desk.call(changed(desk.draft(), tags=with_tag("u", "http://evil.example.com/")))
    assert desk.here.base + desk.path in answer.json()["detail"]
    late = await desk.call(changed(desk.draft(), at=desk.here.here.now - 90))
    assert "90 s ago" in late.json()["detail"]


async def test_a_login_from_before_the_start_is_refused() -> None:
    """The ids that were used are in memory only: what was signed before the daemon started could be a copy."""
    async with site() as here:
        row = await here.here.schedule()
        path, key = here.path_of(row, "rsvps"), new_key()
        for seconds, status in ((-2, 401), (-30, 401), (0, 200)):
            draft = changed(here.login_draft(key, "GET", path), at=here.here.now + seconds)
            headers = {"Authorization": nip98.write_header(signed(key, draft))}
            assert (await here.call("GET", path, headers=headers)).status_code == status


async def test_used_logins_are_forgotten_when_they_are_too_old_to_pass() -> None:
    """The memory of used logins holds those that could still pass, and no others."""
    clock = ManualClock()
    used, key = UsedLogins(clock), new_key()
    for _ in range(100):
        event = signed(key, UnsignedEvent(key.pubkey, int(clock.now()) + 60, 27235, (), os.urandom(4).hex()))
        assert used.use_login(event)
        assert not used.use_login(event)
        await clock.advance(10)
    assert len(used) <= 13
