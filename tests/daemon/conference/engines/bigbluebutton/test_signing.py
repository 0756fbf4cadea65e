"""Checksums, meeting ids and user ids."""

from __future__ import annotations

import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.conference.engine import Person, RoomId, RoomRole
from podium_daemon.conference.engines.bigbluebutton.engine import read_webhook
from podium_daemon.conference.engines.bigbluebutton.signing import call_url, is_signed, meeting_of, person_of, user_of
from podium_daemon.conference.shared_secret import SharedSecret
from podium_protocol.errors import InvalidInput
from tests.support.conference import new_person

SECRET = SharedSecret("639259d4-9dd8-4b25-bf01-95f9567eaf4b")  # the one in BigBlueButton's own documentation


def test_a_call_is_signed_over_name_query_and_secret() -> None:
    """The documentation's example of a create call, with SHA-256."""
    parameters = {"name": "Test Meeting", "meetingID": "abc123"}
    query = "name=Test%20Meeting&meetingID=abc123"
    checksum = hashlib.sha256(f"create{query}639259d4-9dd8-4b25-bf01-95f9567eaf4b".encode()).hexdigest()
    url = call_url("https://bbb.example.org/bigbluebutton/", "create", parameters, SECRET)
    assert url == f"https://bbb.example.org/bigbluebutton/api/create?{query}&checksum={checksum}"


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_webhook_may_be_signed_with_anything_strong(algorithm: str) -> None:
    """A server that is set to a longer checksum is understood."""
    checksum = hashlib.new(algorithm, b"https://x.example/hook" + b"a=b" + SECRET.reveal().encode()).hexdigest()
    assert is_signed("https://x.example/hook", b"a=b", checksum, SECRET)
    assert not is_signed("https://x.example/hook", b"a=c", checksum, SECRET)


@pytest.mark.parametrize("checksum", ["", "0" * 40, "0" * 64, "é" * 64, "0" * 10_000])
def test_other_checksums_are_not(checksum: str) -> None:
    """Wrong lengths, letters and guesses fail without an error."""
    assert not is_signed("https://x.example/hook", b"a=b", checksum, SECRET)


def test_a_user_id_names_its_person_and_no_two_are_alike() -> None:
    """The way back from what the server says to who it is."""
    person = new_person(device="tablet-1", role=RoomRole.CO_HOST)
    one, two = user_of(person, b"1" * 16), user_of(person, b"2" * 16)
    assert one != two
    found = person_of(one)
    assert found == Person(pubkey=person.pubkey, device="tablet-1", role=RoomRole.CO_HOST)
    assert person_of(one + "\n") is None


@given(st.text(max_size=200))
def test_other_user_ids_are_nobody(text: str) -> None:
    """What another front end or a person wrote is never taken for one of ours."""
    assert person_of(text) is None


def test_meetings_of_rooms_differ_and_have_one_shape() -> None:
    """A room's name, whatever is in it, makes a plain id."""
    ids = {meeting_of(RoomId(room)) for room in ("a", "b", "a b,c", "é" * 500)}
    assert len(ids) == 4
    assert all(each.replace("-", "").isalnum() and len(each) == 47 for each in ids)


@given(st.binary(max_size=200))
def test_no_body_of_a_webhook_raises(body: bytes) -> None:
    """Whatever was signed, reading it ends in a value."""
    assert read_webhook(body) is None


class TestSharedSecret:
    """A secret that does not show itself."""

    def test_it_shows_itself_in_no_text(self) -> None:
        """A log line, a traceback or an f-string gives nothing away."""
        for text in (repr(SECRET), str(SECRET), f"{SECRET}", f"{SECRET:>80}"):
            assert "639259d4" not in text
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(SECRET)

    @pytest.mark.parametrize("text", ["", "short", " " * 40, "two words of a passphrase", "é" * 20, "x" * 15])
    def test_what_is_no_secret_is_refused_unseen(self, text: str) -> None:
        """An empty or cut file is heard of at the start, and not repeated."""
        with pytest.raises(InvalidInput) as error:
            SharedSecret(text)
        assert not text.strip() or text.strip() not in str(error.value)
