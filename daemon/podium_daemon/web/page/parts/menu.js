// @ts-check
// A menu behind a button: in the browser's top layer, so that no edge cuts it off, and kept within the window.

import { freshId, h } from "../core/dom.js";
import { icon } from "./icons.js";

/** @import { Child } from "../core/dom.js" */

const MARGIN = 8; // px between the menu and the edge of the window

/** @typedef {{ button: HTMLButtonElement, panel: HTMLDivElement, close: () => void }} Menu */

/**
 * `name` is the button's name. The browser closes the menu by Escape or a press beside it, and gives the focus back.
 *
 * @param {string} name
 * @param {Child[]} children
 * @returns {Menu}
 */
export function menu(name, ...children) {
  const panel = h("div", { class: "menu", popover: "auto", id: freshId("menu") }, ...children);
  const button = h("button", { type: "button", class: "more", "aria-label": name, title: name, popovertarget: panel.id }, icon("more"));
  panel.addEventListener("toggle", (event) => /** @type {ToggleEvent} */ (event).newState === "open" && place(panel, button));
  const close = () => {
    if (panel.matches(":popover-open")) panel.hidePopover();
  };
  return { button, panel, close };
}

/**
 * @param {HTMLElement} panel
 * @param {HTMLElement} button
 */
function place(panel, button) {
  const at = button.getBoundingClientRect();
  const { width, height } = panel.getBoundingClientRect();
  const within = (/** @type {number} */ wanted, /** @type {number} */ size, /** @type {number} */ room) => Math.max(MARGIN, Math.min(wanted, room - size - MARGIN));
  const below = at.bottom + height + MARGIN <= innerHeight ? at.bottom + 4 : at.top - height - 4;
  panel.style.left = `${within(at.right - width, width, innerWidth)}px`;
  panel.style.top = `${within(below, height, innerHeight)}px`;
}
