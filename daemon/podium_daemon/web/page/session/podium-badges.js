// @ts-check
// The badge of a session (NIP-58): a participant asks for it beside their certificate, the instructor signs it.

import { action, announce, h, keyed, setText, show } from "../core/dom.js";
import { signAndSubmit, signed } from "../core/api.js";
import { describe, t } from "../core/i18n.js";
import { keptLogin } from "../core/login.js";
import { isGuest } from "../signer/signer.js";

/** @import { SessionClient, Trouble } from "../core/types.js" */
/** @typedef {{ askedAt: number | null, awardId: string | null }} Badge */
/** @typedef {{ pubkey: string, npub: string, name: string, awardId: string | null }} AskedBadge */

/** `<podium-badge>`, of a participant; `load(client)` once the certificate is shown. */
export class PodiumBadge extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ state;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLButtonElement} */ ask;
  /** @type {HTMLButtonElement} */ takeBack;

  connectedCallback() {
    if (this.state) return;
    this.state = h("p", { class: "hint" });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.ask = action(t("badge.ask"), () => this.#call("POST"), (error) => this.#fail(error));
    this.takeBack = action(t("badge.take-back"), () => this.#call("DELETE"), (error) => this.#fail(error), { class: "quiet" });
    this.replaceChildren(this.state, this.failure, h("div", { class: "buttons" }, this.ask, this.takeBack));
    this.hidden = true;
  }

  /** @param {SessionClient} client */
  async load(client) {
    this.client = client;
    if (client.session?.visibility !== "public" || isGuest()) return; // a badge is public, and names a key of one's own
    await this.#call("GET").catch((error) => this.#fail(error));
    this.hidden = false;
  }

  /** @param {"GET" | "POST" | "DELETE"} method */
  async #call(method) {
    show(this.failure, false);
    const badge = /** @type {Badge} */ (await signed(method, `${this.client.path}/badge`));
    const state = badge.awardId ? "awarded" : badge.askedAt ? "asked" : "none";
    setText(this.state, t(`badge.${state}`));
    const [shown, other] = state === "none" ? [this.ask, this.takeBack] : [this.takeBack, this.ask];
    show(other, false, method === "GET" ? undefined : shown);
    show(shown, state !== "awarded");
  }

  /** @param {Trouble} error */
  #fail(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }
}

/** `<podium-badges>`, of those who lead; `follow(client)` after each change of an ended session. */
export class PodiumBadges extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ text;
  /** @type {HTMLUListElement} */ list;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLButtonElement} */ sign;
  wasLeading = false;

  connectedCallback() {
    if (this.text) return;
    this.text = h("p", { class: "hint" });
    this.list = h("ul", { "aria-label": t("badges.list") });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.sign = action(t("badges.sign"), () => this.#sign(), (error) => {
      setText(this.failure, describe(error));
      show(this.failure, true);
    });
    this.replaceChildren(h("h3", {}, t("badges.title")), this.text, this.list, this.failure, h("div", { class: "buttons" }, this.sign));
    this.hidden = true;
  }

  /** @param {SessionClient} client */
  follow(client) {
    this.client = client;
    const leads = client.leads && client.session?.visibility === "public";
    if (leads && !this.wasLeading) this.#load().catch(() => {}); // the next sign-in loads it again
    if (!leads) this.hidden = true;
    this.wasLeading = leads;
  }

  async #load() {
    const { badges } = /** @type {{ badges: AskedBadge[] }} */ (await signed("GET", `${this.client.path}/badges`));
    const waiting = badges.filter((one) => one.awardId === null);
    setText(this.text, waiting.length > 0 ? t("badges.waiting", { count: waiting.length }) : t("badges.signed", { count: badges.length }));
    keyed(this.list, waiting, (one) => one.pubkey, () => h("li"), (item, one) => {
      item.title = one.npub;
      setText(item, one.name);
    });
    show(this.sign, waiting.length > 0 && keptLogin()?.pubkey === this.client.session?.instructorPubkey);
    this.hidden = badges.length === 0;
  }

  async #sign() {
    show(this.failure, false);
    await signAndSubmit(await signed("POST", `${this.client.path}/badges/draft`));
    announce(t("lead.done", { what: t("badges.sign") }));
    await this.#load();
  }
}

customElements.define("podium-badge", PodiumBadge);
customElements.define("podium-badges", PodiumBadges);
