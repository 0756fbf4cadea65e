// @ts-check
// The polls of the room one sits in, as the daemon tells them. No DOM.

/** @import { Message, RoomPoll } from "../core/types.js" */

/** Polls that are open or closed, with what oneself chose. */
export class PollLog {
  /** @type {Map<number, RoomPoll>} */
  #polls = new Map();
  /** @type {Map<number, number[]>} */
  #chosen = new Map();

  /** @param {{ send: (message: object) => unknown, changed: () => void }} how */
  constructor({ send, changed }) {
    this.send = send;
    this.changed = changed;
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
    return this.polls.filter((poll) => poll.stage === "open" && !this.#chosen.has(poll.id)).length;
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
    if (message.type === "poll") this.#polls.set(message.id, /** @type {RoomPoll} */ (message));
    else if (message.type === "poll-deleted") this.#polls.delete(message.id);
    else this.#chosen.set(message.poll, message.choices);
    this.changed();
  }
}
