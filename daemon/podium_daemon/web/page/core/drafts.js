// @ts-check
// What was typed and not yet sent: kept in this tab until then, over a reload and a lost line; gone when the person signs out.
// Fields for passwords and keys are not kept, nor is a text that looks like a secret key.

import { keptLogin, onLoginChange } from "./login.js";

const PREFIX = "podium.draft.";
const SECRET = /nsec1|ncryptsec1|bunker:\/\//i;

let wasSignedIn = false;

/**
 * Keep what is typed into a field of this page, and put back what was typed before. `name`: once a page.
 *
 * @template {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Field
 * @param {string} name
 * @param {Field} field
 * @returns {Field}
 */
export function keepDraft(name, field) {
  const found = stored((storage) => storage.getItem(keyOf(name))) ?? null;
  const isBox = field.type === "checkbox";
  if (found !== null && isBox) /** @type {HTMLInputElement} */ (field).checked = found === "true";
  else if (found !== null) field.value = found;
  field.addEventListener("input", () => {
    const text = isBox ? String(/** @type {HTMLInputElement} */ (field).checked) : field.value;
    stored((storage) => (text === "" || SECRET.test(text) ? storage.removeItem(keyOf(name)) : storage.setItem(keyOf(name), text)));
  });
  return field;
}

/**
 * It was sent, or is not wanted any more.
 *
 * @param {string[]} names
 */
export function dropDrafts(...names) {
  for (const name of names) stored((storage) => storage.removeItem(keyOf(name)));
}

function dropAll() {
  stored((storage) => Object.keys(storage).filter((key) => key.startsWith(PREFIX)).forEach((key) => storage.removeItem(key)));
}

onLoginChange(() => {
  if (wasSignedIn && keptLogin() === null) dropAll();
  wasSignedIn = keptLogin() !== null;
});
queueMicrotask(() => {
  wasSignedIn = keptLogin() !== null;
});

/** @param {string} name */
function keyOf(name) {
  return `${PREFIX}${location.pathname} ${name}`;
}

/**
 * @template T
 * @param {(storage: Storage) => T} act
 * @returns {T | undefined}
 */
function stored(act) {
  try {
    return act(sessionStorage);
  } catch {
    return undefined; // the browser keeps nothing
  }
}
