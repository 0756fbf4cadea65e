// @ts-check
// Server-sent events over fetch: EventSource cannot send a login.

import { PodiumError } from "../signer/signer.js";
import { refusal, request } from "./api.js";

/** @import { Trouble } from "./types.js" */

const LONGEST_PAUSE = 30000;
const STARVED = 8000; // milliseconds without an answer
const SILENCE = 30000; // milliseconds without a sign of the daemon, which has one every four seconds or oftener

/**
 * @typedef {object} Listener
 * @property {(name: string, data: any) => void} event
 * @property {() => void} beat
 * @property {(state: "live" | "lost" | "starved") => void} state
 * @property {(error: Trouble) => void} refused
 */

/** Follow a session's events, and come back when the connection is lost, until `close`. */
export class Stream {
  #isSignedOut = false;

  /**
   * `on.event(name, data)`, `on.beat()` for every sign of life, `on.state("live" | "lost" | "starved")`, `on.refused(error)` where
   * the login is not good any more. `token` is that of the person, or null for what anybody is told.
   *
   * @param {string} path
   * @param {{ token: string | null, on: Listener }} how
   */
  constructor(path, { token, on }) {
    this.path = path;
    this.on = on;
    this.token = token;
    this.lastId = "";
    this.abort = new AbortController();
  }

  /**
   * Open it; resolves once the daemon has answered the first call.
   *
   * @returns {Promise<void>}
   */
  open() {
    return new Promise((opened, refused) => {
      this.#follow(opened, refused);
    });
  }

  close() {
    this.abort.abort();
  }

  /**
   * @param {() => void} opened
   * @param {(error: unknown) => void} refused
   */
  async #follow(opened, refused) {
    let pause = 500;
    let before = false;
    while (!this.abort.signal.aborted) {
      try {
        const body = await this.#connect();
        before = true;
        opened();
        this.on.state("live");
        await this.#read(body, () => {
          pause = 500;
        });
        if (this.#isSignedOut) throw new PodiumError("login");
      } catch (thrown) {
        const error = /** @type {Trouble} */ (thrown);
        if (this.abort.signal.aborted) return;
        if (!before && error.slug !== "offline") return refused(error);
        if (error.slug === "login") {
          this.on.refused(error); // the page goes on as a stranger and offers to sign in again
          return;
        }
      }
      if (this.abort.signal.aborted) return;
      this.on.state("lost");
      await this.#wait(pause * (0.5 + Math.random()));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  /**
   * @param {number} milliseconds
   * @returns {Promise<void>}
   */
  #wait(milliseconds) {
    return new Promise((done) => {
      const timer = setTimeout(done, milliseconds);
      const now = () => {
        clearTimeout(timer);
        done();
      };
      this.abort.signal.addEventListener("abort", now, { once: true });
      addEventListener("online", now, { once: true });
    });
  }

  async #connect() {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (this.lastId) headers["Last-Event-ID"] = this.lastId;
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    // a browser whose connections are all in use says nothing, and waits
    const starved = setTimeout(() => this.on.state("starved"), STARVED);
    const answer = await request(this.path, { headers, signal: this.abort.signal }).finally(() => clearTimeout(starved));
    if (!answer.ok) throw await refusal(answer);
    return /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (answer.body);
  }

  /**
   * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
   * @param {() => void} arrived
   */
  async #read(body, arrived) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    // a connection whose network is gone seems open for many minutes: no end of it comes through
    const giveUp = () => reader.cancel().catch(() => {});
    addEventListener("offline", giveUp);
    let silence = setTimeout(giveUp, SILENCE);
    let buffer = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        clearTimeout(silence);
        if (done) return;
        silence = setTimeout(giveUp, SILENCE);
        arrived();
        this.on.beat();
        buffer += value;
        const blocks = buffer.split("\n\n");
        buffer = blocks.pop() ?? "";
        blocks.forEach((block) => this.#take(block));
      }
    } finally {
      clearTimeout(silence);
      removeEventListener("offline", giveUp);
    }
  }

  /** @param {string} block */
  #take(block) {
    /** @type {Record<string, string>} */
    const fields = {};
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
    }
    if (fields.id) this.lastId = fields.id;
    if (!fields.data) return;
    if (fields.event === "signed-out") {
      this.#isSignedOut = true;
      return;
    }
    this.on.event(fields.event, JSON.parse(fields.data));
  }
}
