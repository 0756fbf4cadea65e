// @ts-check
// A field that searches a list, and how many were found: the words come once the person rests.

import { freshId, h, setText } from "../core/dom.js";
import { t } from "../core/i18n.js";

const REST = 300; // ms without a key: a word is typed in one go

/** `node` holds the field and the line below it. */
export class SearchField {
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {string} key of the words that name the field
   * @param {() => void} changed is called once `text` is another and the person rests
   */
  constructor(key, changed) {
    this.changed = changed;
    /** @type {HTMLInputElement} */
    this.input = h("input", { type: "search", id: freshId("search"), maxlength: "100", placeholder: t(key), autocomplete: "off" });
    this.input.addEventListener("input", () => this.#soon(REST));
    this.input.addEventListener("keydown", (event) => this.#typed(event));
    this.found = h("p", { class: "hint", role: "status" });
    this.node = h("div", { class: "search" }, h("label", { for: this.input.id, class: "unseen" }, t(key)), this.input, this.found);
  }

  /** What is sought; "" for nothing. */
  get text() {
    return this.input.value.trim();
  }

  /**
   * Say how many were found; null where nothing is sought.
   *
   * @param {number | null} count
   */
  say(count) {
    setText(this.found, count === null ? "" : count === 0 ? t("search.none") : t("search.found", { count }));
  }

  /** @param {number} wait */
  #soon(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.changed(), wait);
  }

  /** @param {KeyboardEvent} event */
  #typed(event) {
    if (event.key === "Enter") this.#soon(0);
    if (event.key !== "Escape" || this.input.value === "") return; // an empty field leaves the key to what is around it
    event.preventDefault();
    this.input.value = "";
    this.#soon(0);
  }
}
