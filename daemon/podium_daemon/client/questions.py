"""Questions to a session over HTTP: read, ask, answer, withdraw, vote; instructor and co-hosts decide about them."""

from __future__ import annotations

from typing import Literal

from podium_daemon.api.questions import AskedOut, QuestionOut, QuestionsOut, VotesOut
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
        """Vote for a question, or take the vote back; return its votes. No person is told whose they are."""
        path = session_path(reference, "questions", question_id, "vote")
        return (await self._transport.post(path, VotesOut, {"on": on})).votes

    async def _say(self, session: SessionOut, event: UnsignedEvent) -> str:
        body = {"event": await self._transport.sign(event)}
        return (await self._transport.post(session_path(session.naddr, "questions"), AskedOut, body)).id

    def _author(self) -> Pubkey:
        if self._transport.pubkey is None:
            raise LocalProtocolError("this client has no key: give it one to sign with")
        return self._transport.pubkey
