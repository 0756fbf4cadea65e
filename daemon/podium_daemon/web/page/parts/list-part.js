// @ts-check
// A list of which the page is told the first rows: further ones, and those that are sought, are read when they are wanted.

import { action, h, setText, show } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { SearchField } from "./search-field.js";

/** @import { Person, Trouble } from "../core/types.js" */

const MANY = 8; // rows from which on one searches

/**
 * @template {Person} Row
 * @typedef {{ items: Row[], total: number }} Part
 */

/**
 * `search` and `rest` are put around the list; `rows(first)` says what is in it.
 *
 * @template {Person} Row
 */
export class ListPart {
  /** @type {Row[]} */
  #further = [];
  /** @type {Part<Row> | null} */
  #found = null;
  #turn = 0;

  /**
   * @param {{ search: string, left: string }} keys of the words for the field, and for how many are not shown
   * @param {(offset: number, sought: string) => Promise<Part<Row>>} read
   * @param {() => void} changed
   * @param {(error: Trouble) => void} failed
   */
  constructor(keys, read, changed, failed) {
    this.keys = keys;
    this.read = read;
    this.changed = changed;
    this.failed = failed;
    this.shown = 0;
    this.field = new SearchField(keys.search, () => this.#seek());
    this.left = h("p", { class: "hint" });
    this.more = action(t("answers.more"), () => this.#readMore(), failed);
    this.search = this.field.node;
    this.rest = h("div", {}, this.left, h("div", { class: "buttons" }, this.more));
  }

  /**
   * The rows to show, of which the page is told `first`.
   *
   * @param {Part<Row>} first
   * @returns {Row[]}
   */
  rows(first) {
    const live = new Map(first.items.map((one) => [one.pubkey, one]));
    const found = this.#found;
    const items = found ? found.items.map((one) => live.get(one.pubkey) ?? one) : [...first.items, ...this.#further.filter((one) => !live.has(one.pubkey))];
    const left = Math.max(0, (found ?? first).total - items.length);
    setText(this.left, left ? t(this.keys.left, { count: left }) : "");
    for (const node of [this.left, this.more]) show(node, left > 0, this.field.input);
    show(this.search, first.total > MANY || this.field.text !== "");
    this.field.say(found && found.total);
    this.shown = items.length;
    return items;
  }

  async #readMore() {
    const before = this.#found;
    const part = await this.read(this.shown, before ? this.field.text : "");
    if (this.#found !== before) return; // something else is sought by now
    if (before) this.#found = { items: [...before.items, ...part.items], total: part.total };
    else this.#further = [...this.#further, ...part.items];
    this.changed();
  }

  async #seek() {
    this.#turn += 1;
    const turn = this.#turn;
    const { text } = this.field;
    try {
      const found = text === "" ? null : await this.read(0, text);
      if (turn !== this.#turn) return; // what was typed later has its own answer
      this.#found = found;
      this.changed();
    } catch (error) {
      this.failed(/** @type {Trouble} */ (error));
    }
  }
}
