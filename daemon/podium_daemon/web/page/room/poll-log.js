// @ts-check
// The polls of the room one sits in, as the daemon tells them; in an encrypted session it has cipher text only. No DOM.

/** @import { Message, RoomPoll } from "../core/types.js" */
/** @import { TalkCipher } from "./talk-cipher.js" */

const MAX_QUESTION = 300; // characters, as the daemon takes them where it can read
const MAX_OPTION = 150;
const MAX_OPTIONS = 10;

/** @typedef {{ question: string, options: string[], right: number[], multiple: boolean }} Texts */

/** Polls that are open or closed, with what oneself chose. */
export class PollLog {
  /** @type {Map<number, RoomPoll>} */
  #polls = new Map();
  /** @type {Map<number, RoomPoll>} */
  #newest = new Map();
  /** @type {Map<number, number[]>} */
  #chosen = new Map();

  /** @param {{ send: (message: object) => unknown, changed: () => void, cipher: TalkCipher | null, mustSeal: boolean }} how */
  constructor({ send, changed, cipher, mustSeal }) {
    this.send = send;
    this.changed = changed;
    this.cipher = cipher;
    this.mustSeal = mustSeal;
    cipher?.subscribe(() => this.#openAgain());
  }

  /** The newest first. */
  get polls() {
    return [...this.#polls.values()].sort((one, other) => other.id - one.id);
  }

  /** @param {number} id */
  chosen(id) {
    return this.#chosen.get(id) ?? null;
  }

  /** How many are open without a vote of one's own. */
  get unanswered() {
    return this.polls.filter((poll) => poll.stage === "open" && poll.isReadable !== false && !this.#chosen.has(poll.id)).length;
  }

  /**
   * @param {number} poll
   * @param {number[]} choices
   */
  vote(poll, choices) {
    this.send({ type: "vote", poll, choices });
  }

  /** @param {Message} message */
  take(message) {
    if (message.type === "poll") this.#add(/** @type {RoomPoll} */ (message));
    else if (message.type === "poll-deleted") this.#delete(message.id);
    else this.#chosen.set(message.poll, message.choices);
    this.changed();
  }

  /** @param {number} id */
  #delete(id) {
    this.#polls.delete(id);
    this.#newest.delete(id);
  }

  /** @param {RoomPoll} poll */
  async #add(poll) {
    this.#newest.set(poll.id, poll);
    const before = this.#polls.get(poll.id);
    if (!this.mustSeal) this.#polls.set(poll.id, poll);
    else if (!before?.isReadable) this.#polls.set(poll.id, unreadable(poll));
    if (!this.mustSeal) return;
    const opened = await openPoll(this.cipher, poll);
    if (this.#newest.get(poll.id) !== poll) return; // another came meanwhile, or it was deleted
    this.#polls.set(poll.id, opened);
    this.changed();
  }

  #openAgain() {
    for (const { isReadable, sealed } of this.polls) if (isReadable === false && sealed) this.#add(sealed);
  }
}

/**
 * The texts of a poll under the room's key, and apart from them which options are right; null without a key.
 *
 * @param {TalkCipher | null} cipher
 * @param {string} own
 * @param {Texts} texts
 */
export async function sealPoll(cipher, own, { question, options, right }) {
  const sealed = await cipher?.seal(JSON.stringify({ question, options }), own, "poll");
  if (!sealed) return null;
  const marks = options.map((_, index) => (right.includes(index) ? "1" : "0")).join("");
  return { sealed, sealedRight: await cipher?.seal(marks, own, `right ${sealed}`) };
}

/**
 * The poll as its leader wrote it, if its key is known here. In an encrypted room nothing else counts: the daemon could
 * have written what is in the clear.
 *
 * @param {TalkCipher | null} cipher
 * @param {RoomPoll} poll
 * @returns {Promise<RoomPoll>}
 */
export async function openPoll(cipher, poll) {
  const { question: sealed, sealedBy, sealedRight } = poll;
  const texts = sealedBy ? read(await cipher?.open(sealed, sealedBy, "poll"), poll) : null;
  if (!texts || !sealedBy) return unreadable(poll);
  const marks = sealedRight ? await cipher?.open(sealedRight, sealedBy, `right ${sealed}`) : null;
  const right = [...(marks ?? "")].flatMap((mark, index) => (mark === "1" && index < texts.options.length ? [index] : []));
  return { ...poll, ...texts, right: right.length > 0 ? right : null, isReadable: true, sealed: poll };
}

/**
 * Whether the daemon would take these texts if it could read them.
 *
 * @param {Texts} texts
 */
export function isPoll({ question, options, right, multiple }) {
  const fits = (/** @type {string} */ text, /** @type {number} */ most) => text.trim() !== "" && text.length <= most;
  const count = options.length >= 2 && options.length <= MAX_OPTIONS && new Set(options).size === options.length;
  return count && fits(question, MAX_QUESTION) && options.every((one) => fits(one, MAX_OPTION)) && (multiple || right.length < 2);
}

/**
 * @param {RoomPoll} poll
 * @returns {RoomPoll}
 */
function unreadable(poll) {
  return { ...poll, question: "", options: [], right: null, isReadable: false, sealed: poll };
}

/**
 * @param {string | null | undefined} text
 * @param {RoomPoll} poll
 */
function read(text, { options: places, multiple }) {
  try {
    const { question, options } = JSON.parse(text ?? "");
    const areTexts = typeof question === "string" && Array.isArray(options) && options.every((one) => typeof one === "string");
    return areTexts && options.length === places.length && isPoll({ question, options, right: [], multiple }) ? { question, options } : null;
  } catch {
    return null; // a person with the room's key wrote something else
  }
}
