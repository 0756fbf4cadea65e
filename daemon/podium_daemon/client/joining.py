"""A seat in a room, taken with one signature."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from podium_daemon.api.rooms import ChallengeOut, JoinOut
from podium_daemon.api.sessions import SessionOut
from podium_daemon.client.errors import DraftRefused
from podium_daemon.client.reading import SessionReading
from podium_daemon.client.seat import RoomMessage, RoomSeat
from podium_daemon.client.transport import session_path
from podium_protocol.addresses import Address
from podium_protocol.errors import RemoteProtocolError
from podium_protocol.live.join_proof import Consent, write_join_proof


class RoomJoining(SessionReading):
    """Joins rooms. Every call raises as `PodiumClient`'s do."""

    async def join(
        self,
        reference: str,
        *,
        consent: bool | None = None,
        name: str | None = None,
        shown: ChallengeOut | None = None,
        device: str | None = None,
        patience: float = 15.0,
        heard: Callable[[RoomMessage], None] = lambda _message: None,
    ) -> RoomSeat:
        """Join with one signature and take a seat.

        Args:
            reference: the session.
            consent: to the recording policy of `challenge`; None is no answer, which is refused if a policy is shown.
            name: what to call the person in this session, if their profile has no name.
            shown: the challenge with the policy that the person saw; without it, they agree to the one in force.
            device: a name for this device; a second join with it replaces the first.
            patience: seconds to stay in the waiting room.
            heard: called with every message of the room.

        Raises:
            TurnedAway: the door refused the caller.
            StillWaiting: the caller was not let in in time.
            DraftRefused: the daemon asked to sign a proof for another place, or the policy is no longer the one that
                was shown. Nothing was signed.
            LocalProtocolError: `name` is no name. Nothing was signed.
            ApiProblem: a refusal; of the name, with the slug `name-taken` or `bad-name`.
        """
        session = await self.session(reference)
        asked = await self.challenge(session.naddr)
        if shown is not None and shown.recording_policy_hash != asked.recording_policy_hash:
            raise DraftRefused("the recording policy has changed since it was shown: join again. Nothing was signed")
        own = device or self._transport.random_bytes(4).hex()
        ticket = await self._ticket(session, asked, consent, device=own, name=name)
        greeting = {"type": "hello", "token": ticket.token}
        url, direct = self._socket_url(ticket), self._transport.is_direct
        return await RoomSeat.take(url, greeting, patience=patience, direct=direct, heard=heard)

    async def challenge(self, reference: str) -> ChallengeOut:
        """Ask for the challenge of a join proof, with the recording policy and the notice to show before signing."""
        return await self._transport.post(session_path(reference, "join", "challenge"), ChallengeOut)

    async def _ticket(
        self, session: SessionOut, asked: ChallengeOut, consent: bool | None, *, device: str, name: str | None
    ) -> JoinOut:
        path = session_path(session.naddr, "join")
        # else a daemon could have a proof signed that another daemon accepts
        if asked.url != self._transport.signed_url + path or asked.lesson_id != session.lesson_id:
            raise DraftRefused("the daemon asked for a join proof for another place or session. Nothing was signed")
        address, pubkey = Address.parse(session.lesson_id), self.pubkey
        if address is None or pubkey is None:
            raise DraftRefused("a join takes a key and a session's address. Nothing was signed")
        policy = asked.recording_policy_hash
        proof = write_join_proof(
            pubkey,
            url=asked.url,
            method="POST",
            body=None,
            session=address,
            nonce=asked.nonce,
            device=device,
            now=int(self._transport.now()),
            consent=Consent(consent, policy) if policy and consent is not None else None,
            name=name,
        )
        return await self._transport.post_proof(path, JoinOut, await self._transport.sign(proof))

    def _socket_url(self, ticket: JoinOut) -> str:
        """The socket's URL on the host that we talk to: the token must go nowhere else."""
        named, own = urlsplit(ticket.socket_url), urlsplit(self._transport.url)
        public = urlsplit(self._transport.signed_url)
        if named.scheme not in ("ws", "wss") or named.netloc != public.netloc:
            raise RemoteProtocolError("the daemon sent us to a room's socket on another host")
        scheme = "wss" if own.scheme == "https" else "ws"
        return named._replace(scheme=scheme, netloc=own.netloc).geturl()
