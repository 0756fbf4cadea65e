// @ts-check
// What a person does beside entering the room: answer, ask, vote, take a calendar or a key home.

import { aboutService, file, known, now, plain, signAndSubmit, signed } from "../core/api.js";
import { pubkey, sign } from "../signer/signer.js";

/** @import { Invitation, Question, RsvpStatus, SeriesDate, SessionClient, Template } from "../core/types.js" */

/**
 * What the acts may do to what the page knows: change fields, wait for a condition, note an answer given without signing in.
 *
 * @typedef {object} How
 * @property {(fields: Partial<SessionClient>) => void} change
 * @property {(condition: () => boolean) => Promise<void>} when
 * @property {(answered: RsvpStatus | null) => void} answer
 */

/** The acts of everybody who may see the session. */
export class ParticipantActs {
  /** @type {How} */
  #how;

  /**
   * @param {SessionClient} client
   * @param {How} how
   */
  constructor(client, how) {
    this.client = client;
    this.#how = how;
  }

  /**
   * Answer with one signature, that of the answer itself: the daemon drafts it for whoever will sign.
   *
   * @param {RsvpStatus} status
   */
  async rsvp(status) {
    const own = await pubkey();
    const draft = { status, pubkey: own };
    const isOwn = this.client.isSignedIn && this.client.me?.pubkey === own;
    const call = isOwn || this.client.session?.visibility === "private" ? signed : plain; // to a stranger a private one is not there
    await signAndSubmit(await call("POST", `${this.client.path}/rsvp/draft`, draft));
    if (isOwn) await this.#how.when(() => this.client.me?.rsvp?.status === status);
    else this.#how.answer(status);
  }

  /**
   * Answer the dates that follow in the series: a signature for each. What was answered stands if one is refused.
   *
   * @param {RsvpStatus} status
   */
  async answerLater(status) {
    const own = await pubkey();
    const isOwn = this.client.isSignedIn && this.client.me?.pubkey === own;
    const call = isOwn || this.client.session?.visibility === "private" ? signed : plain;
    for (const { naddr } of this.client.laterDates) {
      await signAndSubmit(await call("POST", `/api/sessions/${naddr}/rsvp/draft`, { status, pubkey: own }));
      if (!isOwn) keepAnswer(naddr, status);
    }
  }

  /** All dates of the series. @returns {Promise<{ dates: SeriesDate[], outdated: number }>} */
  async series() {
    const found = await known("GET", `${this.client.path}/series`);
    const own = this.client.session?.seriesNumber ?? 0;
    this.#how.change({ laterDates: found.dates.filter((/** @type {SeriesDate} */ { number, state }) => number > own && state === "scheduled") });
    return found;
  }

  /**
   * Ask, or answer `question`, with one signature: that of the event itself.
   *
   * @param {string} text
   * @param {Question | null} [question]
   */
  async ask(text, question = null) {
    const { servicePubkey } = await aboutService();
    const tags = [["a", `30313:${servicePubkey}:${this.client.session?.conferenceRoomId}`, "", "root"]];
    if (question !== null) tags.push(["e", question.id, "", "reply"], ["p", question.pubkey]);
    await this.#say({ kind: 1311, created_at: now(), tags, content: text });
  }

  /**
   * Take a question of one's own back (NIP-09).
   *
   * @param {string} id
   */
  withdraw(id) {
    return this.#say({ kind: 5, created_at: now(), tags: [["e", id], ["k", "1311"]], content: "" });
  }

  /**
   * Vote for a question, or take the vote back; nobody is told whose it is.
   *
   * @param {string} id
   * @param {boolean} on
   */
  async vote(id, on) {
    await this.client.signIn();
    await signed("POST", `${this.client.path}/questions/${id}/vote`, { on });
  }

  /**
   * The guest's own key under a password (NIP-49).
   *
   * @param {string} password
   * @returns {Promise<string>}
   */
  async takeKey(password) {
    return (await signed("POST", `${this.client.path}/guest/key`, { password })).ncryptsec;
  }

  /**
   * The description as a tree, and the page's address as a QR code.
   *
   * @returns {Promise<Invitation>}
   */
  invitation() {
    const call = this.client.session?.visibility === "private" ? signed : plain; // to a stranger a private one is not there
    return call("GET", `${this.client.path}/invitation`);
  }

  /** The address of a calendar to subscribe to. @returns {Promise<string>} */
  async calendarAddress() {
    return (await signed("POST", "/api/calendar")).url;
  }

  /** The session as a file for calendars: with one's own answer, and of a private session for its people only. */
  calendarFile() {
    return file(`${this.client.path}/calendar.ics`);
  }

  /** @param {Template} template */
  async #say(template) {
    const call = this.client.session?.visibility === "private" ? signed : plain; // a stranger is not even told that it is there
    await call("POST", `${this.client.path}/questions`, { event: await sign(template) }); // the stream brings the list
  }
}

/**
 * What was answered in this tab without signing in: an answer proves itself, and signs nobody in.
 *
 * @param {string} reference
 * @returns {RsvpStatus | null}
 */
export function answeredBefore(reference) {
  try {
    const found = sessionStorage.getItem(answerKey(reference));
    return found === "confirmed" || found === "tentative" || found === "declined" ? found : null;
  } catch {
    return null;
  }
}

/**
 * Remember an answer until the tab is closed; some browsers forbid it, then it is forgotten on loading.
 *
 * @param {string} reference
 * @param {RsvpStatus | null} status
 */
export function keepAnswer(reference, status) {
  try {
    if (status === null) sessionStorage.removeItem(answerKey(reference));
    else sessionStorage.setItem(answerKey(reference), status);
  } catch {
    // nothing is kept
  }
}

/** @param {string} reference */
function answerKey(reference) {
  return `podium.answered.${reference}`;
}
