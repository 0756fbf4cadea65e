// @ts-check
// What those who lead do about one person in the room: the same buttons on a tile and in the list of people.

import { action, announce, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { nameOf } from "./avatar.js";
import { withIcon } from "./icons.js";
import { undoable } from "./toasts.js";

/** @import { Props } from "../core/dom.js" */
/** @import { SessionClient } from "../core/types.js" */

/** @typedef {"mute" | "camera-off" | "screen-off" | "speak" | "spotlight" | "remove"} Act */

/** @type {Record<Act, string>} */
const ICONS = { mute: "audio-off", "camera-off": "video-off", "screen-off": "screen-off", speak: "speak", spotlight: "spotlight", remove: "remove" };

/** Buttons about one person; `update()` after each change. `only`: which of them, in this order. */
export class PersonActions {
  /**
   * @param {SessionClient} client
   * @param {string} pubkey
   * @param {Act[]} only
   * @param {() => void} [done]
   */
  constructor(client, pubkey, only, done = () => {}) {
    this.client = client;
    this.pubkey = pubkey;
    this.done = done;
    this.who = nameOf(client, pubkey);
    /** @type {(text: string) => void} */
    this.failed = () => {};
    /** @type {Record<Act, () => HTMLButtonElement>} */
    const made = {
      mute: () => this.#make("door.mute", () => client.lead.mute(pubkey, "audio")),
      "camera-off": () => this.#make("door.camera-off", () => client.lead.mute(pubkey, "video")),
      "screen-off": () => this.#make("door.screen-off", () => client.lead.mute(pubkey, "screen")),
      speak: () => this.#make("door.speak", (button) => client.lead.letSpeak(pubkey, !isOn(button)), { "aria-pressed": "false" }),
      spotlight: () => this.#make("door.spotlight", (button) => client.lead.spotlight(isOn(button) ? null : pubkey), { "aria-pressed": "false" }),
      remove: () => this.#make("door.remove", () => this.#remove(), { class: "danger" }),
    };
    this.buttons = new Map(only.map((name) => [name, withIcon(made[name](), ICONS[name])]));
  }

  get nodes() {
    return [...this.buttons.values()];
  }

  /**
   * `shown`: which of them make sense at present, beside what the room can do.
   *
   * @param {HTMLElement} heir
   * @param {(name: Act) => boolean} [shown]
   */
  update(heir, shown = () => true) {
    const room = this.client.lists.room;
    const leads = (room?.people ?? []).some((one) => one.pubkey === this.pubkey && one.role !== "participant");
    const native = room?.muteAll?.support === "native";
    const can = {
      mute: native,
      "camera-off": native,
      "screen-off": native,
      speak: native && room?.muteAll.active === true && !leads,
      spotlight: room?.spotlight?.support === "native",
      remove: !leads,
    };
    for (const [name, button] of this.buttons) show(button, can[name] && shown(name), heir);
    this.#press("speak", (room?.speakers ?? []).includes(this.pubkey));
    this.#press("spotlight", room?.spotlight?.pubkey === this.pubkey);
  }

  /** In five seconds, unless it is taken back: one does not slip into it. */
  #remove() {
    this.done();
    return undoable((seconds) => t("toast.removing", { who: this.who, seconds }), () => this.client.lead.remove(this.pubkey, ""));
  }

  /**
   * @param {Act} name
   * @param {boolean} on
   */
  #press(name, on) {
    this.buttons.get(name)?.setAttribute("aria-pressed", String(on));
  }

  /**
   * @param {string} key
   * @param {(button: HTMLButtonElement) => unknown} run
   * @param {Props} [props]
   */
  #make(key, run, props = {}) {
    const guarded = async (/** @type {HTMLButtonElement} */ button) => {
      if ((await run(button)) === false) return;
      announce(t("lead.done", { what: t(key) }));
      this.done();
    };
    const name = t("door.of", { what: t(key), npub: this.who });
    return action(t(key), guarded, (error) => this.failed(describe(error)), { class: "quiet", "aria-label": name, title: t(key), ...props });
  }
}

/**
 * A line for what went wrong with the buttons of a list.
 *
 * @param {PersonActions} actions
 * @param {HTMLElement} line
 */
export function failsInto(actions, line) {
  actions.failed = (text) => {
    setText(line, text);
    show(line, true);
  };
  return actions;
}

/** @param {Element} button */
function isOn(button) {
  return button.getAttribute("aria-pressed") === "true";
}
