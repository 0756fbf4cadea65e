"""Questions to a session over HTTP: read, ask, answer, withdraw; and the decisions of instructor and co-hosts."""

from __future__ import annotations

from typing import Literal

from podium_daemon.api.questions import AskedOut, QuestionOut, QuestionsOut, VotesOut
from podium_daemon.api.rooms import RoomOut
from podium_daemon.api.service import ServiceOut
from podium_daemon.api.sessions import SessionOut
from podium_daemon.client.transport import Transport, session_path
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError, RemoteProtocolError
from podium_protocol.events import EventId, Pubkey, UnsignedEvent
from podium_protocol.live.questions import write_question

Decision = Literal["show", "hide", "pin", "unpin", "answered", "unanswered", "silence", "unsilence"]


class LiveQuestions:
    """`podium.questions`. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def list(self, reference: str) -> QuestionsOut:
        """The questions that the caller may see."""
        return await self._transport.get(session_path(reference, "questions"), QuestionsOut)

    async def ask(self, reference: str | SessionOut, text: str, *, answer_to: QuestionOut | None = None) -> str:
        """Sign and submit a question, or an answer; return its event id.

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
        """Withdraw the caller's own question, here and on the relays (NIP-09)."""
        session = await self._transport.session(reference)
        rows = (("e", question_id), ("k", str(kinds.LIVE_CHAT)))
        deletion = UnsignedEvent(self._author(), int(self._transport.now()), kinds.DELETION, rows, "")
        await self._say(session, deletion)

    async def decide(self, reference: str, question_id: str, decision: Decision) -> QuestionsOut:
        """Decide about a question, or with `silence` about its author; for instructor and co-hosts."""
        return await self._transport.post(session_path(reference, "questions", question_id, decision), QuestionsOut)

    async def vote(self, reference: str, question_id: str, *, on: bool = True) -> int:
        """Vote for a question, or take the vote back; return its votes. Nobody is told whose they are."""
        path = session_path(reference, "questions", question_id, "vote")
        return (await self._transport.post(path, VotesOut, {"on": on})).votes

    async def _say(self, session: SessionOut, event: UnsignedEvent) -> str:
        body = {"event": await self._transport.sign(event)}
        return (await self._transport.post(session_path(session.naddr, "questions"), AskedOut, body)).id

    def _author(self) -> Pubkey:
        if self._transport.pubkey is None:
            raise LocalProtocolError("this client has no key: give it one to sign with")
        return self._transport.pubkey


class RoomLeading:
    """`podium.leading`: commands on a room and the people in it. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def lower_hands(self, reference: str, pubkeys: tuple[Pubkey, ...] | None = None) -> RoomOut:
        """Lower these people's hands, or all (None)."""
        body = {"everybody": True} if pubkeys is None else {"pubkeys": pubkeys}
        return await self._transport.post(session_path(reference, "room", "hands", "lower"), RoomOut, body)

    async def mute_all(self, reference: str, *, on: bool) -> RoomOut:
        """Switch mute-all on or off: it mutes all but instructor and co-hosts, also later."""
        return await self._transport.post(session_path(reference, "room", "mute-all"), RoomOut, {"on": on})

    async def lock(self, reference: str, *, on: bool) -> RoomOut:
        """Lock the room, so that people wait outside whatever their answer, or open it; who is in it stays."""
        return await self._transport.post(session_path(reference, "room", "lock"), RoomOut, {"on": on})

    async def mute(
        self, reference: str, pubkey: Pubkey, kind: Literal["audio", "video", "screen"] = "audio"
    ) -> RoomOut:
        """Switch off one person's microphone, camera or screen; they may switch it on again."""
        return await self._transport.post(
            session_path(reference, "room", "mute"), RoomOut, {"pubkey": pubkey, "kind": kind}
        )

    async def let_speak(self, reference: str, pubkey: Pubkey, *, on: bool = True) -> RoomOut:
        """Exempt one person from mute-all, or no longer. They are told, and switch their microphone on themselves."""
        return await self._transport.post(
            session_path(reference, "room", "speak"), RoomOut, {"pubkey": pubkey, "on": on}
        )

    async def spotlight(self, reference: str, pubkey: Pubkey | None) -> RoomOut:
        """Show one person large to all, or no person (None)."""
        return await self._transport.post(session_path(reference, "room", "spotlight"), RoomOut, {"pubkey": pubkey})

    async def record(self, reference: str, *, on: bool) -> RoomOut:
        """Record from now on, once all people in the room have agreed; or stop."""
        return await self._transport.post(session_path(reference, "room", "recording"), RoomOut, {"on": on})
