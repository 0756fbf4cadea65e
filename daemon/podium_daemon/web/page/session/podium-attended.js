// @ts-check
// Who attended, for those who lead: one row a person, and all of it as files.

import { action, announce, h, keyed, saveFile, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { clock, inZone, ownZone } from "../core/times.js";
import { ListPart } from "../parts/list-part.js";
import { section } from "../parts/section.js";
import "./podium-by-hand.js";

/** @import { Attendance, Person, SessionClient, Trouble } from "../core/types.js" */

const NAMES = ["attendance.joined", "attendance.duration", "attendance.percent", "attendance.joins", "attendance.completed"];

/** `<podium-attended>`; built by `setUp(client)`; `update()` after each change. */
export class PodiumAttended extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLTableSectionElement} */ body;
  /** @type {HTMLParagraphElement} */ nobody;
  /** @type {HTMLTableElement} */ table;
  /** @type {ListPart<Attendance>} */ list;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.body = h("tbody");
    const byHand = h("podium-by-hand");
    byHand.setUp(client);
    this.nobody = h("p", { class: "hint" }, t("attendance.nobody"));
    const csv = this.#file("attendance.csv", () => client.lead.attendanceFile("csv"));
    const intervals = this.#file("attendance.intervals", () => client.lead.attendanceFile("csv-intervals"));
    const chat = this.#file("chat.file", () => client.lead.chatFile(), "text/plain");
    this.table = tableOf("attendance.title", ["answers.person", ...NAMES], this.body);
    this.list = new ListPart({ search: "attendance.search", left: "attendance.left" }, (offset, sought) => client.lead.attended(offset, sought),
      () => this.update(), (error) => this.#failed(error));
    this.replaceChildren(section("attendance.title",
      this.list.search, this.nobody, this.table, this.list.rest, h("div", { class: "buttons" }, csv, intervals, chat), byHand, this.failure));
  }

  update() {
    const first = this.client.lists.attendance;
    const items = this.list.rows({ items: first?.items ?? [], total: first?.total ?? 0 });
    show(this.nobody, (first?.items.length ?? 0) === 0);
    show(this.table, items.length > 0);
    keyed(this.body, items, (one) => one.pubkey, row, (node, one) => fill(node, [
      one.joinedAt === null ? "–" : inZone(one.joinedAt, ownZone, { withDate: false }),
      clock(one.totalDuration),
      `${one.percent} %`,
      String(one.joinCount),
      [one.completedAt ? t(`completion.short.${one.completedBy}`) : "–", howKnown(one)].filter(Boolean).join("\n"),
    ]));
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
    return action(t(key), run, (error) => this.#failed(error));
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }
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

/** @param {Person} person */
function row(person) {
  const cells = NAMES.map((name) => h("td", { "data-label": t(name) }));
  return h("tr", {}, h("th", { scope: "row", title: person.npub }, person.name), ...cells);
}

/**
 * @param {HTMLElement} node
 * @param {string[]} texts
 */
function fill(node, texts) {
  texts.forEach((text, index) => setText(node.children[index + 1], text));
}

/**
 * How a person was known, where it was not by their own key.
 *
 * @param {{ assurance: string }} one
 */
export function howKnown({ assurance }) {
  return assurance === "signature" ? "" : t(`assurance.${assurance}`);
}

customElements.define("podium-attended", PodiumAttended);
