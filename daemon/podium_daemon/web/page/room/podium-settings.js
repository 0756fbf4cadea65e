// @ts-check
// Sounds and shortcuts of the room: switched on and off here, and the list of keys.

import { freshId, h } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { chime, soundsOn, switchSounds } from "../parts/sounds.js";

/** @import { Shortcuts } from "./shortcuts.js" */

/** `<podium-settings>`; built by `setUp(shortcuts)`. */
export class PodiumSettings extends HTMLElement {
  /** @param {Shortcuts} shortcuts */
  setUp(shortcuts) {
    const sounds = toggle("settings.sounds", soundsOn(), (on) => {
      switchSounds(on);
      chime("people");
    });
    const keys = toggle("settings.shortcuts", shortcuts.isOn, (on) => shortcuts.switch(on));
    const list = h("dl", { class: "keys" }, ...shortcuts.names.flatMap((key) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(`shortcut.${key === "?" ? "list" : key}`))]));
    this.replaceChildren(h("section", { class: "card" }, sounds, keys, list));
  }
}

/**
 * @param {string} key
 * @param {boolean} isOn
 * @param {(on: boolean) => void} change
 */
function toggle(key, isOn, change) {
  /** @type {HTMLInputElement} */
  const box = h("input", { type: "checkbox", id: freshId("setting"), checked: isOn, on: { change: () => change(box.checked) } });
  return h("label", { class: "switch", for: box.id }, box, t(key));
}

customElements.define("podium-settings", PodiumSettings);
