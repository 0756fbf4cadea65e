"""What every request passes first: its Host, its Origin, its size; and the headers that every answer carries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from podium_daemon.runtime.allowances import Rate
from podium_daemon.web import guard
from podium_daemon.web.guard import MAX_BODY_BYTES, int_or
from tests.support.relays import new_key
from tests.support.site import Site, site

REBINDING = "evil.example.com"


one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    """One server for all: nothing here changes what it holds."""
    async with site() as running:
        yield running


def request(path: str, *lines: str, method: str = "GET") -> bytes:
    """A request with exactly these header lines."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", *lines, "Connection: close", "", "")).encode("latin-1")


@one_loop
class TestHost:
    """DNS rebinding sends no Origin, so the Host is looked at on every request."""

    @pytest.mark.family("HTTP")
    @pytest.mark.parametrize(
        "host",
        [
            pytest.param("evil.example.com", id="another name"),
            pytest.param("evil.example.com:{port}", id="another name with our port"),
            pytest.param("127.0.0.1", id="no port"),
            pytest.param("127.0.0.1:{other}", id="another port"),
            pytest.param("127.0.0.1:{port}.evil.example.com", id="ours as the beginning"),
            pytest.param("evil.example.com@127.0.0.1:{port}", id="ours behind a user name"),
            pytest.param("localhost.:{port}", id="trailing dot"),
            pytest.param("127.1:{port}", id="another spelling of the address"),
            pytest.param("[::ffff:127.0.0.1]:{port}", id="mapped address"),
            pytest.param("127.0.0.1:{port}/", id="with a path"),
            pytest.param("127.0.0.1:{port}, evil.example.com", id="two in one line"),
            pytest.param("", id="empty"),
        ],
    )
    @pytest.mark.parametrize("path", ["/api/sessions", "/healthz", "/openapi.json", "/metrics", "/nowhere"])
    async def test_a_request_for_another_host_is_refused(self, here: Site, host: str, path: str) -> None:
        """Whatever the route, a Host that is not ours gets 421 and nothing else."""
        name = host.format(port=here.port, other=here.port + 1)
        answer = await here.raw(request(path, f"Host: {name}"))
        assert answer.status == 421
        assert json.loads(answer.body)["type"] == "urn:podium:problem:wrong-host"

    @pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}"])
    async def test_our_own_names_pass_in_any_case(self, here: Site, host: str) -> None:
        """Host names have no case, and each of those that are ours is answered."""
        answer = await here.raw(request("/healthz", f"Host: {host.format(port=here.port)}"))
        assert (answer.status, answer.body) == (200, b"ok\n")

    async def test_a_request_without_a_host_is_refused(self, here: Site) -> None:
        """HTTP/1.1 without Host is no request; HTTP/1.0 without one is for nobody here."""
        assert (await here.raw(request("/healthz"))).status == 400
        old = await here.raw(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert old.status == 421

    async def test_two_hosts_are_refused(self, here: Site) -> None:
        """A request that names two hosts could be read by a proxy as one and by us as the other."""
        ours = f"Host: 127.0.0.1:{here.port}"
        for lines in ((ours, "Host: evil.example.com"), ("Host: evil.example.com", ours)):
            assert (await here.raw(request("/healthz", *lines))).status in (400, 421)

    async def test_a_request_line_with_an_address_of_its_own_finds_nothing(self, here: Site) -> None:
        """A proxy's form of a request names another site: it is not taken for a path of ours."""
        answer = await here.raw(request("http://evil.example.com/healthz", f"Host: 127.0.0.1:{here.port}"))
        assert answer.status == 404

    async def test_a_forwarded_host_changes_nothing(self, here: Site) -> None:
        """Headers of proxies are not believed: neither for the Host nor for the URL that a login names."""
        headers = {"X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "https", "Forwarded": "host=evil"}
        key = new_key()
        row = await here.here.schedule()
        answer = await here.call("GET", here.path_of(row, "rsvps"), by=key, headers=headers)
        assert answer.status_code == 200


@one_loop
class TestOrigin:
    """A page of another site can make a browser send requests, but not leave out where they come from."""

    @pytest.mark.family("HTTP")
    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.example.com",
            "null",
            "https://127.0.0.1:{port}",
            "http://127.0.0.1:{other}",
            "http://127.0.0.1",
            "http://127.0.0.1:{port}.evil.example.com",
            "http://localhost:{port}",
            "",
        ],
    )
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    async def test_an_unsafe_request_from_another_origin_is_refused(self, here: Site, origin: str, method: str) -> None:
        """Only the public URL's own origin may change anything, even with a good login."""
        key = new_key()
        headers = {"Origin": origin.format(port=here.port, other=here.port + 1)}
        answer = await here.call(method, "/api/events", by=key, body={"events": []}, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:podium:problem:wrong-origin"

    async def test_our_own_page_and_programs_pass(self, here: Site) -> None:
        """The page sends our origin, a program sends none."""
        row = await here.here.schedule()
        path = here.path_of(row, "join", "challenge")
        for headers in ({"Origin": here.base}, {"Origin": here.base.upper()}, {}):
            assert (await here.call("POST", path, headers=headers)).status_code == 200

    async def test_a_page_under_another_name_of_this_machine_is_ours(self, here: Site) -> None:
        """It calls the name that it came from; any mixture, another port or a foreign name is refused as ever."""
        row = await here.here.schedule()
        path, own, other = (
            here.path_of(row, "join", "challenge"),
            f"localhost:{here.port}",
            f"localhost:{here.port + 1}",
        )
        calls = [
            ({"Host": own, "Origin": f"http://{own}"}, 200),
            ({"Host": own, "Origin": here.base}, 200),
            ({"Host": own, "Origin": f"https://{own}"}, 403),
            ({"Host": own, "Origin": f"http://{other}"}, 403),
            ({"Host": own, "Origin": "http://localhost"}, 403),
            ({"Host": own, "Origin": f"http://[::1]:{here.port}"}, 403),
            ({"Host": own, "Origin": "http://evil.example.com"}, 403),
            ({"Host": other, "Origin": f"http://{other}"}, 421),
            ({"Host": "evil.example.com", "Origin": "http://evil.example.com"}, 421),
        ]
        for headers, status in calls:
            assert (await here.call("POST", path, headers=headers)).status_code == status, headers

    async def test_a_page_under_another_name_is_sent_to_the_public_url(self, here: Site) -> None:
        """What a browser keeps belongs to one address, which is the one that links name; programs are not sent."""
        headers = {"Host": f"localhost:{here.port}", "Accept": "text/html,*/*;q=0.8"}
        sent = await here.call("GET", "/s/knots%3Fx?y=1", headers=headers)
        assert (sent.status_code, sent.headers["location"]) == (307, f"{here.base}/s/knots%3Fx?y=1")
        assert (await here.call("GET", "/", headers={**headers, "Accept": "*/*"})).status_code == 200
        headers["Host"] = "evil.example.com"
        assert (await here.call("GET", "/", headers=headers)).status_code == 421

    async def test_reading_from_elsewhere_gets_no_permission_to_look(self, here: Site) -> None:
        """A plain GET of another page is answered, but nothing tells its browser to show the answer."""
        answer = await here.call("GET", "/api/sessions", headers={"Origin": "http://evil.example.com"})
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"

    async def test_a_preflight_is_granted_nothing(self, here: Site) -> None:
        """There is no CORS: the question of a browser is answered like any unknown method."""
        headers = {"Origin": "http://evil.example.com", "Access-Control-Request-Method": "POST"}
        answer = await here.call("OPTIONS", "/api/events", headers=headers)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control-")]

    @pytest.mark.parametrize("origin", ["http://evil.example.com", "null"])
    async def test_a_room_socket_from_another_origin_is_refused(self, here: Site, origin: str) -> None:
        """WebSockets know no same-origin policy: the server has to ask."""
        row = await here.here.schedule(starts_in=60)
        url = f"ws://127.0.0.1:{here.port}{here.path_of(row, 'room')}"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, origin=origin, proxy=None, open_timeout=60)
        assert refused.value.response.status_code == 403
        assert json.loads(refused.value.response.body)["type"] == "urn:podium:problem:wrong-origin"
        assert refused.value.response.headers["X-Content-Type-Options"] == "nosniff"

    async def test_a_room_socket_for_another_host_is_refused(self, here: Site) -> None:
        """Rebinding works for WebSockets too."""
        row = await here.here.schedule(starts_in=60)
        upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        lines = (f"Host: {REBINDING}", *upgrade, "Connection: Upgrade")
        head = "\r\n".join((f"GET {here.path_of(row, 'room')} HTTP/1.1", *lines, "", ""))
        answer = await here.raw(head.encode())
        assert answer.status == 421
        assert answer.headers["x-frame-options"] == "DENY"

    async def test_a_room_socket_of_our_page_is_accepted(self, here: Site) -> None:
        """The page's own origin opens the socket."""
        row = await here.here.schedule(starts_in=60)
        url = f"ws://127.0.0.1:{here.port}{here.path_of(row, 'room')}"
        socket = await connect(url, origin=here.base, proxy=None, open_timeout=60)
        socket.transport.abort()
        await socket.wait_closed()


