"""The one form in which services refuse a call: an expected outcome, not an exception."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Self

import msgspec


class Slug(StrEnum):
    """Why a request was rejected, for machines: the last part of a problem document's type. The values are stable."""

    status: HTTPStatus

    def __new__(cls, value: str, status: HTTPStatus) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        return member

    BAD_BUNKER = "bad-bunker", HTTPStatus.BAD_REQUEST
    BAD_CONSENT = "bad-consent", HTTPStatus.BAD_REQUEST
    BAD_EVENT = "bad-event", HTTPStatus.BAD_REQUEST
    BAD_INTERVAL = "bad-interval", HTTPStatus.BAD_REQUEST
    BAD_JSON = "bad-json", HTTPStatus.BAD_REQUEST
    BAD_KIND = "bad-kind", HTTPStatus.BAD_REQUEST
    BAD_NAME = "bad-name", HTTPStatus.BAD_REQUEST
    BAD_PUBKEY = "bad-pubkey", HTTPStatus.BAD_REQUEST
    BAD_TIME = "bad-time", HTTPStatus.BAD_REQUEST
    BAD_VALUE = "bad-value", HTTPStatus.BAD_REQUEST
    BAD_WEBHOOK = "bad-webhook", HTTPStatus.BAD_REQUEST
    HEADER_TWICE = "header-twice", HTTPStatus.BAD_REQUEST
    NOT_A_QUESTION = "not-a-question", HTTPStatus.BAD_REQUEST
    NOT_HTTP = "not-http", HTTPStatus.BAD_REQUEST
    SECRET_KEY = "secret-key", HTTPStatus.BAD_REQUEST

    BAD_PROOF = "bad-proof", HTTPStatus.UNAUTHORIZED
    LOGIN = "login", HTTPStatus.UNAUTHORIZED
    SIGNER_SECRET = "signer-secret", HTTPStatus.UNAUTHORIZED
    VIEWING = "viewing", HTTPStatus.UNAUTHORIZED

    BAD_SIGNATURE = "bad-signature", HTTPStatus.FORBIDDEN
    CLAIM = "claim", HTTPStatus.FORBIDDEN
    DENIED = "denied", HTTPStatus.FORBIDDEN
    NEEDS_KEY = "needs-key", HTTPStatus.FORBIDDEN
    LINKS_OFF = "links-off", HTTPStatus.FORBIDDEN
    NO_GUESTS = "no-guests", HTTPStatus.FORBIDDEN
    NOT_ALLOWED = "not-allowed", HTTPStatus.FORBIDDEN
    NOT_AN_INSTRUCTOR = "not-an-instructor", HTTPStatus.FORBIDDEN
    NOT_INVITED = "not-invited", HTTPStatus.FORBIDDEN
    NOT_THE_AUTHOR = "not-the-author", HTTPStatus.FORBIDDEN
    WRONG_ORIGIN = "wrong-origin", HTTPStatus.FORBIDDEN

    NO_RECORDING = "no-recording", HTTPStatus.NOT_FOUND
    NOT_FOUND = "not-found", HTTPStatus.NOT_FOUND
    UNKNOWN_CALENDAR = "unknown-calendar", HTTPStatus.NOT_FOUND
    UNKNOWN_GUEST = "unknown-guest", HTTPStatus.NOT_FOUND
    UNKNOWN_LINE = "unknown-line", HTTPStatus.NOT_FOUND
    UNKNOWN_LINK = "unknown-link", HTTPStatus.NOT_FOUND
    UNKNOWN_FILE = "unknown-file", HTTPStatus.NOT_FOUND
    UNKNOWN_POLL = "unknown-poll", HTTPStatus.NOT_FOUND
    UNKNOWN_QUESTION = "unknown-question", HTTPStatus.NOT_FOUND
    UNKNOWN_RECORDING = "unknown-recording", HTTPStatus.NOT_FOUND
    UNKNOWN_SESSION = "unknown-session", HTTPStatus.NOT_FOUND
    UNKNOWN_SIGNER = "unknown-signer", HTTPStatus.NOT_FOUND

    TOO_SLOW = "too-slow", HTTPStatus.REQUEST_TIMEOUT

    AMBIGUOUS_SESSION = "ambiguous-session", HTTPStatus.CONFLICT
    ANSWER_FIRST = "answer-first", HTTPStatus.CONFLICT
    ATTENDANCE_SEALED = "attendance-sealed", HTTPStatus.CONFLICT
    BADGE_AWARDED = "badge-awarded", HTTPStatus.CONFLICT
    BLOSSOM = "blossom", HTTPStatus.CONFLICT
    BUSY = "busy", HTTPStatus.CONFLICT
    CANCELLED = "cancelled", HTTPStatus.CONFLICT
    DISK = "disk", HTTPStatus.CONFLICT
    DOORS_CLOSED = "doors-closed", HTTPStatus.CONFLICT
    E2EE = "e2ee", HTTPStatus.CONFLICT
    E2EE_UNAVAILABLE = "e2ee-unavailable", HTTPStatus.CONFLICT
    ENDED = "ended", HTTPStatus.CONFLICT
    ENGINE = "engine", HTTPStatus.CONFLICT
    EXPIRED = "expired", HTTPStatus.CONFLICT
    FULL = "full", HTTPStatus.CONFLICT
    INSTRUCTOR_ABSENT = "instructor-absent", HTTPStatus.CONFLICT
    INSTRUCTOR_UNVERIFIED = "instructor-unverified", HTTPStatus.CONFLICT
    LINK_USED = "link-used", HTTPStatus.CONFLICT
    NAME_TAKEN = "name-taken", HTTPStatus.CONFLICT
    NO_BADGE = "no-badge", HTTPStatus.CONFLICT
    NO_CONFERENCE = "no-conference", HTTPStatus.CONFLICT
    NO_RELAY = "no-relay", HTTPStatus.CONFLICT
    NO_SESSION = "no-session", HTTPStatus.CONFLICT
    NOBODY_PRESENT = "nobody-present", HTTPStatus.CONFLICT
    NOT_A_SESSION = "not-a-session", HTTPStatus.CONFLICT
    NOT_AGREED = "not-agreed", HTTPStatus.CONFLICT
    NOT_CANCELLED = "not-cancelled", HTTPStatus.CONFLICT
    NOT_COMPLETED = "not-completed", HTTPStatus.CONFLICT
    NOT_HERE = "not-here", HTTPStatus.CONFLICT
    NOT_LIVE = "not-live", HTTPStatus.CONFLICT
    NOT_MUTED = "not-muted", HTTPStatus.CONFLICT
    NOT_SHOWN = "not-shown", HTTPStatus.CONFLICT
    NOT_SUPPORTED = "not-supported", HTTPStatus.CONFLICT
    NOTHING_FAILED = "nothing-failed", HTTPStatus.CONFLICT
    NOTHING_PUBLISHED = "nothing-published", HTTPStatus.CONFLICT
    NOTHING_TO_DELETE = "nothing-to-delete", HTTPStatus.CONFLICT
    NOTHING_TO_PUBLISH = "nothing-to-publish", HTTPStatus.CONFLICT
    ONLY_COPY = "only-copy", HTTPStatus.CONFLICT
    OTHER_CONFIGURATION = "other-configuration", HTTPStatus.CONFLICT
    OTHER_STORE = "other-store", HTTPStatus.CONFLICT
    OUTDATED = "outdated", HTTPStatus.CONFLICT
    POLICY_CHANGED = "policy-changed", HTTPStatus.CONFLICT
    RECORDING_NOT_ALLOWED = "recording-not-allowed", HTTPStatus.CONFLICT
    RECORDING_UNREADABLE = "recording-unreadable", HTTPStatus.CONFLICT
    ROSTER_UNKNOWN = "roster-unknown", HTTPStatus.CONFLICT
    SESSION_OVER = "session-over", HTTPStatus.CONFLICT
    SIGNER_NOT_CONNECTED = "signer-not-connected", HTTPStatus.CONFLICT
    STILL_RECORDING = "still-recording", HTTPStatus.CONFLICT
    TOO_LATE = "too-late", HTTPStatus.CONFLICT
    TOO_MANY_DEVICES = "too-many-devices", HTTPStatus.CONFLICT
    TOO_MANY_PINNED = "too-many-pinned", HTTPStatus.CONFLICT
    TOO_MANY_REQUESTS = "too-many-requests", HTTPStatus.CONFLICT
    VISIBILITY_FIXED = "visibility-fixed", HTTPStatus.CONFLICT
    WRONG_HASH = "wrong-hash", HTTPStatus.CONFLICT
    WRONG_STATE = "wrong-state", HTTPStatus.CONFLICT

    LINK_ENDED = "link-ended", HTTPStatus.GONE
    LINK_REVOKED = "link-revoked", HTTPStatus.GONE
    LINK_SIGNED_OUT = "link-signed-out", HTTPStatus.GONE
    ENTRANCE_USED = "entrance-used", HTTPStatus.GONE

    TOO_LARGE = "too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    NOT_JSON = "not-json", HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    RANGE = "range", HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE

    WRONG_HOST = "wrong-host", HTTPStatus.MISDIRECTED_REQUEST

    BAD_REQUEST = "bad-request", HTTPStatus.UNPROCESSABLE_ENTITY

    TOO_MANY = "too-many", HTTPStatus.TOO_MANY_REQUESTS
    TOO_MANY_SIGNERS = "too-many-signers", HTTPStatus.TOO_MANY_REQUESTS

    INTERNAL = "internal", HTTPStatus.INTERNAL_SERVER_ERROR

    STORE = "store", HTTPStatus.SERVICE_UNAVAILABLE
    TOO_MANY_STREAMS = "too-many-streams", HTTPStatus.SERVICE_UNAVAILABLE

    NO_ROOM = "no-room", HTTPStatus.INSUFFICIENT_STORAGE


class Rejection(msgspec.Struct, frozen=True):
    """The refusal of a call, which changed nothing.

    `slug` is stable and for machines, `detail` says what was wrong, `next_step` what the caller can do. `values` are
    the numbers that the two name, for a page that says it in its own words.
    """

    slug: Slug
    detail: str
    next_step: str = ""
    values: Mapping[str, int] = {}


def slug_of(reason: StrEnum) -> Slug:
    """The slug of a reason that a rule of the protocol gives, such as `doors_closed`.

    Raises:
        KeyError: there is none.
    """
    return Slug[reason.value.upper()]
