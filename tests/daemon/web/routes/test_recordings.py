"""Recordings over HTTP: consent and withdrawal as a page does it, the file in parts, credit for watching."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from podium_daemon.services.recording.recording import RecordingSettings
from podium_daemon.services.recording.work import WorkSettings
from podium_protocol.events import VerifiedEvent, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.live.recording import policies_for
from podium_protocol.nips import nip98
from podium_storage.table.models import LiveSessionRow, RecordingRow
from tests.support.recording import POLICY, Studio, hash_of, studio
from tests.support.site import Site, site
from tests.support.until import until
from tests.support.world import EVERYTHING, new_key, signed


@asynccontextmanager
async def stage(**fields: object) -> AsyncIterator[tuple[Site, Studio]]:
    """A session that may be recorded, behind a server."""
    async with studio(**fields) as recording, site(recording.here) as running:
        yield running, recording


async def answered(here: Site, key: SecretKey, row: LiveSessionRow, *, given: bool) -> httpx.Response:
    """Answer the policy from inside the room, with one signed call."""
    path = here.path_of(row, "recording", "consent")
    answer = ("recording_consent", "yes" if given else "no", hash_of(policies_for(row, {"en": POLICY})["en"]))
    draft = nip98.write(key.pubkey, here.base + path, "POST", None, here.here.now, (("a", row.session_address), answer))
    header = {"Authorization": nip98.write_header(signed(key, draft))}
    return await here.client.post(here.base + path, headers=header)


async def switched(here: Site, row: LiveSessionRow, *, on: bool) -> httpx.Response:
    """The instructor's switch."""
    return await here.post(here.path_of(row, "room", "recording"), here.here.instructor, {"on": on})


def open_files() -> set[Path]:
    """What this process has open."""
    return {Path(os.path.realpath(one)) for one in Path("/proc/self/fd").iterdir()}


class TestRoom:
    """What happens in a live room."""

    async def test_newcomers_agree_at_the_door_while_it_records(self) -> None:
        """A no waits outside with the reason; the same person with a yes enters."""
        async with stage() as (here, recording):
            row = await recording.session()
            await here.enter(new_key(), row, consent=True)
            assert (await switched(here, row, on=True)).status_code == 200
            shown = (await here.get(here.path_of(row, "recording"))).json()
            assert shown["isRecording"] is True
            late = new_key()
            ticket = (await here.join(late, row, consent=False)).json()
            assert (ticket["state"], ticket["reason"]) == ("waiting", "consent_required")
            await here.enter(late, row, consent=True)

    async def test_a_withdrawal_has_paused_it_when_the_call_returns(self) -> None:
        """One signed call; the engine has stopped, and the instructor sees who does not agree."""
        async with stage() as (here, recording):
            row, key = await recording.session(), new_key()
            await here.enter(key, row, consent=True)
            await switched(here, row, on=True)
            assert (await answered(here, key, row, given=False)).json() == {"given": False}
            assert ("stop", ()) in recording.engine.calls
            shown = (await here.get(here.path_of(row, "recording"), here.here.instructor)).json()
            assert (shown["isRecording"], shown["undecided"]) == (False, [key.pubkey])
            refused = await switched(here, row, on=True)
            assert (refused.status_code, refused.json()["values"]) == (409, {"missing": 1, "present": 1})
            assert (await answered(here, key, row, given=True)).json() == {"given": True}
            assert (await switched(here, row, on=True)).status_code == 200

    async def test_a_person_is_told_what_they_have_answered(self) -> None:
        """A yes to this policy or none; what a stranger has answered is not known."""
        async with stage() as (here, recording):
            row, key = await recording.session(), new_key()
            path = here.path_of(row, "recording")
            assert (await here.get(path, None)).json()["agreed"] is None
            for given in (True, False):
                await here.enter(key, row, consent=given)
                assert (await here.get(path, key)).json()["agreed"] is given

    async def test_an_unclear_answer_is_refused(self) -> None:
        """A login without the tags is no consent and no withdrawal; without a login there is no answer at all."""
        async with stage() as (here, recording):
            row = await recording.session()
            path = here.path_of(row, "recording", "consent")
            assert (await here.post(path, new_key())).status_code == 400
            assert (await here.post(path)).status_code == 401

    async def test_strangers_see_states_and_no_reasons(self) -> None:
        """Who has not agreed and what went wrong is for those who lead."""
        async with stage() as (here, recording):
            await recording.sit(consent=False)
            row = await recording.session()
            for by in (None, new_key()):
                assert (await here.get(here.path_of(row, "recording"), by)).json()["undecided"] == []


