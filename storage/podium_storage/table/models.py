"""The rows of the model's tables and of ours. Times are Unix seconds (UTC); `session_address` is a session's address.

`LiveSessionRow`, `RsvpRow` and `AttendanceRow` extend the model's `LiveSessionContent`, `LiveSessionRSVP` and
`LiveSessionAttendance`; their names in JSON and SQL are the model's camelCase ones.
"""

from __future__ import annotations

from podium_storage.table.columns import InternedText, StoredRow


class LiveSessionRow(StoredRow, frozen=True, kw_only=True):
    """A session as scheduled, and how it went. `duration` is in minutes; `runs` are (start, end or None).

    `revisions` are the newest (event id, start): an RSVP may name an older one.
    `withdrawn`: the newest revision is cancelled or deleted; the lifecycle service decides about the state.
    `recording_access`: a `live.session.RecordingAccess`; None is that of a session from before there was one.
    `attendance`: "public" if its records are published, "private" if they are sealed to the person and the instructor.
    `cancel_reason`: the instructor's words for it, cleaned for display.
    `event_id`: the revision in force, the newest that can be read. `unread_*`: a newer one that cannot, and why.
    `rules_at`, `length_at`: the time of the revision that gave the rules, and the duration, if the one in force gives
    none; 0 if no such revision is known here.
    `guests`: a `live.session.GuestPolicy`, who may come without a signer; None in rows from before it was read.
    `series`: the address of the calendar of its series (`live.series`).
    """

    session_address: InternedText
    conference_room_id: str | None = None
    scheduled_at: int
    ends_at: int
    duration: int
    instructor_pubkey: InternedText
    title: str
    summary: str
    description: str
    timezone: str | None = None
    location: str | None = None
    max_participants: int | None = None
    requires_rsvp: bool
    waiting_room: bool
    allow_recording: bool
    e2ee_required: bool
    visibility: str
    co_hosts: tuple[str, ...]
    invited: tuple[str, ...]
    state: str
    withdrawn: bool = False
    epoch: int
    event_id: str
    event_created_at: int
    started_at: int | None = None
    ended_at: int | None = None
    runs: tuple[tuple[int, int | None], ...]
    end_reason: str | None = None
    recording_state: str = "none"
    recording_url: str | None = None
    blocked_reason: str | None = None
    status_created_at: int = 0
    status_due_at: int | None = None
    revisions: tuple[tuple[str, int], ...] = ()
    moved_from: int | None = None
    moved_at: int | None = None
    warned_at: int | None = None
    adopted_at: int
    version: int = 0
    attendance: str = "public"
    cancel_reason: str | None = None
    guests: str | None = None
    unread_event_id: str | None = None
    unread_created_at: int | None = None
    unread_reason: str | None = None
    rules_at: int | None = None
    length_at: int | None = None
    recording_access: str | None = None
    series: str | None = None

    @property
    def began_at(self) -> int | None:
        """When the session really began, whatever its announced start; a reopening is no new beginning."""
        return self.runs[0][0] if self.runs else self.started_at


class RsvpRow(StoredRow, frozen=True, kw_only=True):
    """One person's answer. `first_seen` is the order of arrival and strictly increases; `rsvp_time` can be forged.

    `note`: their words, cleaned for display. `identifier`: the `d` of their event, which a deletion may name.
    `assurance`: "link" if they gave it by the link in their message; None for their own signature.
    """

    session_address: InternedText
    pubkey: InternedText
    status: str
    rsvp_time: int
    reminder_sent: bool = False
    event_id: str
    revision_id: str | None = None
    needs_reconfirmation: bool = False
    first_seen: int
    first_seen_at: int
    seat: str = "none"
    position: int | None = None
    note: str | None = None
    identifier: str | None = None
    assurance: str | None = None


class AttendanceRow(StoredRow, frozen=True, kw_only=True):
    """What one person attended. `total_duration` is in seconds, the union of all devices' intervals.

    `evidence` and `assurance` are those of `podium_protocol.live.attendance`.
    """

    session_address: InternedText
    pubkey: InternedText
    joined_at: int
    left_at: int | None = None
    total_duration: int
    join_count: int
    evidence: str
    proof_id: str | None = None
    completed_at: int | None = None
    completed_by: str | None = None
    record_created_at: int = 0
    final: bool = False
    assurance: str = "signature"


