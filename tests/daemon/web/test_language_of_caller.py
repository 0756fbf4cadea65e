"""The language of a person's page, which its calls tell: they are written to in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
import pytest
from starlette.requests import Request

from podium_daemon.web.login import WINDOW_SECONDS, language_asked
from podium_protocol.keys import SecretKey
from podium_protocol.live.recording import policy_words
from podium_protocol.nips import nip98
from podium_storage.languages import Languages
from tests.daemon.services.rooms.test_rooms import live
from tests.support.private import answer
from tests.support.relays import new_key
from tests.support.site import Site, as_json, site
from tests.support.world import signed

GERMAN = {"Accept-Language": "de"}


async def language_of(here: Site, key: SecretKey) -> str | None:
    """The language that is stored for a person."""
    return (await Languages(here.here.store.database).of_people([key.pubkey])).get(key.pubkey)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr-FR,fr;q=0.9,de;q=0.8,en;q=0.7", "de"),
        ("en;q=0.5,de;q=0.6", "de"),
        ("en, de", "en"),
        ("DE", "de"),
        ("fr", None),
        ("de;q=0", None),
        ("de;q=2,de;q=,de;x", None),
        ("*", None),
        ("", None),
        (",;=" * 1000 + "de", None),
    ],
)
def test_the_language_that_a_call_asks_for_first(header: str, language: str | None) -> None:
    """By its weights (RFC 9110, 12.5.4); of the same weight the first. What is no such header asks for none."""
    request = Request({"type": "http", "headers": [(b"accept-language", header.encode())]})
    assert language_asked(request) == language


async def test_signing_in_tells_the_language_without_another_signature() -> None:
    """So does each call with the token, when the page changes its language; a call without the header tells nothing."""
    async with site() as here:
        key = new_key()
        row = await here.here.schedule()
        answer_ = await here.call("POST", "/api/login", by=key, headers=GERMAN)
        token = str(answer_.json()["token"])
        assert await language_of(here, key) == "de"
        for headers, language in (({}, "de"), ({"Accept-Language": "en-GB"}, "en"), ({"Accept-Language": "fr"}, "en")):
            await look(here, here.path_of(row), token, headers)
            assert await language_of(here, key) == language


async def look(here: Site, path: str, token: str, headers: Mapping[str, str]) -> None:
    """A signed-in call that shows something."""
    found = await here.call("GET", path, token=token, headers=headers)
    assert found.status_code == 200, found.text


async def test_an_answer_that_was_signed_just_now_tells_the_language_of_its_author() -> None:
    """The page hands it in without a login. An older one may be a stranger's copy off a relay, and tells nothing."""
    async with site() as here:
        row, now, old = await here.here.schedule(), new_key(), new_key()
        for key, at in ((now, 0), (old, -WINDOW_SECONDS - 1)):
            event = as_json(signed(key, answer(here.here, key, row, at=at)))
            taken = await here.call("POST", "/api/events", body={"events": [event]}, headers=GERMAN)
            assert taken.status_code == 200, taken.text
        assert await language_of(here, now) == "de"
        assert await language_of(here, old) is None


async def test_a_call_that_is_refused_tells_nothing() -> None:
    """Else strangers could choose the language of people's messages."""
    async with site() as here:
        key = new_key()
        refused = await here.call("GET", "/api/login", token="A" * 43, headers=GERMAN)
        assert refused.status_code == 401
        login = here.login(key, "POST", "/api/sessions")
        headers = GERMAN | {"Authorization": nip98.write_header(login)}
        assert (await here.call("POST", "/api/login", headers=headers)).status_code == 401
        assert await language_of(here, key) is None


async def test_the_recording_policy_is_read_and_signed_in_the_language_of_the_page() -> None:
    """What is shown is the text whose hash is asked for, and a yes to either text is consent."""
    async with site() as here:
        words = policy_words("recorded", "aufgezeichnet")
        rooms, recorder = here.here.rooms, here.here.recorder
        rooms.settings = msgspec.structs.replace(rooms.settings, recording_policies=words)
        recorder.settings = msgspec.structs.replace(recorder.settings, policies=words)
        row = await live(here, recording_allowed=True)
        hashes = set()
        for language, begins in (("de", "aufgezeichnet Wer "), ("en", "recorded Who "), ("fr", "recorded Who ")):
            key, path = new_key(), here.path_of(row, "join", "challenge")
            asked = (await here.call("POST", path, headers={"Accept-Language": language})).json()
            assert asked["recordingPolicy"].startswith(begins)
            assert hashlib.sha256(asked["recordingPolicy"].encode()).hexdigest() == asked["recordingPolicyHash"]
            assert (await here.join(key, row, challenge=asked, consent=True)).status_code == 200
            assert await recorder.has_agreed(row, key.pubkey)
            hashes.add(asked["recordingPolicyHash"])
        assert hashes == recorder.policy_hashes(row)
        recorder.settings = msgspec.structs.replace(recorder.settings, policies=policy_words("recorded"))
        assert hashes > recorder.policy_hashes(row)