class TestEvidence:
    """Consent is exportable with the recording."""

    async def test_the_signed_answers_are_whole_events(self) -> None:
        """Each verifies by itself, and names its policy."""
        async with stage() as (here, recording):
            key = new_key()
            await recording.recorded(1, key)
            row = await recording.session()
            found = (await here.get(here.path_of(row, "recording", "consents"), here.here.instructor)).json()
            (kept,) = found["consents"]
            event = verify_json(msgspec.json.encode(kept["event"]))
            assert isinstance(event, VerifiedEvent)
            assert (event.pubkey, kept["given"], kept["policyHash"]) == (
                key.pubkey,
                True,
                hash_of(policies_for(row, {"en": POLICY})["en"]),
            )
            assert found["policy"] == policies_for(row, {"en": POLICY})["en"]

    async def test_they_are_not_for_everybody(self) -> None:
        """The instructor is told who was recorded."""
        async with stage() as (here, recording):
            row = await recording.session()
            path = here.path_of(row, "recording", "consents")
            assert (await here.get(path)).status_code == 401
            assert (await here.get(path, new_key())).status_code == 403

    async def test_a_failed_recording_is_tried_again_by_whoever_leads(self) -> None:
        """The reason is shown; a stranger cannot retry; the instructor can."""
        async with stage() as (here, recording):
            await recording.sit()
            await recording.record()
            recording.engine._begun.clear()
            await recording.end()
            await recording.make()
            row = await recording.session()
            path = here.path_of(row, "recording", "retry")
            (shown,) = (await here.get(here.path_of(row, "recording"), here.here.instructor)).json()["recordings"]
            assert "no tracks" in shown["reason"]
            assert (await here.post(path, new_key())).status_code == 403
            answer = await here.post(path, here.here.instructor)
            assert answer.json()["recordings"][0]["state"] == "pending"
            assert (await here.post(path, here.here.instructor)).status_code == 409


