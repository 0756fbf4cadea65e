// @ts-check
// Where there is no session for strangers there may be a private one for somebody: they sign in and see it in this place.

import { action, h, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import "../signer/podium-identity.js";
import "./podium-session.js";
import { hasLink } from "../signer/guest-signer.js";
import { SessionClient } from "./session-client.js";

/** @import { Trouble } from "../core/types.js" */

/** `<podium-private-door>` on the page that says there is no such session. */
export class PodiumPrivateDoor extends HTMLElement {
  connectedCallback() {
    const reference = decodeURIComponent(location.pathname.split("/").pop() ?? "");
    const failure = h("p", { class: "failure", role: "alert", hidden: true });
    const failed = (/** @type {Trouble} */ error) => {
      setText(failure, describe(error));
      show(failure, true);
    };
    const enter = action(t("identity.show"), () => signIn(reference), failed, { class: "primary" });
    this.replaceChildren(h("p", {}, t("unknown.private")), h("podium-signer-help"), enter, failure);
    if (hasLink()) showSession(); // of a guest: the link says whether it is there
    else SessionClient.isKnown(reference).then((isKnown) => isKnown && showSession()); // signed in before
  }
}

/**
 * Prove who one is; the daemon then tells of the session, or says again that there is none.
 *
 * @param {string} reference
 */
async function signIn(reference) {
  await SessionClient.enter(reference);
  showSession();
}

function showSession() {
  document.querySelector("header.bar")?.append(h("podium-identity"));
  const main = /** @type {HTMLElement} */ (document.querySelector("main"));
  main.replaceChildren(h("podium-session"));
  main.focus();
}

customElements.define("podium-private-door", PodiumPrivateDoor);
