"""Questions to a session over HTTP: read, ask, answer, take back; and what those who lead do about them."""

from __future__ import annotations

from typing import Literal

from podium_daemon.api.questions import AskedOut, QuestionOut, QuestionsOut
from podium_daemon.api.rooms import RoomOut
from podium_daemon.api.service import ServiceOut
from podium_daemon.api.sessions import SessionOut
from podium_daemon.client.transport import Transport, session_path
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError, RemoteProtocolError
from podium_protocol.events import EventId, Pubkey, UnsignedEvent
from podium_protocol.live.questions import write_question

Decision = Literal["show", "hide", "pin", "unpin", "silence", "unsilence"]


class LiveQuestions:
    """`podium.questions`. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def list(self, reference: str) -> QuestionsOut:
        """What the caller may see."""
        return await self._transport.get(session_path(reference, "questions"), QuestionsOut)

    async def ask(self, reference: str | SessionOut, text: str, *, answer_to: QuestionOut | None = None) -> str:
        """Sign a question, or an answer, and hand it in; its event id.

        Raises:
            LocalProtocolError: no text, more than 1,000 characters, or a client without a key.
        """
        session = await self._transport.session(reference)
        service = await self._transport.get("/api/service", ServiceOut)
        meeting = Address.parse(f"{kinds.MEETING}:{service.service_pubkey}:{session.conference_room_id}")
        if meeting is None or session.conference_room_id is None:
            raise RemoteProtocolError("the daemon gave no address of a meeting. Nothing was signed")
        return await self._say(
            session,
            write_question(
                meeting,
                text,
                pubkey=self._author(),
                now=int(self._transport.now()),
                reply_to=EventId(answer_to.id) if answer_to else None,
                asker=Pubkey(answer_to.pubkey) if answer_to else None,
            ),
        )

    async def withdraw(self, reference: str | SessionOut, question_id: str) -> None:
        """Take one's own question back, here and on the relays (NIP-09)."""
        session = await self._transport.session(reference)
        rows = (("e", question_id), ("k", str(kinds.LIVE_CHAT)))
        deletion = UnsignedEvent(self._author(), int(self._transport.now()), kinds.DELETION, rows, "")
        await self._say(session, deletion)

    async def decide(self, reference: str, question_id: str, decision: Decision) -> QuestionsOut:
        """What becomes of a question, or with `silence` of its author; for those who lead."""
        return await self._transport.post(session_path(reference, "questions", question_id, decision), QuestionsOut)

    async def _say(self, session: SessionOut, event: UnsignedEvent) -> str:
        body = {"event": await self._transport.sign(event)}
        return (await self._transport.post(session_path(session.naddr, "questions"), AskedOut, body)).id

    def _author(self) -> Pubkey:
        if self._transport.pubkey is None:
            raise LocalProtocolError("this client has no key: give it one to sign with")
        return self._transport.pubkey


class RoomLeading:
    """`podium.leading`: what is done to a room and to people in it. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def lower_hands(self, reference: str, pubkeys: tuple[Pubkey, ...] | None = None) -> RoomOut:
        """Take these people's hands down, or all (None)."""
        body = {"everybody": True} if pubkeys is None else {"pubkeys": pubkeys}
        return await self._transport.post(session_path(reference, "room", "hands", "lower"), RoomOut, body)

    async def mute_all(self, reference: str, *, on: bool) -> RoomOut:
        """Silence everybody but those who lead, also whoever opens a microphone later; or let that be."""
        return await self._transport.post(session_path(reference, "room", "mute-all"), RoomOut, {"on": on})

    async def mute(
        self, reference: str, pubkey: Pubkey, kind: Literal["audio", "video", "screen"] = "audio"
    ) -> RoomOut:
        """Silence one person's microphone, camera or screen; they may switch it on again."""
        return await self._transport.post(
            session_path(reference, "room", "mute"), RoomOut, {"pubkey": pubkey, "kind": kind}
        )

    async def let_speak(self, reference: str, pubkey: Pubkey, *, on: bool = True) -> RoomOut:
        """Except one person from mute-all, or no longer. They are told, and switch their microphone on themselves."""
        return await self._transport.post(
            session_path(reference, "room", "speak"), RoomOut, {"pubkey": pubkey, "on": on}
        )

    async def spotlight(self, reference: str, pubkey: Pubkey | None) -> RoomOut:
        """Show one person large to everybody, or nobody (None)."""
        return await self._transport.post(session_path(reference, "room", "spotlight"), RoomOut, {"pubkey": pubkey})

    async def record(self, reference: str, *, on: bool) -> RoomOut:
        """Record from now on, once everybody in the room has agreed; or stop."""
        return await self._transport.post(session_path(reference, "room", "recording"), RoomOut, {"on": on})