class TestFile:
    """The file as browsers ask for it."""

    @pytest.fixture
    async def served(self) -> AsyncIterator[tuple[Site, RecordingRow, bytes]]:
        """A recording, its bytes, and the server."""
        async with stage() as (here, recording):
            row = await recording.recorded(1)
            assert row.sha256 is not None
            yield here, row, _content(here, row.sha256)

    async def get(self, here: Site, row: RecordingRow, method: str = "GET", **headers: str | bytes) -> httpx.Response:
        """One request, as a player makes it; underscores stand for dashes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await here.client.request(method, f"{here.base}/recordings/{row.sha256}.webm", headers=sent)

    async def test_it_comes_whole_and_in_parts(self, served: tuple[Site, RecordingRow, bytes]) -> None:
        """200 with everything, 206 with a part, 416 outside, 304 for what is known; each with the right headers."""
        here, row, content = served
        whole = await self.get(here, row)
        assert (whole.status_code, whole.content) == (200, content)
        assert whole.headers["content-type"] == "audio/webm"
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "immutable" in whole.headers["cache-control"]
        etag = whole.headers["etag"]
        assert etag == f'"{row.sha256}"'
        part = await self.get(here, row, range="bytes=10-19")
        assert (part.status_code, part.content) == (206, content[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(content)}"
        last = await self.get(here, row, range="bytes=-5", if_range=etag)
        assert (last.status_code, last.content) == (206, content[-5:])
        changed = await self.get(here, row, range="bytes=-5", if_range='"another"')
        assert (changed.status_code, changed.content) == (200, content)
        outside = await self.get(here, row, range=f"bytes={len(content)}-")
        assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(content)}")
        known = await self.get(here, row, if_none_match=f'"x", W/{etag}')
        assert (known.status_code, known.content) == (304, b"")
        head = await self.get(here, row, "HEAD", range="bytes=0-1")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(content))

    async def test_a_range_is_read_as_the_standard_says(self, served: tuple[Site, RecordingRow, bytes]) -> None:
        """Each form (RFC 9110, 14.1 and 14.2): what is malformed, unknown or of several parts gets the whole file."""
        here, row, content = served
        size = len(content)
        parts = {
            "bytes=0-0": (0, 1),
            "bytes=0-9": (0, 10),
            f"bytes={size - 9}-": (size - 9, size),
            f"bytes={size - 9}-{size + 400}": (size - 9, size),
            "bytes=-10": (size - 10, size),
            f"bytes=-{size + 400}": (0, size),
            "BYTES=1-2": (1, 3),
        }
        for header, (start, end) in parts.items():
            part = await self.get(here, row, range=header)
            assert (part.status_code, part.content) == (206, content[start:end]), header
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}", header
            assert part.headers["content-length"] == str(end - start), header
        for header in (f"bytes={size}-", f"bytes={size}-{size + 1}", "bytes=-0"):
            outside = await self.get(here, row, range=header)
            assert (outside.status_code, outside.json()["type"]) == (416, "urn:podium:problem:range"), header
            assert outside.headers["content-range"] == f"bytes */{size}", header
        ignored = (
            "bytes=9-3",
            "bytes=-",
            "bytes=",
            "bytes=a-b",
            "bytes=0-1,5-6",
            "items=0-1",
            "bytes=--5",
            "bytes=+1-2",
        )
        for header in (*ignored, "bytes=1_0-2_0", "bytes=\u0661-\u0662".encode(), f"bytes=0-{'9' * 23}"):
            whole = await self.get(here, row, range=header)
            assert (whole.status_code, whole.content) == (200, content), header

    async def test_an_empty_file_has_no_part(self, served: tuple[Site, RecordingRow, bytes]) -> None:
        """Every range of it lies outside."""
        here, row, _ = served
        here.here.recorder.file_of(str(row.sha256)).write_bytes(b"")
        for header in ("bytes=0-", "bytes=-5"):
            assert (await self.get(here, row, range=header)).status_code == 416, header
        assert (await self.get(here, row)).content == b""

    async def test_a_part_needs_the_strong_tag(self, served: tuple[Site, RecordingRow, bytes]) -> None:
        """RFC 9110, 13.1.5: a weak tag gets the whole file."""
        here, row, content = served
        weak = await self.get(here, row, range="bytes=0-1", if_range=f'W/"{row.sha256}"')
        assert (weak.status_code, weak.content) == (200, content)

    async def test_no_answer_leaves_the_file_open(self, served: tuple[Site, RecordingRow, bytes]) -> None:
        """Whole, a part, a head, what is known and what is refused: each closes its descriptor."""
        here, row, content = served
        path = here.here.recorder.file_of(str(row.sha256))
        held = path.open("rb")
        assert path in open_files()
        held.close()
        for method, headers in (
            ("GET", {}),
            ("GET", {"range": "bytes=0-1"}),
            ("GET", {"range": "bytes=9-3"}),
            ("GET", {"range": f"bytes={len(content)}-"}),
            ("GET", {"if_none_match": "*"}),
            ("HEAD", {}),
        ):
            await self.get(here, row, method, **headers)

        async def closed() -> bool:
            return path not in open_files()

        await until(closed, "the recording's file is closed")

    @pytest.mark.family("file names")
    @pytest.mark.parametrize(
        "name", ["0" * 64 + ".webm", "0" * 64, "x.webm", "..%2Fpodium.key", "%2e%2e/work/1", "work", ".webm"]
    )
    async def test_nothing_else_is_served(self, served: tuple[Site, RecordingRow, bytes], name: str) -> None:
        """A name that is no known hash finds nothing, whatever lies in the folder."""
        here = served[0]
        request = f"GET /recordings/{name} HTTP/1.1\r\nHost: 127.0.0.1:{here.port}\r\nConnection: close\r\n\r\n"
        assert (await here.raw(request.encode())).status == 404

    async def test_a_link_in_place_of_the_file_is_not_followed(
        self, served: tuple[Site, RecordingRow, bytes], tmp_path: Path
    ) -> None:
        """An attacker who can write into the folder does not make us give out other files."""
        here, row, _ = served
        assert row.sha256 is not None
        path = here.here.recorder.file_of(row.sha256)
        (tmp_path / "secret").write_text("secret")
        path.unlink()
        path.symlink_to(tmp_path / "secret")
        assert (await self.get(here, row)).status_code == 404

    async def test_a_private_one_takes_a_pass(self) -> None:
        """Without one there is nothing to be seen; an open player's secret or a signed call opens it."""
        async with stage() as (here, recording):
            guest = new_key()
            row = await recording.recorded(1, guest)
            session = await recording.session()
            private = msgspec.structs.replace(session, visibility="private", invited=(guest.pubkey,))
            await here.here.store.sessions.put(private)
            assert (await self.get(here, row)).status_code == 404
            followed = await self.get(here, row, accept="text/html,*/*")
            assert followed.status_code == 303, "the link in a message leads to the session's page"
            assert followed.headers["location"].startswith(f"{here.base}/s/naddr1")
            path = f"/recordings/{row.sha256}.webm"
            assert (await here.get(path, new_key())).status_code == 404
            answer = await here.get(path, guest)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-cache")
            assert "cross-origin-resource-policy" not in answer.headers or (
                answer.headers["cross-origin-resource-policy"] == "same-origin"
            )
            player = (await here.post(here.path_of(await recording.session(), "watching"), guest)).json()
            assert player["url"].endswith(f"?pass={player['secret']}")
            by_pass = await here.client.get(here.base + path, params={"pass": player["secret"]})
            assert by_pass.status_code == 200
            assert (await here.client.get(here.base + path, params={"pass": "x"})).status_code == 404

    async def test_one_for_participants_is_not_for_strangers(self) -> None:
        """Of a public session too: its address and hash are told to nobody else, and the file takes a pass."""
        async with stage(recording_access=None) as (here, recording):
            guest = new_key()
            row = await recording.recorded(1, guest)
            await here.here.attendance._turn(EVERYTHING)
            path = here.path_of(await recording.session(), "recording")
            for key in (None, new_key(), guest):
                (shown,) = (await here.get(path, key)).json()["recordings"]
                assert (shown["state"], shown["access"]) == ("available", "participants")
                assert (shown["url"], shown["sha256"]) == (None, None)
            (shown,) = (await here.get(path, here.here.instructor)).json()["recordings"]
            assert (shown["url"], shown["sha256"]) == (row.url, row.sha256)
            assert (await self.get(here, row)).status_code == 404
            assert (await here.get(f"/recordings/{row.sha256}.webm", new_key())).status_code == 404
            player = (await here.post(here.path_of(await recording.session(), "watching"), guest)).json()
            by_pass = await here.client.get(f"{here.base}/recordings/{row.sha256}.webm?pass={player['secret']}")
            assert by_pass.status_code == 200


