// @ts-check
// One event stream for all tabs of a browser that follow sessions as the same person: browsers open six connections to a host,
// and each stream holds one of them. One tab leads, follows the sessions of all and tells the others; when it is closed, another
// one leads. Neither locks nor service workers are needed, which browsers give to https only.

import { PodiumError } from "../signer/signer.js";
import { problemOf } from "./api.js";
import { Stream } from "./stream.js";

/** @import { Listener } from "./stream.js" */
/** @import { Trouble } from "./types.js" */

const LEASE = 12000; // milliseconds without a sign of the tab that leads, which has one every four seconds
const LOOK = 3000;
const ELECTION = 100; // for tabs that begin at once, as after signing in
const PATIENCE = 2000; // for the first answer of the tab that leads
const RENEW = 10000; // how often a tab says again what it follows
const STALE = 40000; // a tab that said nothing for so long is gone
const AGAIN = 30000; // until a session that was refused is asked for again
const MOST = 32; // sessions of one stream, as the daemon has it

/** Like `Stream`, for one session; which tab holds the connection makes no difference. */
export class SharedStream {
  #tab = crypto.getRandomValues(new Uint32Array(2)).join("-");
  /** @type {Stream | null} */
  #own = null;
  /** @type {Map<string, Map<string, any>>} */
  #last = new Map(); // of each session the newest event of each name, for tabs that come later
  /** @type {Map<string, number>} */
  #wanted = new Map(); // the sessions of all tabs, and when that was last said
  /** @type {Map<string, { error: Trouble, at: number }>} */
  #refused = new Map();
  /** @type {Set<string>} */
  #following = new Set(); // the sessions of the stream that is open
  #isOver = false;
  #isElecting = false;
  #saidAt = 0;
  /** @type {(() => void) | null} */
  #acknowledged = null;
  /** @type {{ done: () => void, failed: (error: Trouble) => void } | null} */
  #opening = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #connecting;

  /**
   * @param {string} reference the session
   * @param {{ token: string | null, who: string, on: Listener }} how `who`: the person's public key, or "" for nobody
   */
  constructor(reference, { token, who, on }) {
    this.reference = reference;
    this.token = token;
    this.on = on;
    this.key = `podium.stream.${who}`;
    this.channel = new BroadcastChannel(this.key);
    this.channel.onmessage = ({ data }) => this.#take(data);
    this.left = () => this.#leave();
    addEventListener("pagehide", this.left);
  }

  /**
   * Follow; resolves once there is a first answer.
   *
   * @returns {Promise<void>}
   */
  open() {
    return new Promise((done, failed) => {
      this.#opening = { done, failed };
      this.#begin();
    });
  }

  close() {
    this.#isOver = true;
    clearInterval(this.timer);
    clearTimeout(this.#connecting);
    removeEventListener("pagehide", this.left);
    this.#leave();
    this.channel.close();
  }

  async #begin() {
    this.#want();
    this.timer = setInterval(() => this.#own === null && !this.#isLed() && this.#lead(), LOOK);
    if (this.#isLed()) {
      const answered = new Promise((done) => {
        this.#acknowledged = () => done(true);
        setTimeout(() => done(false), PATIENCE);
      });
      if (await answered) return;
    }
    this.#lead();
  }

  /** Say which session this tab follows. */
  #want() {
    this.#saidAt = Date.now();
    this.#wanted.set(this.reference, this.#saidAt);
    this.channel.postMessage({ do: "want", reference: this.reference });
  }

