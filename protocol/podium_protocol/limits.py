"""Every size, count and time this package refuses to go beyond, each with its reason.

Sizes are bytes unless the name says characters; times are seconds. The daemon may configure some of them; these are the
defaults and the caps of the wire.
"""

from __future__ import annotations

from typing import Final

from podium_protocol import kinds

# -- frames from relays ------------------------------------------------------------------------------------------------

MAX_FRAME_BYTES: Final = 512 * 1024
"""Relays commonly refuse events above 64 to 128 KiB; the rest is room for those that do not. Checked before parsing."""

MAX_SUBSCRIPTION_ID_CHARS: Final = 64
"""NIP-01: "arbitrary, non-empty string of max length 64 chars"."""

MAX_CHALLENGE_CHARS: Final = 1024
"""NIP-42 names no length; relays send 16 to 64 characters. A challenge is signed and sent back, so it is capped."""

MAX_MESSAGE_CHARS: Final = 500
"""A relay's words in OK, CLOSED and NOTICE are shown to people and stored in the ledger: longer ones are cut here."""

MAX_FILTERS: Final = 20
"""Filters in one REQ; relays refuse long lists (LocalRelay allows 20)."""

# -- events of people --------------------------------------------------------------------------------------------------

MAX_EVENT_BYTES: Final = 60_000
"""Many relays refuse 64 KiB."""

_MAX_BYTES_OF: Final = {
    kinds.RSVP: 8 * 1024,  # an address, a note of 1,000 characters, and what clients add
    kinds.LIVE_CHAT: 8 * 1024,  # 1,000 characters and up to 64 tags
    kinds.ROOM_PRESENCE: 4 * 1024,
    kinds.DM_RELAY_LIST: 8 * 1024,  # 20 relays of 255 characters; we read 10
    kinds.RELAY_LIST: 8 * 1024,
    kinds.METADATA: 32 * 1024,  # a profile that tells a life; pictures are links
    kinds.DELETION: 32 * 1024,  # some 400 events at once
}


def max_bytes_of(kind: int) -> int:
    """The most bytes a person's event of this kind may have. Strangers write such events, and we store them."""
    return _MAX_BYTES_OF.get(kind, MAX_FRAME_BYTES)


# -- one conversation --------------------------------------------------------------------------------------------------

EOSE_TIMEOUT: Final = 10.0
"""Without an EOSE after this time the answer counts as partial."""

OK_TIMEOUT: Final = 20.0
"""Without an OK after this time the outcome of a publication is unknown, and the same bytes are sent again later."""

AUTH_TIMEOUT: Final = 120.0
"""Time for the caller to get a challenge signed: a person may have to approve it in a remote signer (NIP-46)."""

MAX_AUTH_ATTEMPTS: Final = 3
"""Most signatures for one connection: a relay that sends challenges for ever gets no more."""

CLOSE_GRACE: Final = 60.0
"""Frames of a subscription we closed may still be in flight for this long; they are dropped and not held against it."""

MAX_REMEMBERED: Final = 4096
"""Closed subscriptions and answered publications remembered, to distinguish late frames from invented ones."""

LIVE_BURST: Final = 50_000
"""Events after EOSE taken at once: five times the 10,000 RSVPs that a large session may draw in its first minute."""

LIVE_RATE: Final = 10_000.0
"""Events per second after EOSE in the long run: about what one process can verify; a relay that sends more repeats."""

IDLE_BURST: Final = 10_000
"""Frames that change nothing taken at once: notices, challenges, second EOSEs, and what comes after our CLOSE."""

IDLE_RATE: Final = 10.0
"""The same per second in the long run: honest relays send a few a day, and thousands only just after a CLOSE."""

STORED_SLACK: Final = 100
"""Stored events above a filter's own `limit` before they count as a flood (NIP-01: "much more should be avoided")."""

PENALTY_SCORE: Final = 100.0
"""A relay whose score of misbehaviour is above this belongs in the penalty box."""

PENALTY_HALF_LIFE: Final = 600.0
"""The score halves in this time: an old fault is forgiven, a steady stream of them is not."""

# -- reconnecting ------------------------------------------------------------------------------------------------------

FIRST_DELAY: Final = 1.0
MAX_DELAY: Final = 60.0
"""Reconnection: soon enough that a restarted relay is back within a minute, slow enough not to hammer a dead one."""

STABLE_AFTER: Final = 30.0
"""A connection counts as good after this time and an answer; one that opens and dies does not reset the delays."""

RATE_LIMIT_FIRST_DELAY: Final = 30.0
RATE_LIMIT_MAX_DELAY: Final = 900.0
"""`rate-limited:` doubles from half a minute to a quarter of an hour, for every row of that relay."""

BACKFILL: Final = 3600
"""A resubscription reads again from this long before the last EOSE: clocks differ, and events arrive late."""

BACKFILL_WRAPS: Final = 2 * 86_400
"""Gift wraps are dated up to two days back (NIP-17), so a `since` nearer than that misses new ones."""

# -- times of events ---------------------------------------------------------------------------------------------------

MAX_FUTURE: Final = 600
"""created_at further ahead than this is dropped: it would win every "newest wins" until then."""

MAX_BACKDATING: Final = 2 * 86_400
"""NIP-59 seals and wraps are dated at random up to this far back."""

HTTP_LOGIN_WINDOW: Final = 60
"""NIP-98 suggests 60 s either way."""

# -- encryption --------------------------------------------------------------------------------------------------------

MAX_ENCRYPTED_CHARS: Final = 256 * 1024
"""A NIP-44 payload, before base64. 16 KiB of text that JSON escapes sixfold, sealed and wrapped, comes to 219 KiB."""

MAX_MESSAGE_BYTES: Final = 16 * 1024
"""Text of a private message: once sealed and wrapped it still fits the 64 KiB at which many relays refuse."""

MAX_SCRYPT_LOG_N: Final = 18
"""NIP-49: scrypt takes 2**log_n KiB; 18 is 256 MiB. An encrypted key from a stranger must not ask for all there is."""

# -- text forms and lists ----------------------------------------------------------------------------------------------

MAX_BECH32_CHARS: Final = 5000
"""NIP-19: "SHOULD be limited in size to 5000 characters"."""

MAX_RELAY_URL_CHARS: Final = 255
"""A relay in an naddr or nprofile has a one-byte length (NIP-19); a URL that cannot be shared there is of no use."""

MAX_DM_RELAYS: Final = 10
"""NIP-17 asks for 1 to 3. A list of thousands would have us connect to thousands of hosts of the author's choice."""

MAX_LISTED_RELAYS: Final = 20
"""NIP-65 asks for 2 to 4 of each category; the same reason."""

MAX_HTTP_LOGIN_CHARS: Final = 16 * 1024
"""An Authorization header: web servers refuse headers above 8 to 16 KiB anyway."""