class TestActs:
    """Review, publish, unpublish, delete over HTTP."""

    async def test_those_who_lead_publish_take_back_and_delete(self) -> None:
        """Each answers with how it stands then; nobody else may; the file is for others only while it is published."""
        async with stage() as (here, recording):
            work = WorkSettings(review=True)
            recording.here.recorder.settings = RecordingSettings(policies={"en": POLICY}, work=work)
            row = await recording.recorded(1)
            file, lead = f"/recordings/{row.sha256}.webm", here.here.instructor
            path = here.path_of(await recording.session(), "recording")
            assert (await here.post(f"{path}/publish", new_key())).status_code == 403
            assert (await here.get(file)).status_code == 404
            assert (await here.get(file, lead)).status_code == 200
            for act, state, status in (
                ("publish", "available", 200),
                ("unpublish", "unpublished", 404),
                ("publish", "available", 200),
                ("delete", "deleted", 404),
            ):
                answer = await here.post(f"{path}/{act}", lead)
                assert answer.json()["recordings"][0]["state"] == state, answer.text
                assert (await here.get(file)).status_code == status
                assert (await here.post(f"{path}/{act}", lead)).status_code == 409
            assert (await here.get(file, lead)).status_code == 404
            (shown,) = (await here.get(path, lead)).json()["recordings"]
            assert (shown["url"], shown["sha256"]) == (None, None)

    async def test_an_open_player_ends_with_the_publication(self) -> None:
        """The secret of a person who does not lead opens nothing that was taken back."""
        async with stage(recording_access=None) as (here, recording):
            guest = new_key()
            row = await recording.recorded(1, guest)
            await here.here.attendance._turn(EVERYTHING)
            session = await recording.session()
            player = (await here.post(here.path_of(session, "watching"), guest)).json()
            address = f"{here.base}/recordings/{row.sha256}.webm?pass={player['secret']}"
            assert (await here.client.get(address)).status_code == 200
            await here.post(here.path_of(session, "recording") + "/unpublish", here.here.instructor)
            assert (await here.client.get(address)).status_code == 404


