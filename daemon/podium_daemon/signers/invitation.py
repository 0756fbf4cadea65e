"""An invitation to a remote signer (NIP-46, `nostrconnect://`): we show where we listen, and the signer connects."""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.tasks import wait_for_first
from podium_daemon.signers.signer import SignerUnavailable
from podium_protocol import kinds
from podium_protocol.errors import RemoteProtocolError
from podium_protocol.events import Pubkey, Rejected, SignedEvent, VerifiedEvent, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip46

ASKED_KINDS: Final = (kinds.SESSION, kinds.CALENDAR, kinds.RSVP, kinds.DELETION, kinds.LIVE_CHAT, kinds.HTTP_AUTH)
"""The kinds that signers are told we will ask for; they may still ask their person about each event."""

_MAX_WRONG: Final = 200  # answers without the secret: an attacker who floods us ends only this invitation
_SECRET_BYTES: Final = 16


class SignerInvitation:
    """One URL to show, good for one signer. It reads a mailbox until the signer has answered."""

    def __init__(
        self,
        client: SecretKey,
        relays: Sequence[str],
        *,
        name: str,
        url: str = "",
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`name` and `url` are for the signer to show."""
        self._client = client
        self._secret = random_bytes(_SECRET_BYTES).hex()
        self._signer: asyncio.Future[Pubkey] = asyncio.get_running_loop().create_future()
        self.dropped: Counter[str] = Counter()
        self.url = nip46.write_client(
            nip46.ClientUrl(
                client=client.pubkey,
                relays=tuple(relays),
                secret=self._secret,
                perms=tuple(f"sign_event:{kind}" for kind in ASKED_KINDS),
                name=name,
                url=url,
            )
        )

    @property
    def unanswered(self) -> tuple[SignedEvent, ...]:
        """Return nothing: an invitation has no open requests."""
        return ()

    async def accepted(self, clock: Clock, within: float) -> Pubkey:
        """Wait for the signer that knows the secret, and return its key.

        Raises:
            SignerUnavailable: none answered within `within` seconds, or too many answered without the secret.
        """
        await wait_for_first(asyncio.wait([self._signer]), clock.sleep(within))
        if not self._signer.done():
            raise SignerUnavailable(
                f"no signer came within {within / 60:.0f} minutes: scan a fresh code, and look whether the signer "
                "reaches the relays that it names"
            )
        return self._signer.result()

    def receive(self, raw: bytes) -> bool:
        """Take one unchecked event; one that is no answer with our secret is counted and dropped.

        Returns False for an event that no relay may pass on: it is forged or malformed.
        """
        if self._signer.done():
            return True
        event = verify_json(raw)
        if isinstance(event, Rejected):
            self.dropped[event.reason.value] += 1
            return False
        if (signer := self._signer_of(event)) is not None:
            self._signer.set_result(signer)
        elif self.dropped.total() >= _MAX_WRONG:
            self._signer.set_exception(
                SignerUnavailable("too many strangers answered the invitation: ask for a fresh code")
            )
        return True

    def _signer_of(self, event: VerifiedEvent) -> Pubkey | None:
        try:
            answer = nip46.answer_of(nip46.read_response(event, self._client))
        except RemoteProtocolError:
            self.dropped["unreadable"] += 1
            return None
        result = answer.result if isinstance(answer, nip46.Granted) else ""
        # an attacker can write to our key; only the signer that was shown the URL knows the secret ("MUST validate")
        if hmac.compare_digest(result.encode(errors="replace"), self._secret.encode()):
            return event.pubkey
        self.dropped["wrong_secret"] += 1
        return None
