// @ts-check
// The chat of the room one sits in, as the daemon tells it. No DOM.

/** @import { Message } from "../core/types.js" */
/** @import { TalkCipher } from "./talk-cipher.js" */

const MAX_LINES = 500; // as many as the daemon keeps

/** @typedef {{ id: number, from: string, text: string | null, sealed: string, at: number, isPrivate: boolean }} ChatLine */

/**
 * `lines` by their order; the `text` of a line that cannot be read here is null. `fresh` came while one was there.
 * `refused`: why the last line was not taken, and its text.
 */
export class ChatLog {
  /** @type {Map<number, ChatLine>} */
  #lines = new Map();
  #pending = "";

  /** @param {{ send: (message: object) => unknown, changed: () => void, own: () => string, cipher: TalkCipher | null, mustSeal: boolean }} how */
  constructor({ send, changed, own, cipher, mustSeal }) {
    this.send = send;
    this.changed = changed;
    this.own = own;
    this.cipher = cipher;
    this.mustSeal = mustSeal;
    this.isOpen = true;
    /** @type {{ reason: string, text: string } | null} */
    this.refused = null;
    /** @type {Set<number>} */
    this.fresh = new Set();
    cipher?.subscribe(() => this.#openAgain());
  }

  /** @returns {ChatLine[]} */
  get lines() {
    return [...this.#lines.values()].sort((one, other) => one.id - other.id);
  }

  /** Whether a line can be written at all: not without the room's key where all is encrypted. */
  get canWrite() {
    return !this.mustSeal || Boolean(this.cipher?.hasSecret);
  }

  /**
   * Write a line; what becomes of it is told.
   *
   * @param {string} text
   * @param {boolean} isPrivate
   */
  async say(text, isPrivate) {
    this.refused = null;
    this.#pending = text;
    const sealed = this.mustSeal ? await this.cipher?.seal(text, this.own(), isPrivate ? "private" : "all") : text;
    if (sealed) this.send({ type: "chat", text: sealed, private: isPrivate });
    else this.#refuse("no-key");
  }

  /**
   * A message of the daemon about the chat.
   *
   * @param {Message} message
   */
  async take(message) {
    if (message.type === "chat") await this.#add([message], true);
    else if (message.type === "chat-history") await this.#add(message.lines, this.#lines.size > 0);
    else if (message.type === "chat-state") this.isOpen = message.open === true;
    else if (message.type === "chat-deleted") this.#delete(message.id);
    else if (message.type === "chat-refused") this.#refuse(String(message.reason));
    this.changed();
  }

  /** @param {number} id */
  #delete(id) {
    this.#lines.delete(id);
    this.fresh.delete(id);
  }

  /** @param {string} reason */
  #refuse(reason) {
    this.refused = { reason, text: this.#pending };
    this.changed();
  }

  /**
   * @param {Message[]} messages
   * @param {boolean} areFresh
   */
  async #add(messages, areFresh) {
    for (const { id, from, text, at, private: isPrivate = false } of messages) {
      if (this.#lines.has(id)) continue;
      /** @type {ChatLine} */
      const line = { id, from, text: null, sealed: text, at, isPrivate };
      this.#lines.set(id, line);
      if (areFresh && from !== this.own()) this.fresh.add(id);
      await this.#open(line);
    }
    for (const { id } of this.lines.slice(0, -MAX_LINES)) this.#delete(id);
  }

  /** @param {ChatLine} line */
  async #open(line) {
    line.text = this.mustSeal ? ((await this.cipher?.open(line.sealed, line.from, line.isPrivate ? "private" : "all")) ?? null) : line.sealed;
  }

  async #openAgain() {
    for (const line of this.#lines.values()) if (line.text === null) await this.#open(line);
    this.changed();
  }
}
