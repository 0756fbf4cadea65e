// @ts-check
// Microphone, camera and speaker: chosen and tried in the dialog before one enters, and changed in the room's settings.

import { freshId, h, setText, show } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { withIcon } from "../parts/icons.js";
import { toast } from "../parts/toasts.js";
import { canChooseSpeaker, chooseDevice, chosenDevice, deviceTrouble, isWanted, openDevice, want } from "./devices.js";
import { WISHES, hasMedia } from "./media.js";

/** @import { DeviceKind, Kind, Media, SessionClient, Trouble } from "../core/types.js" */

/** @import { Seat } from "./seat.js" */

/** @typedef {"audio" | "video"} Tryable */
/** @typedef {{ sound: AudioContext, timer: number }} Ear */

/** @type {Tryable[]} */
const KINDS = ["audio", "video"];
const LOOK_EVERY = 100; // ms between looks at the microphone
const HEARD = 0.02; // RMS of the samples, 0 to 1: a voice at an arm's length has more
const FULL = 0.25; // what fills the bar

/** `<podium-devices>`; built by `setUp(client)`. `begin()` and `end()` with the dialog; nothing of what is tried leaves the page. */
export class PodiumDevices extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {Partial<Record<Tryable, MediaStreamTrack>>} */ tracks;
  /** @type {Ear | null} */ ear;
  /** @type {boolean} */ isTrying;
  /** @type {Partial<Record<DeviceKind, HTMLSelectElement>>} */ chosen;
  /** @type {Record<Tryable, HTMLButtonElement>} */ switches;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLVideoElement} */ picture;
  /** @type {HTMLMeterElement} */ meter;
  /** @type {HTMLParagraphElement} */ heard;
  /** @type {HTMLElement} */ trying;
  /** @type {Seat | null} */ wasSeated;
  /** @type {Seat | null} */ appliedTo;
  /** @type {boolean} */ isApplied;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.tracks = {};
    this.ear = null;
    this.isTrying = false;
    this.appliedTo = null;
    this.isApplied = false;
    this.wasSeated = null;
    this.chosen = {};
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.picture = h("video", { autoplay: true, playsinline: true, hidden: true, "aria-label": t("devices.picture") });
    this.picture.muted = true;
    this.meter = h("meter", { max: "1", "aria-label": t("devices.level") });
    this.heard = h("p", { class: "hint", role: "status" });
    this.switches = { audio: this.#makeSwitch("audio"), video: this.#makeSwitch("video") };
    const off = h("span", { class: "no-picture" }, t("devices.no-picture"));
    const preview = h("div", { class: "preview" }, off, this.picture, h("div", { class: "preview-bar" }, ...Object.values(this.switches)));
    this.trying = h("div", { class: "trying" }, preview, this.meter, this.heard);
    /** @type {DeviceKind[]} */
    const kinds = canChooseSpeaker ? [...KINDS, "speaker"] : KINDS;
    this.replaceChildren(this.trying, h("div", { class: "device-fields" }, ...kinds.map((kind) => this.#makeField(kind))), this.failure);
    globalThis.navigator.mediaDevices?.addEventListener("devicechange", () => !this.hidden && this.#list());
    client.subscribe(() => this.#update());
  }

  /** Show oneself what the others would see and hear, as far as it is switched on. */
  async begin() {
    show(this, this.client.showsMedia && hasMedia);
    if (this.hidden) return;
    this.isTrying = true;
    show(this.failure, false);
    this.#showTried();
    await this.#list();
    await Promise.all(KINDS.map((kind) => isWanted(kind) && this.#try(kind)));
  }

  end() {
    this.isTrying = false;
    for (const kind of KINDS) this.#drop(kind);
  }

  disconnectedCallback() {
    this.end();
  }

  // -- choosing

  /** @param {Tryable} kind */
  #makeSwitch(kind) {
    const press = async () => {
      want(kind, !isWanted(kind));
      show(this.failure, false);
      if (isWanted(kind)) await this.#try(kind);
      else this.#drop(kind);
      this.#showTried();
    };
    return withIcon(h("button", { type: "button", "aria-pressed": "false", on: { click: press } }, t(`room.${kind}`)), `${kind}-off`);
  }

  /** @param {DeviceKind} kind */
  #makeField(kind) {
    const select = h("select", { id: freshId(kind), on: { change: () => this.#change(kind) } });
    this.chosen[kind] = select;
    return h("label", { for: select.id }, h("span", {}, t(`room.device.${kind}`)), select);
  }

  /** @param {DeviceKind} kind */
  async #change(kind) {
    show(this.failure, false);
    chooseDevice(kind, this.chosen[kind]?.value || null);
    if (kind === "speaker") return this.client.seat?.changed(); // the room plays through it
    try {
      const { media = null } = this.client.seat ?? {};
      if (media?.own[kind]) await media.turnOn(kind);
    } catch (error) {
      this.#failed(kind, /** @type {Trouble} */ (error));
    }
    if (this.isTrying && this.tracks[kind]) await this.#try(kind);
  }

  async #list() {
    const found = await navigator.mediaDevices.enumerateDevices();
    for (const [kind, select] of /** @type {[DeviceKind, HTMLSelectElement][]} */ (Object.entries(this.chosen))) {
      const own = found.filter((one) => one.kind === (kind === "speaker" ? "audiooutput" : `${kind}input`) && one.deviceId);
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

  // -- in the room

  /** In the room what was switched on before is switched on, once a seat; and there is nothing to try any more. */
  #update() {
    const { seat } = this.client;
    if (seat === null) return;
    const seated = ["seated", "returning"].includes(seat.state);
    show(this.trying, !seated);
    if (!seated) return;
    if (this.isTrying) this.end();
    show(this, this.client.showsMedia && hasMedia);
    if (this.wasSeated !== seat) this.#list();
    this.wasSeated = seat;
    const { media } = seat;
    if (!media?.hasBegun) return;
    if (this.appliedTo !== seat) this.#apply(seat, media);
    else if (this.isApplied) for (const kind of KINDS) if (isWanted(kind) !== (media.own[kind] !== null)) want(kind, media.own[kind] !== null);
  }

  /**
   * What was on is on again, once a seat; from then on what is switched in the room is what is remembered, so that a page
   * that is loaded again opens no microphone that was switched off.
   *
   * @param {Seat} seat
   * @param {Media} media
   */
  async #apply(seat, media) {
    this.appliedTo = seat;
    this.isApplied = false;
    const wanted = KINDS.filter((kind) => isWanted(kind) && !media.own[kind]);
    await Promise.all(wanted.map((kind) => media.turnOn(kind).catch((error) => toast(deviceTrouble(kind, error)))));
    if (this.appliedTo === seat) this.isApplied = true;
  }

  // -- trying

  /** @param {Tryable} kind */
  async #try(kind) {
    this.#drop(kind);
    const track = await openDevice(kind, WISHES[kind]).catch((error) => this.#failed(kind, error));
    if (!this.isTrying || !isWanted(kind)) return track?.stop(); // it took the person a while
    if (!track) return want(kind, false);
    this.tracks[kind] = track;
    if (kind === "video") this.picture.srcObject = new MediaStream([track]);
    else this.#listen(track);
    this.#showTried();
    await this.#list(); // with the permission the browser tells names
  }

  #showTried() {
    for (const kind of KINDS) {
      this.switches[kind].setAttribute("aria-pressed", String(isWanted(kind)));
      withIcon(this.switches[kind], isWanted(kind) ? kind : `${kind}-off`);
    }
    show(this.picture, Boolean(this.tracks.video));
    show(this.meter, this.ear !== null);
    show(this.heard, this.ear !== null);
  }

  /** @param {MediaStreamTrack} track */
  #listen(track) {
    const sound = new AudioContext();
    const analyser = sound.createAnalyser();
    sound.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    setText(this.heard, t("devices.silent"));
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const level = Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
      this.meter.value = Math.min(1, level / FULL);
      if (level > HEARD) setText(this.heard, t("devices.heard"));
    }, LOOK_EVERY);
    this.ear = { sound, timer };
  }

  /** @param {Tryable} kind */
  #drop(kind) {
    this.tracks[kind]?.stop();
    delete this.tracks[kind];
    if (kind === "video") this.picture.srcObject = null;
    else if (this.ear) {
      clearInterval(this.ear.timer);
      this.ear.sound.close();
      this.ear = null;
    }
    this.#showTried();
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
