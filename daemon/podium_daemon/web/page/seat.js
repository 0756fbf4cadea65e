// A seat in the room: the socket, its beats, and coming back after a lost connection without a new signature.

import { exactNow } from "./api.js";

const FINAL = new Map([
  [4001, "ended"],
  [4003, "removed"],
  [4005, "replaced"],
  [4010, "refused"],
  [4011, "lost"],
]);
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;

/** States: connecting, waiting, seated, returning; and the last ones: left, ended, removed, replaced, refused, lost. */
export class Seat {
  constructor(url, token, changed) {
    this.url = url;
    this.changed = changed;
    this.state = "connecting";
    this.reason = null; // a slug: why one waits or was turned away
    this.text = ""; // the daemon's words for it
    this.notice = "";
    this.meetingUrl = null;
    this.settled = new Promise((done) => {
      this.settle = done;
    });
    this.secret = null;
    this.secretLasts = 0;
    this.since = 0; // when it was taken, Unix seconds
    this.lostAt = 0;
    this.pause = FIRST_PAUSE;
    this.lastBeat = 0;
    this.leaving = false;
    this.#open({ type: "hello", token });
  }

  get isOver() {
    return !["connecting", "waiting", "seated", "returning"].includes(this.state);
  }

  /** Say goodbye; the daemon closes the socket. */
  leave() {
    this.leaving = true;
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: "leave" }));
    this.socket.close(1000);
    this.#move("left");
  }

  /** A sign of life. Called by a timer, and by the event stream too: timers of a tab in the background are held back. */
  beat() {
    if (this.state !== "seated" || this.socket.readyState !== WebSocket.OPEN) return;
    const now = performance.now();
    if (now - this.lastBeat < this.heartbeat * 500) return;
    this.lastBeat = now;
    this.socket.send(JSON.stringify({ type: "beat" }));
  }

  #open(greeting) {
    this.socket = new WebSocket(this.url);
    this.socket.addEventListener("open", () => this.socket.send(JSON.stringify(greeting)));
    this.socket.addEventListener("message", (event) => this.#take(event.data));
    this.socket.addEventListener("close", (event) => this.#closed(event.code));
  }

  #take(frame) {
    let message;
    try {
      message = JSON.parse(frame);
    } catch {
      return;
    }
    if (message.type === "waiting") this.#move("waiting", message.reason, message.text);
    else if (message.type === "welcome") this.#welcome(message);
    else if (message.type === "resume") Object.assign(this, { secret: message.secret, secretLasts: message.seconds });
    else if (message.type === "notice") this.#notice(message.text);
    else if (message.type === "removed") this.#move("removed", "removed", message.reason);
    else if (message.type === "refused") this.#move("refused", message.reason, message.text);
    else if (message.type === "ended") this.#move("ended");
  }

  #welcome(message) {
    this.heartbeat = message.heartbeat;
    this.meetingUrl = message.meetingUrl ?? null;
    this.pause = FIRST_PAUSE;
    this.lostAt = 0;
    this.since = exactNow();
    clearInterval(this.beating);
    this.beating = setInterval(() => this.beat(), this.heartbeat * 1000);
    this.#move("seated");
  }

  #notice(text) {
    this.notice = text;
    this.changed();
  }

  #closed(code) {
    clearInterval(this.beating);
    if (this.isOver) return;
    if (FINAL.has(code)) this.#move(FINAL.get(code));
    else if (this.secret === null) this.#move("lost");
    else this.#comeBack();
  }

  #comeBack() {
    this.lostAt ||= performance.now();
    if (performance.now() - this.lostAt > this.secretLasts * 1000) {
      this.#move("lost");
      return;
    }
    this.#move("returning");
    setTimeout(() => {
      if (!this.leaving) this.#open({ type: "return", secret: this.secret });
    }, this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }

  #move(state, reason = null, text = "") {
    if (this.isOver) return; // the first end counts: a socket closes after its last words
    Object.assign(this, { state, reason, text });
    if (["waiting", "seated"].includes(state) || this.isOver) this.settle(state);
    this.changed();
  }
}
