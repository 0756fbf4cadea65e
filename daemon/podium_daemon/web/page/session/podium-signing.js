// @ts-check
// An act that takes several signatures: what is to be signed is shown before the first one, and how far it has come after each.

import { action, announce, freshId, h, setText, show } from "../core/dom.js";
import { describe, locale, t } from "../core/i18n.js";
import { signAndSubmit } from "../core/api.js";
import { inZone, isZone } from "../core/times.js";

/** @import { Draft, Unsigned } from "../core/types.js" */

const SESSION = 31923;
const DELETION = 5;
const CALENDAR = 31924;

/** `<podium-signing>`; empty until `ask(draft)`. */
export class PodiumSigning extends HTMLElement {
  /**
   * Show what the draft of a series takes, and sign it when the person says so: true once all of it is published, false if
   * they leave it. What is published stands; of a draft that was stopped the rest can be signed.
   *
   * @param {Draft} draft
   * @returns {Promise<boolean>}
   */
  ask(draft) {
    return new Promise((settle) => {
      this.#build(draft, (done) => {
        this.replaceChildren();
        settle(done);
      });
    });
  }

  /**
   * @param {Draft} draft
   * @param {(done: boolean) => void} settle
   */
  #build(draft, settle) {
    const of = draft.events.length;
    const title = h("h2", { id: freshId("signing"), tabindex: "-1" }, t("signing.title"));
    const text = h("p", {}, t("signing.count", { signatures: t("signing.signatures", { count: of }), what: whatOf(draft.events) }));
    const dates = draft.events.filter(({ kind }) => kind === SESSION).map((event) => ({ event, said: h("span", { class: "hint" }) }));
    const list = h("ol", { class: "dates" }, ...dates.map(({ event, said }) => h("li", {}, dateOf(event), " ", said)));
    const progress = h("p", { class: "hint", role: "status" });
    const failure = h("p", { class: "failure", role: "alert", hidden: true });
    const follow = () => {
      const done = of - draft.events.length;
      setText(progress, t("signing.progress", { done, of }));
      for (const { event, said } of dates) if (!draft.events.includes(event)) setText(said, t("signing.published"));
    };
    const go = action(t("signing.go"), async () => {
      show(failure, false);
      show(back, false, title);
      follow();
      try {
        await signAndSubmit(draft, follow);
      } finally {
        show(back, true);
      }
      announce(t("form.saved"));
      settle(true);
    }, (error) => {
      setText(failure, `${describe(error)} ${t("signing.stopped")}`);
      show(failure, true);
      setText(go, t("signing.rest", { count: draft.events.length }));
    }, { class: "primary" });
    const back = h("button", { type: "button", on: { click: () => settle(false) } }, t("signing.back"));
    const card = h("section", { class: "card", "aria-labelledby": title.id }, title, text, list, progress, failure, h("div", { class: "buttons" }, go, back));
    this.replaceChildren(card);
    title.focus();
  }
}

/** @param {Unsigned[]} events */
function whatOf(events) {
  const count = (/** @type {number} */ wanted) => events.filter(({ kind }) => kind === wanted).length;
  const parts = [];
  if (count(DELETION)) parts.push(t("signing.cancellations", { count: count(DELETION) }));
  else parts.push(t("signing.sessions", { count: count(SESSION) }));
  if (count(CALENDAR)) parts.push(t("signing.calendar"));
  return new Intl.ListFormat(locale).format(parts);
}

/** @param {Unsigned} event */
function dateOf({ tags }) {
  const value = (/** @type {string} */ name) => tags.find((tag) => tag[0] === name)?.[1] ?? "";
  const zone = value("start_tzid");
  return inZone(Number(value("start")), isZone(zone) ? zone : "UTC");
}

customElements.define("podium-signing", PodiumSigning);
