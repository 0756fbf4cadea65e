// Who one is here: a button to prove it once, then the public key; what to install where there is no signer.

import { action, freshId, h, setText, show } from "./dom.js";
import { describe, t } from "./i18n.js";
import { extension } from "./signer.js";

/** `<podium-identity>`; the page sets `client`. */
export class PodiumIdentity extends HTMLElement {
  set client(client) {
    const failure = h("p", { class: "failure", role: "alert", hidden: true });
    const failed = (error) => {
      setText(failure, describe(error));
      show(failure, true);
    };
    const signIn = action(t("identity.show"), () => client.signIn(), failed, { class: "quiet" });
    const hint = h("p", { class: "hint", id: freshId("hint") }, t("identity.why"));
    signIn.setAttribute("aria-describedby", hint.id);
    const own = h("p", { class: "own", tabindex: "-1" });
    this.replaceChildren(h("div", { class: "identity" }, own, signIn, hint, failure));
    extension().catch(() => {
      this.hidden = true; // there is nobody to sign: `<podium-signer-help>` says what to do
    });
    client.subscribe(() => {
      const role = client.me ? t(`role.${client.me.role}`) : "";
      setText(own, client.me ? t("identity.you", { npub: shortNpub(client.me.npub), role }) : "");
      show(own, client.me !== null);
      show(signIn, !client.isSignedIn, own);
      show(hint, !client.isSignedIn);
      if (client.isSignedIn) show(failure, false);
    });
  }
}

/** `<podium-signer-help>`: shown where no extension is. */
export class PodiumSignerHelp extends HTMLElement {
  connectedCallback() {
    this.hidden = true;
    const title = h("h2", { id: freshId("help") }, t("signer.title"));
    const steps = ["signer.step1", "signer.step2", "signer.step3"].map((key) => h("li", {}, t(key)));
    const card = h("section", { class: "card notice", "aria-labelledby": title.id });
    card.append(title, h("p", {}, t("signer.text")), h("ol", {}, ...steps));
    this.replaceChildren(card);
    extension().catch((error) => {
      if (error.slug === "no-https") card.replaceChildren(title, h("p", {}, describe(error)));
      this.hidden = false;
    });
  }
}

/** The beginning and the end of a public key, as people compare them. */
export function shortNpub(npub) {
  return `${npub.slice(0, 10)}…${npub.slice(-6)}`;
}

customElements.define("podium-identity", PodiumIdentity);
customElements.define("podium-signer-help", PodiumSignerHelp);