@one_loop
class TestSize:
    """A body has a cap, however it is announced."""

    @pytest.mark.parametrize("path", ["/api/events", "/api/sessions/draft"])
    async def test_a_body_over_the_cap_is_refused_by_its_announcement(self, here: Site, path: str) -> None:
        """Content-Length alone is enough to say no, before anything is read."""
        lines = (f"Host: 127.0.0.1:{here.port}", f"Content-Length: {MAX_BODY_BYTES + 1}", "Content-Type: text/plain")
        answer = await here.raw(request(path, *lines, method="POST"))
        assert answer.status == 413
        assert json.loads(answer.body)["type"] == "urn:podium:problem:too-large"

    @pytest.mark.parametrize("path", ["/api/events", "/api/sessions/x/join"])
    async def test_a_chunked_body_over_the_cap_is_refused(self, here: Site, path: str) -> None:
        """A body without a length is counted while it comes, whether or not the route expects one."""
        row = await here.here.schedule()
        target = path.replace("/x/", f"/{here.views.naddr(row)}/")

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(MAX_BODY_BYTES // 4096 + 1):
                yield b" " * 4096

        headers = {"Content-Type": "application/json"}
        if target.endswith("join"):
            asked = await here.challenge(row)
            key = new_key()
            from podium_protocol.nips import nip98
            from tests.support.world import signed

            headers["Authorization"] = nip98.write_header(signed(key, here.proof(key, row, "laptop", asked)))
        answer = await here.client.post(here.base + target, content=pieces(), headers=headers)
        assert answer.status_code == 413
        assert answer.json()["type"] == "urn:podium:problem:too-large"

    async def test_a_body_of_just_the_cap_is_read(self, here: Site) -> None:
        """The cap itself is allowed: what is refused then is refused for another reason."""
        padded = b'{"events": []}'.ljust(MAX_BODY_BYTES)
        answer = await here.call(
            "POST", "/api/events", by=new_key(), content=padded, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422

    @pytest.mark.family("HTTP")
    @pytest.mark.parametrize("length", ["-1", "+5", "1_0", "0x10", "\u0661", "999999999999999999999"])
    async def test_an_odd_length_breaks_nothing(self, here: Site, length: str) -> None:
        """A length that is no plain number is refused, and the server goes on."""
        lines = (f"Host: 127.0.0.1:{here.port}", f"Content-Length: {length}")
        raw = "\r\n".join(("POST /api/events HTTP/1.1", *lines, "Connection: close", "", "")).encode()
        answer = await here.raw(raw)
        assert answer.status in (400, 401, 413, 415, 422)
        assert (await here.get("/healthz")).status_code == 200

    @pytest.mark.parametrize("path", ["/api/events", "/api/sessions/draft"])
    async def test_a_body_that_does_not_come_is_given_up(
        self, here: Site, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Half a body is told to be too slow; the connection and its task are not held."""
        monkeypatch.setattr(guard, "BODY_SECONDS", 0.1)
        lines = (f"Host: 127.0.0.1:{here.port}", "Content-Length: 100", "Content-Type: application/json")
        answer = await here.raw(request(path, *lines, method="POST") + b'{"events"')
        assert answer.status == 408
        assert json.loads(answer.body)["type"] == "urn:podium:problem:too-slow"

    async def test_a_body_that_comes_byte_by_byte_is_given_up(
        self, here: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each piece is in time, all of it is not: a caller cannot hold a task for as long as they like."""
        monkeypatch.setattr(guard, "BODY_SECONDS_IN_ALL", 0.5)
        lines = (f"Host: 127.0.0.1:{here.port}", "Content-Length: 100000", "Content-Type: application/json")
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(request("/api/events", *lines, method="POST"))
        # no further than the first line: a byte that comes after the answer resets the connection
        answer = asyncio.create_task(reader.readline())
        while not answer.done():  # ends by the answer, or by the test's own time-out
            writer.write(b" ")
            await asyncio.sleep(0.05)
        assert b" 408 " in await answer
        writer.close()

    @pytest.mark.parametrize("login", [None, "Bearer nonsense", "Nostr bm9uc2Vuc2U=", "Basic x"])
    async def test_no_body_is_waited_for_without_a_login(self, here: Site, login: str | None) -> None:
        """A call that needs one is refused by its head; the body has not come and need not."""
        lines = [f"Host: 127.0.0.1:{here.port}", "Content-Length: 100", "Content-Type: application/json"]
        lines += [f"Authorization: {login}"] if login is not None else []
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(request("/api/instructors", *lines, method="POST"))
        async with asyncio.timeout(60):
            assert b" 401 " in await reader.readline()
        writer.close()

    async def test_two_ways_of_saying_the_length_are_no_request(self, here: Site) -> None:
        """Chunked and Content-Length together are how requests are smuggled past a proxy."""
        lines = (f"Host: 127.0.0.1:{here.port}", "Content-Length: 4", "Transfer-Encoding: chunked")
        answer = await here.raw(
            request("/api/events", *lines, method="POST") + b"0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n"
        )
        assert b"ok\n" not in answer.body


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("12", 12),
        (None, 7),
        ("", 7),
        ("-1", 7),
        ("+1", 7),
        (" 1", 7),
        ("1_0", 7),
        ("\u0661", 7),
        ("1" * 16, 7),
    ],
)
def test_a_length_is_a_plain_decimal_number(text: str | None, number: int) -> None:
    """What `int()` would also take, a header must not say."""
    assert int_or(text, 7) == number


@one_loop
class TestHeaders:
    """Every answer tells the browser how little it may do with it."""

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/api/sessions", 200),
            ("GET", "/healthz", 200),
            ("GET", "/metrics", 200),
            ("GET", "/openapi.json", 200),
            ("GET", "/api/sessions/nothing", 404),
            ("GET", "/nowhere", 404),
            ("DELETE", "/api/sessions", 405),
            ("POST", "/api/calendar", 401),
        ],
    )
    async def test_every_answer_carries_them(self, here: Site, method: str, path: str, status: int) -> None:
        """Good or bad, no answer is without its security headers, and none names the server."""
        body = {"events": []} if method == "POST" else None
        answer = await here.call(method, path, body={"events": [event()]} if body else None)
        assert answer.status_code == status
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers

    async def test_refusals_of_the_guard_carry_them_too(self, here: Site) -> None:
        """A wrong host is told with the same headers."""
        answer = await here.call("GET", "/healthz", headers={"Host": REBINDING})
        assert answer.status_code == 421
        assert answer.headers["x-frame-options"] == "DENY"

    async def test_what_is_no_http_at_all_gets_them_too(self, here: Site) -> None:
        """Bytes that the parser refuses are answered by a problem document with the same headers."""
        answer = await here.raw(b"this is not HTTP\r\n\r\n")
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert json.loads(answer.body)["status"] == 400

    async def test_an_error_nobody_foresaw_carries_them_and_tells_nothing(self, here: Site) -> None:
        """A failure inside is a 500 without its inside."""

        def broken() -> str | None:
            raise RuntimeError("the inside of the daemon")

        type(here).ready = property(lambda _: broken())  # type: ignore[assignment]
        try:
            answer = await here.get("/readyz")
        finally:
            del type(here).ready
        assert answer.status_code == 500
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "inside" not in answer.text
        assert answer.json()["type"] == "urn:podium:problem:internal"


