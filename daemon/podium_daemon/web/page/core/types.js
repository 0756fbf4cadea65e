// @ts-check
// The shapes of what the daemon tells and of what modules hand to each other: for `tsc`, and for readers. Nothing is run here.

/** @typedef {"audio" | "video" | "screen"} Kind */
/** @typedef {"audio" | "video" | "speaker"} DeviceKind */
/** @typedef {"instructor" | "co-host" | "participant"} Role */
/** @typedef {"confirmed" | "tentative" | "declined"} RsvpStatus */
/** @typedef {{ pubkey: string, npub: string, name: string }} Person */
/** @typedef {{ pubkey: string, npub: string, token: string, expiresAt: number, name?: string, assurance?: "guest" | "link", hasOwnKey?: boolean, signingKey?: string }} Login */
/** @typedef {Person & { assurance: "guest" | "link", state: "here" | "new" | "opened" | "revoked", hasOwnKey: boolean, link: string | null }} GuestRow */
/** @typedef {{ [field: string]: any }} Message */

/**
 * A session as `/api/sessions` has it. Times are Unix seconds, `duration` is minutes.
 *
 * @typedef {object} Session
 * @property {string} lessonId
 * @property {string} naddr
 * @property {string} title
 * @property {string} summary
 * @property {string} description
 * @property {string} state
 * @property {number} scheduledAt
 * @property {number} duration
 * @property {number} endsAt
 * @property {string | null} timezone
 * @property {string} instructorPubkey
 * @property {string} instructorNpub
 * @property {string} instructorName
 * @property {string | null} instructorNip05
 * @property {string | null} location
 * @property {number} doorsOpenAt
 * @property {number | null} maxParticipants
 * @property {boolean} requiresRSVP
 * @property {boolean} waitingRoom
 * @property {boolean} allowRecording
 * @property {boolean} e2eeRequired
 * @property {string} visibility
 * @property {"off" | "invited" | "anyone" | null} guests
 * @property {string} recordingAccess
 * @property {string} attendance
 * @property {string} joinUrl
 * @property {string | null} conferenceRoomId
 * @property {number | null} startedAt
 * @property {number | null} endedAt
 * @property {string | null} endReason
 * @property {string} recordingState
 * @property {string | null} recordingUrl
 * @property {boolean} isRecording
 * @property {boolean} isLocked
 * @property {number | null} recordingProgress
 * @property {string | null} blockedReason
 * @property {string | null} unreadReason
 * @property {string | null} cancelReason
 * @property {boolean} canRestore
 * @property {number} seatsTaken
 * @property {number} waitingCount
 * @property {{ confirmed: number, tentative: number, declined: number }} counts
 * @property {number} participantCount
 * @property {string | null} series
 * @property {number | null} seriesNumber
 */

/**
 * What a session is made of, and what a change of one has of it.
 *
 * @typedef {object} SessionFields
 * @property {string} title
 * @property {string} summary
 * @property {string} description
 * @property {number} scheduledAt
 * @property {number} duration
 * @property {string | null} timezone
 * @property {number | null} maxParticipants
 * @property {boolean} [requiresRSVP]
 * @property {boolean} [waitingRoom]
 * @property {boolean} [allowRecording]
 * @property {boolean} [e2eeRequired]
 * @property {string} [recordingAccess]
 * @property {string} [attendance]
 * @property {string | null} [guests]
 * @property {string} [visibility]
 * @property {string[]} [invited]
 * @property {string[]} [coHosts]
 * @property {string} [repeat]
 * @property {number} [times]
 * @property {string} [identifier]
 * @property {boolean} [following]
 */

