// @ts-check
// Single keys for the room. They can be switched off (WCAG 2.1.4), and are none while one types or a dialog is open.

const KEY = "podium.shortcuts";

export class Shortcuts {
  /** @param {Record<string, () => unknown>} acts by the key */
  constructor(acts) {
    this.acts = acts;
    this.isOn = read() !== "off";
    this.isListening = false;
    document.addEventListener("keydown", (event) => this.#typed(event));
  }

  get names() {
    return Object.keys(this.acts);
  }

  /** @param {boolean} on */
  switch(on) {
    this.isOn = on;
    try {
      localStorage.setItem(KEY, on ? "on" : "off");
    } catch {
      // until the page is loaded again
    }
  }

  /** @param {KeyboardEvent} event */
  #typed(event) {
    const act = this.acts[event.key.toLowerCase()];
    if (!act || !this.isOn || !this.isListening || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    const isTyping = target instanceof HTMLElement && (target.isContentEditable || target.closest("input, textarea, select") !== null);
    if (isTyping || document.querySelector("dialog[open]") !== null) return;
    event.preventDefault();
    act();
  }
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
