// @ts-check
// Attendance that no program saw: those who lead vouch for a person's time, with a note.

import { dropDrafts, keepDraft } from "../core/drafts.js";
import { now } from "../core/api.js";
import { action, announce, freshId, h, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { fromWallClock, ownZone, toWallClock } from "../core/times.js";
import { pubkeysIn } from "../parts/people-field.js";
import { PodiumError } from "../signer/signer.js";

/** @import { SessionClient } from "../core/types.js" */

/** `<podium-by-hand>`; built by `setUp(client)`. */
export class PodiumByHand extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLInputElement} */ person;
  /** @type {HTMLInputElement} */ from;
  /** @type {HTMLInputElement} */ to;
  /** @type {HTMLInputElement} */ note;
  /** @type {HTMLParagraphElement} */ failure;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.person = h("input", { autocomplete: "off", spellcheck: "false" });
    this.from = h("input", { type: "datetime-local" });
    this.to = h("input", { type: "datetime-local" });
    this.note = h("input", { maxlength: "500", autocomplete: "off" });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    const save = action(t("by-hand.save"), () => this.#save(), (error) => {
      setText(this.failure, describe(error));
      show(this.failure, true);
    });
    const fields = { person: this.person, from: this.from, to: this.to, note: this.note };
    const rows = Object.entries(fields).map(([name, field]) => {
      keepDraft(`by hand ${name}`, field);
      field.id = freshId(name);
      return h("div", { class: "field" }, h("label", { for: field.id }, t(`by-hand.${name}`)), field);
    });
    const fill = () => this.from.value || this.#fillTimes();
    this.replaceChildren(h("details", { on: { toggle: fill } }, h("summary", {}, t("by-hand.title")),
      h("p", { class: "hint" }, t("by-hand.text")), ...rows, this.failure, h("div", { class: "buttons" }, save)));
  }

  /** The session's time so far. */
  #fillTimes() {
    const { session } = this.client;
    if (session === null) return;
    const to = Math.min(session.endedAt ?? now(), now()); // a time that has not passed is refused
    this.from.value = toWallClock(Math.min(session.startedAt ?? session.scheduledAt, to - 60), ownZone);
    this.to.value = toWallClock(to, ownZone);
  }

  async #save() {
    show(this.failure, false);
    const [pubkey] = pubkeysIn(this.person.value);
    if (!pubkey) return this.person.focus();
    const [from, to] = [this.from, this.to].map((field) => fromWallClock(field.value.slice(0, 16), ownZone));
    if (from === null || to === null || to <= from) throw new PodiumError("bad-times", t("by-hand.order"));
    await this.client.lead.recordAttendance(pubkey, from, to, this.note.value.trim());
    announce(t("lead.done", { what: t("by-hand.save") }));
    this.person.value = "";
    this.note.value = "";
    dropDrafts("by hand person", "by hand from", "by hand to", "by hand note");
  }
}

customElements.define("podium-by-hand", PodiumByHand);
