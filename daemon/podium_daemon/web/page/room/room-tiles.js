// @ts-check
// The people of a room as tiles: a picture or initials, the name, whether one hears them, and a menu.

import { action, announce, h, keyed, setText, show } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { npubOf } from "../core/npub.js";
import { avatar, fillAvatar, nameOf } from "../parts/avatar.js";
import { icon, withIcon } from "../parts/icons.js";
import { menu } from "../parts/menu.js";
import { PersonActions, failsInto } from "../parts/person-actions.js";
import { REACTIONS } from "./reactions.js";
import { layOut } from "./tile-layout.js";

/** @import { SessionClient } from "../core/types.js" */
/** @import { Menu } from "../parts/menu.js" */
/** @import { Act } from "../parts/person-actions.js" */
/** @import { Box, Layout } from "./tile-layout.js" */

/**
 * @typedef {object} Tile
 * @property {string} key
 * @property {string | null} pubkey
 * @property {string} [connection]
 * @property {MediaStreamTrack | null} track
 * @property {boolean} [isOwn]
 * @property {boolean} [isScreen]
 * @property {boolean} sound
 * @property {boolean} [locked]
 */
/** @typedef {{ video: HTMLVideoElement, face: HTMLElement, name: HTMLElement, mark: HTMLElement, silent: HTMLElement, hand: HTMLElement, reaction: HTMLElement, menu: Menu, own: Record<"pin" | "full" | "inset", HTMLButtonElement>, actions?: PersonActions }} TileParts */
/** @typedef {HTMLLIElement & TileParts} TileNode */

/**
 * @typedef {object} TilesHow
 * @property {SessionClient} client
 * @property {(node: HTMLVideoElement, track: MediaStreamTrack | null) => void} play puts a track into a video
 * @property {HTMLElement} failure the line that says what did not work
 * @property {(key: string | null) => void} pin
 */

/** Shows as many tiles as the box has room for, and pages where there are more. */
export class Tiles {
  /** @param {TilesHow} how */
  constructor({ client, play, failure, pin }) {
    this.client = client;
    this.play = play;
    this.failure = failure;
    this.pin = pin;
    this.page = 0;
    /** @type {Tile[]} */
    this.tiles = [];
    /** @type {{ large: string | null, speaker: string | null, pinned: string | null }} */
    this.wish = { large: null, speaker: null, pinned: null };
    /** @type {Layout | null} */
    this.layout = null;
    this.list = h("ul", { class: "tiles", "aria-label": t("room.people") });
    this.position = h("span", { role: "status" });
    this.pager = h("div", { class: "pager", role: "group", "aria-label": t("room.pages"), hidden: true },
      this.#turner("before", -1), this.position, this.#turner("after", 1));
    this.box = h("div", { class: "tiles-box" }, this.list, this.pager);
    new ResizeObserver(() => this.#place()).observe(this.box);
  }

  /**
   * Show these; `large` alone, with the others as a strip; `speaker` on every page.
   *
   * @param {Tile[]} tiles
   * @param {{ large: string | null, speaker: string | null, pinned: string | null }} wish
   */
  show(tiles, wish) {
    this.tiles = tiles;
    this.wish = wish;
    this.#place();
  }

  /** The tiles that are in sight. */
  get shown() {
    return this.tiles.filter((tile) => this.layout?.boxes.has(tile.key));
  }

  /**
   * The element of a tile that is in sight.
   *
   * @param {Tile} tile
   * @returns {Element | null}
   */
  nodeOf(tile) {
    return [...this.list.children].find((node) => /** @type {HTMLElement} */ (node).dataset.key === tile.key) ?? null;
  }

  /**
   * Mark who speaks: `levels` by connection.
   *
   * @param {Map<string, number>} levels
   * @param {number} least
   */
  speaking(levels, least) {
    for (const node of /** @type {Iterable<TileNode>} */ (this.list.children)) {
      node.classList.toggle("speaking", (levels.get(node.dataset.connection ?? "") ?? 0) > least);
    }
  }

  /**
   * @param {string} name
   * @param {number} by
   */
  #turner(name, by) {
    const turn = () => {
      this.page += by;
      this.#place();
    };
    return withIcon(h("button", { type: "button", class: "turn", "data-turn": name, on: { click: turn } }, t(`room.page.${name}`)), name);
  }

  #place() {
    const { width, height } = this.box.getBoundingClientRect();
    if (width === 0 || height === 0) return this.#hide(); // the observer calls when it is in sight again
    const layout = layOut(this.tiles, { width, height, ...this.wish, page: this.page });
    this.layout = layout;
    this.page = layout.page;
    const { shown } = this;
    this.list.dataset.view = layout.large === null ? "grid" : "speaker";
    const focused = this.list.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
    keyed(this.list, shown, (tile) => tile.key, (tile) => this.#make(tile), (node, tile) => this.#update(node, tile));
    // a node that changes its place loses the focus
    if (focused?.isConnected && focused !== document.activeElement) focused.focus();
    show(this.pager, layout.pages > 1);
    setText(this.position, t("room.page.of", { page: layout.page + 1, pages: layout.pages }));
    const [before, after] = /** @type {NodeListOf<HTMLButtonElement>} */ (this.pager.querySelectorAll("button"));
    before.disabled = layout.page === 0;
    after.disabled = layout.page === layout.pages - 1;
    this.box.dispatchEvent(new CustomEvent("shown"));
  }

  #hide() {
    this.layout = null;
    this.box.dispatchEvent(new CustomEvent("shown"));
  }

