// @ts-check
// What the instructor and co-hosts do, on the same page once they have signed in: start, door, lists, edit, cancel.

import { exactNow } from "../core/api.js";
import { action, announce, freshId, h, keyed, saveFile, setText, show } from "../core/dom.js";
import { describe, has, t } from "../core/i18n.js";
import { PersonActions, failsInto } from "../parts/person-actions.js";
import { shortNpub } from "../signer/podium-identity.js";
import { seatsText } from "./podium-rsvp.js";
import "./podium-session-form.js";
import { clock, inZone, ownZone } from "../core/times.js";

/** @import { Child, Props } from "../core/dom.js" */
/** @import { Attendance, Control, Lists, Person, Reminder, RoomPerson, Session, SessionClient, Trouble, Unreachable } from "../core/types.js" */
/** @import { PodiumSessionForm } from "./podium-session-form.js" */

/** @typedef {{ button: HTMLButtonElement, why: HTMLElement, key: string }} Switch */

/** `<podium-instructor>`; built by `setUp(client)`. */
export class PodiumInstructor extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLButtonElement} */ start;
  /** @type {HTMLButtonElement} */ end;
  /** @type {HTMLButtonElement} */ reopen;
  /** @type {HTMLButtonElement} */ restore;
  /** @type {HTMLButtonElement} */ edit;
  /** @type {HTMLButtonElement} */ cancel;
  /** @type {HTMLDialogElement} */ cancelDialog;
  /** @type {PodiumSessionForm} */ editor;
  /** @type {HTMLElement} */ heading;
  /** @type {HTMLButtonElement} */ admitAll;
  /** @type {HTMLUListElement} */ waiting;
  /** @type {HTMLUListElement} */ present;
  /** @type {HTMLParagraphElement} */ nobodyWaits;
  /** @type {HTMLParagraphElement} */ nobodyHere;
  /** @type {Switch} */ mute;
  /** @type {Switch} */ record;
  /** @type {HTMLButtonElement} */ nobodyLit;
  /** @type {HTMLParagraphElement} */ autoAdmit;
  /** @type {HTMLElement} */ doorCard;
  /** @type {HTMLTableSectionElement} */ rsvpRows;
  /** @type {HTMLParagraphElement} */ rsvpSummary;
  /** @type {HTMLParagraphElement} */ undeliverable;
  /** @type {HTMLUListElement} */ unreached;
  /** @type {HTMLTableElement} */ answersTable;
  /** @type {HTMLTableSectionElement} */ attendanceRows;
  /** @type {HTMLParagraphElement} */ nobodyCame;
  /** @type {HTMLTableElement} */ attendanceTable;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.replaceChildren(this.#controls(), this.#door(), this.#answers(), this.#attendance());
    client.subscribe(() => this.#update());
    setInterval(() => this.#nameStart(), 1000); // how early it is changes by itself
  }

  // -- building

  /**
   * @param {string} key
   * @param {() => unknown} run
   * @param {Props} [props]
   */
  #action(key, run, props = {}) {
    const guarded = async () => {
      show(this.failure, false);
      await run();
      announce(t("lead.done", { what: t(key) }));
    };
    return action(t(key), guarded, (error) => this.#failed(error), props);
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }

  #controls() {
    const { client } = this;
    this.start = this.#action("lead.start", () => client.start(), { class: "primary" });
    this.end = this.#action("lead.end", () => client.end(), { class: "danger" });
    this.reopen = this.#action("lead.reopen", () => client.reopen());
    this.restore = this.#action("lead.restore", () => client.restore());
    this.edit = h("button", { type: "button", on: { click: () => this.#openEditor() } }, t("lead.edit"));
    this.cancel = h("button", { type: "button", class: "danger", on: { click: () => this.cancelDialog.showModal() } }, t("lead.cancel"));
    this.cancelDialog = this.#makeCancelDialog();
    this.editor = h("podium-session-form", { hidden: true });
    const buttons = h("div", { class: "buttons" }, this.start, this.end, this.reopen, this.restore, this.edit, this.cancel);
    const card = section("lead.title", buttons, this.failure, this.editor, this.cancelDialog);
    this.heading = /** @type {HTMLElement} */ (card.firstElementChild);
    this.heading.tabIndex = -1;
    return card;
  }

  #makeCancelDialog() {
    const title = h("h2", { id: freshId("cancel") }, t("cancel.title"));
    const reason = h("textarea", { id: freshId("reason"), rows: "3", maxlength: "500" });
    const go = this.#action("cancel.go", async () => {
      await this.client.cancel(reason.value);
      this.cancelDialog.close();
    }, { class: "danger" });
    const back = h("button", { type: "button", on: { click: () => this.cancelDialog.close() } }, t("cancel.back"));
    return h("dialog", { "aria-labelledby": title.id },
      title, h("p", {}, t("cancel.text")), h("label", { for: reason.id }, t("cancel.reason")), reason, h("div", { class: "buttons" }, go, back));
  }

  #openEditor() {
    if (!this.editor.hidden) return this.editor.focusFirst(); // what was typed stays
    const done = () => {
      show(this.editor, false);
      this.edit.focus();
    };
    this.editor.edit(/** @type {Session} */ (this.client.session), async (fields) => {
      await this.client.edit(fields);
      announce(t("form.saved"));
      done();
    }, done);
    show(this.editor, true);
    this.editor.focusFirst();
  }

  #door() {
    this.admitAll = this.#action("door.all", () => this.client.admit(null));
    this.waiting = h("ul", { class: "people" });
    this.present = h("ul", { class: "people" });
    this.nobodyWaits = h("p", { class: "hint" }, t("door.nobody-waits"));
    this.nobodyHere = h("p", { class: "hint" }, t("door.nobody-here"));
    const controls = h("div", { class: "buttons" });
    this.mute = this.#switch("control.mute-all", (on) => this.client.muteAll(on), controls);
    this.record = this.#switch("control.record", (on) => this.client.record(on), controls);
    this.nobodyLit = this.#action("control.nobody-large", () => this.client.spotlight(null));
    controls.append(this.nobodyLit);
    this.autoAdmit = h("p", { class: "hint", hidden: true }, t("door.auto-admit"));
    this.doorCard = section("door.title",
      h("h3", {}, t("door.waiting")), this.autoAdmit, this.waiting, this.nobodyWaits, h("div", { class: "buttons" }, this.admitAll),
      h("h3", {}, t("door.present")), this.present, this.nobodyHere,
      h("h3", {}, t("control.title")), controls, this.mute.why, this.record.why);
    this.doorHeading = /** @type {HTMLElement} */ (this.doorCard.firstElementChild);
    this.doorHeading.tabIndex = -1;
    return this.doorCard;
  }

  /**
   * A button that is on or off, or that says where else it is done.
   *
   * @param {string} key
   * @param {(on: boolean) => unknown} run
   * @param {HTMLElement} place
   */
  #switch(key, run, place) {
    const why = h("p", { class: "hint", id: freshId("why"), hidden: true });
    const button = this.#action(key, () => run(button.getAttribute("aria-pressed") !== "true"), { "aria-pressed": "false", "aria-describedby": why.id });
    place.append(button);
    return { button, why, key };
  }

  /**
   * @param {Switch} given
   * @param {Control | undefined} control
   * @param {string} [reason]
   */
  #showSwitch({ button, why, key }, control, reason = "") {
    const text = control?.support === "native" ? reason : control ? t(`${key}.${control.support}`) : "";
    setText(why, text);
    show(why, text !== "");
    button.disabled = !control || (text !== "" && !control.active);
    button.setAttribute("aria-pressed", String(Boolean(control?.active)));
  }

  #answers() {
    this.rsvpRows = h("tbody");
    this.rsvpSummary = h("p", { class: "hint" });
    this.undeliverable = h("p", { class: "warning" });
    this.unreached = h("ul", { class: "people" });
    this.answersTable = tableOf("answers.title", ["answers.person", "answers.answer", "answers.seat", "answers.reminders"], this.rsvpRows);
    return section("answers.title", this.rsvpSummary, this.undeliverable, this.unreached, this.answersTable);
  }

  #attendance() {
    this.attendanceRows = h("tbody");
    this.nobodyCame = h("p", { class: "hint" }, t("attendance.nobody"));
    const csv = this.#action("attendance.csv", () => this.#download("csv"));
    const intervals = this.#action("attendance.intervals", () => this.#download("csv-intervals"));
    const names = ["answers.person", "attendance.joined", "attendance.duration", "attendance.joins", "attendance.completed"];
    this.attendanceTable = tableOf("attendance.title", names, this.attendanceRows);
    return section("attendance.title", this.nobodyCame, this.attendanceTable, h("div", { class: "buttons" }, csv, intervals));
  }

  /** @param {string} format */
  async #download(format) {
    saveFile(await this.client.attendanceFile(format), "text/csv");
  }

  // -- showing

  #update() {
    const { client } = this;
    const { session, lists } = client;
    show(this, session !== null && client.leads);
    if (session === null || !client.leads) return;
    const { state } = session;
    show(this.start, client.isInstructor && state === "scheduled", this.heading);
    this.#nameStart();
    show(this.end, client.isInstructor && state === "active", this.heading);
    show(this.reopen, client.isInstructor && state === "ended", this.heading);
    show(this.restore, client.isInstructor && session.canRestore && session.endsAt * 1000 > Date.now(), this.heading);
    show(this.edit, client.isInstructor && ["scheduled", "active"].includes(state), this.heading);
    show(this.cancel, client.isInstructor && state === "scheduled", this.heading);
    show(this.doorCard, ["scheduled", "active"].includes(state));
    this.#showDoor(lists.room?.people ?? []);
    this.#showSwitch(this.mute, lists.room?.muteAll);
    this.#showSwitch(this.record, lists.room?.recording, session.allowRecording ? "" : t("control.record.not-announced"));
    this.#showAnswers(lists);
    this.#showAttendance(lists.attendance?.items ?? []);
  }

  /** A start before the hour says how early it is: credit counts from it. */
  #nameStart() {
    const { session } = this.client;
    if (session?.state !== "scheduled") return;
    const minutes = Math.round((session.scheduledAt - exactNow()) / 60);
    const isEarly = minutes >= 1 && exactNow() >= session.doorsOpenAt; // earlier than that the start is refused
    setText(this.start, isEarly ? t("lead.start.early", { minutes }) : t("lead.start"));
  }

  /** @param {RoomPerson[]} people */
  #showDoor(people) {
    const waiting = oncePerPerson(people.filter((person) => person.state === "waiting"));
    const present = oncePerPerson(people.filter((person) => person.state === "present"));
    show(this.admitAll, waiting.length > 0, this.doorHeading);
    show(this.nobodyWaits, waiting.length === 0);
    show(this.nobodyHere, present.length === 0);
    const admit = (/** @type {RoomPerson} */ person) => this.#personAction("door.admit", person, () => this.client.admit([person.pubkey]));
    keyed(this.waiting, waiting, (person) => person.pubkey, (person) => personItem(person, admit(person)), sayWhy);
    keyed(this.present, present, (person) => person.pubkey, (person) => this.#presentItem(person), (node) => {
      node.actions.update(this.heading);
    });
    const { room } = this.client.lists;
    show(this.autoAdmit, Boolean(room?.autoAdmit && this.client.session?.waitingRoom));
    show(this.nobodyLit, room?.spotlight?.support === "native" && room.spotlight.pubkey !== null, this.heading);
  }

  /** @param {RoomPerson} person */
  #presentItem(person) {
    const actions = failsInto(new PersonActions(this.client, person.pubkey, ["mute", "speak", "spotlight", "remove"]), this.failure);
    const item = personItem(person, h("span", { class: "buttons" }, ...actions.nodes));
    return Object.assign(item, { actions });
  }

  /**
   * @param {string} key
   * @param {Person} person
   * @param {() => unknown} run
   */
  #personAction(key, person, run) {
    const name = t("door.of", { what: t(key), npub: shortNpub(person.npub) });
    return this.#action(key, run, { "aria-label": name });
  }

  /** @param {Lists} lists */
  #showAnswers(lists) {
    const rsvps = lists.rsvps?.items ?? [];
    show(this.answersTable, rsvps.length > 0);
    const session = /** @type {Session} */ (this.client.session); // `#update` ends before this where there is none
    const seats = session.maxParticipants === null ? "" : `. ${seatsText(session)}`;
    setText(this.rsvpSummary, t("answers.summary", session.counts) + seats);
    const unreachable = lists.unreachable?.items ?? [];
    const missing = lists.unreachable?.total ?? 0;
    keyed(this.unreached, unreachable, (one) => one.pubkey, unreachedItem, sayWhat);
    show(this.unreached, missing > 0);
    setText(this.undeliverable, missing ? t("answers.undeliverable", { count: missing }) : "");
    show(this.undeliverable, missing > 0);
    const reminders = Map.groupBy ? Map.groupBy(lists.reminders?.items ?? [], (one) => one.pubkey) : grouped(lists.reminders?.items ?? []);
    keyed(this.rsvpRows, rsvps, (rsvp) => rsvp.pubkey,
      (rsvp) => row(rsvp, ["answers.answer", "answers.seat", "answers.reminders"]),
      (node, rsvp) => fill(node, [
        [t(`rsvp.short.${rsvp.status}`), rsvp.note].filter(Boolean).join("\n"),
        rsvp.seat === "waiting" ? t("answers.place", { position: rsvp.position }) : t(`seat-of.${rsvp.seat}`),
        (reminders.get(rsvp.pubkey) ?? []).map(reminderText).join("\n") || "–",
      ]));
  }

  /** @param {Attendance[]} items */
  #showAttendance(items) {
    show(this.nobodyCame, items.length === 0);
    show(this.attendanceTable, items.length > 0);
    const names = ["attendance.joined", "attendance.duration", "attendance.joins", "attendance.completed"];
    keyed(this.attendanceRows, items, (one) => one.pubkey, (one) => row(one, names),
      (node, one) => fill(node, [
        one.joinedAt === null ? "–" : inZone(one.joinedAt, ownZone, { withDate: false }),
        clock(one.totalDuration),
        String(one.joinCount),
        one.completedAt ? t(`completion.short.${one.completedBy}`) : "–",
      ]));
  }
}

