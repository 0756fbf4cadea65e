// @ts-check
// What invites people: the description, and the ways to keep the session or to hand it on.

import { action, announce, freshId, h, saveFile, setText, show, webUrl } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { drawQr } from "../signer/qr.js";

/** @import { Invitation, MarkupNode, Session, SessionClient, Trouble } from "../core/types.js" */

const ELEMENTS = new Set(["p", "h3", "h4", "h5", "ul", "ol", "li", "blockquote", "em", "strong", "a", "span", "code", "pre", "br", "hr"]);

/** `<podium-invitation>`; built by `setUp(client)`, shows the session it is told to `follow`. */
export class PodiumInvitation extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLElement} */ about;
  /** @type {HTMLDivElement} */ description;
  /** @type {HTMLElement} */ share;
  /** @type {HTMLDivElement} */ code;
  /** @type {HTMLAnchorElement} */ calendar;
  /** @type {HTMLButtonElement} */ ownCalendar;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {string | null} */ shown;
  /** @type {string[]} */ rows;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.shown = null;
    this.rows = [];
    const about = h("h2", { id: freshId("about") }, t("session.about"));
    this.description = h("div", { class: "description text", dir: "auto" });
    this.about = h("section", { class: "card", "aria-labelledby": about.id }, about, this.description);
    this.share = this.#buildShare();
    this.replaceChildren(this.about, this.share);
  }

  #buildShare() {
    const title = h("h2", { id: freshId("share") }, t("share.title"));
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    const failed = (/** @type {Trouble} */ error) => {
      setText(this.failure, describe(error));
      show(this.failure, true);
    };
    const copy = action(t("share.copy"), async () => {
      await navigator.clipboard.writeText(/** @type {Session} */ (this.client.session).joinUrl);
      announce(t("share.copied"));
      setText(copy, t("share.copied"));
    }, failed, { class: "quiet" });
    show(copy, Boolean(navigator.clipboard)); // there is none without HTTPS
    this.calendar = h("a", { class: "button quiet", download: "podium-session.ics" }, t("session.calendar"));
    this.ownCalendar = action(t("session.calendar"), async () => {
      show(this.failure, false);
      saveFile(await this.client.acts.calendarFile(), "text/calendar");
    }, failed, { class: "quiet" });
    this.code = h("div", { class: "code" });
    const qr = h("details", { on: { toggle: () => this.#drawCode() } }, h("summary", {}, t("share.qr")), this.code);
    const buttons = h("div", { class: "buttons" }, this.calendar, this.ownCalendar, copy);
    return h("section", { class: "card", "aria-labelledby": title.id }, title, buttons, qr, this.failure);
  }

  /** @param {Session} session */
  follow(session) {
    const isPrivate = session.visibility === "private";
    const isAhead = ["scheduled", "active"].includes(session.state);
    show(this.about, session.description !== "");
    show(this.share, isAhead);
    this.calendar.setAttribute("href", `${this.client.path}/calendar.ics`);
    const asOneself = isPrivate || this.client.guest !== null; // a guest's has alarms
    show(this.calendar, !asOneself);
    show(this.ownCalendar, asOneself);
    if (this.shown === session.description) return;
    this.shown = session.description;
    this.#showPlain(session);
    this.client.acts.invitation().then((invitation) => this.#fill(session, invitation), () => {}); // the text as it is stays
  }

  #drawCode() {
    const isOpen = /** @type {HTMLDetailsElement} */ (this.code.parentElement).open;
    if (isOpen && this.rows.length > 0) this.code.replaceChildren(drawQr(this.rows, t("share.qr.label")));
  }

  /** @param {Session} session */
  #showPlain(session) {
    this.description.classList.add("text");
    setText(this.description, session.description);
  }

  /**
   * @param {Session} session
   * @param {Invitation} invitation
   */
  #fill(session, invitation) {
    if (this.shown !== session.description) return; // it has changed meanwhile
    this.rows = invitation.qr;
    this.#drawCode();
    if (invitation.description === null) return;
    this.description.classList.remove("text");
    this.description.replaceChildren(...invitation.description.map(nodeOf));
  }
}

/**
 * A node of the tree that the daemon made of Markdown: a text, or one of a few elements.
 *
 * @param {MarkupNode} node
 * @returns {Node}
 */
function nodeOf({ tag, text, href, children }) {
  if (tag === "") return document.createTextNode(text);
  const inside = children.map(nodeOf);
  const target = tag === "a" ? webUrl(href) : null;
  if (target !== null) return h("a", { href: target, rel: "noopener noreferrer nofollow", target: "_blank" }, ...inside);
  const known = ELEMENTS.has(tag) && tag !== "a" ? tag : "span";
  return h(/** @type {"span"} */ (known), {}, ...inside);
}

customElements.define("podium-invitation", PodiumInvitation);
