// @ts-check
// One event stream for all tabs of a browser that follow the same session as the same person: browsers open six connections to
// a host, and each stream holds one of them. One tab leads and tells the others; when it is closed, another one leads. Neither
// locks nor service workers are needed, which browsers give to https only.

import { Stream } from "./stream.js";

/** @import { Listener } from "./stream.js" */

const LEASE = 12000; // milliseconds without a sign of the tab that leads, which has one every four seconds
const LOOK = 3000;
const PATIENCE = 2000; // for the first answer of the tab that leads

/** Like `Stream`; which tab holds the connection makes no difference. */
export class SharedStream {
  #tab = crypto.getRandomValues(new Uint32Array(2)).join("-");
  /** @type {Stream | null} */
  #own = null;
  /** @type {Map<string, any>} */
  #last = new Map(); // the newest event of each name, for tabs that come later
  #isOver = false;
  /** @type {(() => void) | null} */
  #arrived = null;

  /**
   * @param {string} path
   * @param {{ token: string | null, who: string, on: Listener }} how `who`: the person's public key, or "" for nobody
   */
  constructor(path, { token, who, on }) {
    this.path = path;
    this.token = token;
    this.on = on;
    this.key = `podium.stream.${path}.${who}`;
    this.channel = new BroadcastChannel(this.key);
    this.channel.onmessage = ({ data }) => this.#take(data);
    this.left = () => this.#release();
    addEventListener("pagehide", this.left);
  }

  /** Follow; resolves once there is a first answer. */
  async open() {
    if (this.#isLed()) {
      const arrived = new Promise((done) => {
        this.#arrived = () => done(true);
        setTimeout(() => done(false), PATIENCE);
      });
      this.channel.postMessage({ do: "hello" });
      if (await arrived) return this.#watch();
    }
    await this.#lead();
    this.#watch();
  }

  close() {
    this.#isOver = true;
    clearInterval(this.timer);
    removeEventListener("pagehide", this.left);
    this.#release();
    this.channel.close();
  }

  #watch() {
    if (this.#isOver) return;
    this.timer = setInterval(() => this.#own === null && !this.#isLed() && this.#lead().catch(() => {}), LOOK);
  }

  async #lead() {
    if (this.#isOver || this.#own !== null) return;
    this.#hold();
    const own = new Stream(this.path, {
      token: this.token,
      on: {
        event: (name, data) => {
          this.#last.set(name, data);
          this.#tell({ do: "event", name, data });
        },
        beat: () => this.#beat(),
        state: (state) => this.#tell({ do: "state", state }),
        refused: (error) => this.on.refused(error),
      },
    });
    this.#own = own;
    try {
      await own.open();
    } catch (error) {
      this.#release();
      throw error;
    }
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
    this.channel.postMessage({ do: "hello" });
  }

  /** @param {any} message */
  #tell(message) {
    this.channel.postMessage(message);
    this.#hear(message);
  }

  /** @param {any} message */
  #take(message) {
    if (message.do === "hello") {
      if (this.#own !== null && this.#last.size > 0) this.channel.postMessage({ do: "all", events: [...this.#last] });
    } else if (this.#own === null) this.#hear(message);
  }

  /** @param {any} message */
  #hear(message) {
    if (this.#isOver) return;
    if (message.do === "event") this.on.event(message.name, message.data);
    else if (message.do === "state") this.on.state(message.state);
    else if (message.do === "bye") setTimeout(() => !this.#isLed() && this.#lead().catch(() => {}), Math.random() * 300);
    else if (message.do === "all") {
      this.on.state("live");
      for (const [name, data] of message.events) this.on.event(name, data);
      this.#arrived?.();
    }
    this.on.beat();
  }

  /** Lead no more. */
  #release() {
    if (this.#own === null) return;
    this.#own.close();
    this.#own = null;
    if (this.#leader() === this.#tab) forget(this.key);
    this.channel.postMessage({ do: "bye" });
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

/** @param {string} key */
function forget(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // nothing was kept
  }
}