/**
 * @param {string} key
 * @param {Child[]} children
 */
function section(key, ...children) {
  const title = h("h2", { id: freshId("lead") }, t(key));
  return h("section", { class: "card", "aria-labelledby": title.id }, title, ...children);
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
  return h("tr", {}, h("th", { scope: "row", title: person.npub }, shortNpub(person.npub)), ...cells);
}

/**
 * @param {HTMLElement} node
 * @param {string[]} texts
 */
function fill(node, texts) {
  texts.forEach((text, index) => setText(node.children[index + 1], text));
}

/**
 * @param {RoomPerson} person
 * @param {HTMLElement} button
 */
function personItem(person, button) {
  const role = person.role === "participant" ? "" : ` · ${t(`role.${person.role}`)}`;
  const item = h("li", {}, h("span", { title: person.npub }, shortNpub(person.npub) + role), h("span", { class: "hint" }), button);
  sayWhy(item, person);
  return item;
}

/**
 * Why somebody waits whom letting in does not bring in: no seat, no consent, nothing has begun.
 *
 * @param {HTMLElement} item
 * @param {RoomPerson} person
 */
function sayWhy(item, person) {
  const key = `door.waits.${person.waitingFor}`;
  const hint = /** @type {HTMLElement} */ (item.querySelector(".hint"));
  setText(hint, person.waitingFor && has(key) ? t(key) : "");
  show(hint, hint.textContent !== "");
}

/** @param {Unreachable} one */
function unreachedItem(one) {
  const item = h("li", {}, h("span", { title: one.npub }, shortNpub(one.npub)), h("span", { class: "hint" }));
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

/** @param {RoomPerson[]} people */
function oncePerPerson(people) {
  return [...new Map(people.map((person) => [person.pubkey, person])).values()];
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

customElements.define("podium-instructor", PodiumInstructor);
