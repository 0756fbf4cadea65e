// @ts-check
// The panel beside the stage: tabs, each with parts of the page that stand elsewhere while one is not in the room.

import { freshId, h, setText, show } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { icon } from "../parts/icons.js";

/**
 * A tab: its name is the text `tab.<id>`. `elements` are borrowed from the page while one sits in the room. `isOffered`
 * says whether there is such a tab at present, `count` how many things wait in it.
 *
 * @typedef {object} Tab
 * @property {string} id
 * @property {HTMLElement[]} elements
 * @property {() => boolean} [isOffered]
 * @property {() => number} [count]
 */
/** @typedef {Tab & { button: HTMLButtonElement, label: HTMLElement, badge: HTMLElement, body: HTMLDivElement, homes: Comment[] }} Placed */

/** `<podium-panel>`; built by `setUp(changed)`, then `add(tab)` for each. */
export class PodiumPanel extends HTMLElement {
  /** @type {Placed[]} */ tabs;
  /** @type {string | null} */ opened;
  /** @type {() => void} */ changed;
  /** @type {HTMLDivElement} */ list;
  /** @type {HTMLElement | null} */ opener;

  /** @param {() => void} changed is called when another tab is open, or none */
  setUp(changed) {
    this.changed = changed;
    this.tabs = [];
    this.opened = null;
    this.opener = null;
    this.hidden = true;
    const key = (/** @type {KeyboardEvent} */ event) => this.#typed(event);
    this.list = h("div", { role: "tablist", "aria-label": t("panel.title"), on: { keydown: key } });
    const closing = h("button", { type: "button", class: "more", "aria-label": t("panel.close"), title: t("panel.close"), on: { click: () => this.close() } }, icon("close"));
    this.replaceChildren(h("div", { class: "panel-head" }, this.list, closing));
    this.addEventListener("keydown", (event) => event.key === "Escape" && !event.defaultPrevented && this.close());
  }

  /** @param {Tab} tab */
  add(tab) {
    const body = h("div", { role: "tabpanel", id: freshId(tab.id), class: "panel-body", tabindex: "-1", hidden: true });
    const label = h("span", { class: "label" }, t(`tab.${tab.id}`));
    const badge = h("span", { class: "count", hidden: true });
    const press = () => this.open(tab.id);
    const button = h("button", { type: "button", role: "tab", id: freshId("tab"), "aria-controls": body.id, title: t(`tab.${tab.id}`), on: { click: press } }, icon(tab.id), label, badge);
    body.setAttribute("aria-labelledby", button.id);
    this.tabs.push({ ...tab, button, label, badge, body, homes: tab.elements.map(() => new Comment()) });
    this.list.append(button);
    this.append(body);
  }

  /**
   * Take the parts of the page in, or give them back to where they stood.
   *
   * @param {boolean} isIn
   */
  borrow(isIn) {
    for (const { elements, homes, body } of this.tabs) {
      elements.forEach((element, index) => {
        if (!isIn) return homes[index].replaceWith(element);
        element.replaceWith(homes[index]);
        body.append(element);
      });
    }
  }

  /** How many things wait in all tabs together. */
  get waiting() {
    return this.tabs.reduce((sum, tab) => sum + ((tab.isOffered?.() ?? true) ? (tab.count?.() ?? 0) : 0), 0);
  }

  /** Which tabs there are, and what waits in them; `more` is told of each in which more waits than before. */
  update() {
    for (const tab of this.tabs) {
      const offered = tab.isOffered?.() ?? true;
      show(tab.button, offered);
      const count = offered ? (tab.count?.() ?? 0) : 0;
      if (count > Number(tab.badge.textContent || count)) this.dispatchEvent(new CustomEvent("more", { detail: tab.id }));
      setText(tab.badge, String(count));
      show(tab.badge, count > 0);
      if (!offered && this.opened === tab.id) this.close();
    }
  }

  /**
   * @param {string} id
   * @param {HTMLElement | null | undefined} [opener] gets the focus back
   */
  open(id, opener = null) {
    this.opener = opener ?? this.opener;
    this.opened = id;
    show(this, true);
    for (const { id: own, button, body } of this.tabs) {
      button.setAttribute("aria-selected", String(own === id));
      button.tabIndex = own === id ? 0 : -1;
      show(body, own === id);
    }
    if (opener) this.tabs.find((tab) => tab.id === id)?.button.focus();
    this.update();
    this.changed();
  }

  close() {
    const had = this.contains(document.activeElement);
    this.opened = null;
    show(this, false);
    this.changed();
    if (had) this.opener?.focus();
  }

  /** @param {KeyboardEvent} event */
  #typed(event) {
    const by = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowLeft: -1 })[event.key];
    if (!by) return;
    const offered = this.tabs.filter((tab) => !tab.button.hidden);
    const now = offered.findIndex((tab) => tab.id === this.opened);
    const { id, button } = offered[(now + by + offered.length) % offered.length];
    event.preventDefault();
    this.open(id);
    button.focus();
  }
}

customElements.define("podium-panel", PodiumPanel);
