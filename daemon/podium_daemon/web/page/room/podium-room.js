// @ts-check
// The room itself, where the engine moves media: oneself, the others as a grid or with one of them large, and the switches.

import { canChooseSpeaker, chosenDevice, deviceTrouble } from "./devices.js";
import { action, h, keyed, setText, show } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { nameOf } from "../parts/avatar.js";
import { withIcon } from "../parts/icons.js";
import { toast } from "../parts/toasts.js";
import { REACTIONS } from "./reactions.js";
import { Tiles } from "./room-tiles.js";

/** @import { Kind, Media, SessionClient, Trouble } from "../core/types.js" */
/** @import { Other } from "./media.js" */
/** @import { Tile } from "./room-tiles.js" */

const LISTEN_EVERY = 500; // ms between looks at who is speaking
const SPEAKING = 0.01; // loudness since the last look, 0 to 1: a quiet voice; a room without one has a tenth
const STAYS_LARGE = 3; // looks for which a speaker stays large after falling silent: a breath does not change the picture

/** @typedef {HTMLMediaElement & { shownTrack?: MediaStreamTrack | null }} Playing */

/** @type {Kind[]} */
const SWITCHES = ["audio", "video", "screen"];
const HAS_SCREEN = Boolean(globalThis.navigator?.mediaDevices?.getDisplayMedia); // phones have none

