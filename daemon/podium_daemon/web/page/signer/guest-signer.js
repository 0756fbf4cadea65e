// @ts-check
// Guests have no key: the service keeps one for each, and signs with it what a guest may say in their session. No DOM in here.

import { signed } from "../core/api.js";
import { keptGuest, onLoginChange } from "../core/login.js";
import { useGuest } from "./signer.js";

/** @import { Unsigned } from "../core/types.js" */

// taken at once, so that it stays in no history and in no address that somebody copies
const found = /^#guest=([\w-]{43})$/.exec(location.hash);
if (found) history.replaceState(history.state, "", location.pathname + location.search);
let link = found?.[1] ?? null;

/** Whether the page was opened by a personal link that was not used yet. */
export function hasLink() {
  return link !== null;
}

/** The secret of the personal link that opened this page, once. */
export function takeLink() {
  const taken = link;
  link = null;
  return taken;
}

/**
 * Sign as the guest of the session at `path` whenever one is signed in here.
 *
 * @param {string} path
 */
export function followGuest(path) {
  let pubkey = "";
  const update = () => {
    const own = keptGuest()?.pubkey ?? "";
    if (own === pubkey) return;
    pubkey = own;
    useGuest(own === "" ? null : signerOf(path, own));
  };
  update();
  return onLoginChange(update);
}

/**
 * @param {string} path
 * @param {string} pubkey
 */
function signerOf(path, pubkey) {
  return {
    getPublicKey: async () => pubkey,
    signEvent: async (/** @type {Unsigned} */ { created_at, kind, tags, content }) =>
      signed("POST", `${path}/guest/sign`, { event: { pubkey, created_at, kind, tags, content } }),
  };
}
