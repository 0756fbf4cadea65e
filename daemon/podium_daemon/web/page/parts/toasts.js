// @ts-check
// What just happened, in a line above the bar: for some seconds, and with a way to take back what was pressed.

import { h, setText } from "../core/dom.js";
import { t } from "../core/i18n.js";

const SECONDS = 6;
const UNDO = 5; // seconds in which an act can be taken back

const region = h("div", { class: "toasts", role: "status" });
/** @type {Map<string, () => void>} */
const shown = new Map(); // by key: what ends it

/**
 * Show a line for some seconds. A line of the same `key` takes the place of the one before; that which is returned ends it.
 *
 * @param {string} text
 * @param {{ seconds?: number, key?: string, button?: HTMLButtonElement | null }} [how]
 */
export function toast(text, { seconds = SECONDS, key = text, button = null } = {}) {
  if (!region.isConnected) document.body.append(region);
  shown.get(key)?.();
  const line = h("p", { class: "toast", dir: "auto" }, h("span", {}, text), button);
  region.append(line);
  const end = () => {
    clearTimeout(timer);
    line.remove();
    if (shown.get(key) === end) shown.delete(key);
  };
  const timer = setTimeout(end, seconds * 1000);
  shown.set(key, end);
  return end;
}

/**
 * Do something in five seconds unless it is taken back meanwhile. Resolves to whether it was done.
 *
 * @param {(seconds: number) => string} words
 * @param {() => unknown} run
 * @returns {Promise<boolean>}
 */
export function undoable(words, run) {
  return new Promise((done, failed) => {
    let left = UNDO;
    const key = `undo-${words(0)}`;
    const undo = h("button", { type: "button" }, t("toast.undo"));
    const end = toast(words(left), { seconds: UNDO + 1, key, button: undo });
    const text = /** @type {HTMLElement} */ (undo.previousElementSibling);
    text.setAttribute("aria-live", "off"); // the seconds are not read out one by one
    const timer = setInterval(() => {
      left -= 1;
      setText(text, words(left));
      if (left > 0) return;
      finish();
      Promise.resolve(run()).then(() => done(true), failed);
    }, 1000);
    const finish = () => {
      clearInterval(timer);
      end();
    };
    undo.addEventListener("click", () => {
      finish();
      done(false);
    });
  });
}
