// @ts-check
// For people without a Nostr key: the way in by a name, and what a guest is told once they are in.

import { action, announce, freshId, h, saveFile, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { section } from "../parts/section.js";

/** @import { SessionClient, Trouble } from "../core/types.js" */

const MAX_NAME = 40;
const MIN_PASSWORD = 8;

/** `<podium-guest>`; built by `setUp(client)`. */
export class PodiumGuest extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLFormElement} */ form;
  /** @type {HTMLInputElement} */ name;
  /** @type {HTMLButtonElement} */ open;
  /** @type {HTMLParagraphElement} */ you;
  /** @type {HTMLElement} */ inside;
  /** @type {HTMLParagraphElement} */ reminders;
  /** @type {HTMLElement} */ calendar;
  /** @type {HTMLElement} */ key;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.open = h("button", { type: "button", on: { click: () => this.#ask() } }, t("guest.continue"));
    this.name = h("input", { id: freshId("guest"), maxlength: String(MAX_NAME), required: true, autocomplete: "name", dir: "auto" });
    const enter = action(t("guest.enter"), () => this.#enter(), (error) => this.#failed(error), { class: "primary" });
    this.form = h("form", { hidden: true, on: { submit: (/** @type {Event} */ event) => { event.preventDefault(); enter.click(); } } },
      h("div", { class: "field" }, h("label", { for: this.name.id }, t("guest.name")), this.name), h("p", { class: "hint" }, t("guest.hint")), h("div", { class: "buttons" }, enter));
    this.you = h("p", { dir: "auto", tabindex: "-1" });
    this.reminders = h("p", { class: "hint" });
    this.key = this.#keyForm();
    this.calendar = this.#calendar();
    this.inside = h("div", { hidden: true }, this.you, this.reminders, this.calendar, this.key);
    this.replaceChildren(section("guest.title", h("div", { class: "buttons" }, this.open), this.form, this.inside, this.failure));
    client.subscribe(() => this.#update());
    this.#update();
  }

  #ask() {
    show(this.form, true);
    this.name.focus();
    show(this.open, false, this.name);
  }

  async #enter() {
    show(this.failure, false);
    if (!this.form.reportValidity()) return;
    await this.client.enterAsGuest(this.name.value);
    announce(t("guest.you.guest", { name: this.client.guest?.name ?? "" }));
    this.you.focus(); // the form that had it is gone
  }

  /** A file, kept once, and an address that a calendar follows; both have alarms at the times of the reminders. */
  #calendar() {
    const address = h("output", { class: "text", tabindex: "0", hidden: true });
    const run = (/** @type {() => Promise<void>} */ what) => async () => {
      show(this.failure, false);
      await what();
    };
    const file = action(t("guest.calendar"), run(async () => saveFile(await this.client.acts.calendarFile(), "text/calendar")), (error) => this.#failed(error));
    const feed = action(t("guest.feed"), run(async () => {
      setText(address, await this.client.acts.calendarAddress());
      show(address, true);
      address.focus();
    }), (error) => this.#failed(error));
    return h("div", {}, h("div", { class: "buttons" }, file, feed), address);
  }

  #keyForm() {
    const password = h("input", { id: freshId("password"), type: "password", minlength: String(MIN_PASSWORD), maxlength: "256", required: true, autocomplete: "new-password" });
    const key = h("output", { class: "text", tabindex: "0", hidden: true });
    const give = action(t("guest.key.get"), async () => {
      show(this.failure, false);
      if (!password.reportValidity()) return;
      setText(key, await this.client.acts.takeKey(password.value));
      show(key, true);
      key.focus();
    }, (error) => this.#failed(error));
    return h("details", {}, h("summary", {}, t("guest.key")), h("p", { class: "hint" }, t("guest.key.hint")),
      h("div", { class: "field" }, h("label", { for: password.id }, t("guest.password")), password), h("div", { class: "buttons" }, give), key);
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }

  #update() {
    const { session, guest, isSignedIn } = this.client;
    const isOpen = session !== null && ["scheduled", "active"].includes(session.state);
    const mayCome = isOpen && session.guests === "anyone" && !isSignedIn;
    show(this, mayCome || (guest !== null && isSignedIn));
    show(this.form, mayCome && !this.form.hidden);
    show(this.open, mayCome && this.form.hidden);
    show(this.inside, guest !== null && isSignedIn);
    if (guest === null) return;
    setText(this.you, t(`guest.you.${guest.assurance}`, { name: guest.name }));
    const own = session?.e2eeRequired ? "guest.own-key.e2ee" : "guest.own-key";
    setText(this.reminders, t(guest.hasOwnKey ? own : "guest.reminders"));
    show(this.reminders, isOpen || guest.hasOwnKey === true);
    show(this.calendar, isOpen);
    show(this.key, !guest.hasOwnKey);
  }
}

customElements.define("podium-guest", PodiumGuest);
