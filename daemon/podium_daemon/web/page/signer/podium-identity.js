// @ts-check
// Who one is here: a button to prove it once, then the public key; which signer, and what to install where there is none.

import { action, freshId, h, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { connectRemote, disconnectRemote } from "./podium-signer.js";
import { extension, isGuest, onSignerChange, remoteSigner } from "./signer.js";

/** @import { SessionClient, Trouble } from "../core/types.js" */

/** `<podium-identity>`; the page sets `client`. */
export class PodiumIdentity extends HTMLElement {
  /** @param {SessionClient} client */
  set client(client) {
    const failure = h("p", { class: "failure", role: "alert", hidden: true });
    const failed = (/** @type {Trouble} */ error) => {
      setText(failure, describe(error));
      show(failure, true);
    };
    const signIn = action(t("identity.show"), () => client.signIn(), failed, { class: "quiet" });
    const hint = h("p", { class: "hint", id: freshId("hint") }, t("identity.why"));
    signIn.setAttribute("aria-describedby", hint.id);
    const own = h("p", { class: "own", tabindex: "-1" });
    const connect = action(t("remote.use"), async () => {
      if (await connectRemote()) await client.signIn();
    }, failed, { class: "quiet" });
    const signOut = action(t("identity.out"), () => client.signOut(), failed, { class: "quiet", hidden: true });
    const everywhere = action(t("identity.out.everywhere"), () => client.signOut(true), failed, { class: "quiet", hidden: true });
    const disconnect = action(t("remote.disconnect"), disconnectRemote, failed, { class: "quiet", hidden: true });
    this.replaceChildren(h("div", { class: "identity" }, own, signIn, connect, signOut, everywhere, disconnect, hint, failure));
    const update = async () => {
      const { me, isSignedIn } = client;
      const { guest } = client;
      const name = guest ? `${guest.name} · ${t(`guest.mark.${guest.hasOwnKey ? "own-key" : guest.assurance}`)}` : "";
      setText(own, me ? name || t("identity.you", { npub: me.name, role: t(`role.${me.role}`) }) : "");
      show(own, me !== null);
      show(signIn, !isSignedIn, own);
      show(hint, !isSignedIn);
      if (isSignedIn) show(failure, false);
      const isRemote = (await remoteSigner()) !== null;
      show(signOut, client.isSignedIn && !isRemote, own); // disconnecting signs out as well
      show(everywhere, client.isSignedIn && (guest === null || guest.hasOwnKey === true), own);
      show(connect, !isRemote && !client.isSignedIn, own);
      show(disconnect, isRemote);
    };
    client.subscribe(update);
    onSignerChange(update);
  }
}

/** `<podium-signer-help>`: shown where no signer is. */
export class PodiumSignerHelp extends HTMLElement {
  connectedCallback() {
    this.hidden = true;
    const title = h("h2", { id: freshId("help") }, t("signer.title"));
    const steps = ["signer.step1", "signer.step2", "signer.step3"].map((key) => h("li", {}, t(key)));
    const card = h("section", { class: "card notice", "aria-labelledby": title.id });
    const failure = h("p", { class: "failure", role: "alert", hidden: true });
    const connect = action(t("remote.use"), connectRemote, (error) => {
      setText(failure, describe(error));
      show(failure, true);
    }, { class: "primary" });
    card.append(title, h("p", {}, t("signer.text")), h("ol", {}, ...steps),
      h("p", {}, t("signer.or")), h("div", { class: "buttons" }, connect), failure);
    this.replaceChildren(card);
    const update = async () => {
      const isRemote = (await remoteSigner()) !== null;
      const missing = await extension().then(() => null, (error) => error);
      if (missing?.slug === "no-https") card.replaceChildren(title, h("p", {}, describe(missing)));
      this.hidden = missing === null || isGuest() || (isRemote && missing.slug === "no-signer");
    };
    update();
    onSignerChange(update);
  }
}

/**
 * The beginning and the end of a public key, as people compare them.
 *
 * @param {string} npub
 */
export function shortNpub(npub) {
  return `${npub.slice(0, 10)}…${npub.slice(-6)}`;
}

customElements.define("podium-identity", PodiumIdentity);
customElements.define("podium-signer-help", PodiumSignerHelp);
