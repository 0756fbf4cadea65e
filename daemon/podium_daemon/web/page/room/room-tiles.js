// The people of a room as tiles: pictures and screens, chips for those without a camera, and one of them large.

import { h, keyed, setText, show } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { npubOf } from "../core/npub.js";
import { PersonActions, failsInto } from "../parts/person-actions.js";
import { shortNpub } from "../signer/podium-identity.js";

const FEW = 4; // so many tiles are wide
const SOME = 9; // with more they are small

/** `play(node, track)` puts a track into a video; `failure` is the line that says what did not work. */
export class Tiles {
  constructor({ client, play, failure }) {
    Object.assign(this, { client, play, failure });
    this.list = h("ul", { class: "tiles", "aria-label": t("room.people") });
  }

  /** Show these: `{key, pubkey, connection, track, isOwn, isScreen, isLarge, sound, locked}`. */
  show(tiles) {
    const isChip = (tile) => tile.track === null && !tile.isLarge;
    const pictures = tiles.filter((tile) => !isChip(tile));
    const ordered = [...pictures.filter((tile) => tile.isLarge), ...pictures.filter((tile) => !tile.isLarge), ...tiles.filter(isChip)];
    this.list.dataset.view = pictures.some((tile) => tile.isLarge) ? "speaker" : "grid";
    this.list.dataset.size = pictures.length <= FEW ? "few" : pictures.length <= SOME ? "some" : "many";
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    keyed(this.list, ordered, (tile) => tile.key, (tile) => this.#make(tile), (node, tile) => this.#update(node, tile, isChip(tile)));
    // a node that changes its place loses the focus
    if (focused?.isConnected && focused !== document.activeElement) focused.focus();
  }

  /** Mark who speaks: `levels` by connection. */
  speaking(levels, least) {
    for (const node of this.list.children) {
      node.classList.toggle("speaking", (levels.get(node.dataset.connection) ?? 0) > least);
    }
  }

  #make(tile) {
    const video = h("video", { autoplay: true, playsinline: true, disablepictureinpicture: true });
    video.muted = true; // sound has elements of its own
    const name = h("span", { class: "tile-name" });
    const mark = h("span", { class: "tile-mark" });
    const node = h("li", { class: "tile" }, video, h("span", { class: "tile-line" }, name, mark));
    Object.assign(node, { video, name, mark });
    if (!tile.isOwn && tile.pubkey) this.#addMenu(node, tile);
    return node;
  }

  #addMenu(node, { pubkey, isScreen }) {
    const only = isScreen ? ["screen-off", "spotlight"] : ["mute", "camera-off", "speak", "spotlight", "remove"];
    const close = () => {
      if (node.menu.open) node.menuButton.focus();
      node.menu.open = false;
    };
    node.actions = failsInto(new PersonActions(this.client, pubkey, only, close), this.failure);
    node.menuButton = h("summary", { "aria-label": t("door.of", { what: t("room.actions"), npub: shortNpub(npubOf(pubkey)) }) }, "⋯");
    const left = ({ relatedTarget }) => {
      if (relatedTarget && !node.menu.contains(relatedTarget)) node.menu.open = false;
    };
    const typed = ({ key }) => key === "Escape" && close();
    node.menu = h("details", { class: "tile-menu", on: { focusout: left, keydown: typed } },
      node.menuButton, h("div", {}, ...node.actions.nodes));
    node.append(node.menu);
  }

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
    if (!node.menu) return;
    show(node.menu, this.client.leads);
    node.actions.update(node.menuButton, (name) => name !== "camera-off" || tile.track !== null);
  }
}
