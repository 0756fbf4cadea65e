// @ts-check
// A stranger's text with its web addresses as links. They are nodes from the beginning: nothing is parsed as markup.

import { h, webUrl } from "../core/dom.js";

const ADDRESS = /https?:\/\/[^\s<>"'`]+/gi;
const AFTER = /[.,;:!?)\]}…]+$/; // what closes a sentence belongs to no address

/**
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function linked(text) {
  /** @type {(Node | string)[]} */
  const parts = [];
  let from = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = found.replace(AFTER, "");
    const href = webUrl(address);
    if (href === null) continue;
    parts.push(text.slice(from, index), h("a", { href, target: "_blank", rel: "noopener noreferrer" }, address));
    from = index + address.length;
  }
  return [...parts, text.slice(from)].filter((part) => part !== "");
}
