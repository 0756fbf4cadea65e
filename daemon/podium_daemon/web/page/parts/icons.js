// @ts-check
// The icons of the room, drawn here as paths of 24 by 24; nothing of them is parsed as markup.

import { h } from "../core/dom.js";

const SVG = "http://www.w3.org/2000/svg";

/** @type {Record<string, string>} */
const PATHS = {
  audio: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5 11a7 7 0 0 0 14 0M12 18v3",
  "audio-off": "M9 5.5A3 3 0 0 1 15 6v5M9 9v2a3 3 0 0 0 4.5 2.6M5 11a7 7 0 0 0 11 5.7M19 11a7 7 0 0 1-.6 2.8M12 18v3M4 3l16 18",
  video: "M3 7.5A1.5 1.5 0 0 1 4.5 6h9A1.5 1.5 0 0 1 15 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16.5zM15 10.5l6-3.5v10l-6-3.5",
  "video-off": "M8 6h5.5A1.5 1.5 0 0 1 15 7.5V12M15 16.5a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16.5v-9A1.5 1.5 0 0 1 4 6M15 10.5l6-3.5v10l-3-1.700M3 3l18 18",
  screen: "M3 5h18v11H3zM8 20h8M12 13V8M9.5 10.5L12 8l2.5 2.5",
  "screen-off": "M3 5h18v11H3zM8 20h8M9.5 8l5 5M14.5 8l-5 5",
  hand: "M8 13V5.5a1.5 1.5 0 0 1 3 0V11M11 11V4a1.5 1.5 0 0 1 3 0v7M14 11V5.5a1.5 1.5 0 0 1 3 0V14c0 4-2.5 7-6 7-3 0-4.300-1.5-5.5-4L4 13.5c-.6-1.300 1-2.300 2-1.200L8 14.5",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.3-3.5 3-5.5 6.5-5.5s6.200 2 6.5 5.5M16 4.5a3.5 3.5 0 0 1 0 6.300M18 15c2 .8 3.300 2.5 3.5 5",
  questions: "M4 4h16v12H10l-5 4v-4H4zM10 8.5a2 2 0 1 1 2.600 1.900c-.4.15-.6.5-.6.900v.2M12 13.5v.1",
  chat: "M4 4h16v12H10l-5 4v-4H4zM8 8.5h8M8 11.5h5",
  poll: "M5 20V11M12 20V4M19 20v-6",
  lead: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
  settings: "M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM12 3v2.5M12 18.5V21M3 12h2.5M18.5 12H21M5.600 5.600l1.800 1.800M16.600 16.600l1.800 1.800M18.400 5.600l-1.800 1.800M7.400 16.600l-1.800 1.800",
  leave: "M14 4h5v16h-5M3 12h11M10 8l4 4-4 4",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  close: "M6 6l12 12M18 6L6 18",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  pin: "M9 4h6l-.5 6 3 3h-11l3-3zM12 13v7",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  inset: "M3 5h18v14H3zM12 12h7v5h-7z",
  speak: "M4 10v4h3l5 4V6L7 10zM16 9a4 4 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11",
  spotlight: "M12 3.5l2.600 5.400 5.900.8-4.300 4.100 1 5.900-5.200-2.800-5.200 2.800 1-5.900L3.5 9.700l5.900-.8z",
  remove: "M10 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3.5 20c.3-3.5 3-5.5 6.5-5.5 1.200 0 2.300.2 3.200.7M15.5 16l5 5M20.5 16l-5 5",
  "remove-line": "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 10.5v6M13.5 10.5v6",
  reaction: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8 14c1 1.600 2.300 2.400 4 2.400s3-.8 4-2.400M9 9.5v.1M15 9.5v.1",
  before: "M15 5l-7 7 7 7",
  after: "M9 5l7 7-7 7",
};

/**
 * An icon; it has no name of its own, that stands in the button beside it.
 *
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const shape = { viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon", "data-icon": name };
  for (const [key, value] of Object.entries(shape)) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/**
 * Put an icon before a button's words; an icon that is there already is changed.
 *
 * @template {HTMLElement} Button
 * @param {Button} button
 * @param {string} name
 * @returns {Button}
 */
export function withIcon(button, name) {
  const there = button.querySelector("svg");
  if (there?.dataset.icon === name) return button;
  if (there) {
    there.replaceWith(icon(name));
    return button;
  }
  const label = h("span", { class: "label" }, ...button.childNodes);
  button.replaceChildren(icon(name), label);
  return button;
}
