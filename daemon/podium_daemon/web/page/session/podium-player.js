// @ts-check
// Credit for watching a recording: it is opened, then what is really played is reported until it is enough. For a person who
// is signed in that happens by itself.

import { refusal, request, signed } from "../core/api.js";
import { action, announce, h, setText, show, webUrl } from "../core/dom.js";
import { describe, locale, t } from "../core/i18n.js";
import { keptLogin } from "../core/login.js";
import { clock } from "../core/times.js";

/** @import { SeenSoFar, Session, SessionClient, Trouble } from "../core/types.js" */

const EVERY = 10000; // milliseconds between reports; the daemon credits no more than a minute of silence
const JUMP = 5; // seconds: a greater step between two looks is no playing; a busy browser looks seldom, and tells seeks itself
const SHORTEST = 0.5; // seconds; the daemon keeps no shorter piece
const NAMED = 3; // missing parts that are named; the bar shows them all

/** `<podium-player>`; `setUp(client, video)` with the video element that plays, `follow(session)` after each change. */
export class PodiumPlayer extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLVideoElement} */ video;
  /** @type {string | null} */ secret;
  /** @type {SeenSoFar | null} */ seen;
  /** @type {number[][]} */ segments;
  /** @type {number | null} */ from;
  /** @type {number} */ at;
  /** @type {Promise<void> | null} */ sending;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ hint;
  /** @type {HTMLButtonElement} */ count;
  /** @type {HTMLDivElement} */ bar;
  /** @type {number} */ length;
  /** @type {string | null} */ viewer;
  /** @type {Promise<void> | null} */ opening;
  /** @type {boolean} */ isGuarded;
  /** @type {HTMLParagraphElement} */ text;
  /** @type {string | null | undefined} */ url;

  /**
   * @param {SessionClient} client
   * @param {HTMLVideoElement} video
   */
  setUp(client, video) {
    this.client = client;
    this.video = video;
    this.secret = null;
    this.seen = null;
    this.segments = [];
    this.from = null;
    this.at = 0;
    this.sending = null;
    this.length = 0;
    this.viewer = null;
    this.opening = null;
    this.isGuarded = false;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.hint = h("p", { class: "hint" }, t("watch.hint"));
    this.count = action(t("watch.count"), () => this.#opened(), (error) => this.#failed(error), { class: "primary" });
    this.bar = h("div", { class: "seen-parts", role: "img", "aria-label": t("watch.progress"), hidden: true });
    this.text = h("p", { class: "hint", hidden: true });
    this.replaceChildren(this.hint, h("div", { class: "buttons" }, this.count), this.bar, this.text, this.failure);
    this.#listen();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    this.#cut();
    this.#report();
  }

  /** @param {Session} session */
  follow(session) {
    const url = webUrl(session.recordingUrl);
    const published = session.recordingState === "available" && url !== null;
    const isHeld = this.client.leads && ["review", "unpublished"].includes(session.recordingState); // to look at it first
    const available = published || isHeld;
    show(this, available);
    const isOurs = published && new URL(url).origin === location.origin;
    const isGuarded = isHeld || (isOurs && session.recordingAccess === "participants"); // nothing to see before it is opened
    this.isGuarded = isGuarded;
    setText(this.hint, t(isGuarded ? "watch.hint.guarded" : "watch.hint"));
    setText(this.count, t(isGuarded ? "watch.open" : "watch.count"));
    if (this.url && session.recordingUrl && this.url !== session.recordingUrl) this.#forget(); // another run's recording took its place
    this.url = session.recordingUrl;
    if (isHeld || isOurs) this.#openByItself();
    else if (keptLogin() === null) this.#forget();
  }

  // -- opening

  /** Open it for the person who is signed in, once for each person and recording; anybody else is asked to sign in. */
  #openByItself() {
    const viewer = keptLogin()?.pubkey ?? null;
    if (viewer === this.viewer || this.opening) return;
    this.#forget();
    this.viewer = viewer;
    if (viewer === null) return;
    this.#opened().catch((/** @type {Trouble} */ error) => {
      if (this.isGuarded && error.slug === "not-allowed") this.#failed(error); // other troubles are told at a press
    });
  }

  #opened() {
    this.opening ??= this.#open().finally(() => {
      this.opening = null;
    });
    return this.opening;
  }

  async #open() {
    show(this.failure, false);
    const opened = await signed("POST", `${this.client.path}/watching`);
    clearInterval(this.timer);
    this.viewer = keptLogin()?.pubkey ?? null;
    if (this.viewer === null) return; // signed out meanwhile
    this.secret = opened.secret;
    this.length = opened.length;
    this.#show(opened.seen);
    // a recording for participants is given to nobody without this secret
    if (webUrl(opened.url) && !this.video.hasAttribute("src")) {
      this.dispatchEvent(new CustomEvent("opened", { detail: { url: opened.url } }));
    }
    if (!this.video.paused) this.#begin();
    this.timer = setInterval(() => this.#report(), EVERY);
  }

  /** End the player of a person who signed out, or of a recording that another one replaced. */
  #forget() {
    this.viewer = null;
    if (this.secret !== null) this.#close();
    this.dispatchEvent(new CustomEvent("closed"));
  }

  #close() {
    clearInterval(this.timer);
    this.secret = null;
    this.segments = [];
    this.from = null;
    show(this.count, true);
    show(this.hint, true);
    show(this.bar, false);
    show(this.text, false);
  }

  // -- what is played

  #listen() {
    const { video } = this;
    video.addEventListener("playing", () => {
      this.#begin();
      this.#openByItself(); // one that another host keeps is opened when it plays
    });
    video.addEventListener("timeupdate", () => this.#look());
    video.addEventListener("seeking", () => this.#cut());
    video.addEventListener("seeked", () => video.paused || this.#begin());
    for (const end of ["pause", "ended", "emptied"]) {
      video.addEventListener(end, () => {
        this.#look();
        this.#cut();
        this.#report();
      });
    }
    addEventListener("pagehide", () => {
      this.#cut();
      this.#report();
    });
  }

  #begin() {
    if (this.from !== null) return;
    this.from = this.at = this.video.currentTime;
  }

  /** Follow the playing time; a step that no playing can make ends the piece before it. */
  #look() {
    if (this.from === null) return;
    const now = this.video.currentTime;
    if (now < this.at || now - this.at > JUMP * Math.max(1, this.video.playbackRate)) {
      this.#cut();
      if (!this.video.paused && !this.video.seeking) this.#begin();
      return;
    }
    this.at = now;
  }

  #cut() {
    if (this.from !== null && this.at - this.from >= SHORTEST) this.segments.push([this.from, this.at]);
    this.from = null;
  }

  // -- telling

  async #report() {
    if (this.secret === null || this.sending) return;
    this.#look();
    const playing = this.from !== null && !this.video.paused;
    this.#cut();
    if (playing) this.#begin();
    const segments = this.segments.slice(0, 100);
    if (segments.length === 0) return;
    this.sending = this.#send(segments);
    await this.sending;
    this.sending = null;
  }

  /** @param {number[][]} segments */
  async #send(segments) {
    try {
      const answer = await request("/api/watching", {
        method: "POST",
        keepalive: true, // the last words of a page that is being left
        headers: { Authorization: `Podium ${this.secret}`, "Content-Type": "application/json" },
        body: JSON.stringify({ segments }),
      });
      if (answer.status >= 500) return; // it is starting again, or its disk is full: told with the next report
      if (!answer.ok) throw await refusal(answer);
      this.segments.splice(0, segments.length);
      this.#show(await answer.json());
    } catch (thrown) {
      const error = /** @type {Trouble} */ (thrown);
      if (error.slug === "offline") return; // they are told with the next report
      this.#close();
      this.#failed(error);
    }
  }

  /** @param {SeenSoFar} seen */
  #show(seen) {
    const news = seen.completedAt !== null && this.seen?.completedAt === null;
    this.seen = seen;
    this.bar.replaceChildren(...seen.parts.map(([from, to]) => this.#part(from, to)));
    const told = watchedText(seen, this.length);
    this.bar.setAttribute("aria-label", told);
    setText(this.text, seen.completedAt === null ? told : t("completion.recording"));
    show(this.count, false);
    show(this.hint, false);
    show(this.bar, true);
    show(this.text, true);
    if (news) announce(t("completion.recording"));
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  #part(from, to) {
    const part = h("span");
    part.style.insetInlineStart = `${(100 * from) / this.length}%`;
    part.style.inlineSize = `${(100 * (to - from)) / this.length}%`;
    return part;
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }
}

/**
 * How much was watched, and which parts are missing; pieces that are shorter than a second are not named.
 *
 * @param {SeenSoFar} seen
 * @param {number} length
 */
function watchedText({ percent, parts }, length) {
  const edges = [0, ...parts.flat(), length];
  const gaps = edges.flatMap((from, index) => (index % 2 === 0 && edges[index + 1] - from >= 1 ? [[from, edges[index + 1]]] : []));
  if (gaps.length === 0) return t("watch.percent", { percent });
  const named = gaps.slice(0, NAMED).map(([from, to]) => t("watch.part", { from: clock(from), to: clock(to) }));
  if (gaps.length > NAMED) named.push(t("watch.more"));
  return t("watch.missing", { percent, parts: new Intl.ListFormat(locale).format(named) });
}

customElements.define("podium-player", PodiumPlayer);
