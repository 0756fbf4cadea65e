// @ts-check
// The answer to a session: confirm, tentative, decline; the seats, and the place in the waiting list.

import { action, announce, freshId, h, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";

/** @import { LiveSession, Me, RsvpStatus, Session, SessionClient, Trouble } from "../core/types.js" */

/** @type {RsvpStatus[]} */
const STATUSES = ["confirmed", "tentative", "declined"];

/** `<podium-rsvp>`; built by `setUp(hook, client)`. */
export class PodiumRsvp extends HTMLElement {
  /** @type {LiveSession} */ hook;
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ answer;
  /** @type {HTMLParagraphElement} */ unreachable;
  /** @type {HTMLParagraphElement} */ reach;
  /** @type {HTMLParagraphElement} */ position;
  /** @type {HTMLButtonElement[]} */ buttons;
  /** @type {HTMLParagraphElement} */ open;
  /** @type {HTMLInputElement} */ following;
  /** @type {HTMLSpanElement} */ signatures;

  /**
   * @param {LiveSession} hook
   * @param {SessionClient} client
   */
  setUp(hook, client) {
    this.hook = hook;
    this.client = client;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.answer = h("p", { class: "answer" });
    this.unreachable = h("p", { class: "warning", role: "status", hidden: true });
    this.reach = h("p", { class: "hint" });
    this.position = h("p", { class: "position" });
    const title = h("h2", { id: freshId("rsvp") }, t("rsvp.title"));
    this.buttons = STATUSES.map((status) => this.#button(status));
    const group = h("div", { class: "buttons three", role: "group", "aria-labelledby": title.id }, ...this.buttons);
    const open = (this.open = h("p", { class: "hint" }));
    this.following = h("input", { type: "checkbox" });
    this.signatures = h("span");
    const all = h("label", { class: "switch", hidden: true }, this.following, this.signatures);
    this.replaceChildren(
      h("section", { class: "card", "aria-labelledby": title.id }, title, this.answer, this.unreachable, this.reach, all, group, this.position, open, this.failure),
    );
    hook.subscribe(() => this.#update());
    this.#update();
  }

  /** @param {RsvpStatus} status */
  #button(status) {
    const run = async () => {
      show(this.failure, false);
      await this.hook.rsvp(status);
      if (this.following.checked) await this.client.acts.answerLater(status);
      announce(t(`rsvp.is.${status}`));
    };
    const failed = (/** @type {Trouble} */ error) => {
      setText(this.failure, describe(error));
      show(this.failure, true);
    };
    return action(t(`rsvp.${status}`), run, failed, { "data-status": status, "aria-pressed": "false" });
  }

  #offerLater() {
    const { client } = this;
    const later = client.guest === null ? client.laterDates.length : 0; // a guest's key is good for one session
    setText(this.signatures, t("rsvp.following", { count: later }));
    show(/** @type {HTMLElement} */ (this.following.parentElement), later > 0);
    if (later === 0) this.following.checked = false;
  }

  #update() {
    const { hook, client } = this;
    const { session, me } = client;
    show(this, session !== null && hook.canRSVP && !client.isInstructor);
    if (session === null) return;
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.status === hook.rsvpStatus));
    }
    this.#offerLater();
    setText(this.answer, answerText(hook.rsvpStatus, me));
    const isCut = Boolean(me?.rsvp?.undeliverable) && hook.rsvpStatus !== "declined";
    setText(this.unreachable, isCut ? t("rsvp.unreachable") : "");
    show(this.unreachable, isCut);
    const comes = hook.rsvpStatus !== "declined" && !isCut && (client.guest === null || client.guest.hasOwnKey === true); // guests are told in their own card
    setText(this.reach, comes ? t(me?.rsvp ? "rsvp.reach" : "rsvp.reach.before") : "");
    show(this.reach, comes);
    const position = me?.rsvp?.position ?? null;
    const waits = position !== null && me?.rsvp?.seat === "waiting";
    setText(this.position, waits ? t("rsvp.position", { position }) : "");
    show(this.position, waits);
    setText(this.open, t(`rsvp.${client.audience}`));
  }
}

/**
 * @param {RsvpStatus | null} status
 * @param {Me | null} me
 */
function answerText(status, me) {
  if (status === null) return t(me ? "rsvp.is.none" : "rsvp.is.unknown");
  const more = me === null ? "rsvp.sign-in" : me.rsvp?.needsReconfirmation ? "rsvp.reconfirm" : null;
  return more === null ? t(`rsvp.is.${status}`) : `${t(`rsvp.is.${status}`)} ${t(more)}`;
}

/**
 * Seats left, or how many have confirmed where there is no limit.
 *
 * @param {Session} session
 */
export function seatsText(session) {
  const required = session.requiresRSVP ? ` ${t("seats.required")}` : "";
  if (session.maxParticipants === null) return t("seats.open", { count: session.counts.confirmed }) + required;
  const left = Math.max(0, session.maxParticipants - session.seatsTaken);
  const waiting = session.waitingCount ? ` ${t("seats.waiting", { count: session.waitingCount })}` : "";
  return t("seats.left", { count: left, max: session.maxParticipants }) + waiting + required;
}

customElements.define("podium-rsvp", PodiumRsvp);
