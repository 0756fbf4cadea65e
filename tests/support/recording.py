"""A live session that may be recorded, on an engine that really writes media, with people who signed an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from podium_daemon.conference.seats import SocketSeat
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.services.recording.consent import hash_of
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.join_proof import Consent, write_join_proof
from podium_protocol.live.recording import policies_for
from podium_protocol.live.session import RecordingAccess
from podium_protocol.nips import nip98
from podium_storage.table.models import LiveSessionRow, RecordingRow, RoomMemberRow
from tests.support.recording_engine import RecordingEngine
from tests.support.world import EVERYTHING, Room, World, new_key, signed, world

PUBLIC = RecordingAccess.PUBLIC
POLICY = "recorded"
"""The recording policy of a `World`."""


def hash_of_policy(row: LiveSessionRow, words: str) -> str:
    """The hash of the policy with these words, as people of the session are shown it."""
    return hash_of(policies_for(row, {"en": words})["en"])


URL = "http://127.0.0.1:7448/api/sessions/x/join"


class Studio:
    """One session and its room."""

    def __init__(self, here: World, row: LiveSessionRow, folder: Path) -> None:
        self.here = here
        self.session_address = row.session_address
        self.folder = folder
        self._row = row
        assert isinstance(here.engine, RecordingEngine)
        self.engine: RecordingEngine = here.engine

    async def sit(
        self, key: SecretKey | None = None, *, consent: bool | None = True, policy: str = POLICY
    ) -> SocketSeat:
        """Let a person join with a signed proof and take a seat."""
        key = key or new_key()
        await self.join(key, consent=consent, policy=policy)
        return await Room(self.here, self._row).sit(key)

    async def join(self, key: SecretKey, *, consent: bool | None = True, policy: str = POLICY) -> VerifiedEvent:
        """Store a person's join proof, as the door does; `consent` None says nothing about recording."""
        address = Address.parse(self.session_address)
        assert address is not None
        draft = write_join_proof(
            key.pubkey,
            url=URL,
            method="POST",
            body=None,
            session=address,
            nonce="n" * 16,
            device="laptop",
            now=self.here.now,
            consent=None if consent is None else Consent(consent, hash_of_policy(await self.session(), policy)),
        )
        proof = signed(key, draft)
        member = RoomMemberRow(
            session_address=self.session_address,
            pubkey=key.pubkey,
            state="admitted",
            role="participant",
            proof_id=proof.id,
            proof_event=proof.to_json().decode(),
            consent=consent,
            device="laptop",
            updated_at=self.here.now,
            assurance="signature",
        )
        await self.here.store.members.upsert([member], by="[lessonId+pubkey]")
        return proof

    def answer(
        self,
        key: SecretKey,
        *,
        given: bool,
        policy: str = POLICY,
        session: str = "",
        row: LiveSessionRow | None = None,
    ) -> VerifiedEvent:
        """A later signed answer; `row`: the session as the policy is about it."""
        tags = (
            ("a", session or self.session_address),
            (
                "recording_consent",
                "yes" if given else "no",
                hash_of_policy(row or self._row, policy),
            ),
        )
        return signed(key, nip98.write(key.pubkey, URL, "POST", None, self.here.now, tags))

    async def leave(self, seat: SocketSeat) -> None:
        """Let a person leave."""
        await Room(self.here, self._row).leave(seat)

    async def record(self, *, wanted: bool = True) -> Rejection | None:
        """The instructor's command."""
        row = await self.here.row(self.session_address)
        return await self.here.recorder.record(row, self.here.instructor.pubkey, wanted=wanted)

    async def look(self) -> None:
        """The recorder looks at everything."""
        await self.here.recorder._turn(EVERYTHING)

    async def end(self) -> None:
        """The instructor ends the session, and the recorder notices."""
        await self.here.lifecycle.end(self.session_address, self.here.instructor.pubkey)
        await self.look()

    async def make(self) -> RecordingRow:
        """What is pending is made; the newest recording as it is then."""
        await self.here.recorder._make(EVERYTHING)
        return await self.recording()

    async def recording(self) -> RecordingRow:
        """The newest recording."""
        return (await self.here.recorder.recordings(await self.here.row(self.session_address)))[-1]

    async def session(self) -> LiveSessionRow:
        """The session as it is now."""
        return await self.here.row(self.session_address)

    async def recorded(self, seconds: float = 3, *keys: SecretKey) -> RecordingRow:
        """Make a whole recording of `keys` (or of a new person), after the end."""
        for key in keys or (new_key(),):
            await self.sit(key)
        assert await self.record() is None
        await self.here.clock.advance(seconds)
        await self.end()
        return await self.make()


@asynccontextmanager
async def studio(like: World | None = None, *, now: float | None = None, **fields: object) -> AsyncIterator[Studio]:
    """A live session that may be recorded, for anybody to see unless `fields` say otherwise; it begins at `now`."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with world(
            like, engine=RecordingEngine, recordings=folder, **({} if now is None else {"now": now})
        ) as here:
            row = await here.schedule(starts_in=0, **({"recording_allowed": True, "recording_access": PUBLIC} | fields))
            await here.turn()
            found = Studio(here, await here.row(row.session_address), folder)
            try:
                yield found
            finally:
                found.engine.remove_files()