/** `<podium-room>`; built by `setUp(client)`. Shows itself while there is media; `switches` and `views` are for the bar. */
export class PodiumRoom extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {string} */ view;
  /** @type {string | null} */ large;
  /** @type {string | null} */ pinned;
  /** @type {number} */ quietFor;
  /** @type {HTMLParagraphElement} */ lit;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {Tiles} */ tiles;
  /** @type {HTMLDivElement} */ sounds;
  /** @type {HTMLButtonElement} */ unmute;
  /** @type {Record<Kind, HTMLButtonElement>} */ switches;
  /** @type {HTMLButtonElement} */ views;
  /** @type {number | null} */ listening;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.view = "grid";
    this.large = null;
    this.quietFor = 0;
    this.pinned = null;
    this.lit = h("p", { class: "hint", role: "status" });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    const play = (/** @type {Playing} */ node, /** @type {MediaStreamTrack | null} */ track) => this.#play(node, track);
    this.tiles = new Tiles({ client, play, failure: this.failure, pin: (key) => this.#pin(key) });
    this.tiles.box.addEventListener("shown", () => this.#look());
    document.addEventListener("visibilitychange", () => this.#look());
    this.sounds = h("div", { hidden: true });
    this.unmute = h("button", { type: "button", class: "primary", hidden: true, on: { click: () => this.#sound() } }, t("room.sound"));
    this.switches = /** @type {Record<Kind, HTMLButtonElement>} */ (Object.fromEntries(SWITCHES.map((kind) => [kind, this.#switch(kind)])));
    this.views = h("button", { type: "button", "aria-pressed": "false", on: { click: () => this.#turnView() } }, t("room.speaker-view"));
    this.replaceChildren(this.unmute, this.lit, this.failure, this.tiles.box, this.sounds);
    client.subscribe(() => this.#update());
    this.#update();
  }

  get media() {
    const seat = this.client.seat;
    return seat?.media?.hasBegun && ["seated", "returning"].includes(seat.state) ? seat.media : null;
  }

  disconnectedCallback() {
    clearInterval(this.listening ?? undefined);
  }

  // -- switches

  /** @param {Kind} kind */
  #switch(kind) {
    const run = async () => {
      show(this.failure, false);
      const { media } = this;
      if (media === null) return; // nothing to switch: the button is hidden
      if (media.own[kind]) await media.turnOff(kind);
      else await media.turnOn(kind);
    };
    const button = action("", run, (error) => this.#failed(kind, error), { "aria-pressed": "false" });
    button.replaceChildren(h("span", { class: "long" }, t(`room.${kind}`)), h("span", { class: "short" }, t(`room.${kind}.short`)));
    return withIcon(button, `${kind}-off`);
  }

  /**
   * @param {Kind} kind
   * @param {Trouble} error
   */
  #failed(kind, error) {
    if (kind === "screen" && error.name === "NotAllowedError") return; // the person closed the browser's question
    setText(this.failure, deviceTrouble(kind, error));
    show(this.failure, true);
  }

  #turnView() {
    this.view = this.view === "grid" ? "speaker" : "grid";
    this.views.setAttribute("aria-pressed", String(this.view === "speaker"));
    this.#update();
  }

  /** @param {string | null} key */
  #pin(key) {
    this.pinned = key;
    this.#update();
  }

  // -- who is there

  #update() {
    const { media } = this;
    show(this, media !== null);
    if (media === null) {
      clearInterval(this.listening ?? undefined);
      this.listening = null;
      this.tiles.show([], { large: null, speaker: null, pinned: null });
      this.#tellReactions([]);
      this.#playSounds([]);
      for (const kind of SWITCHES) show(this.switches[kind], false);
      return;
    }
    this.listening ??= setInterval(() => this.#listen(), LISTEN_EVERY);
    for (const kind of SWITCHES) this.#showSwitch(kind, media);
    this.#showLit();
    const tiles = wantedTiles(media, this.client.me?.pubkey ?? null);
    this.tiles.show(tiles, { large: this.#largest(tiles), speaker: this.large, pinned: this.pinned });
    this.#playSounds([...media.others.values()].filter((one) => one.tracks.audio));
    this.#tellReactions(tiles);
  }

  /**
   * Reactions of people who have no tile stand in a line of their own.
   *
   * @param {Tile[]} tiles
   */
  #tellReactions(tiles) {
    const { seat, me } = this.client;
    for (const pubkey of seat?.reactions.takeUntold() ?? []) {
      const kind = seat?.reactions.of(pubkey);
      if (!kind || tiles.some((tile) => tile.pubkey === pubkey)) continue;
      toast(`${REACTIONS[kind]} ${pubkey === me?.pubkey ? t("room.you") : nameOf(this.client, pubkey)}`, { seconds: 4, key: `reaction-${pubkey}` });
    }
  }

  /** Tell the engine what is in sight: with the tab in the background that is a picture of its own window at most. */
  #look() {
    const { pictureInPictureElement: inset } = document;
    const shown = this.tiles.shown.filter((tile) => document.visibilityState === "visible" || inset?.closest(".tile") === this.tiles.nodeOf(tile));
    this.media?.look(new Set(shown.map(({ connection, isScreen }) => `${connection} ${isScreen ? "screen" : "video"}`)));
  }

  /** @param {Other[]} heard */
  #playSounds(heard) {
    keyed(this.sounds, heard, (one) => one.connection, () => h("audio", { autoplay: true }), (node, one) => {
      this.#play(node, one.tracks.audio ?? null);
      const speaker = chosenDevice("speaker") ?? "";
      if (canChooseSpeaker && node.sinkId !== speaker) node.setSinkId(speaker).catch(() => {}); // it was pulled out: the usual one plays
    });
  }

  /** What to say about the connection; nothing while all is well. */
  get trouble() {
    const { media } = this;
    if (this.client.seat?.state === "returning") return t("room.trouble.seat");
    if (media === null) return "";
    if (media.state === "trouble") return [t(`room.trouble.${media.lacks}`), media.isStuck ? t("room.trouble.network") : ""].join(" ").trim();
    if (media.cipher && !media.cipher.hasSecret) return t("room.no-secret");
    return media.state === "live" ? "" : t(`room.state.${media.state}`);
  }

  #showLit() {
    const spotlight = this.client.seat?.spotlight ?? null;
    const isOwn = spotlight !== null && spotlight === this.client.me?.pubkey;
    setText(this.lit, isOwn ? t("room.lit.you") : spotlight ? t("room.lit", { who: nameOf(this.client, spotlight) }) : "");
    show(this.lit, spotlight !== null);
  }

  /**
   * @param {Kind} kind
   * @param {Media} media
   */
  #showSwitch(kind, media) {
    const button = this.switches[kind];
    show(button, media.hasBegun && (kind !== "screen" || HAS_SCREEN));
    button.setAttribute("aria-pressed", String(media.own[kind] !== null));
    withIcon(button, media.own[kind] === null && kind !== "screen" ? `${kind}-off` : kind);
    const was = button.dataset.muted === "true";
    const muted = media.mutedHere.has(kind);
    button.dataset.muted = String(muted);
    if (muted && !was) toast(t("room.muted", { what: t(`room.${kind}`) }), { seconds: 10, key: `muted-${kind}` });
  }

  /**
   * Whom the person pinned, or the instructor put there; else a screen, which is what people came to see; else who speaks.
   *
   * @param {Tile[]} tiles
   */
  #largest(tiles) {
    const others = tiles.filter((tile) => !tile.isOwn);
    if (others.some((tile) => tile.key === this.pinned)) return this.pinned;
    const spotlight = this.client.seat?.spotlight ?? null;
    const lit = others.filter((tile) => tile.pubkey === spotlight);
    if (lit.length > 0) return (lit.find((tile) => tile.isScreen) ?? lit.find((tile) => tile.track) ?? lit[0]).key;
    const screen = others.find((tile) => tile.isScreen);
    if (screen) return screen.key;
    if (this.view !== "speaker") return null;
    return others.some((tile) => tile.key === this.large) ? this.large : (others[0]?.key ?? null);
  }

  /**
   * @param {Playing} node
   * @param {MediaStreamTrack | null} track
   */
  #play(node, track) {
    if (node.shownTrack === track) return;
    node.shownTrack = track;
    node.srcObject = track === null ? null : new MediaStream([track]);
    if (track === null) return;
    // browsers hold sound back until the person did something on this page
    node.play?.().catch((error) => error.name === "NotAllowedError" && show(this.unmute, true));
  }

  #sound() {
    for (const node of /** @type {Iterable<HTMLAudioElement>} */ (this.sounds.children)) node.play().catch(() => {});
    show(this.unmute, false, this.switches.audio);
  }

  async #listen() {
    await this.media?.measure();
    if (this.media === null) return;
    const levels = this.media.levels();
    this.tiles.speaking(levels, SPEAKING);
    /** @type {[string | null, number]} */
    const nobody = [null, SPEAKING];
    const [loudest, level] = [...levels].reduce((most, one) => (one[1] > most[1] ? one : most), nobody);
    this.quietFor = loudest === this.large || level <= SPEAKING ? 0 : this.quietFor + 1;
    if (loudest !== null && (this.large === null || this.quietFor >= STAYS_LARGE)) {
      this.large = loudest;
      this.quietFor = 0;
      this.#update();
    }
  }
}

/**
 * @param {Media} media
 * @param {string | null} me
 * @returns {Tile[]}
 */
function wantedTiles(media, me) {
  /** @type {Tile[]} */
  const tiles = [];
  const own = { pubkey: me, isOwn: true, sound: media.own.audio !== null };
  tiles.push({ key: "own", ...own, track: media.own.video });
  if (media.own.screen) tiles.push({ key: "own-screen", ...own, track: media.own.screen, isScreen: true });
  for (const { connection, pubkey, tracks } of media.others.values()) {
    const other = { pubkey, connection, sound: Boolean(tracks.audio), locked: media.cipher?.locked.has(pubkey) ?? false };
    tiles.push({ key: connection, ...other, track: tracks.video ?? null });
    if (tracks.screen) tiles.push({ key: `${connection}-screen`, ...other, track: tracks.screen, isScreen: true });
  }
  return tiles;
}

customElements.define("podium-room", PodiumRoom);