class LedgerRow(StoredRow, frozen=True, kw_only=True):
    """One message to one person about one session: when it is due, what became of it, what each relay said.

    `told_start`: for a move, the start people knew. `revision`: the session event that the stored wrap is about.
    `language`: the tag of the one in which the message was written; None before, and for old rows, which are English.
    """

    session_address: InternedText
    epoch: int
    message: str
    pubkey: InternedText
    state: str
    due_at: int
    window_ends_at: int
    wrap: bytes | None = None
    rumor_id: str | None = None
    relays: tuple[tuple[str, str], ...]
    reason: str | None = None
    attempts: int = 0
    updated_at: int
    told_start: int | None = None
    revision: str | None = None
    language: str | None = None


class IntervalRow(StoredRow, frozen=True, kw_only=True):
    """One connection of one device to a room; `left_at` is None while it lasts, `media`: it was up."""

    connection_id: str
    session_address: InternedText
    pubkey: InternedText
    device: str
    joined_at: int
    left_at: int | None = None
    last_evidence: int
    source: str
    leave_reason: str | None = None
    note: str | None = None
    media: bool = False


class RoomMemberRow(StoredRow, frozen=True, kw_only=True):
    """One person's standing in one room: arrived, admitted, removed; `assurance` says how they proved their key.

    `proof_event` is the signed join proof (JSON): the evidence of identity, and of `consent` to be recorded. `name`:
    what the person is called in this session as long as their profile has no name.
    """

    session_address: InternedText
    pubkey: InternedText
    state: str
    role: str
    proof_id: str | None = None
    proof_event: str | None = None
    consent: bool | None = None
    device: str | None = None
    updated_at: int
    assurance: str
    name: str | None = None


class OptOutRow(StoredRow, frozen=True, kw_only=True):
    """A person who wants no reminders of one session, or of any when `session_address` is "*"."""

    pubkey: InternedText
    session_address: InternedText
    created_at: int


class QuestionRow(StoredRow, frozen=True, kw_only=True):
    """One live chat message to a session: a question, or with `reply_to` an answer. `id` is the order of arrival.

    `state` is held (an instructor or co-host decides, `hold` says why), shown, or hidden by one of them.
    """

    session_address: InternedText
    pubkey: InternedText
    event_id: str
    text: str
    created_at: int
    first_seen_at: int
    reply_to: str | None = None
    state: str = "held"
    hold: str | None = None
    pinned: bool = False
    answered: bool = False
    votes: int = 0


class QuestionVoteRow(StoredRow, frozen=True, kw_only=True):
    """That a person voted for a question, whose `votes` counts these rows. Only that person is told."""

    session_address: InternedText
    pubkey: InternedText
    event_id: str


class RoomControlsRow(StoredRow, frozen=True, kw_only=True):
    """The controls that instructor and co-hosts set for a room, for any engine: `muted` sticks, `silenced` may not ask.

    `speakers` may speak though `muted`; `spotlight` is shown large to all. `chat_closed_at`: since then only
    leaders chat. `locked_in`: who was in the room when it was locked; None while it is open.
    """

    session_address: InternedText
    muted: bool = False
    silenced: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    spotlight: str | None = None
    chat_closed_at: int | None = None
    locked_in: tuple[str, ...] | None = None


class ChatLineRow(StoredRow, frozen=True, kw_only=True):
    """A line of a room's chat, `private`: for those who lead. `sealed`: its text is encrypted under the room's key."""

    session_address: InternedText
    pubkey: InternedText
    text: str
    private: bool
    sealed: bool
    sent_at: int


class PollRow(StoredRow, frozen=True, kw_only=True):
    """A `live.polls.Poll` of a session in its `PollStage`. `counts` and `voters` are kept when it is closed.

    In an encrypted session `sealed_by` encrypted it: `question` and `sealed_right` are cipher text, the options empty.
    """

    session_address: InternedText
    question: str
    options: tuple[str, ...]
    multiple: bool
    named: bool
    live: bool
    right: tuple[int, ...]
    stage: str
    counts: tuple[int, ...] = ()
    voters: int = 0
    created_at: int
    closed_at: int | None = None
    sealed_by: str | None = None
    sealed_right: str | None = None