  /** @param {Tile} tile */
  #make(tile) {
    const video = h("video", { autoplay: true, playsinline: true });
    video.muted = true; // sound has elements of its own
    const face = avatar(this.client, tile.pubkey);
    const name = h("span", { class: "tile-name", dir: "auto" });
    const mark = h("span", { class: "tile-mark" });
    const silent = h("span", { class: "tile-silent", role: "img", "aria-label": t("room.silent"), title: t("room.silent") }, icon("audio-off"));
    const hand = h("span", { class: "tile-hand", role: "img", hidden: true }, icon("hand"), h("span", {}));
    const reaction = h("span", { class: "tile-reaction", role: "img", hidden: true });
    const own = this.#ownActs(tile.key, video);
    const given = menu(t("door.of", { what: t("room.actions"), npub: this.#who(tile) }), ...Object.values(own));
    const node = h("li", { class: "tile", "data-key": tile.key }, video, face, h("span", { class: "tile-line" }, silent, name, mark), hand, reaction, given.button, given.panel);
    const made = /** @type {TileNode} */ (Object.assign(node, { video, face, name, mark, silent, hand, reaction, own, menu: given }));
    if (!tile.isOwn && tile.pubkey) this.#addActs(made, tile.pubkey, tile.isScreen);
    return made;
  }

  /**
   * What everybody can do with a tile on their own screen.
   *
   * @param {string} key
   * @param {HTMLVideoElement} video
   */
  #ownActs(key, video) {
    const act = (/** @type {string} */ name, /** @type {() => unknown} */ run) => withIcon(action(t(`room.${name}`), async () => {
      await run();
      const { menu: opened } = /** @type {TileNode} */ (video.parentElement);
      opened.close();
    }, () => announce(t("room.cannot", { what: t(`room.${name}`) })), { class: "quiet" }), name);
    return {
      pin: act("pin", () => this.pin(this.wish.pinned === key ? null : key)),
      full: act("full", () => (document.fullscreenElement ? document.exitFullscreen() : video.parentElement?.requestFullscreen())),
      inset: act("inset", () => (document.pictureInPictureElement === video ? document.exitPictureInPicture() : video.requestPictureInPicture())),
    };
  }

  /**
   * What those who lead can do about the person.
   *
   * @param {TileNode} node
   * @param {string} pubkey
   * @param {boolean} [isScreen]
   */
  #addActs(node, pubkey, isScreen) {
    /** @type {Act[]} */
    const only = isScreen ? ["screen-off", "spotlight"] : ["mute", "camera-off", "speak", "spotlight", "remove"];
    const actions = failsInto(new PersonActions(this.client, pubkey, only, () => node.menu.close()), this.failure);
    node.actions = actions;
    node.menu.panel.append(...actions.nodes);
  }

  /** @param {Tile} tile */
  #who(tile) {
    return tile.isOwn ? t("room.you") : nameOf(this.client, tile.pubkey ?? "");
  }

  /**
   * @param {TileNode} node
   * @param {Tile} tile
   */
  #update(node, tile) {
    this.play(node.video, tile.track);
    show(node.video, tile.track !== null);
    show(node.face, tile.track === null);
    fillAvatar(node.face, this.client, tile.pubkey);
    const isLarge = this.layout?.large === tile.key;
    const isFloating = Boolean(tile.isOwn && !tile.isScreen && this.layout?.isFloating);
    const classes = { large: isLarge, own: tile.isOwn, screen: tile.isScreen, floating: isFloating, pinned: this.wish.pinned === tile.key };
    for (const [name, on] of Object.entries(classes)) node.classList.toggle(name, Boolean(on));
    setBox(node, /** @type {Box} */ (this.layout?.boxes.get(tile.key)));
    node.dataset.connection = tile.connection ?? "";
    const who = this.#who(tile);
    setText(node.name, tile.isScreen ? t("room.screen-of", { who }) : who);
    node.name.title = tile.pubkey ? npubOf(tile.pubkey) : "";
    setText(node.mark, tile.locked ? t("room.locked") : "");
    show(node.silent, !tile.isScreen && !tile.sound && !tile.locked);
    this.#raise(node.hand, tile.isScreen ? 0 : (this.client.seat?.hands.indexOf(tile.pubkey ?? "") ?? -1) + 1);
    this.#react(node.reaction, tile.isScreen ? null : (this.client.seat?.reactions.of(tile.pubkey) ?? null));
    node.own.pin.setAttribute("aria-pressed", String(this.wish.pinned === tile.key));
    show(node.own.pin, !tile.isOwn);
    show(node.own.full, document.fullscreenEnabled);
    show(node.own.inset, tile.track !== null && document.pictureInPictureEnabled);
    if (!node.actions) return;
    node.actions.update(node.menu.button, (name) => this.client.leads && (name !== "camera-off" || tile.track !== null));
  }

  /**
   * @param {HTMLElement} node
   * @param {number} place in the order of raising, from 1; 0: not up
   */
  #raise(node, place) {
    show(node, place > 0);
    node.setAttribute("aria-label", t("hands.place", { place }));
    setText(/** @type {HTMLElement} */ (node.lastElementChild), String(place));
  }

  /**
   * @param {HTMLElement} node
   * @param {string | null} kind
   */
  #react(node, kind) {
    setText(node, kind === null ? "" : REACTIONS[kind]);
    if (kind !== null) node.setAttribute("aria-label", t(`reaction.${kind}`));
    show(node, kind !== null);
  }
}

/**
 * @param {HTMLElement} node
 * @param {Box} box
 */
function setBox(node, { x, y, width, height }) {
  for (const [name, value] of Object.entries({ left: x, top: y, width, height })) {
    if (node.style.getPropertyValue(name) !== `${value}px`) node.style.setProperty(name, `${value}px`);
  }
  node.dataset.size = width < 140 || height < 90 ? "small" : "usual";
}
