// @ts-check
// Who answered and what became of each message, and who attended: for those who lead.

import { action, announce, h, keyed, saveFile, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { clock, inZone, ownZone } from "../core/times.js";
import { section } from "../parts/section.js";
import "./podium-by-hand.js";
import { seatsText } from "./podium-rsvp.js";

/** @import { Answers, Attendance, Lists, Person, Reminder, Rsvp, Session, SessionClient, Trouble, Unreachable } from "../core/types.js" */

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
  /** @type {HTMLParagraphElement} */ more;
  /** @type {HTMLButtonElement} */ showMore;
  /** @type {Answers} */ further = { rsvps: [], reminders: [], total: 0 };
  /** @type {HTMLTableSectionElement} */ attendanceRows;
  /** @type {HTMLParagraphElement} */ nobodyCame;
  /** @type {HTMLTableElement} */ attendanceTable;
  /** @type {HTMLParagraphElement} */ others;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.replaceChildren(this.#answers(), this.#attendance());
    client.subscribe(() => this.#update());
  }

  #answers() {
    this.chips = h("ul", { class: "answer-chips", "aria-label": t("answers.title") });
    this.rsvpSummary = h("p", { class: "hint" });
    this.undeliverable = h("p", { class: "warning" });
    this.unreached = h("ul", { class: "people" });
    this.more = h("p", { class: "hint" });
    this.showMore = action(t("answers.more"), () => this.#readMore(), (/** @type {Trouble} */ error) => {
      setText(this.failure, describe(error));
      show(this.failure, true);
    });
    const rest = h("div", { class: "buttons" }, this.showMore);
    return section("answers.title", this.rsvpSummary, this.undeliverable, this.unreached, this.chips, this.more, rest);
  }

  /** The stream tells the first people only; the others are read once, when the leader asks for them. */
  async #readMore() {
    show(this.failure, false);
    const shown = (this.client.lists.rsvps?.items.length ?? 0) + this.further.rsvps.length;
    const part = await this.client.answers(shown);
    this.further = { ...part, rsvps: [...this.further.rsvps, ...part.rsvps], reminders: [...this.further.reminders, ...part.reminders] };
    this.#showAnswers(this.client.lists);
  }

  #attendance() {
    this.attendanceRows = h("tbody");
    const byHand = h("podium-by-hand");
    byHand.setUp(this.client);
    this.nobodyCame = h("p", { class: "hint" }, t("attendance.nobody"));
    const csv = this.#file("attendance.csv", () => this.client.attendanceFile("csv"));
    const intervals = this.#file("attendance.intervals", () => this.client.attendanceFile("csv-intervals"));
    const chat = this.#file("chat.file", () => this.client.chatFile(), "text/plain");
    const names = ["answers.person", "attendance.joined", "attendance.duration", "attendance.percent", "attendance.joins", "attendance.completed"];
    this.attendanceTable = tableOf("attendance.title", names, this.attendanceRows);
    this.others = h("p", { class: "hint" });
    return section("attendance.title", this.nobodyCame, this.attendanceTable, this.others, h("div", { class: "buttons" }, csv, intervals, chat), byHand, this.failure);
  }

  /**
   * @param {string} key
   * @param {() => Promise<{ text: string, name: string }>} fetched
   * @param {string} [type]
   */
  #file(key, fetched, type = "text/csv") {
    const run = async () => {
      show(this.failure, false);
      saveFile(await fetched(), type);
      announce(t("lead.done", { what: t(key) }));
    };
    return action(t(key), run, (/** @type {Trouble} */ error) => {
      setText(this.failure, describe(error));
      show(this.failure, true);
    });
  }

  #update() {
    const { client } = this;
    show(this, client.session !== null && client.leads);
    if (this.hidden) return;
    this.#showAnswers(client.lists);
    this.#showAttendance(client.lists.attendance?.items ?? [], client.lists.attendance?.total ?? 0);
  }

  /** @param {Lists} lists */
  #showAnswers(lists) {
    const first = lists.rsvps?.items ?? [];
    const live = new Set(first.map((one) => one.pubkey));
    const rsvps = [...first, ...this.further.rsvps.filter((one) => !live.has(one.pubkey))];
    const left = Math.max(0, (lists.rsvps?.total ?? 0) - rsvps.length);
    setText(this.more, left ? t("answers.left", { count: left }) : "");
    show(this.more, left > 0);
    show(this.showMore, left > 0);
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
    const told = [...(lists.reminders?.items ?? []), ...this.further.reminders.filter((one) => !live.has(one.pubkey))];
    const reminders = Map.groupBy ? Map.groupBy(told, (one) => one.pubkey) : grouped(told);
    keyed(this.chips, rsvps, (rsvp) => rsvp.pubkey, chip, (node, rsvp) => fillChip(node, rsvp, reminders.get(rsvp.pubkey) ?? []));
  }

  /**
   * @param {Attendance[]} items
   * @param {number} total
   */
  #showAttendance(items, total) {
    const left = total - items.length;
    setText(this.others, left > 0 ? t("attendance.left", { count: left }) : "");
    show(this.others, left > 0);
    show(this.nobodyCame, items.length === 0);
    show(this.attendanceTable, items.length > 0);
    const names = ["attendance.joined", "attendance.duration", "attendance.percent", "attendance.joins", "attendance.completed"];
    keyed(this.attendanceRows, items, (one) => one.pubkey, (one) => row(one, names),
      (node, one) => fill(node, [
        one.joinedAt === null ? "–" : inZone(one.joinedAt, ownZone, { withDate: false }),
        clock(one.totalDuration),
        `${one.percent} %`,
        String(one.joinCount),
        [one.completedAt ? t(`completion.short.${one.completedBy}`) : "–", howKnown(one)].filter(Boolean).join("\n"),
      ]));
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

/**
 * @param {string} caption
 * @param {string[]} names
 * @param {HTMLElement} body
 */
function tableOf(caption, names, body) {
  const head = h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, t(name)))));
  return h("table", {}, h("caption", { class: "unseen" }, t(caption)), head, body);
}

/**
 * @param {Person} person
 * @param {string[]} names
 */
function row(person, names) {
  const cells = names.map((name) => h("td", { "data-label": t(name) }));
  return h("tr", {}, h("th", { scope: "row", title: person.npub }, person.name), ...cells);
}

/**
 * @param {HTMLElement} node
 * @param {string[]} texts
 */
function fill(node, texts) {
  texts.forEach((text, index) => setText(node.children[index + 1], text));
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

/**
 * How a person was known, where it was not by their own key.
 *
 * @param {{ assurance: string }} one
 */
function howKnown({ assurance }) {
  return assurance === "signature" ? "" : t(`assurance.${assurance}`);
}

customElements.define("podium-answers", PodiumAnswers);
