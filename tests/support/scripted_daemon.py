"""An HTTP server that stands where the daemon stands: it checks logins for real (NIP-98) and answers as it is told."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from podium_protocol.events import Pubkey
from podium_protocol.nips import nip98


class Call(msgspec.Struct, frozen=True):
    """One request as it came. `caller` is None without a login; a bad login is its reason."""

    method: str
    path: str
    body: object
    caller: Pubkey | None
    login: str | None
    reason: str | None


class Reply(msgspec.Struct, frozen=True):
    """What is answered."""

    status: int
    content: bytes
    content_type: str = "application/json"


def as_json(value: object, status: int = 200) -> Reply:
    """A value as the daemon would send it."""
    return Reply(status, msgspec.json.encode(value))


def problem(status: int, slug: str, detail: str, next_step: str) -> Reply:
    """A refusal as the daemon would send it (RFC 9457)."""
    document = {
        "type": f"urn:podium:problem:{slug}",
        "title": "no",
        "status": status,
        "detail": detail,
        "next": next_step,
        "values": {},
    }
    return Reply(status, json.dumps(document).encode(), "application/problem+json")


def stream(**events: object) -> Reply:
    """Events as the daemon would send them (server-sent events), and a beat at the end."""
    blocks = [f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n" for name, data in events.items()]
    return Reply(200, "".join([*blocks, ": beat\n\n"]).encode(), "text/event-stream")


Answer = Reply | Callable[[Call], Reply]


class ScriptedDaemon:
    """Routes are `"GET /api/sessions"`, without the query. Calls are kept in order."""

    def __init__(self) -> None:
        self.routes: dict[str, Answer] = {}
        self.calls: list[Call] = []
        self.public_url = ""
        self.url = ""

    def answer(self, call: Call) -> Reply:
        """The reply to one call, and a note of it."""
        self.calls.append(call)
        if call.reason is not None:
            return problem(401, "login", call.reason, "Sign again.")
        route = self.routes.get(f"{call.method} {call.path.partition('?')[0]}")
        if route is None:
            return problem(404, "unknown-session", f"{call.path} is not known here", "See `podium session list`.")
        return route(call) if callable(route) else route


@contextlib.contextmanager
def scripted_daemon(public_url: str | None = None) -> Iterator[ScriptedDaemon]:
    """A server on a free port of loopback; logins must name `public_url`, its own address unless told otherwise."""
    daemon = ScriptedDaemon()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply("GET")

        def do_POST(self) -> None:
            self._reply("POST")

        def do_DELETE(self) -> None:
            self._reply("DELETE")

        def log_message(self, *_: object) -> None:
            return

        def _reply(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            reply = daemon.answer(_call(daemon, method, self.path, body, self.headers.get("Authorization")))
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        daemon.url = f"http://127.0.0.1:{server.server_address[1]}"
        daemon.public_url = public_url or daemon.url
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield daemon
        finally:
            server.shutdown()
            thread.join()


def _call(daemon: ScriptedDaemon, method: str, path: str, body: bytes, header: str | None) -> Call:
    content = json.loads(body) if body else None
    if header is None:
        return Call(method, path, content, None, None, None)
    event = nip98.read_header(header)
    if isinstance(event, nip98.LoginRefusal):
        return Call(method, path, content, None, None, event.reason)
    url = daemon.public_url + path
    login = nip98.check(event, url=url, method=method, body=body or None, now=int(time.time()))
    if isinstance(login, nip98.LoginRefusal):
        return Call(method, path, content, event.pubkey, event.id, login.reason)
    return Call(method, path, content, login.pubkey, login.event_id, None)