  /** Lead, unless another tab that began at the same moment does: the last to say so. */
  async #lead() {
    if (this.#isOver || this.#own !== null || this.#isElecting) return;
    this.#isElecting = true;
    this.#hold();
    await new Promise((done) => setTimeout(done, ELECTION));
    this.#isElecting = false;
    if (this.#isOver || this.#own !== null) return;
    if (this.#isLed()) this.#want();
    else this.#connect();
  }

  /** Open the stream for what all tabs want, in place of the one before. */
  #connect() {
    if (this.#isOver) return;
    this.#own?.close();
    const before = Date.now() - STALE;
    for (const [reference, at] of this.#wanted) if (at < before && reference !== this.reference) this.#forget(reference);
    this.#wanted.set(this.reference, Date.now());
    const all = [...this.#wanted.keys()].filter((one) => !this.#isRefused(one) || one === this.reference);
    this.#following = new Set([this.reference, ...all].slice(0, MOST));
    const own = new Stream(`/api/stream?${new URLSearchParams([...this.#following].map((one) => ["session", one]))}`, {
      token: this.token,
      on: {
        event: (name, data) => this.#arrived(name, data),
        beat: () => this.#beat(),
        state: (state) => this.#tell({ do: "state", state }),
        refused: (error) => this.on.refused(error),
      },
    });
    this.#own = own;
    own.open().catch((error) => this.#own === own && this.#failed(error));
  }

  /** @param {number} pause */
  #connectSoon(pause) {
    clearTimeout(this.#connecting);
    this.#connecting = setTimeout(() => this.#own !== null && this.#connect(), pause);
  }

  /** @param {Trouble} error */
  #failed(error) {
    if (this.#opening !== null || error.slug === "login") {
      this.#release();
      if (this.#opening === null) this.on.refused(error);
      else this.#settle(error);
      return;
    }
    this.#tell({ do: "state", state: "lost" });
    this.#connectSoon(LOOK);
  }

  /**
   * The name of an event of the stream ends in the session that it is about.
   *
   * @param {string} told
   * @param {any} data
   */
  #arrived(told, data) {
    const [name, reference] = told.split(" ");
    if (name === "refused") {
      const error = problemOf(data);
      this.#refused.set(reference, { error, at: Date.now() });
      return this.#tell(refusal(reference, error));
    }
    const last = this.#last.get(reference) ?? new Map();
    const isNumber = Object.keys(data).join() === "total"; // of a list of which nothing else changed
    const whole = isNumber ? { ...last.get(name), ...data } : data;
    this.#last.set(reference, last.set(name, whole));
    this.#tell({ do: "event", reference, name, data: whole });
  }

  #beat() {
    const leader = this.#leader();
    if (leader !== null && leader !== this.#tab) return this.#step();
    this.#hold();
    this.#tell({ do: "beat" });
  }

  /** Another tab leads as well: both began at once. */
  #step() {
    this.#own?.close();
    this.#own = null;
    this.#want();
  }

  /** @param {any} message */
  #tell(message) {
    this.channel.postMessage(message);
    this.#hear(message);
  }

  /** @param {any} message */
  #take(message) {
    if (this.#isOver) return;
    const { reference } = message;
    if (message.do === "want") {
      this.#wanted.set(reference, Date.now()); // also where another tab leads: this one may be the next
      if (this.#own !== null) this.#answer(reference);
    } else if (message.do === "drop") {
      if (reference === this.reference) this.#want();
      else this.#wanted.set(reference, 0); // unless another tab follows it too, and says so
      if (this.#own !== null) this.#connectSoon(LOOK);
    } else if (this.#own === null) this.#hear(message);
  }

  /**
   * A tab says what it follows.
   *
   * @param {string} reference
   */
  #answer(reference) {
    const last = this.#last.get(reference);
    const refused = this.#isRefused(reference) ? this.#refused.get(reference) : undefined;
    this.channel.postMessage({ do: "ack", reference });
    if (refused) this.channel.postMessage(refusal(reference, refused.error));
    else if (last) this.channel.postMessage({ do: "all", reference, events: [...last] });
    else if (!this.#following.has(reference)) this.#connectSoon(50);
  }

  /** @param {any} message */
  #hear(message) {
    if (this.#isOver) return;
    if (message.do === "state") this.on.state(message.state);
    else if (message.do === "bye") setTimeout(() => !this.#isLed() && this.#lead(), Math.random() * 300);
    else if (message.reference === this.reference) this.#hearOwn(message);
    this.on.beat();
    if (this.#own === null && Date.now() - this.#saidAt > RENEW) this.#want();
  }

  /** @param {any} message */
  #hearOwn(message) {
    if (message.do === "ack") this.#acknowledged?.();
    else if (message.do === "event") this.#give([[message.name, message.data]]);
    else if (message.do === "all" && this.#opening !== null) this.#give(message.events);
    else if (message.do === "refused") {
      const error = new PodiumError(message.slug, message.detail, message.next, message.values);
      if (this.#opening === null) this.on.state("lost");
      else this.#settle(error);
    }
  }

  /** @param {[string, any][]} events */
  #give(events) {
    if (this.#opening !== null) this.on.state("live");
    for (const [name, data] of events) this.on.event(name, data);
    this.#settle(null);
  }

  /** @param {Trouble | null} error */
  #settle(error) {
    const opening = this.#opening;
    this.#opening = null;
    if (error === null) opening?.done();
    else opening?.failed(error);
  }

  /** Follow no more. */
  #leave() {
    this.channel.postMessage({ do: "drop", reference: this.reference });
    this.#release();
  }

  /** Lead no more. */
  #release() {
    if (this.#own === null) return;
    this.#own.close();
    this.#own = null;
    if (this.#leader() === this.#tab) forget(this.key);
    this.channel.postMessage({ do: "bye" });
  }

  /** @param {string} reference */
  #forget(reference) {
    this.#wanted.delete(reference);
    this.#last.delete(reference);
  }

  /** @param {string} reference */
  #isRefused(reference) {
    return Date.now() - (this.#refused.get(reference)?.at ?? 0) < AGAIN;
  }

  #isLed() {
    const leader = this.#leader();
    return leader !== null && leader !== this.#tab;
  }

  /** The tab that leads, or null. */
  #leader() {
    try {
      const { tab, at } = JSON.parse(localStorage.getItem(this.key) ?? "{}");
      return typeof tab === "string" && Math.abs(Date.now() - at) < LEASE ? tab : null;
    } catch {
      return null;
    }
  }

  #hold() {
    try {
      localStorage.setItem(this.key, JSON.stringify({ tab: this.#tab, at: Date.now() }));
    } catch {
      // each tab has a stream of its own
    }
  }
}

/**
 * @param {string} reference
 * @param {Trouble} error
 */
function refusal(reference, { slug, message, next, values }) {
  return { do: "refused", reference, slug, detail: message, next, values }; // an error loses its fields on the way
}

/** @param {string} key */
function forget(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // nothing was kept
  }
}
