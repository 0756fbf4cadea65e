// @ts-check
// Guests have no key: the service keeps one for each, and signs with it what a guest may say in their session. No DOM in here.

import { signed } from "../core/api.js";
import { keptGuest, onLoginChange } from "../core/login.js";
import { useGuest } from "./signer.js";

/** @import { Unsigned } from "../core/types.js" */

// taken at once, so that it stays in no history and in no address that somebody copies
const found = /^#guest=([\w-]{43}|[\w-]{76})$/.exec(location.hash);
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
  let before = "";
  const update = () => {
    const guest = keptGuest();
    if ((guest?.pubkey ?? "") === before) return;
    before = guest?.pubkey ?? "";
    useGuest(guest === null ? null : signerOf(path, guest.pubkey, guest.signingKey ?? guest.pubkey));
  };
  update();
  return onLoginChange(update);
}

/**
 * @param {string} path
 * @param {string} own the guest's key, or that of the person for whom the service signs
 * @param {string} signsAs the key that the service has
 */
function signerOf(path, own, signsAs) {
  return {
    signsAs,
    getPublicKey: async () => own,
    signEvent: async (/** @type {Unsigned} */ { pubkey, created_at, kind, tags, content }) =>
      signed("POST", `${path}/guest/sign`, { event: { pubkey, created_at, kind, tags, content } }),
  };
}
