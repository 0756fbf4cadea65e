// @ts-check
// The people of a room as tiles: pictures and screens, chips for those without a camera, and one of them large.

import { h, keyed, setText, show } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { npubOf } from "../core/npub.js";
import { PersonActions, failsInto } from "../parts/person-actions.js";
import { shortNpub } from "../signer/podium-identity.js";

/** @import { SessionClient } from "../core/types.js" */
/** @import { Act } from "../parts/person-actions.js" */

/**
 * @typedef {object} Tile
 * @property {string} key
 * @property {string | null} pubkey
 * @property {string} [connection]
 * @property {MediaStreamTrack | null} track
 * @property {boolean} [isOwn]
 * @property {boolean} [isScreen]
 * @property {boolean} [isLarge]
 * @property {boolean} sound
 * @property {boolean} [locked]
 */
/** @typedef {{ video: HTMLVideoElement, name: HTMLElement, mark: HTMLElement }} TileParts */
/** @typedef {HTMLLIElement & TileParts & { actions?: PersonActions, menu?: HTMLDetailsElement, menuButton?: HTMLElement }} TileNode */

const FEW = 4; // so many tiles are wide
const SOME = 9; // with more they are small

/** `play(node, track)` puts a track into a video; `failure` is the line that says what did not work. */
export class Tiles {
  /** @param {{ client: SessionClient, play: (node: HTMLVideoElement, track: MediaStreamTrack | null) => void, failure: HTMLElement }} how */
  constructor({ client, play, failure }) {
    this.client = client;
    this.play = play;
    this.failure = failure;
    this.list = h("ul", { class: "tiles", "aria-label": t("room.people") });
  }

  /**
   * Show these: `{key, pubkey, connection, track, isOwn, isScreen, isLarge, sound, locked}`.
   *
   * @param {Tile[]} tiles
   */
  show(tiles) {
    const isChip = (/** @type {Tile} */ tile) => tile.track === null && !tile.isLarge;
    const pictures = tiles.filter((tile) => !isChip(tile));
    const ordered = [...pictures.filter((tile) => tile.isLarge), ...pictures.filter((tile) => !tile.isLarge), ...tiles.filter(isChip)];
    this.list.dataset.view = pictures.some((tile) => tile.isLarge) ? "speaker" : "grid";
    this.list.dataset.size = pictures.length <= FEW ? "few" : pictures.length <= SOME ? "some" : "many";
    const focused = this.list.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
    keyed(this.list, ordered, (tile) => tile.key, (tile) => this.#make(tile), (node, tile) => this.#update(node, tile, isChip(tile)));
    // a node that changes its place loses the focus
    if (focused?.isConnected && focused !== document.activeElement) focused.focus();
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

  /** @param {Tile} tile */
  #make(tile) {
    const video = h("video", { autoplay: true, playsinline: true, disablepictureinpicture: true });
    video.muted = true; // sound has elements of its own
    const name = h("span", { class: "tile-name" });
    const mark = h("span", { class: "tile-mark" });
    const node = h("li", { class: "tile" }, video, h("span", { class: "tile-line" }, name, mark));
    const made = /** @type {TileNode} */ (Object.assign(node, { video, name, mark }));
    if (!tile.isOwn && tile.pubkey) this.#addMenu(made, tile.pubkey, tile.isScreen);
    return made;
  }

  /**
   * @param {TileNode} node
   * @param {string} pubkey
   * @param {boolean} [isScreen]
   */
  #addMenu(node, pubkey, isScreen) {
    /** @type {Act[]} */
    const only = isScreen ? ["screen-off", "spotlight"] : ["mute", "camera-off", "speak", "spotlight", "remove"];
    const close = () => {
      if (menu.open) menuButton.focus();
      menu.open = false;
    };
    const actions = failsInto(new PersonActions(this.client, pubkey, only, close), this.failure);
    const menuButton = h("summary", { "aria-label": t("door.of", { what: t("room.actions"), npub: shortNpub(npubOf(pubkey)) }) }, "⋯");
    const left = (/** @type {FocusEvent} */ { relatedTarget }) => {
      if (relatedTarget && !menu.contains(/** @type {Node} */ (relatedTarget))) menu.open = false;
    };
    const typed = (/** @type {KeyboardEvent} */ { key }) => key === "Escape" && close();
    /** @type {HTMLDetailsElement} */
    const menu = h("details", { class: "tile-menu", on: { focusout: left, keydown: typed } },
      menuButton, h("div", {}, ...actions.nodes));
    Object.assign(node, { actions, menu, menuButton });
    node.append(menu);
  }

  /**
   * @param {TileNode} node
   * @param {Tile} tile
   * @param {boolean} isChip
   */
  #update(node, tile, isChip) {
    this.play(node.video, tile.track);
    show(node.video, tile.track !== null);
    const classes = { chip: isChip, large: tile.isLarge, own: tile.isOwn, screen: tile.isScreen };
    for (const [name, on] of Object.entries(classes)) node.classList.toggle(name, Boolean(on));
    node.dataset.connection = tile.connection ?? "";
    const npub = tile.pubkey ? npubOf(tile.pubkey) : "";
    const who = tile.isOwn ? t("room.you") : shortNpub(npub);
    setText(node.name, tile.isScreen ? t("room.screen-of", { who }) : who);
    node.name.title = npub;
    const mark = tile.locked ? t("room.locked") : tile.isScreen || tile.sound ? "" : t("room.silent");
    setText(node.mark, mark);
    if (!node.menu || !node.menuButton) return;
    show(node.menu, this.client.leads);
    node.actions?.update(node.menuButton, (name) => name !== "camera-off" || tile.track !== null);
  }
}
