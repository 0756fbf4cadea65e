// @ts-check
// A seat in the room: the socket, its beats, and coming back after a lost connection without a new signature.

import { exactNow } from "../core/api.js";
import { ChatLog } from "./chat-log.js";
import { Media } from "./media.js";
import { PollLog } from "./poll-log.js";
import { Reactions } from "./reactions.js";

/** @import { Message } from "../core/types.js" */
/** @import { TalkCipher } from "./talk-cipher.js" */
/** @import { Cipher } from "./cipher.js" */
/** @import { Keyring } from "./frame-keys.js" */

/** @typedef {{ certificate: RTCCertificate, fingerprint: string, cipher?: Cipher, keyring?: Keyring, talk?: TalkCipher }} SeatMedia */
/** @typedef {{ own: () => string, mustSeal: boolean }} Talker */

/** @type {Map<number, string>} */
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
  /** @type {WebSocket} */ socket;
  listening = new AbortController(); // to the socket, until the page gives it up
  over = new AbortController();
  /** @type {number} */ heartbeat;

  /**
   * `media`: the `certificate` the join proof names, and where it is encrypted a `cipher` and a `keyring`; null: this
   * seat has no media.
   *
   * @param {string} url
   * @param {string} token
   * @param {() => void} changed
   * @param {SeatMedia | null} [media]
   * @param {string | null} [secret] the way back to a seat that this tab had before it was loaded again, instead of a token
   * @param {Talker} [talker] who writes, and whether all they write must be encrypted
   */
  constructor(url, token, changed, media = null, secret = null, talker = { own: () => "", mustSeal: false }) {
    this.url = url;
    this.changed = changed;
    this.state = secret === null ? "connecting" : "returning";
    /** @type {string | null} */
    this.reason = null; // a slug: why one waits or was turned away
    this.text = ""; // the daemon's words for it
    /** @type {Map<string, { role: string, hand: number }>} */
    this.people = new Map(); // all in the room, as the daemon tells them
    /** @type {string[]} */
    this.hands = []; // whose hand is up, the first first
    this.notice = "";
    this.notices = 0; // how many lines came
    this.noticeAbout = ""; // its name, where we have words of our own for it
    /** @type {string | null} */
    this.spotlight = null; // who is shown large to everybody
    /** @type {string | null} */
    this.meetingUrl = null;
    this.settled = new Promise((done) => {
      this.settle = done;
    });
    /** @type {string | null} */
    this.secret = null;
    this.secretLasts = 0;
    this.since = 0; // when it was taken, Unix seconds
    this.lostAt = 0;
    this.pause = FIRST_PAUSE;
    this.lastBeat = 0;
    this.hand = false; // whether the room has the person's hand up
    this.leaving = false;
    const send = (/** @type {object} */ message) => this.socket.readyState === WebSocket.OPEN && this.socket.send(JSON.stringify(message));
    this.media = media && new Media({ ...media, send, changed });
    const talk = { send, changed, own: talker.own, cipher: media?.talk ?? null, mustSeal: talker.mustSeal };
    this.chat = new ChatLog(talk);
    this.reactions = new Reactions(talk);
    this.polls = new PollLog(talk);
    this.keyring = media?.keyring ?? null;
    if (this.keyring) this.keyring.send = send;
    addEventListener("offline", () => this.#abandon(), { signal: this.over.signal });
    this.#open(secret === null ? { type: "hello", token } : { type: "return", secret });
  }

  get isOver() {
    return !["connecting", "waiting", "seated", "returning"].includes(this.state);
  }

  /**
   * Say goodbye; the daemon closes the socket. `state` is what the page says of it afterwards.
   *
   * @param {"left" | "replaced"} [state]
   */
  leave(state = "left") {
    this.leaving = true;
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: "leave" }));
    this.socket.close(1000);
    this.#move(state);
  }

  /** A sign of life. Called by a timer, and by the event stream too: timers of a tab in the background are held back. */
  beat() {
    if (this.state !== "seated" || this.socket.readyState !== WebSocket.OPEN) return;
    const now = performance.now();
    if (now - this.lastBeat < this.heartbeat * 500) return;
    this.lastBeat = now;
    this.socket.send(JSON.stringify({ type: "beat" }));
  }

  /**
   * Raise one's hand, or lower it; the daemon answers with what counts.
   *
   * @param {boolean} up
   */
  raise(up) {
    if (this.state !== "seated" || this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ type: "hand", up }));
  }

  /** @param {object} greeting */
  #open(greeting) {
    this.socket = new WebSocket(this.url);
    this.listening = new AbortController();
    const { signal } = this.listening;
    this.socket.addEventListener("open", () => this.socket.send(JSON.stringify(greeting)), { signal });
    this.socket.addEventListener("message", (event) => this.#take(event.data), { signal });
    this.socket.addEventListener("close", (event) => this.#closed(event.code), { signal });
  }

  /** @param {string} frame */
  #take(frame) {
    let message;
    try {
      message = JSON.parse(frame);
    } catch {
      return;
    }
    if (message.type === "waiting") this.#move("waiting", message.reason, message.text);
    else if (message.type === "welcome") this.#welcome(message);
    else if (message.type === "media") this.media?.take(message);
    else if (message.type === "key" || message.type === "key-holders") this.keyring?.take(message);
    else if (message.type === "resume") this.#resumable(message);
    else if (String(message.type).startsWith("chat")) this.chat.take(message);
    else if (["poll", "poll-deleted", "vote"].includes(message.type)) this.polls.take(message);
    else if (message.type === "people") this.#peopled(message);
    else if (message.type === "reaction") this.reactions.take(message);
    else if (message.type === "notice") this.#notice(message);
    else if (message.type === "spotlight") this.#lit(message.pubkey);
    else if (message.type === "hand") this.#handed(message.up);
    else if (message.type === "meeting") this.#moved(message.meetingUrl);
    else if (message.type === "removed") this.#move("removed", "removed", message.reason);
    else if (message.type === "refused") this.#move("refused", message.reason, message.text);
    else if (message.type === "ended") this.#move("ended");
  }

  /** @param {Message} message */
  #resumable({ secret, seconds }) {
    Object.assign(this, { secret, secretLasts: seconds });
    this.changed();
  }

  /** @param {Message} message */
  #welcome(message) {
    this.heartbeat = message.heartbeat;
    this.meetingUrl = message.meetingUrl ?? null;
    this.pause = FIRST_PAUSE;
    this.lostAt = 0;
    this.spotlight = null; // it is told again if there is one
    this.since = exactNow();
    clearInterval(this.beating);
    this.beating = setInterval(() => this.beat(), this.heartbeat * 1000);
    this.#move("seated");
    if (this.hand) this.raise(true); // a lost connection took it down
  }

  /** @param {Message} message */
  #peopled({ people = [], gone = [], isAll = false }) {
    if (isAll) this.people.clear();
    for (const { pubkey, role, hand = 0 } of people) this.people.set(pubkey, { role, hand });
    for (const pubkey of gone) this.people.delete(pubkey);
    const up = [...this.people].filter(([, { hand }]) => hand > 0).sort(([, one], [, other]) => one.hand - other.hand);
    this.hands = up.map(([pubkey]) => pubkey);
    this.changed();
  }

  /** @param {unknown} up */
  #handed(up) {
    this.hand = up === true;
    this.changed();
  }

  /**
   * The meeting's address was used; the next one for a way back in.
   *
   * @param {string} url
   */
  #moved(url) {
    this.meetingUrl = url;
    this.changed();
  }

  /** @param {Message} how */
  #notice({ text, about = "" }) {
    Object.assign(this, { notice: text, noticeAbout: about, notices: this.notices + 1 });
    this.changed();
  }

  /** @param {string} pubkey */
  #lit(pubkey) {
    this.spotlight = /^[0-9a-f]{64}$/.test(pubkey) ? pubkey : null;
    this.changed();
  }

  /** The browser has no network: a socket hears of it minutes later, or never. */
  #abandon() {
    if (this.state !== "seated" || this.secret === null) return;
    this.listening.abort();
    this.socket.close();
    this.#closed(1006);
  }

  /** @param {number} code */
  #closed(code) {
    clearInterval(this.beating);
    if (this.isOver) return;
    const final = FINAL.get(code);
    if (final) this.#move(final);
    else if (this.secret === null) this.#move("lost");
    else this.#comeBack();
  }

  #comeBack() {
    this.media?.take({ do: "away" });
    this.lostAt ||= performance.now();
    if (performance.now() - this.lostAt > this.secretLasts * 1000) {
      this.#move("lost");
      return;
    }
    this.#move("returning");
    const again = () => {
      clearTimeout(timer);
      removeEventListener("online", again);
      if (!this.leaving) this.#open({ type: "return", secret: this.secret });
    };
    const timer = setTimeout(again, this.pause);
    addEventListener("online", again);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }

  /**
   * @param {string} state
   * @param {string | null} [reason]
   * @param {string} [text]
   */
  #move(state, reason = null, text = "") {
    if (this.isOver) return; // the first end counts: a socket closes after its last words
    Object.assign(this, { state, reason, text });
    if (this.isOver) this.over.abort();
    if (this.isOver) this.media?.close();
    if (["waiting", "seated"].includes(state) || this.isOver) this.settle(state);
    this.changed();
  }
}
