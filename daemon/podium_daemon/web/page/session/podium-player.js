// @ts-check
// Credit for watching a recording: it is opened, then what is really played is reported until it is enough.

import { refusal, request, signed } from "../core/api.js";
import { action, announce, h, setText, show, webUrl } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";

/** @import { SeenSoFar, Session, SessionClient, Trouble } from "../core/types.js" */

const EVERY = 10000; // milliseconds between reports; the daemon credits no more than a minute of silence
const JUMP = 5; // seconds: a greater step between two looks is no playing; a busy browser looks seldom, and tells seeks itself
const SHORTEST = 0.5; // seconds; the daemon keeps no shorter piece

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
  /** @type {HTMLProgressElement} */ bar;
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
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.hint = h("p", { class: "hint" }, t("watch.hint"));
    this.count = action(t("watch.count"), () => this.#open(), (error) => this.#failed(error), { class: "primary" });
    this.bar = h("progress", { max: "100", value: 0, "aria-label": t("watch.progress"), hidden: true });
    this.text = h("p", { class: "hint", role: "status", hidden: true });
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
    setText(this.hint, t(isGuarded ? "watch.hint.guarded" : "watch.hint"));
    setText(this.count, t(isGuarded ? "watch.open" : "watch.count"));
    if (this.url && session.recordingUrl && this.url !== session.recordingUrl) this.#close(); // another run's recording took its place
    this.url = session.recordingUrl;
  }

  // -- opening

  async #open() {
    show(this.failure, false);
    const opened = await signed("POST", `${this.client.path}/watching`);
    this.secret = opened.secret;
    this.#show(opened.seen);
    // a recording for participants is given to nobody without this secret
    if (webUrl(opened.url) && !this.video.hasAttribute("src")) {
      this.dispatchEvent(new CustomEvent("opened", { detail: { url: opened.url } }));
    }
    if (!this.video.paused) this.#begin();
    this.timer = setInterval(() => this.#report(), EVERY);
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
    video.addEventListener("playing", () => this.#begin());
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
    this.bar.value = seen.percent;
    setText(this.text, seen.completedAt === null ? t("watch.percent", { percent: seen.percent }) : t("completion.recording"));
    show(this.count, false);
    show(this.hint, false);
    show(this.bar, true);
    show(this.text, true);
    if (news) announce(t("completion.recording"));
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }
}

customElements.define("podium-player", PodiumPlayer);
