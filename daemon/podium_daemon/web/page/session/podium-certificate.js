// @ts-check
// The person's own certificate, once they have completed the session: to look at, to print, to keep.

import { action, h, saveFile, setText, show } from "../core/dom.js";
import { signed } from "../core/api.js";
import { describe, language, t } from "../core/i18n.js";
import "./podium-badges.js";

/** @import { SessionClient } from "../core/types.js" */
/** @import { PodiumBadge } from "./podium-badges.js" */

const MEDIA_TYPE = "image/svg+xml";

/** `<podium-certificate>`; `follow(client)` after each change. */
export class PodiumCertificate extends HTMLElement {
  /** @type {SessionClient | undefined} */ client;
  /** @type {HTMLImageElement} */ picture;
  /** @type {HTMLButtonElement} */ open;
  /** @type {HTMLDivElement} */ acts;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {PodiumBadge} */ badge;
  /** @type {{ text: string, name: string } | undefined} */ found;
  /** @type {string | null} */ owner = null;

  connectedCallback() {
    if (this.picture) return;
    this.picture = h("img", { class: "certificate", alt: t("certificate.picture"), hidden: true });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.open = action(t("certificate.open"), () => this.#show(), (error) => {
      setText(this.failure, describe(error));
      show(this.failure, true);
    }, { class: "primary" });
    this.acts = h("div", { class: "buttons", hidden: true },
      action(t("certificate.print"), () => this.#print(), () => {}),
      action(t("certificate.save"), () => this.found && saveFile(this.found, MEDIA_TYPE), () => {}),
      h("a", { class: "button quiet", href: "/verify", target: "_blank" }, t("certificate.check")));
    this.badge = h("podium-badge");
    const why = h("p", { class: "hint" }, t("certificate.why"));
    this.replaceChildren(why, this.open, this.failure, this.picture, this.acts, this.badge);
    this.hidden = true;
  }

  /** @param {SessionClient} client */
  follow(client) {
    this.client = client;
    const owner = client.me?.pubkey ?? null;
    if (owner !== this.owner) this.#forget();
    this.owner = owner;
    show(this, Boolean(client.me?.attendance?.completedAt));
  }

  /** What was shown to one person is gone with their login. */
  #forget() {
    this.found = undefined;
    this.picture.removeAttribute("src");
    show(this.picture, false);
    show(this.acts, false);
    show(this.open, true);
  }

  async #show() {
    show(this.failure, false);
    const { picture } = await signed("GET", `${this.client?.path}/certificate?language=${language}`);
    this.found = { text: picture, name: "podium-certificate.svg" };
    // a picture in an <img> runs no script and loads nothing, whatever stands in it
    this.picture.setAttribute("src", `data:${MEDIA_TYPE};charset=utf-8,${encodeURIComponent(picture)}`);
    show(this.picture, true);
    show(this.acts, true);
    show(this.open, false, /** @type {HTMLElement} */ (this.acts.firstElementChild));
    if (this.client) await this.badge.load(this.client);
  }

  #print() {
    document.body.classList.add("prints-certificate");
    addEventListener("afterprint", () => document.body.classList.remove("prints-certificate"), { once: true });
    print();
  }
}

customElements.define("podium-certificate", PodiumCertificate);
