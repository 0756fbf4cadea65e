// @ts-check
// The model's `useLiveSession` without a framework: an object with exactly the model's fields, and `subscribe`.

import { exactNow } from "./core/api.js";
import { describe } from "./core/i18n.js";
import { SessionClient } from "./session/session-client.js";
import { webUrl } from "./core/dom.js";

/** @import { Challenge, Consent, RsvpStatus, Session } from "./core/types.js" */

/**
 * The model's fields, and `subscribe`.
 *
 * @typedef {object} LiveSession
 * @property {{ [name: string]: any } | null} lesson
 * @property {{ [name: string]: any } | null} content
 * @property {boolean} isLoading
 * @property {string | null} error
 * @property {boolean} isScheduled
 * @property {boolean} isLive
 * @property {boolean} isEnded
 * @property {boolean} hasRecording
 * @property {number | null} timeUntilStart
 * @property {RsvpStatus | null} rsvpStatus
 * @property {boolean} canRSVP
 * @property {(status: RsvpStatus) => Promise<void>} rsvp
 * @property {boolean} isAttending
 * @property {number} attendanceDuration
 * @property {() => Promise<string | null>} joinSession
 * @property {() => Promise<void>} leaveSession
 * @property {string | null} recordingUrl
 * @property {(listener: () => void) => () => void} subscribe
 */

const OPEN_STATES = ["scheduled", "active"];

/**
 * Follow one session.
 *
 * `source`: naddr, address or unique prefix of the session's `d`, or a SessionClient that is open already.
 * `consent(challenge)`: asked before a join; shows `challenge.notice` and, unless empty, `challenge.recordingPolicy`.
 * It answers null (do not join), or `{given: true | false, policyHash}`, or `{}` where there is no policy.
 *
 * The fields read the present state. `subscribe(listener)` is not enumerable; it calls `listener` after each change and
 * once a second while a countdown or one's attendance runs, and returns the function that ends that.
 *
 * @param {string | SessionClient} source
 * @param {{ consent?: (challenge: Challenge) => Promise<Consent | null> }} [how]
 */
export function useLiveSession(source, { consent = async () => null } = {}) {
  const client = source instanceof SessionClient ? source : new SessionClient(source);
  if (client !== source) client.open();

  const fields = {
    lesson: () => lessonOf(client.session),
    content: () => contentOf(client.session),
    isLoading: () => client.isLoading,
    error: () => (client.error === null ? null : describe(client.error)),

    isScheduled: () => client.session?.state === "scheduled",
    isLive: () => client.session?.state === "active",
    isEnded: () => ["ended", "cancelled"].includes(client.session?.state ?? ""),
    hasRecording: () => recordingUrl(client.session) !== null,
    timeUntilStart: () => timeUntilStart(client.session),

    rsvpStatus: () => client.me?.rsvp?.status ?? client.answered,
    canRSVP: () => OPEN_STATES.includes(client.session?.state ?? ""),

    isAttending: () => client.seat?.state === "seated",
    attendanceDuration: () => attendanceDuration(client),

    recordingUrl: () => recordingUrl(client.session),
  };
  const methods = {
    rsvp: (/** @type {RsvpStatus} */ status) => client.acts.rsvp(status),
    joinSession: async () => {
      const answer = await consent(await client.entry.challenge());
      if (answer === null) return null;
      const seat = await client.entry.join(answer);
      return seat.state === "seated" ? webUrl(seat.meetingUrl) : null;
    },
    leaveSession: async () => client.entry.leave(),
  };
  return assembled(fields, methods, (listener) => subscribed(client, listener));
}

// in the model's order
const NAMES = [
  "lesson", "content", "isLoading", "error",
  "isScheduled", "isLive", "isEnded", "hasRecording", "timeUntilStart",
  "rsvpStatus", "canRSVP", "rsvp",
  "isAttending", "attendanceDuration", "joinSession", "leaveSession",
  "recordingUrl",
];

/**
 * @param {Record<string, () => unknown>} fields
 * @param {Record<string, unknown>} methods
 * @param {(listener: () => void) => () => void} subscribe
 */
function assembled(fields, methods, subscribe) {
  const hook = /** @type {LiveSession} */ ({});
  for (const name of NAMES) {
    const shape = name in methods ? { value: methods[name] } : { get: fields[name] };
    Object.defineProperty(hook, name, { ...shape, enumerable: true });
  }
  Object.defineProperty(hook, "subscribe", { value: subscribe, enumerable: false });
  return Object.freeze(hook);
}

/**
 * @param {SessionClient} client
 * @param {() => void} listener
 */
function subscribed(client, listener) {
  const end = client.subscribe(listener);
  const timer = setInterval(() => {
    if (client.session?.state === "scheduled" || client.seat?.state === "seated") listener();
  }, 1000);
  return () => {
    clearInterval(timer);
    end();
  };
}

/** @param {Session | null} session */
function lessonOf(session) {
  if (session === null) return null;
  const { lessonId, naddr, title, summary, description } = session;
  return { id: lessonId, naddr, title, summary, description, content: contentOf(session) };
}

/**
 * The model's `LiveSessionContent`; what is not set is left out, as the model has it.
 *
 * @param {Session | null} session
 */
function contentOf(session) {
  if (session === null) return null;
  /** @type {Record<string, unknown>} */
  const content = {
    type: "live-session",
    scheduledAt: session.scheduledAt,
    duration: session.duration,
    instructorPubkey: session.instructorPubkey,
    requiresRSVP: session.requiresRSVP,
  };
  for (const name of /** @type {const} */ (["conferenceRoomId", "recordingUrl", "maxParticipants"])) {
    if (session[name] !== null) content[name] = session[name];
  }
  return content;
}

/** @param {Session | null} session */
function timeUntilStart(session) {
  if (session?.state !== "scheduled") return null;
  return Math.max(0, Math.ceil(session.scheduledAt - exactNow()));
}

/**
 * Seconds: what the service counted, and while one sits here the time since it said so.
 *
 * @param {SessionClient} client
 */
function attendanceDuration(client) {
  const counted = client.me?.attendance?.totalDuration ?? 0;
  const { seat, session } = client;
  if (seat?.state !== "seated" || session?.state !== "active") return counted;
  const told = client.me?.attendance ? client.meSince : seat.since;
  const from = Math.max(told, session.startedAt ?? 0);
  return counted + Math.max(0, Math.floor(exactNow() - from));
}

/** @param {Session | null} session */
function recordingUrl(session) {
  return session?.recordingUrl ? webUrl(session.recordingUrl) : null;
}
