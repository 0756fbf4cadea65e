"""Questions to a session over HTTP: read, ask, answer, take back; and what those who lead do about them."""

from __future__ import annotations

from typing import Literal

from podium_daemon.client.transport import Transport, session_path
from podium_daemon.client.values import Answer, Room, Service, Session
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError, RemoteProtocolError
from podium_protocol.events import EventId, Pubkey, UnsignedEvent
from podium_protocol.live.questions import write_question

Decision = Literal["show", "hide", "pin", "unpin", "silence", "unsilence"]


class QuestionAnswer(Answer, frozen=True, kw_only=True):
    """What somebody who leads said to a question. `created_at` in Unix seconds, as the author says."""

    id: str
    pubkey: str
    text: str
    created_at: int
    npub: str = ""
    role: str = "participant"
    state: str = "shown"


class Question(QuestionAnswer, frozen=True, kw_only=True):
    """A question. Those who lead are told more: `state` held or hidden, and the reason to hold it."""

    pinned: bool = False
    hold: str | None = None
    silenced: bool = False
    answers: tuple[QuestionAnswer, ...] = ()


class QuestionList(Answer, frozen=True, kw_only=True):
    """Pinned ones first, then in the order of arrival; `total` counts those that were left out too."""

    questions: tuple[Question, ...]
    total: int = 0


class Asked(Answer, frozen=True, kw_only=True):
    """The id of what was taken."""

    id: str


class LiveQuestions:
    """`podium.questions`. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def list(self, reference: str) -> QuestionList:
        """What the caller may see."""
        return await self._transport.get(session_path(reference, "questions"), QuestionList)

    async def ask(self, reference: str, text: str, *, answer_to: Question | None = None) -> str:
        """Sign a question, or an answer, and hand it in; its event id.

        Raises:
            LocalProtocolError: no text, more than 1,000 characters, or a client without a key.
        """
        session = await self._transport.get(session_path(reference), Session)
        service = await self._transport.get("/api/service", Service)
        meeting = Address.parse(f"{kinds.MEETING}:{service.service_pubkey}:{session.conference_room_id}")
        if meeting is None or session.conference_room_id is None:
            raise RemoteProtocolError("the daemon gave no address of a meeting to ask")
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

    async def withdraw(self, reference: str, question_id: str) -> None:
        """Take one's own question back, here and on the relays (NIP-09)."""
        session = await self._transport.get(session_path(reference), Session)
        rows = (("e", question_id), ("k", str(kinds.LIVE_CHAT)))
        deletion = UnsignedEvent(self._author(), int(self._transport.now()), kinds.DELETION, rows, "")
        await self._say(session, deletion)

    async def decide(self, reference: str, question_id: str, decision: Decision) -> QuestionList:
        """What becomes of a question, or with `silence` of its author; for those who lead."""
        return await self._transport.post(session_path(reference, "questions", question_id, decision), QuestionList)

    async def _say(self, session: Session, event: UnsignedEvent) -> str:
        body = {"event": self._transport.sign(event)}
        return (await self._transport.post(session_path(session.naddr, "questions"), Asked, body)).id

    def _author(self) -> Pubkey:
        if self._transport.secret is None:
            raise LocalProtocolError("this client has no key: give it one to sign with")
        return self._transport.secret.pubkey


class RoomLeading:
    """`podium.leading`: what is done to a room and to people in it. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def lower_hands(self, reference: str, pubkeys: tuple[Pubkey, ...] | None = None) -> Room:
        """Take these people's hands down, or all (None)."""
        body = {"everybody": True} if pubkeys is None else {"pubkeys": pubkeys}
        return await self._transport.post(session_path(reference, "room", "hands", "lower"), Room, body)

    async def mute_all(self, reference: str, *, on: bool) -> Room:
        """Silence everybody but those who lead, also whoever opens a microphone later; or let that be."""
        return await self._transport.post(session_path(reference, "room", "mute-all"), Room, {"on": on})

    async def mute(self, reference: str, pubkey: Pubkey, kind: Literal["audio", "video", "screen"] = "audio") -> Room:
        """Silence one person's microphone, camera or screen; they may switch it on again."""
        return await self._transport.post(
            session_path(reference, "room", "mute"), Room, {"pubkey": pubkey, "kind": kind}
        )

    async def let_speak(self, reference: str, pubkey: Pubkey, *, on: bool = True) -> Room:
        """Except one person from mute-all, or no longer. They are told, and switch their microphone on themselves."""
        return await self._transport.post(session_path(reference, "room", "speak"), Room, {"pubkey": pubkey, "on": on})

    async def spotlight(self, reference: str, pubkey: Pubkey | None) -> Room:
        """Show one person large to everybody, or nobody (None)."""
        return await self._transport.post(session_path(reference, "room", "spotlight"), Room, {"pubkey": pubkey})

    async def record(self, reference: str, *, on: bool) -> Room:
        """Record from now on, once everybody in the room has agreed; or stop."""
        return await self._transport.post(session_path(reference, "room", "recording"), Room, {"on": on})
