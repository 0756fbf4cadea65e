// Building and changing the page. Strangers' text goes through text nodes only; nothing here parses HTML.

const PROPERTIES = new Set(["hidden", "disabled", "checked", "value", "required", "open"]);

/** An element. `props`: attributes, `on: {event: listener}`, and the properties above. Children: nodes or texts. */
export function h(name, props = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (PROPERTIES.has(key)) {
      element[key] = value;
    } else if (/^(on|srcdoc$|style$)/i.test(key)) {
      throw new TypeError(`attribute ${key} is not set from here`);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(key, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Change a text only where it changed, so that screen readers and selections are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show or hide; focus that would be lost goes to `heir`. */
export function show(element, visible, heir = null) {
  if (!visible && heir && !element.hidden && element.contains(document.activeElement)) heir.focus();
  if (element.hidden === visible) element.hidden = !visible;
}

/** The URL if a person may be sent there (http or https, no user name in it), else null. */
export function webUrl(text) {
  try {
    const url = new URL(text);
    const fits = ["http:", "https:"].includes(url.protocol) && !url.username && !url.password && url.hostname;
    return fits ? url.href : null;
  } catch {
    return null;
  }
}

/** Make `container` hold one node for each item, kept by key: who has the focus keeps it. */
export function keyed(container, items, keyOf, make, update) {
  const kept = container.keptNodes ?? new Map();
  const next = new Map();
  items.forEach((item, index) => {
    const key = keyOf(item);
    const node = kept.get(key) ?? make(item);
    update?.(node, item);
    next.set(key, node);
    if (container.children[index] !== node) container.insertBefore(node, container.children[index] ?? null);
  });
  for (const [key, node] of kept) if (!next.has(key)) node.remove();
  container.keptNodes = next;
}

/** A button that runs one thing at a time and keeps the focus meanwhile; failures go to `failed`. */
export function action(label, run, failed, props = {}) {
  const button = h("button", { type: "button", ...props }, label);
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await run(button);
    } catch (error) {
      failed(error);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  return button;
}

/** Give the person a file: `{text, name}`. */
export function saveFile({ text, name }, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

let nextId = 0;

/** An id for labels. */
export function freshId(prefix) {
  nextId += 1;
  return `${prefix}-${nextId}`;
}

/** Say a line to screen readers. */
export function announce(text) {
  const region = document.getElementById("announcements");
  if (region && region.textContent !== text) region.textContent = text;
}
