// @ts-check
// Who answered and what became of each message: for those who lead. Below it stands who attended.

import { h, keyed, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { inZone, ownZone } from "../core/times.js";
import { ListPart } from "../parts/list-part.js";
import { section } from "../parts/section.js";
import { howKnown } from "./podium-attended.js";
import { seatsText } from "./podium-rsvp.js";

/** @import { Lists, Reminder, Rsvp, Session, SessionClient, Unreachable } from "../core/types.js" */

/** @import { PodiumAttended } from "./podium-attended.js" */

/** @typedef {HTMLLIElement & { answer: HTMLElement, messages: HTMLElement, more: HTMLElement }} ChipNode */

const LOST = ["failed", "missed", "undeliverable"]; // states of a message that did not reach its person

/** `<podium-answers>`; built by `setUp(client)`. */
export class PodiumAnswers extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLUListElement} */ chips;
  /** @type {HTMLParagraphElement} */ rsvpSummary;
  /** @type {HTMLParagraphElement} */ undeliverable;
  /** @type {HTMLUListElement} */ unreached;
  /** @type {ListPart<Rsvp>} */ list;
  /** @type {Map<string, Reminder[]>} */ told = new Map(); // of people whom the stream does not tell, by their key
  /** @type {PodiumAttended} */ attended;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.attended = h("podium-attended");
    this.attended.setUp(client);
    this.replaceChildren(this.#answers(), this.attended);
    client.subscribe(() => this.#update());
  }

  #answers() {
    this.chips = h("ul", { class: "answer-chips", "aria-label": t("answers.title") });
    this.rsvpSummary = h("p", { class: "hint" });
    this.undeliverable = h("p", { class: "warning" });
    this.unreached = h("ul", { class: "people" });
    this.list = new ListPart({ search: "answers.search", left: "answers.left" }, (offset, sought) => this.#read(offset, sought),
      () => this.#showAnswers(this.client.lists), (error) => {
        setText(this.failure, describe(error));
        show(this.failure, true);
      });
    return section("answers.title", this.rsvpSummary, this.undeliverable, this.unreached, this.list.search, this.chips, this.list.rest, this.failure);
  }

  /**
   * The stream tells the first people only.
   *
   * @param {number} offset
   * @param {string} sought
   */
  async #read(offset, sought) {
    show(this.failure, false);
    const { rsvps, reminders, total } = await this.client.lead.answers(offset, sought);
    for (const { pubkey } of rsvps) this.told.set(pubkey, reminders.filter((one) => one.pubkey === pubkey));
    return { items: rsvps, total };
  }

  #update() {
    const { client } = this;
    show(this, client.session !== null && client.leads);
    if (this.hidden) return;
    this.#showAnswers(client.lists);
    this.attended.update();
  }

  /** @param {Lists} lists */
  #showAnswers(lists) {
    const first = lists.rsvps?.items ?? [];
    const rsvps = this.list.rows({ items: first, total: lists.rsvps?.total ?? 0 });
    show(this.chips, rsvps.length > 0);
    const session = /** @type {Session} */ (this.client.session); // `#update` ends before this where there is none
    const seats = session.maxParticipants === null ? "" : `. ${seatsText(session)}`;
    setText(this.rsvpSummary, t("answers.summary", session.counts) + seats);
    const unreachable = lists.unreachable?.items ?? [];
    const missing = lists.unreachable?.total ?? 0;
    keyed(this.unreached, unreachable, (one) => one.pubkey, unreachedItem, sayWhat);
    show(this.unreached, missing > 0);
    setText(this.undeliverable, missing ? t("answers.undeliverable", { count: missing }) : "");
    show(this.undeliverable, missing > 0);
    const all = lists.reminders?.items ?? [];
    const live = new Set(first.map((one) => one.pubkey));
    const reminders = Map.groupBy ? Map.groupBy(all, (one) => one.pubkey) : grouped(all);
    for (const [pubkey, ones] of this.told) if (!live.has(pubkey)) reminders.set(pubkey, ones);
    keyed(this.chips, rsvps, (rsvp) => rsvp.pubkey, chip, (node, rsvp) => fillChip(node, rsvp, reminders.get(rsvp.pubkey) ?? []));
  }
}

/**
 * One person: name, answer and how their messages fare; the rest when it is opened.
 *
 * @param {Rsvp} rsvp
 * @returns {ChipNode}
 */
function chip(rsvp) {
  const [answer, messages] = [h("span", { class: "badge" }), h("span", { class: "hint" })];
  const more = h("p", { class: "text", dir: "auto" });
  const summary = h("summary", {}, h("span", { class: "who", dir: "auto", title: rsvp.npub }, rsvp.name), " ", answer, " ", messages);
  return Object.assign(h("li", {}, h("details", {}, summary, more)), { answer, messages, more });
}

/**
 * @param {ChipNode} node
 * @param {Rsvp} rsvp
 * @param {Reminder[]} reminders
 */
function fillChip(node, rsvp, reminders) {
  const waits = rsvp.seat === "waiting";
  const seat = waits ? t("answers.place", { position: rsvp.position }) : t(`seat-of.${rsvp.seat}`);
  const lost = reminders.filter((one) => LOST.includes(one.state)).length;
  const sent = reminders.filter((one) => one.state === "sent").length;
  setText(node.answer, [waits ? seat : t(`rsvp.short.${rsvp.status}`), howKnown(rsvp)].filter(Boolean).join(", "));
  setText(node.messages, lost > 0 ? t("answers.lost", { count: lost }) : sent > 0 ? t("answers.sent", { count: sent }) : "");
  node.classList.toggle("lost", lost > 0);
  setText(node.more, [rsvp.note, rsvp.seat === "none" ? "" : seat, ...reminders.map(reminderText)].filter(Boolean).join("\n") || "–");
}

/** @param {Unreachable} one */
function unreachedItem(one) {
  const item = h("li", {}, h("span", { title: one.npub }, one.name), h("span", { class: "hint" }));
  sayWhat(item, one);
  return item;
}

/**
 * What did not reach somebody.
 *
 * @param {HTMLElement} item
 * @param {Unreachable} one
 */
function sayWhat(item, one) {
  setText(/** @type {HTMLElement} */ (item.querySelector(".hint")), [...new Set(one.messages)].map((name) => t(`message.${name}`)).join(", "));
}

/**
 * One reminder of one person: what, when or what became of it, and the words of relays that refused it.
 *
 * @param {Reminder} one
 */
function reminderText(one) {
  const what = t(`message.${one.message}`);
  if (one.state === "scheduled") return t("reminder.scheduled", { what, time: inZone(one.dueAt, ownZone, { withDate: false }) });
  const why = one.reason ?? (one.state === "failed" ? one.relays.map(({ relay, said }) => `${relay}: ${said}`).join("; ") : "");
  return `${what}: ${t(`reminder.${one.state}`)}${why ? ` – ${why}` : ""}`;
}

/** @param {Reminder[]} items */
function grouped(items) {
  const map = new Map();
  for (const item of items) map.set(item.pubkey, [...(map.get(item.pubkey) ?? []), item]);
  return map;
}

customElements.define("podium-answers", PodiumAnswers);
