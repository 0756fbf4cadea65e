// @ts-check
// The login of this browser: the token that one signature was answered with, for all of its tabs and for a week.
// It is sent in `Authorization` and nowhere else. No DOM in here.

/** @import { Login } from "./types.js" */

const KEY = "podium.login";
const MARGIN = 60; // seconds: a login that is about to end is not begun with

/** @type {Set<() => void>} */
const listeners = new Set();
/** @type {Login | null} */
let ofThisTab = null; // where the browser keeps nothing

/** The login that is kept, unless it has ended; or null. */
export function keptLogin() {
  const found = read();
  return found && found.expiresAt > Date.now() / 1000 + MARGIN ? found : null;
}

/** @param {Login | null} login */
export function keepLogin(login) {
  ofThisTab = login;
  try {
    if (login === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify(login));
  } catch {
    // storage is switched off: the login lasts as long as this page
  }
  for (const listener of [...listeners]) listener();
}

/**
 * Forget a login that the daemon does not take any more, unless another took its place meanwhile.
 *
 * @param {string} token
 */
export function forgetLogin(token) {
  if (read()?.token === token) keepLogin(null);
}

/**
 * Be told when somebody signed in or out, in this tab or another one.
 *
 * @param {() => void} listener
 */
export function onLoginChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

globalThis.addEventListener?.("storage", ({ key }) => {
  if (key !== KEY && key !== null) return;
  ofThisTab = null;
  for (const listener of [...listeners]) listener();
});

/** @returns {Login | null} */
function read() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "null");
    if (found === null) return ofThisTab;
    const isSound = typeof found.token === "string" && /^[\w-]{43}$/.test(found.token) && /^[0-9a-f]{64}$/.test(found.pubkey);
    return isSound && Number.isFinite(found.expiresAt) ? found : null;
  } catch {
    return ofThisTab;
  }
}
