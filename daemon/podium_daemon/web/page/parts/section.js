// @ts-check
// A card of the page with its heading.

import { freshId, h } from "../core/dom.js";
import { t } from "../core/i18n.js";

/** @import { Child } from "../core/dom.js" */

/**
 * @param {string} key
 * @param {Child[]} children
 */
export function section(key, ...children) {
  const title = h("h2", { id: freshId("lead") }, t(key));
  return h("section", { class: "card", "aria-labelledby": title.id }, title, ...children);
}
