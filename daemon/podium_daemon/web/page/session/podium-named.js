// @ts-check
// Co-hosts and invited people, with what became of each invitation; the instructor names and unnames them here.

import { action, announce, freshId, h, keyed, setText, show } from "../core/dom.js";
import { describe, has, t } from "../core/i18n.js";
import { avatar, fillAvatar, nameOf } from "../parts/avatar.js";
import { pubkeysIn } from "../parts/people-field.js";
import { section } from "../parts/section.js";

/** @import { Props } from "../core/dom.js" */
/** @import { NamedPerson, SessionClient, Trouble } from "../core/types.js" */

/** @typedef {HTMLLIElement & { face: HTMLElement, name: HTMLElement, hint: HTMLElement, change: HTMLButtonElement, role: string }} NamedNode */

/** `<podium-named>`; built by `setUp(client)`. */
export class PodiumNamed extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ nobody;
  /** @type {HTMLUListElement} */ list;
  /** @type {HTMLInputElement} */ keys;
  /** @type {HTMLElement} */ naming;
  /** @type {HTMLElement} */ heading;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.nobody = h("p", { class: "hint" }, t("named.nobody"));
    this.list = h("ul", { class: "people" });
    this.keys = h("input", { id: freshId("named"), autocomplete: "off", spellcheck: "false" });
    const hint = h("span", { class: "hint" }, ` ${t("named.who.hint")}`);
    this.naming = h("div", { class: "field" }, h("label", { for: this.keys.id }, t("named.who"), hint), this.keys, h("div", { class: "buttons" },
      this.#action("named.add-co-host", () => this.#add("co-host")), this.#action("named.invite", () => this.#add("invited"))));
    const card = section("named.title", this.nobody, this.list, this.naming, this.failure);
    this.heading = /** @type {HTMLElement} */ (card.firstElementChild);
    this.heading.tabIndex = -1;
    this.replaceChildren(card);
    client.subscribe(() => this.#update());
  }

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
    const failed = (/** @type {Trouble} */ error) => {
      setText(this.failure, describe(error));
      show(this.failure, true);
    };
    return action(t(key), guarded, failed, props);
  }

  get #people() {
    return this.client.lists.named?.items ?? [];
  }

  /** @param {"co-host" | "invited"} role */
  async #add(role) {
    const pubkeys = pubkeysIn(this.keys.value);
    if (pubkeys.length === 0) return this.keys.focus();
    await this.#publish([...this.#people.filter((one) => !pubkeys.includes(one.pubkey)), ...pubkeys.map((pubkey) => ({ pubkey, role }))]);
    this.keys.value = "";
  }

  /** @param {{ pubkey: string, role: string }[]} people */
  #publish(people) {
    const named = (/** @type {string} */ role) => people.filter((one) => one.role === role).map((one) => one.pubkey);
    return this.client.lead.edit({ coHosts: named("co-host"), invited: named("invited") });
  }

  /** @param {string} pubkey */
  async #swap(pubkey) {
    const isPrivate = this.client.session?.visibility === "private"; // there an invitation is what lets a person in
    const others = this.#people.filter((one) => one.pubkey !== pubkey);
    const wasCoHost = this.#people.some((one) => one.pubkey === pubkey && one.role === "co-host");
    if (!wasCoHost) return this.#publish([...others, { pubkey, role: "co-host" }]);
    return this.#publish(isPrivate ? [...others, { pubkey, role: "invited" }] : others);
  }

  #update() {
    const { client } = this;
    const { session } = client;
    show(this, session !== null && client.leads);
    if (session === null || !client.leads) return;
    const people = this.#people;
    const canName = client.isInstructor && ["scheduled", "active"].includes(session.state);
    keyed(this.list, people, (one) => `${one.role} ${one.pubkey}`, (one) => this.#make(one), (node, one) => {
      fillAvatar(node.face, client, one.pubkey);
      setText(node.name, nameOf(client, one.pubkey));
      setText(node.hint, this.#about(one));
      show(node.change, canName, this.heading);
    });
    show(this, canName || people.length > 0);
    show(this.list, people.length > 0);
    show(this.nobody, people.length === 0);
    show(this.naming, canName, this.heading);
  }

  /**
   * @param {NamedPerson} one
   * @returns {NamedNode}
   */
  #make(one) {
    const { pubkey, role } = one;
    const face = avatar(this.client, pubkey);
    const name = h("span", { class: "who", dir: "auto", title: one.npub });
    const hint = h("span", { class: "hint" });
    const key = role === "co-host" ? "named.unname" : "named.make-co-host";
    const change = this.#action(key, () => this.#swap(pubkey), { class: "quiet", "aria-label": t("door.of", { what: t(key), npub: nameOf(this.client, pubkey) }) });
    const node = h("li", { class: "person" }, face, h("span", { class: "about" }, name, hint), h("span", { class: "acts" }, change));
    return Object.assign(node, { face, name, hint, change, role });
  }

  /** @param {NamedPerson} one */
  #about({ role, invitation, reason }) {
    const key = `reminder.${invitation}`;
    const state = invitation === null ? t("named.not-sent") : has(key) ? t("named.invitation", { state: t(invitation === "scheduled" ? "named.waits" : key) }) : invitation;
    return [t(`named.role.${role}`), state, reason].filter(Boolean).join(" · ");
  }
}

customElements.define("podium-named", PodiumNamed);
