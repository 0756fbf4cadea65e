// @ts-check
// What every page has around it: the way home, the language, words that stand in the HTML.

import { choose, language, languages, t } from "./i18n.js";
import { h } from "./dom.js";

for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-text]"))) {
  element.textContent = t(element.dataset.text ?? "");
}

/** @type {HTMLSelectElement} */
const select = h("select", { id: "language", on: { change: () => choose(select.value) } },
  ...Object.entries(languages).map(([tag, name]) => h("option", { value: tag, lang: tag, selected: tag === language }, name)));
document.querySelector("footer")?.append(h("label", { for: "language" }, t("frame.language"), " ", select));
