// @ts-check
// Whether one sits in this room in another tab of this browser, and how to come over. No DOM in here.

const ANSWER_WITHIN = 1000; // ms: a tab that does not answer by then is gone

/** @typedef {{ isIn: () => boolean, moveOut: () => void, changed: () => void }} Tab */

/** Tells the other tabs, and hears from them. `isElsewhere` is known a moment after `ask()`. */
export class OtherTab {
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {string} room
   * @param {Tab} tab
   */
  constructor(room, tab) {
    this.tab = tab;
    this.isElsewhere = false;
    this.wasIn = false;
    this.channel = new BroadcastChannel(`podium.room.${room}`);
    this.channel.addEventListener("message", ({ data }) => this.#hear(data));
    addEventListener("pagehide", () => this.tab.isIn() && this.channel.postMessage("out"));
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.ask());
    this.ask();
  }

  /** Ask whether another tab sits in the room. */
  ask() {
    if (this.tab.isIn()) return;
    this.channel.postMessage("who");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#know(false), ANSWER_WITHIN);
  }

  /** The other tab gives up its seat. */
  bring() {
    this.channel.postMessage("come");
    this.#know(false);
  }

  /** After each change of this tab's seat. */
  tell() {
    const isIn = this.tab.isIn();
    if (isIn === this.wasIn) return;
    this.wasIn = isIn;
    this.channel.postMessage(isIn ? "in" : "out");
  }

  close() {
    this.channel.close();
  }

  /** @param {unknown} word */
  #hear(word) {
    if (word === "who" && this.tab.isIn()) this.channel.postMessage("in");
    else if (word === "in") this.#know(true);
    else if (word === "out") this.#know(false);
    else if (word === "come" && this.tab.isIn()) this.tab.moveOut();
  }

  /** @param {boolean} isElsewhere */
  #know(isElsewhere) {
    clearTimeout(this.#timer);
    if (this.isElsewhere === isElsewhere) return;
    this.isElsewhere = isElsewhere;
    this.tab.changed();
  }
}