/** @typedef {{ tag: string, text: string, href: string | null, children: MarkupNode[] }} MarkupNode */
/** @typedef {{ description: MarkupNode[] | null, qr: string[] }} Invitation */
/** @typedef {Person & { status: RsvpStatus, seat: string, position: number | null, needsReconfirmation: boolean, undeliverable: boolean, assurance: "signature" | "link" | "guest", note: string | null }} Rsvp */
/** @typedef {Person & { joinedAt: number | null, totalDuration: number, percent: number, joinCount: number, completedAt: number | null, completedBy: string | null, assurance: "signature" | "link" | "guest" }} Attendance */
/** @typedef {Person & { role: Role, rsvp: Rsvp | null, attendance: Attendance | null, intervals: { start: number, end: number }[], missingSeconds: number | null, voted: string[] }} Me */
/** @typedef {Person & { message: string, state: string, dueAt: number, reason: string | null, relays: { relay: string, said: string }[] }} Reminder */
/** @typedef {Person & { messages: string[] }} Unreachable */
/** @typedef {{ rsvps: Rsvp[], reminders: Reminder[], total: number }} Answers */
/** @typedef {Person & { state: "present" | "waiting" | "removed", role: string, since: number, waitingFor: string | null, name: string | null, assurance: "guest" | "link" | null }} RoomPerson */
/** @typedef {Person & { role: "co-host" | "invited", invitation: string | null, reason: string | null }} NamedPerson */
/** @typedef {{ id: number, question: string, options: string[], multiple: boolean, named: boolean, stage: "draft" | "open" | "closed", counts: number[] | null, voters: number | null, right: number[] | null, sealedBy?: string | null, sealedRight?: string | null, isReadable?: boolean, sealed?: RoomPoll }} RoomPoll */
/** @typedef {{ support: "native" | "in_room" | "none", active: boolean }} Control */

/**
 * @typedef {object} Room
 * @property {RoomPerson[]} people
 * @property {(Person & { since: number })[]} hands
 * @property {Control} muteAll
 * @property {Control} recording
 * @property {string[]} speakers
 * @property {{ support: Control["support"], pubkey: string | null }} spotlight
 * @property {boolean} autoAdmit
 */

/**
 * What is told to those who lead, by the name of the stream's event; null before the first of it came.
 *
 * @typedef {object} Lists
 * @property {{ items: Rsvp[], total: number } | null} rsvps
 * @property {{ items: Reminder[] } | null} reminders
 * @property {{ items: Unreachable[], total: number } | null} unreachable
 * @property {{ items: Attendance[], total: number } | null} attendance
 * @property {Room | null} room
 * @property {{ items: NamedPerson[] } | null} named
 */

/** @typedef {Person & { id: string, role: Role, text: string }} Answer */
/** @typedef {Answer & { state: "shown" | "held" | "hidden", hold: string | null, pinned: boolean, answered: boolean, votes: number, silenced: boolean, answers: Answer[] }} Question */

/** @typedef {{ servicePubkey: string, publicUrl: string, instructors: string[], engine: string, attendance: string, guests: string, trouble: string | null }} Service */
/** @typedef {{ url: string, lessonId: string, nonce: string, recordingPolicy: string, recordingPolicyHash: string, notice: string, attendance: string, ownNotice: string }} Challenge */
/** @typedef {{ given?: boolean, policyHash?: string, name?: string }} Consent */
/** @typedef {{ watched: number, percent: number, parts: number[][], completedAt: number | null }} SeenSoFar */

/** @typedef {{ kind: number, created_at: number, tags: string[][], content: string }} Template */
/** @typedef {Template & { pubkey: string }} Unsigned */
/** @typedef {Unsigned & { id: string, sig: string }} NostrEvent */
/** @typedef {{ lessonId: string, events: Unsigned[], series: string | null }} Draft */
/** @typedef {{ lessonId: string, naddr: string, number: number, title: string, scheduledAt: number, state: string }} SeriesDate */
/** @typedef {(draft: Draft) => Promise<unknown>} AskToSign */
/** @typedef {{ encrypt(pubkey: string, text: string): Promise<string>, decrypt(pubkey: string, text: string): Promise<string> }} Nip44 */
/** @typedef {{ getPublicKey(): Promise<string>, signEvent(event: Unsigned): Promise<NostrEvent>, nip44?: Nip44, signsAs?: string }} Signer */

