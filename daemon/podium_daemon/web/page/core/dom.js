// @ts-check
// Building and changing the page. Strangers' text goes through text nodes only; nothing here parses HTML.

import { t } from "./i18n.js";

/** @import { Elements, Trouble } from "./types.js" */

const PROPERTIES = new Set(["hidden", "disabled", "checked", "value", "required", "open"]);

/** @typedef {Node | string | null | undefined} Child */
/** @typedef {{ [name: string]: unknown, on?: { [event: string]: (event: any) => unknown } }} Props */

/**
 * An element. `props`: attributes, `on: {event: listener}`, and the properties above. Children: nodes or texts.
 *
 * @template {keyof Elements} Name
 * @param {Name} name
 * @param {Props} [props]
 * @param {(Child | Child[])[]} children
 * @returns {Elements[Name]}
 */
export function h(name, props = {}, ...children) {
  const element = /** @type {HTMLElement & { [name: string]: unknown }} */ (document.createElement(name));
  for (const [key, value] of Object.entries(props)) {
    if (key === "on") {
      for (const [event, listener] of Object.entries(props.on ?? {})) element.addEventListener(event, listener);
    } else if (PROPERTIES.has(key)) {
      element[key] = value;
    } else if (/^(on|srcdoc$|style$)/i.test(key)) {
      throw new TypeError(`attribute ${key} is not set from here`);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(key, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return /** @type {Elements[Name]} */ (/** @type {unknown} */ (element));
}

/**
 * Change a text only where it changed, so that screen readers and selections are left alone.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Show or hide; focus that would be lost goes to `heir`.
 *
 * @param {HTMLElement} element
 * @param {boolean} visible
 * @param {HTMLElement | null} [heir]
 */
export function show(element, visible, heir = null) {
  if (!visible && heir && !element.hidden && element.contains(document.activeElement)) heir.focus();
  if (element.hidden === visible) element.hidden = !visible;
}

/**
 * The URL if a person may be sent there (http or https, no user name in it), else null.
 *
 * @param {string | null} text
 * @returns {string | null}
 */
export function webUrl(text) {
  try {
    const url = new URL(text ?? "");
    const fits = ["http:", "https:"].includes(url.protocol) && !url.username && !url.password && url.hostname;
    return fits ? url.href : null;
  } catch {
    return null;
  }
}

/**
 * Make `container` hold one node for each item, kept by key: who has the focus keeps it.
 *
 * @template Item
 * @template {HTMLElement} Kept
 * @param {HTMLElement & { keptNodes?: Map<unknown, HTMLElement> }} container
 * @param {Item[]} items
 * @param {(item: Item) => unknown} keyOf
 * @param {(item: Item) => Kept} make
 * @param {(node: Kept, item: Item) => void} [update]
 */
export function keyed(container, items, keyOf, make, update) {
  const kept = /** @type {Map<unknown, Kept>} */ (container.keptNodes ?? new Map());
  /** @type {Map<unknown, Kept>} */
  const next = new Map();
  const focused = container.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
  items.forEach((item, index) => {
    const key = keyOf(item);
    const node = kept.get(key) ?? make(item);
    update?.(node, item);
    next.set(key, node);
    if (container.children[index] !== node) container.insertBefore(node, container.children[index] ?? null);
  });
  for (const [key, node] of kept) if (!next.has(key)) node.remove();
  container.keptNodes = next;
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true }); // a node that moves loses it
}

/**
 * A button that runs one thing at a time and keeps the focus meanwhile. That there was no connection is said beside it; other
 * failures go to `failed`.
 *
 * @param {string} label
 * @param {(button: HTMLButtonElement) => unknown} run
 * @param {(error: Trouble) => void} failed
 * @param {Props} [props]
 */
export function action(label, run, failed, props = {}) {
  const button = h("button", { type: "button", ...props }, label);
  button.addEventListener("click", () => press(button, () => run(button), failed));
  return button;
}

/** @type {WeakMap<HTMLButtonElement, HTMLElement>} */
const offline = new WeakMap();

/**
 * What a press of `button` does, as of an `action`: for the submit button of a form.
 *
 * @param {HTMLButtonElement} button
 * @param {() => unknown} run
 * @param {(error: Trouble) => void} failed
 */
export async function press(button, run, failed) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  offline.get(button)?.remove();
  try {
    await run();
  } catch (thrown) {
    const error = /** @type {Trouble} */ (thrown);
    if (error.slug !== "offline" || !button.isConnected || button.hidden) return failed(error);
    const line = offline.get(button) ?? h("p", { class: "failure offline", role: "alert" });
    setText(line, t("problem.offline"));
    offline.set(button, line);
    button.after(line);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/**
 * Give the person a file.
 *
 * @param {{ text: string, name: string }} file
 * @param {string} type
 */
export function saveFile({ text, name }, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

let nextId = 0;

/**
 * An id for labels.
 *
 * @param {string} prefix
 */
export function freshId(prefix) {
  nextId += 1;
  return `${prefix}-${nextId}`;
}

/**
 * Say a line to screen readers.
 *
 * @param {string} text
 */
export function announce(text) {
  const region = document.getElementById("announcements");
  if (region && region.textContent !== text) region.textContent = text;
}
