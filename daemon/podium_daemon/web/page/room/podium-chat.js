// @ts-check
// The chat of the room: its lines, a field to write, and for those who lead its switch, its export and deleting a line.

import { dropDrafts, keepDraft } from "../core/drafts.js";
import { action, freshId, h, keyed, saveFile, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { npubOf } from "../core/npub.js";
import { inZone, ownZone } from "../core/times.js";
import { nameOf } from "../parts/avatar.js";
import { withIcon } from "../parts/icons.js";
import { linked } from "../parts/linked-text.js";

/** @import { SessionClient, Trouble } from "../core/types.js" */
/** @import { ChatLine, ChatLog } from "./chat-log.js" */

const MAX_TEXT = 1000; // characters; the daemon takes no more
const NEAR = 40; // px from the end at which the list follows what comes

/** @typedef {HTMLLIElement & { who: HTMLElement, deletes: HTMLButtonElement | null }} LineNode */

/** `<podium-chat>`; built by `setUp(client)`. Shows itself while one sits in the room. */
export class PodiumChat extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLOListElement} */ list;
  /** @type {HTMLParagraphElement} */ hint;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLTextAreaElement} */ text;
  /** @type {HTMLInputElement} */ isPrivate;
  /** @type {HTMLFormElement} */ form;
  /** @type {HTMLButtonElement} */ send;
  /** @type {HTMLButtonElement} */ closed;
  /** @type {HTMLElement} */ lead;
  /** @type {object | null} */ refused;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.refused = null;
    this.list = h("ol", { class: "chat" });
    this.hint = h("p", { class: "hint" });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.closed = this.#action("chat.closed", () => client.lead.switchChat(this.closed.getAttribute("aria-pressed") === "true"), { "aria-pressed": "false" });
    const save = this.#action("chat.save", () => saveFile({ text: this.#asText(), name: "chat.txt" }, "text/plain"));
    this.lead = h("div", { class: "buttons small" }, this.closed, save);
    this.form = this.#makeForm();
    this.replaceChildren(h("div", { role: "log", "aria-label": t("tab.chat") }, this.list), this.hint, this.form, this.lead);
    client.subscribe(() => this.#update());
    this.#update();
  }

  /** @returns {ChatLog | null} */
  get log() {
    return this.client.seat?.chat ?? null;
  }

  /** How many came since the list was last in sight. */
  get fresh() {
    const { log } = this;
    if (log && this.checkVisibility()) log.fresh.clear();
    return log?.fresh.size ?? 0;
  }

  #makeForm() {
    const typed = (/** @type {KeyboardEvent} */ event) => this.#typed(event);
    this.text = keepDraft("chat", h("textarea", { id: freshId("chat"), rows: "2", maxlength: MAX_TEXT, required: true, dir: "auto", on: { keydown: typed } }));
    this.isPrivate = h("input", { type: "checkbox" });
    this.send = h("button", { type: "submit", class: "primary" }, t("chat.send"));
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#say();
    };
    return h("form", { class: "write chat-write", on: { submit } },
      this.failure, h("label", { for: this.text.id, class: "unseen" }, t("chat.text")), this.text,
      h("div", { class: "buttons" }, h("label", { class: "check" }, this.isPrivate, t("chat.private")), this.send));
  }

  /** @param {KeyboardEvent} event */
  #typed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#say();
  }

  async #say() {
    const text = this.text.value.trim();
    if (text === "" || this.log === null || this.client.seat?.state !== "seated") return;
    show(this.failure, false);
    this.text.value = "";
    dropDrafts("chat");
    await this.log.say(text, this.isPrivate.checked);
  }

  /**
   * @param {string} key
   * @param {() => unknown} run
   * @param {object} [props]
   */
  #action(key, run, props = {}) {
    return action(t(key), run, (/** @type {Trouble} */ error) => this.#fail(describe(error)), { class: "quiet", ...props });
  }

  /** @param {string} text */
  #fail(text) {
    setText(this.failure, text);
    show(this.failure, true);
  }

  #update() {
    const { client, log } = this;
    show(this, log !== null && ["seated", "returning"].includes(client.seat?.state ?? ""));
    if (log === null || this.hidden) return;
    const place = /** @type {HTMLElement} */ (this.closest(".panel-body") ?? this.list);
    const follows = place.scrollHeight - place.scrollTop - place.clientHeight < NEAR;
    const { lines } = log;
    const readable = lines.filter((line) => line.text !== null);
    keyed(this.list, readable, (line) => line.id, (line) => this.#make(line), (node, line) => this.#show(node, line));
    const locked = lines.length - readable.length;
    setText(this.hint, !log.canWrite ? t("chat.no-key") : locked > 0 ? t("chat.locked", { count: locked }) : lines.length > 0 ? "" : t("chat.none"));
    show(this.hint, this.hint.textContent !== "");
    const isShut = !log.isOpen && !client.leads;
    this.isPrivate.disabled = isShut;
    if (isShut) this.isPrivate.checked = true;
    this.text.placeholder = t(isShut ? "chat.shut" : "chat.text");
    this.send.disabled = !log.canWrite;
    show(this.lead, client.leads);
    this.closed.setAttribute("aria-pressed", String(!log.isOpen));
    if (log.refused !== this.refused) this.#handBack(log);
    if (follows) place.scrollTop = place.scrollHeight;
  }

  /**
   * A line that was not taken stands in the field again, with the reason.
   *
   * @param {ChatLog} log
   */
  #handBack({ refused }) {
    this.refused = refused;
    if (refused === null) return;
    if (this.text.value === "") this.text.value = refused.text;
    this.#fail(t(`chat.refused.${refused.reason}`));
  }

  /**
   * @param {ChatLine} line
   * @returns {LineNode}
   */
  #make(line) {
    const who = h("span", { class: "who", dir: "auto", title: npubOf(line.from) });
    const time = h("time", { datetime: new Date(line.at * 1000).toISOString() }, inZone(line.at, ownZone, { withDate: false }));
    const badge = line.isPrivate ? h("span", { class: "badge" }, t("chat.is-private")) : null;
    const deletes = this.client.leads ? withIcon(this.#action("chat.delete", () => this.client.lead.deleteChatLine(line.id), { class: "more" }), "remove-line") : null;
    const node = h("li", { class: line.isPrivate ? "private" : "" }, h("div", { class: "head" }, h("span", {}, who, " ", time, " ", badge), deletes), h("p", { class: "text", dir: "auto" }, ...linked(line.text ?? "")));
    return Object.assign(node, { who, deletes });
  }

  /**
   * @param {LineNode} node
   * @param {ChatLine} line
   */
  #show({ who, deletes }, line) {
    const name = line.from === this.client.me?.pubkey ? t("room.you") : nameOf(this.client, line.from);
    setText(who, name);
    deletes?.setAttribute("aria-label", t("door.of", { what: t("chat.delete"), npub: name }));
  }

  #asText() {
    const said = (this.log?.lines ?? []).filter((line) => line.text !== null).map((line) => {
      const at = new Date(line.at * 1000).toISOString().slice(0, 19).replace("T", " ");
      return `${at} ${nameOf(this.client, line.from)}${line.isPrivate ? ` (${t("chat.is-private")})` : ""}: ${line.text?.replaceAll("\n", "\n    ")}\n`;
    });
    return `${this.client.session?.title}\n\n${said.join("")}`;
  }
}

customElements.define("podium-chat", PodiumChat);