/**
 * A remote signer as the daemon tells of it.
 *
 * @typedef {object} SignerView
 * @property {string} id
 * @property {"pairing" | "connected" | "over"} state
 * @property {number} version
 * @property {string} pubkey
 * @property {string | null} uri
 * @property {string[]} qr
 * @property {string | null} page
 * @property {boolean} isSlow
 * @property {string | null} problem
 * @property {{ id: string, state: string, event: NostrEvent, words: string }[]} requests
 */

/** @typedef {import("../room/media.js").Media} Media */
/** @typedef {import("../session/session-client.js").SessionClient} SessionClient */
/** @typedef {import("../use-live-session.js").LiveSession} LiveSession */

/**
 * What is thrown on the page: a PodiumError, or a browser's own error, which has a name and a message.
 *
 * @typedef {Error & Partial<import("../signer/signer.js").PodiumError>} Trouble
 */

/**
 * @typedef {object} Certificate
 * @property {string} name
 * @property {string} npub
 * @property {string} title
 * @property {number} startsAt
 * @property {number} minutes
 * @property {"live" | "recording"} completedBy
 * @property {"signature" | "link" | "guest"} assurance
 * @property {string} serviceName
 * @property {string} serviceNpub
 */

/**
 * Our own elements, by their tags.
 *
 * @typedef {object} OwnElements
 * @property {import("../session/podium-attendance.js").PodiumAttendance} podium-attendance
 * @property {import("../session/podium-attended.js").PodiumAttended} podium-attended
 * @property {import("../session/podium-badges.js").PodiumBadge} podium-badge
 * @property {import("../session/podium-badges.js").PodiumBadges} podium-badges
 * @property {import("../session/podium-certificate.js").PodiumCertificate} podium-certificate
 * @property {import("../room/podium-chat.js").PodiumChat} podium-chat
 * @property {import("../room/podium-consent.js").PodiumConsent} podium-consent
 * @property {import("../room/podium-devices.js").PodiumDevices} podium-devices
 * @property {import("../room/podium-panel.js").PodiumPanel} podium-panel
 * @property {import("../room/podium-people.js").PodiumPeople} podium-people
 * @property {import("../room/podium-polls.js").PodiumPolls} podium-polls
 * @property {import("../room/podium-room.js").PodiumRoom} podium-room
 * @property {import("../room/podium-settings.js").PodiumSettings} podium-settings
 * @property {import("../room/podium-stage.js").PodiumStage} podium-stage
 * @property {import("../session/podium-answers.js").PodiumAnswers} podium-answers
 * @property {import("../session/podium-by-hand.js").PodiumByHand} podium-by-hand
 * @property {import("../session/podium-guest.js").PodiumGuest} podium-guest
 * @property {import("../session/podium-guests.js").PodiumGuests} podium-guests
 * @property {import("../session/podium-instructor.js").PodiumInstructor} podium-instructor
 * @property {import("../session/podium-invitation.js").PodiumInvitation} podium-invitation
 * @property {import("../session/podium-join.js").PodiumJoin} podium-join
 * @property {import("../session/podium-named.js").PodiumNamed} podium-named
 * @property {import("../session/podium-player.js").PodiumPlayer} podium-player
 * @property {import("../session/podium-questions.js").PodiumQuestions} podium-questions
 * @property {import("../session/podium-recording.js").PodiumRecording} podium-recording
 * @property {import("../session/podium-rsvp.js").PodiumRsvp} podium-rsvp
 * @property {import("../session/podium-series.js").PodiumSeries} podium-series
 * @property {import("../session/podium-session-form.js").PodiumSessionForm} podium-session-form
 * @property {import("../session/podium-session.js").PodiumSession} podium-session
 * @property {import("../session/podium-signing.js").PodiumSigning} podium-signing
 * @property {import("../signer/podium-identity.js").PodiumIdentity} podium-identity
 * @property {import("../signer/podium-identity.js").PodiumSignerHelp} podium-signer-help
 */

/** @typedef {HTMLElementTagNameMap & OwnElements} Elements */

export {};
