// @ts-check
// What people of one session are called: asked of the daemon in groups, told apart where two have the same name.

import { signed } from "../core/api.js";
import { npubOf } from "../core/npub.js";
import { shortNpub } from "../signer/podium-identity.js";

const AT_ONCE = 200; // keys in one question
const SETTLE = 50; // milliseconds in which more people may be asked for
const AGAIN = 60_000; // whoever had no name a minute ago may have one now

/** Names by public key. Until one is known, and where there is none, the short npub stands for it. */
export class Names {
  /** @type {Map<string, string>} */
  #own = new Map();
  /** @type {Map<string, number>} */
  #bearers = new Map(); // how many bear a name, by what it looks like
  /** @type {Map<string, number>} */
  #asked = new Map();
  /** @type {Set<string>} */
  #wanted = new Set();
  #timer = 0;

  /**
   * @param {string} path of the session
   * @param {() => boolean} mayAsk whether the person is signed in
   * @param {() => void} changed called after names have come
   */
  constructor(path, mayAsk, changed) {
    this.path = path;
    this.mayAsk = mayAsk;
    this.changed = changed;
  }

  /**
   * What to call somebody now.
   *
   * @param {string} pubkey
   */
  of(pubkey) {
    const name = this.#own.get(pubkey);
    if (name === undefined) {
      this.#want(pubkey);
      return shortNpub(npubOf(pubkey));
    }
    // anybody can take any name, and nobody another one's key
    return (this.#bearers.get(looksOf(name)) ?? 0) > 1 ? `${name} (…${npubOf(pubkey).slice(-6)})` : name;
  }

  /**
   * Take a name that came with something else.
   *
   * @param {string} pubkey
   * @param {string} name
   */
  note(pubkey, name) {
    const before = this.#own.get(pubkey);
    if (!name || name === before) return;
    if (before !== undefined) this.#count(before, -1);
    this.#own.set(pubkey, name);
    this.#count(name, 1);
  }

  /**
   * Ask about a person whose name may be known by now.
   *
   * @param {string} pubkey
   */
  askAgain(pubkey) {
    this.#asked.delete(pubkey);
  }

  /**
   * @param {string} name
   * @param {number} by
   */
  #count(name, by) {
    const looks = looksOf(name);
    this.#bearers.set(looks, (this.#bearers.get(looks) ?? 0) + by);
  }

  /** @param {string} pubkey */
  #want(pubkey) {
    if (!/^[0-9a-f]{64}$/.test(pubkey)) return; // a place that nobody holds
    if (!this.mayAsk() || Date.now() - (this.#asked.get(pubkey) ?? -AGAIN) < AGAIN) return;
    this.#asked.set(pubkey, Date.now());
    this.#wanted.add(pubkey);
    if (!this.#timer) this.#timer = window.setTimeout(() => this.#ask(), SETTLE);
  }

  async #ask() {
    this.#timer = 0;
    const pubkeys = [...this.#wanted].slice(0, AT_ONCE);
    for (const pubkey of pubkeys) this.#wanted.delete(pubkey);
    if (this.#wanted.size) this.#timer = window.setTimeout(() => this.#ask(), SETTLE);
    try {
      const { names } = await signed("POST", `${this.path}/names`, { pubkeys });
      for (const [pubkey, name] of Object.entries(names)) this.note(pubkey, name);
      if (Object.keys(names).length) this.changed();
    } catch {
      // the short npubs stay, and are asked about again in a minute
    }
  }
}

/** @param {string} name */
function looksOf(name) {
  return name.normalize("NFKC").toLowerCase();
}