@one_loop
class TestSecrets:
    """A secret key in an address is in histories and logs already; it must not be repeated on top."""

    @pytest.mark.parametrize(
        "path",
        [
            "/api/sessions/{nsec}",
            "/api/sessions/{upper}",
            "/api/sessions/nostr:{nsec}",
            "/api/sessions/{nsec}/rsvps",
            "/api/sessions/{nsec}/start",
            "/nowhere/{nsec}",
            "/api/sessions?state={nsec}",
            "/api/sessions/%6e%73%65%63{tail}",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_a_secret_key_in_the_path_is_not_echoed(self, here: Site, path: str, method: str) -> None:
        """The answer says that it was a secret key, and does not hold it."""
        from podium_protocol.nips.nip19 import encode_nsec

        nsec = encode_nsec(new_key())
        target = path.format(nsec=nsec, upper=nsec.upper(), tail=nsec[4:])
        answer = await here.call(method, target, by=new_key())
        assert answer.status_code == 400
        assert answer.json()["type"] == "urn:podium:problem:secret-key"
        assert nsec[5:] not in answer.text.lower()
        assert nsec[5:] not in str(answer.headers).lower()

    async def test_a_secret_key_in_the_path_of_a_socket_is_not_echoed(self, here: Site) -> None:
        """Room sockets pass the same door."""
        from podium_protocol.nips.nip19 import encode_nsec

        url = f"ws://127.0.0.1:{here.port}/api/sessions/{encode_nsec(new_key())}/room"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, proxy=None, open_timeout=60)
        assert refused.value.response.status_code == 400


@one_loop
async def test_many_connections_that_say_nothing_hold_up_nobody(here: Site) -> None:
    """Fifty clients that send half a request do not keep the next one waiting."""
    half = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(50)]
    for _, writer in half:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: ")
    try:
        assert (await here.get("/healthz")).status_code == 200
    finally:
        for _, writer in half:
            writer.close()


