// @ts-check
// The page while one sits in the room: a line on top, the people or the way to the meeting, the panel, and the bar.

import { exactNow } from "../core/api.js";
import { action, h, setText, show } from "../core/dom.js";
import { has, t } from "../core/i18n.js";
import { clock } from "../core/times.js";
import { icon, withIcon } from "../parts/icons.js";
import { chime } from "../parts/sounds.js";
import { menu } from "../parts/menu.js";
import { toast } from "../parts/toasts.js";
import "./podium-panel.js";
import "./podium-room.js";
import "./podium-settings.js";
import { REACTIONS } from "./reactions.js";
import { Shortcuts } from "./shortcuts.js";

/** @import { LiveSession, Session, SessionClient } from "../core/types.js" */
/** @import { PodiumPanel, Tab } from "./podium-panel.js" */
/** @import { PodiumRoom } from "./podium-room.js" */
/** @import { PodiumSettings } from "./podium-settings.js" */
/** @import { Seat } from "./seat.js" */

const WIDE = "(min-width: 68rem) and (min-height: 36rem)"; // the panel takes no picture's place here
const SOON = 5; // minutes before the end at which it is said
const MANY = 8; // buttons from which on a phone has no room for their words

/** @typedef {{ clock: HTMLElement, left: HTMLElement, locked: HTMLElement, closed: HTMLElement, recording: HTMLElement }} Chips */

/**
 * `<podium-stage>`; built by `setUp(client)`, then `addTab(tab)` for each tab of the panel and `follow(hook)`. Shows itself,
 * and nothing else of the page, while one sits in the room.
 */
