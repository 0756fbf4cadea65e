// @ts-check
// The recording of a session: its state, and a player. Nothing of another host is loaded before the person says so.

import { action, announce, h, setText, show, webUrl } from "../core/dom.js";
import { signed } from "../core/api.js";
import { describe, t } from "../core/i18n.js";
import { keptLogin } from "../core/login.js";
import "./podium-player.js";

/** @import { Session, SessionClient } from "../core/types.js" */
/** @import { PodiumPlayer } from "./podium-player.js" */

/** `<podium-recording>`; `follow(session)` after each change of an ended session. */
export class PodiumRecording extends HTMLElement {
  /** @type {HTMLParagraphElement} */ state;
  /** @type {HTMLParagraphElement} */ consent;
  /** @type {HTMLParagraphElement} */ people;
  /** @type {string} */ counted;
  /** @type {HTMLButtonElement} */ load;
  /** @type {HTMLVideoElement} */ video;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLAnchorElement} */ open;
  /** @type {PodiumPlayer} */ credit;
  /** @type {{ publish: HTMLButtonElement; unpublish: HTMLButtonElement; delete: HTMLButtonElement; }} */ acts;
  /** @type {HTMLParagraphElement} */ refusal;
  /** @type {HTMLProgressElement} */ progress;
  /** @type {string | null | undefined} */ url;
  /** @type {SessionClient | undefined} */ client;
  /** @type {string | undefined} */ shownState;

  connectedCallback() {
    if (this.state) return;
    this.state = h("p", { class: "recording" });
    this.consent = h("p", { class: "hint" });
    this.people = h("p", { class: "hint", hidden: true });
    this.counted = "";
    this.load = action("", () => this.#play(), () => {}, { class: "primary" });
    this.video = h("video", { controls: true, preload: "metadata", playsinline: true, "aria-label": t("recording.player"), hidden: true });
    this.failure = h("p", { class: "failure", role: "status", hidden: true }, t("recording.cannot-play"));
    this.open = h("a", { class: "button", target: "_blank", rel: "noopener noreferrer" }, t("recording.open"));
    this.video.addEventListener("error", () => this.#failed());
    // the policy names the host of the recording that there was when this page was loaded
    document.addEventListener("securitypolicyviolation", (event) => event.effectiveDirective === "media-src" && this.#failed());
    this.credit = h("podium-player", { hidden: true });
    this.acts = {
      publish: this.#act("publish"),
      unpublish: this.#act("unpublish"),
      delete: this.#act("delete"),
    };
    this.refusal = h("p", { class: "failure", role: "alert", hidden: true });
    this.progress = h("progress", { max: "100", value: 0, hidden: true, "aria-label": t("recording.processing") });
    this.replaceChildren(this.state, this.progress, this.people, this.consent, this.video, this.failure, h("div", { class: "buttons" }, this.load, this.open), this.credit,
      h("div", { class: "buttons" }, ...Object.values(this.acts)), this.refusal);
    this.url = undefined;
  }

  /**
   * Count what is watched, for whoever signs it.
   *
   * @param {SessionClient} client
   */
  setUp(client) {
    this.client = client;
    this.credit.setUp(client, this.video);
    this.credit.addEventListener("opened", (event) => this.#private(/** @type {CustomEvent} */ (event).detail.url));
    this.credit.addEventListener("closed", () => this.#closePrivate());
  }

  /** @param {Session} session */
  follow(session) {
    setText(this.state, afterwards(session));
    this.#offer(session);
    this.credit.follow(session);
    this.#count(session);
    this.progress.value = session.recordingProgress ?? 0;
    show(this.progress, session.recordingState === "processing");
    const url = session.recordingState === "available" ? webUrl(session.recordingUrl) : null;
    if (url === this.url) return;
    this.url = url;
    this.#empty();
    show(this.open, url !== null);
    const host = url === null ? "" : new URL(url).host;
    const isOurs = url !== null && new URL(url).origin === location.origin;
    setText(this.load, t("recording.load", { host }));
    setText(this.consent, t("recording.foreign", { host }));
    show(this.load, url !== null && !isOurs);
    show(this.consent, url !== null && !isOurs);
    if (url === null) return this.open.removeAttribute("href");
    this.open.setAttribute("href", url);
    const isGuarded = isOurs && session.recordingAccess === "participants"; // then the address is this page's
    show(this.open, !isGuarded);
    if (isOurs && !isGuarded) this.#show();
  }

  /**
   * How many people were recorded and how many consents are kept, for those who took part.
   *
   * @param {Session} session
   */
  async #count(session) {
    const viewer = session.recordingState === "none" ? undefined : keptLogin()?.pubkey;
    const wanted = viewer ? `${viewer} ${session.recordingState}` : "";
    if (wanted === this.counted) return;
    this.counted = wanted;
    show(this.people, false);
    if (!wanted) return;
    const { recordings } = await signed("GET", `${this.client?.path}/recording`).catch(() => ({ recordings: [] })); // the page does without
    const newest = recordings.at(-1);
    if (wanted !== this.counted || !newest || newest.recorded === null) return;
    setText(this.people, t("recording.people", { people: newest.recorded, consents: newest.consents }));
    show(this.people, true);
  }

  /**
   * What those who lead can do with it.
   *
   * @param {Session} session
   */
  #offer(session) {
    const state = this.client?.leads ? session.recordingState : "none";
    const hidden = ["review", "unpublished"].includes(state);
    show(this.acts.publish, hidden);
    show(this.acts.unpublish, state === "available");
    show(this.acts.delete, hidden || state === "available");
    if (this.shownState !== state) setText(this.acts.delete, t("recording.delete"));
    this.shownState = state;
  }

  /** @param {string} name */
  #act(name) {
    const button = action(t(`recording.${name}`), async () => {
      show(this.refusal, false);
      const sure = t("recording.delete-sure");
      if (name === "delete" && button.textContent !== sure) return setText(button, sure); // the second press deletes
      await signed("POST", `${this.client?.path}/recording/${name}`);
    }, (error) => {
      setText(this.refusal, describe(error));
      show(this.refusal, true);
    });
    button.hidden = true;
    return button;
  }

  /**
   * A recording for participants is given to whoever has opened the player, at an address of their own.
   *
   * @param {string} url
   */
  #private(url) {
    this.video.setAttribute("src", url);
    show(this.video, true);
  }

  /** What was given to one person stops with their login; a recording that anybody may see plays on. */
  #closePrivate() {
    if (this.video.hasAttribute("src") && this.video.getAttribute("src") !== this.url) this.#empty();
  }

  #empty() {
    show(this.video, false);
    show(this.failure, false);
    this.video.removeAttribute("src");
    this.video.load();
  }

  #show() {
    this.video.setAttribute("src", this.url ?? ""); // `webUrl` let it pass: http or https
    show(this.video, true);
  }

  #play() {
    this.#show();
    this.video.focus();
    show(this.load, false);
    show(this.consent, false);
    this.video.play().catch(() => {}); // some browsers want another press; what fails for good fires `error`
  }

  #failed() {
    if (!this.video.hasAttribute("src")) return;
    show(this.video, false, this.open);
    show(this.failure, true);
    announce(t("recording.cannot-play"));
  }
}

/**
 * What became of an ended session and its recording.
 *
 * @param {Session} session
 */
function afterwards(session) {
  if (session.state === "cancelled") return t("ended.cancelled");
  return session.endReason === "no_show" ? t("ended.no_show") : t(`recording.${session.recordingState}`);
}

customElements.define("podium-recording", PodiumRecording);