@one_loop
async def test_a_socket_to_a_route_that_has_none_is_told_so(here: Site) -> None:
    """An upgrade elsewhere is answered with a problem document, not with silence."""
    with pytest.raises((InvalidStatus, ConnectionClosed)) as refused:
        await connect(f"ws://127.0.0.1:{here.port}/api/sessions", proxy=None, open_timeout=60)
    assert isinstance(refused.value, InvalidStatus)
    assert refused.value.response.status_code == 404
    assert refused.value.response.headers["Content-Type"] == "application/problem+json"


def event() -> dict[str, object]:
    """An event whose shape is right and whose signature is not."""
    return {
        "id": "0" * 64,
        "pubkey": "0" * 64,
        "created_at": 1,
        "kind": 1,
        "tags": [],
        "content": "",
        "sig": "0" * 128,
    }


class TestFloods:
    """Requests that may write something are bounded; looking is not."""

    async def test_too_many_writes_are_refused_before_anything_is_read(self) -> None:
        """From every sender, and with any content: 429, and calls that only read are answered as ever."""
        async with site() as here:
            here.allowances._buckets["all"].rate = Rate(3, 0.1)
            answers = [await here.call("POST", "/api/calendar") for _ in range(5)]
            assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
            assert answers[-1].json()["type"] == "urn:podium:problem:too-many"
            assert (await here.get("/api/service")).status_code == 200
            assert here.allowances.refused == {"all": 2}
            await here.here.clock.advance(10)
            assert (await here.call("POST", "/api/calendar")).status_code == 401