class TestWatching:
    """One signature opens the player; reports go with its secret."""

    async def test_it_is_watched_to_completion_and_told_to_its_person(self) -> None:
        """The credit grows with each report; in the end the record says so, and the person's own view too."""
        async with stage() as (here, recording):
            await recording.recorded(2)
            row, key = await recording.session(), new_key()
            player = (await here.post(here.path_of(row, "watching"), key)).json()
            assert (player["mediaType"], round(player["length"])) == ("audio/webm", 2)
            assert player["seen"] == {"watched": 0.0, "percent": 0, "parts": [], "completedAt": None}
            first = await self._report(here, player["secret"], [[0, 1]])
            assert (first.json()["percent"], first.json()["parts"]) == (50, [[0, 1]])
            await here.here.clock.advance(1)
            last = await self._report(here, player["secret"], [[1, 2.1]])
            assert last.json()["completedAt"] == here.here.now
            await here.here.attendance._turn(EVERYTHING)

            async def told() -> bool:
                return bool(await here.here.outbox.due(here.here.now))

            await until(told, "the record is on its way")

    async def test_participants_see_how_many_were_recorded(self) -> None:
        """Those who lead and those who took part are told the numbers of people and consents; others are not."""
        async with stage() as (here, recording):
            ada, ben = new_key(), new_key()
            await recording.recorded(2, ada, ben)
            await here.here.attendance._turn(EVERYTHING)
            path = here.path_of(await recording.session(), "recording")
            for key in (here.here.instructor, ada):
                (run,) = (await here.get(path, key)).json()["recordings"]
                assert (run["recorded"], run["consents"]) == (2, 2)
            for stranger in (None, new_key()):
                (run,) = (await here.get(path, stranger)).json()["recordings"]
                assert (run["recorded"], run["consents"]) == (None, None)

    async def test_a_personal_link_opens_it(self) -> None:
        """Its holder needs no signature, nor an answer; the login of another session's link is refused."""
        async with stage(recording_access=None) as (here, recording):
            row, other = await recording.session(), await here.here.schedule()
            lead, tokens = here.here.instructor, []
            for one in (row, other):
                made = await here.post(here.path_of(one, "guests"), lead, {"names": ["Ana"]})
                (guest,) = made.json()["guests"]
                link = {"link": guest["link"].partition("#guest=")[2]}
                tokens.append((await here.post(here.path_of(one, "guest", "open"), None, link)).json()["token"])
            await recording.recorded(2)
            path = here.path_of(await recording.session(), "watching")
            player = (await here.call("POST", path, token=tokens[0])).json()
            assert (await self._report(here, player["secret"], [[0, 1]])).json()["percent"] == 50
            assert (await here.call("POST", path, token=tokens[1])).status_code in (403, 404)

    @pytest.mark.family("attendance")
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"segments": [[0]]}, 422),
            ({"segments": [["0", 1]]}, 422),
            ({"segments": [[0, 1]] * 101}, 422),
            ({"segments": "all"}, 422),
            ({"watched": 100}, 422),
            ({"segments": [[5, 1], [-9, 99999]]}, 200),
            ({"segments": []}, 200),
        ],
    )
    async def test_reports_are_read_strictly(self, body: object, status: int) -> None:
        """Another shape is refused; numbers that make no sense earn nothing."""
        async with stage() as (here, recording):
            await recording.recorded(1)
            player = (await here.post(here.path_of(await recording.session(), "watching"), new_key())).json()
            header = {"Authorization": f"Podium {player['secret']}"}
            assert (await here.call("POST", "/api/watching", body=body, headers=header)).status_code == status

    async def test_a_secret_is_needed(self) -> None:
        """Without it, or with a signed call in its place, nothing is credited."""
        async with stage() as (here, _):
            assert (await self._report(here, "nothing", [[0, 1]])).status_code == 401
            assert (await here.post("/api/watching", new_key(), {"segments": []})).status_code == 401

    async def _report(self, here: Site, secret: str, segments: object) -> httpx.Response:
        header = {"Authorization": f"Podium {secret}"}
        return await here.call("POST", "/api/watching", body={"segments": segments}, headers=header)


def _content(here: Site, sha256: str) -> bytes:
    return here.here.recorder.file_of(sha256).read_bytes()
