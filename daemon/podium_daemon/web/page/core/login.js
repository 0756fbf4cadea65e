// @ts-check
// The login of this browser: the token that one signature was answered with, for all of its tabs and for a week; or that of
// a guest, for one session. It is sent in `Authorization` and nowhere else. No DOM in here.

/** @import { Login } from "./types.js" */

const KEY = "podium.login";
const NAMES = "podium.name.";
const MARGIN = 60; // seconds: a login that is about to end is not begun with

/** @type {Set<() => void>} */
const listeners = new Set();
/** @type {Login | null} */
let ofThisTab = null; // where the browser keeps nothing
let guestKey = ""; // where the guest of this page's session is kept
let nameKey = ""; // where the name is kept that a person gave at this session's door
let typedName = "";

/**
 * Say which session this page is about: its guest is signed in here, unless somebody is with a key of their own.
 *
 * @param {string} reference
 */
export function ofSession(reference) {
  guestKey = `${KEY}.${reference}`;
  nameKey = NAMES + reference;
}

/** The login that is kept, unless it has ended; or null. */
export function keptLogin() {
  return [read(KEY), guestKey ? read(guestKey) : null].find((one) => one && one.expiresAt > Date.now() / 1000 + MARGIN) ?? null;
}

/** The guest who is signed in on this page, or null: then it is nobody, or a person with their own key. */
export function keptGuest() {
  const login = keptLogin();
  return login?.assurance ? login : null;
}

/** @param {Login} login */
export function keepLogin(login) {
  keep(login.assurance ? guestKey : KEY, login);
}

/**
 * @param {string} key
 * @param {Login | null} login
 */
function keep(key, login) {
  ofThisTab = login;
  try {
    if (login === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(login));
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
  if (read(KEY)?.token === token) forgetNames();
  for (const key of [KEY, guestKey]) if (key && read(key)?.token === token) keep(key, null);
}

/** The name that was given at this session's door, or "". */
export function keptName() {
  try {
    return typedName || (localStorage.getItem(nameKey) ?? "");
  } catch {
    return typedName;
  }
}

/**
 * Keep the name for the next join: beyond this page only for a person who is signed in with their key, until they sign out.
 *
 * @param {string} name
 */
export function keepName(name) {
  typedName = name;
  try {
    if (!name) localStorage.removeItem(nameKey);
    else if (read(KEY) !== null) localStorage.setItem(nameKey, name);
  } catch {
    // storage is switched off: the name lasts as long as this page
  }
}

function forgetNames() {
  typedName = "";
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(NAMES)) localStorage.removeItem(key);
  } catch {
    // nothing was kept
  }
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
  if (key !== null && !key.startsWith(KEY)) return;
  ofThisTab = null;
  for (const listener of [...listeners]) listener();
});

/**
 * @param {string} key
 * @returns {Login | null}
 */
function read(key) {
  const own = ofThisTab !== null && (ofThisTab.assurance ? guestKey : KEY) === key ? ofThisTab : null;
  try {
    const found = JSON.parse(localStorage.getItem(key) ?? "null");
    if (found === null) return own;
    const isSound = typeof found.token === "string" && /^[\w-]{43}$/.test(found.token) && /^[0-9a-f]{64}$/.test(found.pubkey);
    return isSound && Number.isFinite(found.expiresAt) ? found : null;
  } catch {
    return own;
  }
}
