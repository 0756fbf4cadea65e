// @ts-check
// Choosing a microphone and a camera, and trying them, before anybody else sees or hears them.

import { action, freshId, h, setText, show } from "../core/dom.js";
import { chooseDevice, chosenDevice, deviceTrouble, openDevice } from "./devices.js";
import { t } from "../core/i18n.js";
import { WISHES } from "./media.js";

/** @import { Kind, SessionClient, Trouble } from "../core/types.js" */

/** @typedef {"audio" | "video"} Tryable */
/** @typedef {{ tracks: Partial<Record<Tryable, MediaStreamTrack>>, sound?: AudioContext, timer?: number }} Tried */

/** @type {Tryable[]} */
const KINDS = ["audio", "video"];
const LOOK_EVERY = 100; // ms between looks at the microphone
const HEARD = 0.02; // RMS of the samples, 0 to 1: a voice at an arm's length has more
const FULL = 0.25; // what fills the bar

/** `<podium-devices>`; built by `setUp(client)`. Nothing of what is tried here leaves the page. */
export class PodiumDevices extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {Tried | null} */ tried;
  /** @type {Record<string, HTMLSelectElement>} */ chosen;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ hint;
  /** @type {HTMLButtonElement} */ tryOut;
  /** @type {HTMLVideoElement} */ picture;
  /** @type {HTMLProgressElement} */ meter;
  /** @type {HTMLParagraphElement} */ heard;
  /** @type {HTMLDetailsElement} */ details;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.tried = null;
    this.chosen = {};
    const fields = KINDS.map((kind) => this.#makeField(kind));
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.hint = h("p", { class: "hint" }, t("devices.hint"));
    this.tryOut = action(t("devices.try"), () => this.#toggle(), () => {}, { "aria-pressed": "false" });
    this.picture = h("video", { autoplay: true, playsinline: true, hidden: true, "aria-label": t("devices.picture") });
    this.picture.muted = true;
    this.meter = h("progress", { max: "1", hidden: true, "aria-label": t("devices.level") });
    this.heard = h("p", { class: "hint", role: "status", hidden: true });
    const opened = () => {
      this.#list();
      if (!this.details.open) this.#stop();
    };
    this.details = h("details", { on: { toggle: opened } }, h("summary", {}, t("room.devices")),
      ...fields, this.hint, h("div", { class: "buttons" }, this.tryOut), this.picture, this.meter, this.heard, this.failure);
    this.replaceChildren(this.details);
    globalThis.navigator.mediaDevices?.addEventListener("devicechange", () => this.details.open && this.#list());
    client.subscribe(() => this.#update());
  }

  /**
   * Show it, or not; what is being tried ends with it.
   *
   * @param {boolean} offered
   */
  offer(offered) {
    if (!offered) this.#stop();
    show(this, offered);
  }

  disconnectedCallback() {
    this.#stop();
  }

  /** @param {Tryable} kind */
  #makeField(kind) {
    const select = h("select", { id: freshId(kind), on: { change: () => this.#change(kind) } });
    this.chosen[kind] = select;
    return h("label", { for: select.id }, t(`room.device.${kind}`), " ", select);
  }

  get #media() {
    return this.client.seat?.media ?? null;
  }

  #update() {
    const seated = ["seated", "returning"].includes(this.client.seat?.state ?? "");
    if (!this.wasSeated && seated) this.#stop(); // from here on the switches count, and the own tile is the preview
    this.wasSeated = seated;
  }

  /** @param {Tryable} kind */
  async #change(kind) {
    show(this.failure, false);
    chooseDevice(kind, this.chosen[kind].value || null);
    try {
      if (this.#media?.own[kind]) await this.#media.turnOn(kind);
    } catch (error) {
      this.#failed(kind, /** @type {Trouble} */ (error));
    }
    if (this.tried) await this.#start();
  }

  async #list() {
    const found = await navigator.mediaDevices.enumerateDevices();
    for (const [kind, select] of Object.entries(this.chosen)) {
      const own = found.filter((one) => one.kind === `${kind}input` && one.deviceId);
      const options = [["", t("room.device.any")], ...own.map((one, index) => [one.deviceId, one.label || `${index + 1}`])];
      const key = JSON.stringify(options);
      const wanted = chosenDevice(kind) ?? "";
      if (select.dataset.key !== key) {
        select.dataset.key = key;
        select.replaceChildren(...options.map(([value, text]) => h("option", { value }, text)));
      }
      select.value = options.some(([value]) => value === wanted) ? wanted : "";
    }
  }

  // -- trying

  async #toggle() {
    if (this.tried) this.#stop();
    else await this.#start();
  }

  async #start() {
    this.#stop();
    show(this.failure, false);
    /** @type {Tried} */
    const tried = { tracks: {} };
    this.tried = tried;
    for (const kind of KINDS) {
      const track = await openDevice(kind, WISHES[kind]).catch((error) => this.#failed(kind, error));
      if (this.tried !== tried) return track?.stop(); // it took the person a while
      if (track) tried.tracks[kind] = track;
    }
    const { audio, video } = tried.tracks;
    if (!audio && !video) return this.#stop();
    this.tryOut.setAttribute("aria-pressed", "true");
    this.picture.srcObject = video ? new MediaStream([video]) : null;
    show(this.picture, Boolean(video));
    if (audio) this.#listen(tried, audio);
    await this.#list(); // with the permission the browser tells names
  }

  /**
   * @param {Tried} tried
   * @param {MediaStreamTrack} track
   */
  #listen(tried, track) {
    tried.sound = new AudioContext();
    const ear = tried.sound.createAnalyser();
    tried.sound.createMediaStreamSource(new MediaStream([track])).connect(ear);
    const samples = new Float32Array(ear.fftSize);
    setText(this.heard, t("devices.silent"));
    show(this.heard, true);
    show(this.meter, true);
    tried.timer = setInterval(() => {
      ear.getFloatTimeDomainData(samples);
      const level = Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
      this.meter.value = Math.min(1, level / FULL);
      if (level > HEARD) setText(this.heard, t("devices.heard"));
    }, LOOK_EVERY);
  }

  #stop() {
    const { tried } = this;
    this.tried = null;
    this.tryOut.setAttribute("aria-pressed", "false");
    for (const node of [this.picture, this.meter, this.heard]) show(node, false);
    if (!tried) return;
    clearInterval(tried.timer);
    tried.sound?.close();
    for (const track of Object.values(tried.tracks)) track.stop();
    this.picture.srcObject = null;
  }

  /**
   * @param {Kind} kind
   * @param {Trouble} error
   */
  #failed(kind, error) {
    const before = this.failure.hidden ? "" : `${this.failure.textContent} `;
    setText(this.failure, before + deviceTrouble(kind, error));
    show(this.failure, true);
  }
}

customElements.define("podium-devices", PodiumDevices);
