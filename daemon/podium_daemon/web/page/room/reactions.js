// @ts-check
// Reactions in the room: for some seconds over the tile of who reacts, and kept nowhere. No DOM.

/** @import { Message } from "../core/types.js" */
/** @import { TalkCipher } from "./talk-cipher.js" */

/** The reactions there are, by the names under which they travel. @type {Record<string, string>} */
export const REACTIONS = { "thumbs-up": "\u{1F44D}", applause: "\u{1F44F}", heart: "\u2764\uFE0F", laugh: "\u{1F602}", surprise: "\u{1F62E}", party: "\u{1F389}" };
const SECONDS = 4;

/** Whom one sees react at present. */
export class Reactions {
  /** @type {Map<string, { kind: string, timer: number }>} */
  #shown = new Map();
  /** @type {Set<string>} */
  #untold = new Set();

  /** @param {{ send: (message: object) => unknown, changed: () => void, own: () => string, cipher: TalkCipher | null, mustSeal: boolean }} how */
  constructor({ send, changed, own, cipher, mustSeal }) {
    this.send = send;
    this.changed = changed;
    this.own = own;
    this.cipher = cipher;
    this.mustSeal = mustSeal;
  }

  /** @param {string} kind */
  async react(kind) {
    const sealed = this.mustSeal ? await this.cipher?.seal(kind, this.own(), "reaction") : kind;
    if (sealed) this.send({ type: "reaction", kind: sealed });
  }

  /** @param {Message} message */
  async take({ from, kind }) {
    const opened = this.mustSeal ? await this.cipher?.open(kind, from, "reaction") : kind;
    if (typeof opened !== "string" || !Object.hasOwn(REACTIONS, opened)) return;
    clearTimeout(this.#shown.get(from)?.timer);
    const timer = setTimeout(() => {
      this.#shown.delete(from);
      this.changed();
    }, SECONDS * 1000);
    this.#shown.set(from, { kind: opened, timer });
    this.#untold.add(from);
    this.changed();
  }

  /**
   * How a person reacts at present; null: not.
   *
   * @param {string | null} pubkey
   */
  of(pubkey) {
    return this.#shown.get(pubkey ?? "")?.kind ?? null;
  }

  /** Who reacted since one asked last. */
  takeUntold() {
    const people = [...this.#untold];
    this.#untold.clear();
    return people;
  }
}
