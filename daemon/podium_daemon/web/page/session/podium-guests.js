// @ts-check
// For those who lead: personal links for people without a Nostr key, made for one person each, renewed and taken back.

import { action, announce, freshId, h, keyed, saveFile, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { section } from "../parts/section.js";

/** @import { GuestRow, SessionClient, Trouble } from "../core/types.js" */

/** `<podium-guests>`; built by `setUp(client)`. */
export class PodiumGuests extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ policy;
  /** @type {HTMLTextAreaElement} */ names;
  /** @type {HTMLElement} */ form;
  /** @type {HTMLUListElement} */ list;
  /** @type {HTMLButtonElement} */ save;
  /** @type {HTMLParagraphElement} */ once;
  /** @type {GuestRow[]} */ rows;
  /** @type {Map<string, string>} */ links;

  #known = "";

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.rows = [];
    this.links = new Map(); // told once, so kept here until the page is left
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.policy = h("p", { class: "hint" });
    this.names = h("textarea", { id: freshId("guests"), rows: "4", dir: "auto" });
    const make = this.#action("guests.make", () => this.#make());
    this.form = h("div", {}, h("div", { class: "field" }, h("label", { for: this.names.id }, t("guests.names")), this.names), h("div", { class: "buttons" }, make));
    this.once = h("p", { class: "warning", role: "status", hidden: true }, t("guests.once"));
    this.save = this.#action("guests.file", async () => saveFile({ text: this.#csv(), name: "guests.csv" }, "text/csv"), { hidden: true });
    this.list = h("ul", { class: "people" });
    this.replaceChildren(section("guests.title", this.policy, this.form, this.once, h("div", { class: "buttons" }, this.save), this.list, this.failure));
    client.subscribe(() => this.#update());
  }

  /**
   * @param {string} key
   * @param {() => Promise<unknown>} run
   * @param {{ [name: string]: unknown }} [props]
   */
  #action(key, run, props = {}) {
    const guarded = async () => {
      show(this.failure, false);
      await run();
    };
    return action(t(key), guarded, (error) => this.#failed(error), props);
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }

  #update() {
    const { leads, session, lists } = this.client;
    show(this, leads && session !== null && (!this.#isOver || this.rows.length > 0));
    if (!leads || session === null) return;
    const came = (lists.room?.people ?? []).filter(({ assurance }) => assurance !== null).map(({ pubkey }) => pubkey);
    const key = [session.state, ...came.sort()].join(); // who comes by a link has opened it
    if (key === this.#known) return;
    this.#known = key;
    this.#read().catch((error) => this.#failed(error));
  }

  /** Links are good until the session's end. */
  get #isOver() {
    return !["scheduled", "active"].includes(this.client.session?.state ?? "");
  }

  async #read() {
    const { policy, guests } = await this.client.lead.guests();
    setText(this.policy, t(`guests.policy.${policy}`));
    show(this.policy, !this.#isOver);
    show(this.form, policy !== "off" && !this.#isOver);
    show(this, guests.length > 0 || !this.#isOver);
    this.rows = guests;
    this.#show();
  }

  async #make() {
    const names = this.names.value.split("\n").map((name) => name.trim()).filter(Boolean);
    if (names.length === 0) return;
    const { guests } = await this.client.lead.inviteGuests(names);
    this.names.value = "";
    for (const row of guests) if (row.link) this.links.set(row.pubkey, row.link);
    announce(t("guests.made", { count: guests.length }));
    await this.#read();
  }

  /**
   * @param {GuestRow} row
   * @param {"renew" | "revoke"} what
   */
  async #change(row, what) {
    const after = await this.client.lead.changeGuest(row.pubkey, what);
    if (after.link) this.links.set(row.pubkey, after.link);
    else this.links.delete(row.pubkey);
    announce(`${after.name}: ${t(`guests.state.${after.state}`)}`);
    await this.#read();
  }

  #csv() {
    const cell = (/** @type {string} */ text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
    const rows = this.rows.filter(({ pubkey }) => this.links.has(pubkey));
    return ["name,link", ...rows.map(({ name, pubkey }) => `${cell(name)},${cell(this.links.get(pubkey) ?? "")}`), ""].join("\r\n");
  }

  #show() {
    const tells = this.links.size > 0 && !this.#isOver;
    show(this.once, tells);
    show(this.save, tells);
    keyed(this.list, this.rows, ({ pubkey }) => pubkey, (row) => this.#card(row), (node, row) => this.#fill(node, row));
  }

  /** @param {GuestRow} row */
  #card(row) {
    const copy = this.#action("guests.copy", async () => {
      await navigator.clipboard.writeText(this.links.get(row.pubkey) ?? "");
      announce(t("guests.copied"));
    });
    const renew = this.#action("guests.renew", () => this.#change(row, "renew"));
    const revoke = this.#action("guests.revoke", () => this.#change(row, "revoke"), { class: "danger" });
    for (const button of [copy, renew, revoke]) button.setAttribute("aria-label", `${button.textContent}: ${row.name}`);
    return h("li", {}, h("bdi", {}), " ", h("span", { class: "hint" }), h("code", { hidden: true }), h("div", { class: "buttons" }, copy, renew, revoke));
  }

  /**
   * @param {HTMLElement} node
   * @param {GuestRow} row
   */
  #fill(node, row) {
    const [name, state, link, buttons] = /** @type {Iterable<HTMLElement>} */ (node.children);
    const [copy, renew, revoke] = /** @type {Iterable<HTMLElement>} */ (buttons.children);
    setText(renew, t(row.hasOwnKey ? "guests.release" : "guests.renew"));
    renew.setAttribute("aria-label", `${renew.textContent}: ${row.name}`);
    const told = this.#isOver ? "" : this.links.get(row.pubkey) ?? "";
    setText(name, row.name);
    setText(state, t(`guests.state.${row.state}`));
    setText(link, told);
    show(link, told !== "");
    show(copy, told !== "" && Boolean(navigator.clipboard));
    show(buttons, !this.#isOver);
    show(renew, row.assurance === "link");
    show(revoke, row.state !== "revoked");
  }
}

customElements.define("podium-guests", PodiumGuests);