class PollVoteRow(StoredRow, frozen=True, kw_only=True):
    """What a person chose; of an anonymous poll it is deleted when the poll is closed."""

    session_address: InternedText
    poll_id: int
    pubkey: InternedText
    choices: tuple[int, ...]


class BadgeRow(StoredRow, frozen=True, kw_only=True):
    """A participant who asked for the session's badge (NIP-58); `award_id`: the award that the instructor signed."""

    session_address: InternedText
    pubkey: InternedText
    asked_at: int
    award_id: str | None = None


class LetterRow(StoredRow, frozen=True, kw_only=True):
    """The newest gift-wrapped rumor on one topic of a private session to one person; `state` is a `LedgerState`.

    `rumor` is its JSON until a relay has it, then empty. `topic` is for people too: `session`, `invitation`, ...
    """

    session_address: InternedText
    pubkey: InternedText
    topic: str
    state: str
    rumor: bytes
    rumor_id: str
    due_at: int
    expires_at: int | None = None
    relays: tuple[tuple[str, str], ...] = ()
    reason: str | None = None
    updated_at: int


class GuestRow(StoredRow, frozen=True, kw_only=True):
    """A person without a key of their own in one session; the service keeps `pubkey`'s secret, `sealed`, for them.

    `assurance`: "guest" if they gave their `name` themselves, "link" if a link was made for them. Of the instructor's
    link only `link_digest`, its SHA-256 in hex, is kept; `opened_at`: a browser has taken it, and no other one may.
    `person`: the key of the person who came by the link in their message, for whom `pubkey` signs meanwhile.
    """

    session_address: InternedText
    pubkey: InternedText
    name: str
    sealed: bytes
    assurance: str
    link_digest: str | None = None
    created_at: int
    opened_at: int | None = None
    revoked_at: int | None = None
    person: str | None = None


class CalendarEntryRow(StoredRow, frozen=True, kw_only=True):
    """The version of a session's entry that a person's calendar got last; `digest` is the hash of its content."""

    session_address: InternedText
    pubkey: InternedText
    digest: str
    sequence: int
    revised_at: int


class RecordingRow(StoredRow, frozen=True, kw_only=True):
    """The recording of one run of a session; `state` is a `live.recording.RecordingStage`.

    `takes` are the spans (start, end or None) in Unix seconds in which all people present had agreed; `recorded` are
    the people in them, `consents` the ids of their signed answers. `length` is in milliseconds, `size` in bytes,
    `progress` in percent. `attach_at`: when the instructor's signer is asked (again) for the revision with the URL.
    `access`: who may see it, as the people who agreed were told (`live.session.RecordingAccess`); None: participants.
    """

    session_address: InternedText
    run: int
    state: str
    takes: tuple[tuple[float, float | None], ...] = ()
    recorded: tuple[str, ...] = ()
    consents: tuple[str, ...] = ()
    engine_on: bool = False
    reason: str | None = None
    progress: int = 0
    attempts: int = 0
    sha256: str | None = None
    size: int | None = None
    length: int | None = None
    media_type: str | None = None
    store: str | None = None
    url: str | None = None
    notes: tuple[str, ...] = ()
    created_at: int
    updated_at: int
    published_at: int | None = None
    attach_at: int | None = None
    attached_at: int | None = None
    access: str | None = None


class RecordingConsentRow(StoredRow, frozen=True, kw_only=True):
    """A signed answer to a session's recording policy, yes or no, kept as evidence; `event` is its JSON."""

    session_address: InternedText
    pubkey: InternedText
    event_id: str
    given: bool
    policy_hash: str
    event: str
    kept_at: int


class WatchRow(StoredRow, frozen=True, kw_only=True):
    """What one person has seen of one recording: disjoint, sorted `spans` in its milliseconds, `watched` their sum.

    `proof_id` is the login that opened the player last. `record_created_at`: of the attendance record that says so.
    `assurance`: "link" or "guest" if the player was opened so; None for the person's own signature.
    """

    session_address: InternedText
    pubkey: InternedText
    sha256: str
    spans: tuple[tuple[int, int], ...] = ()
    watched: int = 0
    completed_at: int | None = None
    proof_id: str | None = None
    record_created_at: int = 0
    updated_at: int
    assurance: str | None = None