export class PodiumStage extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {LiveSession} */ hook;
  /** @type {PodiumRoom} */ room;
  /** @type {PodiumPanel} */ panel;
  /** @type {HTMLElement} */ heading;
  /** @type {Chips} */ chips;
  /** @type {HTMLElement} */ status;
  /** @type {HTMLElement} */ trouble;
  /** @type {HTMLElement} */ without;
  /** @type {HTMLButtonElement} */ hand;
  /** @type {HTMLButtonElement} */ leave;
  /** @type {HTMLButtonElement} */ react;
  /** @type {HTMLElement} */ reactions;
  /** @type {HTMLElement} */ bar;
  /** @type {HTMLElement} */ elsewhere;
  /** @type {Map<string, HTMLButtonElement>} */ toggles;
  /** @type {boolean} */ isIn;
  /** @type {boolean} */ wantsFocus;
  /** @type {PodiumSettings} */ settings;
  /** @type {Shortcuts} */ shortcuts;
  /** @type {{ seat: Seat | null, notices: number, hand: boolean, isRecording: boolean, isSoon: boolean }} */ told;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.isIn = false;
    this.wantsFocus = false;
    this.toggles = new Map();
    this.room = h("podium-room");
    this.room.setUp(client);
    this.panel = h("podium-panel");
    this.panel.setUp(() => this.#showToggles());
    this.trouble = h("p", { class: "stage-line", role: "status", hidden: true });
    this.without = h("p", { class: "warning", role: "status", hidden: true });
    this.elsewhere = h("div", { class: "elsewhere" }, this.without);
    const main = h("div", { class: "stage-main" }, this.room, this.elsewhere);
    this.replaceChildren(this.#makeTop(), this.trouble, main, this.panel, this.#makeBar(), this.reactions);
    this.told = { seat: null, notices: 0, hand: false, isRecording: false, isSoon: false };
    this.panel.addEventListener("more", (event) => this.isIn && chime(/** @type {CustomEvent} */ (event).detail));
    this.shortcuts = new Shortcuts(this.#keys());
    this.settings = h("podium-settings");
    this.settings.setUp(this.shortcuts);
  }

  /** What each key does; a button that is not there is not pressed. */
  #keys() {
    const press = (/** @type {HTMLButtonElement | undefined} */ button) => button && !button.hidden && button.click();
    const { audio, video, screen } = this.room.switches;
    return {
      m: () => press(audio),
      v: () => press(video),
      s: () => press(screen),
      h: () => press(this.hand),
      c: () => press(this.toggles.get("chat") ?? this.toggles.get("questions")),
      "?": () => this.panel.open("settings", this.toggles.get("settings")),
    };
  }

  /** @param {LiveSession} hook */
  follow(hook) {
    this.hook = hook;
    hook.subscribe(() => this.#update());
    this.#update();
  }

  /**
   * Another tab in the panel, with a button in the bar. `isOffered` and `count` are asked after each change.
   *
   * @param {Tab} tab
   */
  addTab(tab) {
    this.panel.add(tab);
    const toggle = withIcon(h("button", { type: "button", "aria-expanded": "false", "data-tab": tab.id }, t(`tab.${tab.id}`)), tab.id);
    toggle.addEventListener("click", () => (this.panel.opened === tab.id ? this.panel.close() : this.panel.open(tab.id, toggle)));
    toggle.append(h("span", { class: "count", hidden: true }));
    this.toggles.set(tab.id, toggle);
    this.bar.insertBefore(toggle, this.leave);
  }

  /**
   * What stands in the middle where people do not see each other on this page.
   *
   * @param {HTMLElement[]} nodes
   */
  putElsewhere(...nodes) {
    this.elsewhere.append(...nodes);
  }

  #makeTop() {
    this.heading = h("div", { class: "stage-title", role: "heading", "aria-level": "1", dir: "auto", tabindex: "-1" });
    const chip = (/** @type {string} */ name, /** @type {Node[]} */ ...inside) => h("span", { class: `chip ${name}` }, ...inside);
    this.chips = {
      clock: chip("clock"),
      left: chip("left"),
      locked: chip("locked", icon("lock"), h("span", {}, t("stage.locked"))),
      closed: chip("closed", h("span", {}, t("stage.closed"))),
      recording: chip("recording", h("span", { class: "dot" }), h("span", { class: "long" }, t("consent.recording-now")), h("span", { class: "short", "aria-hidden": "true" }, t("stage.recording"))),
    };
    for (const told of [this.chips.recording, this.chips.closed]) told.setAttribute("role", "status");
    this.status = h("p", { class: "status", role: "status" });
    const views = withIcon(this.room.views, "spotlight");
    views.classList.add("quiet");
    return h("header", { class: "stage-top" }, this.heading, ...Object.values(this.chips), this.status, views);
  }

  #makeBar() {
    const { client } = this;
    const raise = () => client.seat?.raise(!client.seat.hand);
    this.hand = withIcon(h("button", { type: "button", "aria-pressed": "false", "aria-label": t("hands.raise"), title: t("hands.raise"), on: { click: raise } }, t("hands.short")), "hand");
    this.leave = withIcon(action(t("join.leave"), () => this.hook.leaveSession(), () => {}, { class: "leave" }), "leave");
    this.#makeReactions();
    const { switches } = this.room;
    const gap = h("span", { class: "gap" });
    this.bar = h("div", { class: "stage-bar", role: "toolbar", "aria-label": t("room.switches") },
      switches.audio, switches.video, switches.screen, this.hand, this.react, gap, this.leave);
    return this.bar;
  }

  #makeReactions() {
    const react = (/** @type {string} */ kind) => {
      this.client.seat?.reactions.react(kind);
      given.close();
    };
    const given = menu(t("reaction.title"), ...Object.entries(REACTIONS).map(([kind, emoji]) =>
      h("button", { type: "button", "aria-label": t(`reaction.${kind}`), title: t(`reaction.${kind}`), on: { click: () => react(kind) } }, emoji)));
    this.react = given.button;
    this.react.classList.remove("more");
    this.react.replaceChildren(t("reaction.short"));
    withIcon(this.react, "reaction");
    this.reactions = given.panel;
    this.reactions.classList.add("reactions");
  }

  #update() {
    const { client } = this;
    const { session, seat } = client;
    const isIn = session !== null && ["seated", "returning"].includes(seat?.state ?? "");
    if (isIn !== this.isIn) this.#turn(isIn);
    this.panel.update();
    if (!isIn || session === null || seat === null) return;
    setText(this.heading, session.title);
    this.#showChips(session);
    show(this.elsewhere, this.room.hidden);
    setText(this.trouble, this.#trouble());
    show(this.trouble, this.trouble.textContent !== "");
    show(this.hand, !client.leads, this.leave);
    this.hand.setAttribute("aria-pressed", String(seat.hand));
    this.#tell(session, seat);
    show(this.room.views, !this.room.hidden && (this.room.media?.others.size ?? 0) > 1, this.leave);
    this.#showToggles();
    if (this.wantsFocus) this.#focusFirst();
  }

  /** One line, and only while something is wrong. */
  #trouble() {
    if (this.client.seat?.state === "returning") return t("room.trouble.seat");
    return this.room.trouble || (this.client.isOnline ? "" : t("session.offline"));
  }

  /** @param {Session} session */
  #showChips(session) {
    const { clock: time, left, locked, closed, recording } = this.chips;
    setText(time, clock(this.hook.attendanceDuration));
    time.title = t("join.duration", { time: time.textContent });
    const minutes = Math.ceil((session.endsAt - exactNow()) / 60);
    const starts = Math.ceil((session.scheduledAt - exactNow()) / 60);
    const isEarly = session.state === "scheduled";
    setText(left, isEarly ? t("stage.starts", { minutes: Math.max(0, starts) }) : minutes > 0 ? t("stage.left", { minutes }) : t("stage.over"));
    show(locked, session.e2eeRequired);
    show(closed, session.isLocked);
    show(recording, session.isRecording);
  }

  /**
   * What happened since the last look, where one looks.
   *
   * @param {Session} session
   * @param {Seat} seat
   */
  #tell(session, seat) {
    const left = session.endsAt - exactNow();
    const now = { seat, notices: seat.notices, hand: seat.hand, isRecording: session.isRecording, isSoon: session.state === "active" && left > 0 && left <= SOON * 60 };
    const before = this.told.seat === seat ? this.told : { ...now, notices: 0, isSoon: false };
    this.told = now;
    if (now.notices > before.notices) toast(noticeText(seat), { seconds: 10, key: "notice" });
    if (now.hand && !before.hand) toast(t("hands.up"), { key: "hand" });
    if (!now.hand && before.hand) toast(t("hands.down"), { key: "hand" });
    if (now.isRecording && !before.isRecording) toast(t("consent.recording-now"), { key: "recording" });
    if (!now.isRecording && before.isRecording) toast(t("consent.not-recording"), { key: "recording" });
    if (now.isSoon && !before.isSoon) toast(t("stage.soon", { count: Math.ceil(left / 60) }), { key: "soon" });
  }

  #showToggles() {
    for (const tab of this.panel.tabs) {
      const toggle = /** @type {HTMLButtonElement} */ (this.toggles.get(tab.id));
      show(toggle, !tab.button.hidden, this.leave);
      toggle.setAttribute("aria-expanded", String(this.panel.opened === tab.id));
      const badge = /** @type {HTMLElement} */ (toggle.lastElementChild);
      setText(badge, tab.badge.textContent ?? "");
      show(badge, !tab.badge.hidden);
    }
    this.dataset.panel = this.panel.opened ?? "";
    const shown = [...this.bar.querySelectorAll("button")].filter((button) => !button.hidden);
    this.bar.dataset.many = String(shown.length > MANY);
  }

  /** @param {boolean} isIn */
  #turn(isIn) {
    this.isIn = isIn;
    document.documentElement.classList.toggle("in-room", isIn);
    this.panel.borrow(isIn);
    show(this, isIn);
    this.wantsFocus = isIn;
    this.shortcuts.isListening = isIn;
    if (!isIn) return this.panel.close();
    this.heading.focus();
    if (!this.status.checkVisibility()) toast(t("seat.seated"), { key: "seated" }); // a phone has no room for it on top
    this.panel.update();
    if (this.client.leads && matchMedia(WIDE).matches) this.panel.open("people");
  }

  /** The microphone, once it is there; where the person has gone elsewhere meanwhile they stay. */
  #focusFirst() {
    const { activeElement } = document;
    if (activeElement !== this.heading && activeElement !== document.body) {
      this.wantsFocus = false;
      return;
    }
    const { audio } = this.room.switches;
    if (audio.hidden) return;
    this.wantsFocus = false;
    audio.focus();
  }
}

/**
 * The daemon's words, or ours where we know what they are about.
 *
 * @param {Seat} seat
 */
export function noticeText({ notice, noticeAbout }) {
  const key = `notice.${noticeAbout}`;
  return notice && has(key) ? t(key) : notice;
}

customElements.define("podium-stage", PodiumStage);
