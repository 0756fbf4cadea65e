// @ts-check
// Who is in the room, raised hands first; to those who lead also who waits and who was removed, with what they can do.

import { action, announce, freshId, h, keyed, setText, show } from "../core/dom.js";
import { describe, has, t } from "../core/i18n.js";
import { npubOf } from "../core/npub.js";
import { avatar, fillAvatar, nameOf } from "../parts/avatar.js";
import { icon, withIcon } from "../parts/icons.js";
import { PersonActions, failsInto } from "../parts/person-actions.js";
import { SearchField } from "../parts/search-field.js";

/** @import { Props } from "../core/dom.js" */
/** @import { Role, RoomPerson, SessionClient, Trouble } from "../core/types.js" */

const MANY = 8; // people from which on one searches

/**
 * @typedef {object} Row
 * @property {string} pubkey
 * @property {string} role
 * @property {number} hand place in the order of raising, from 1; 0: not up
 * @property {string | null} [waitingFor]
 * @property {"guest" | "link" | null} [assurance] how they came, where that was not by their own key
 * @property {boolean | null} sound null: not known here
 * @property {boolean} isOwn
 */
/** @typedef {HTMLLIElement & { face: HTMLElement, name: HTMLElement, hint: HTMLElement, hand: HTMLElement, silent: HTMLElement, lower?: HTMLButtonElement, admit?: HTMLButtonElement, actions?: PersonActions }} RowNode */
/** @typedef {{ title: HTMLElement, list: HTMLUListElement }} Group */

/** `<podium-people>`; built by `setUp(client)`. */
export class PodiumPeople extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLHeadingElement} */ heading;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {SearchField} */ search;
  /** @type {HTMLParagraphElement} */ here;
  /** @type {HTMLParagraphElement} */ autoAdmit;
  /** @type {HTMLParagraphElement} */ nobodyHere;
  /** @type {HTMLButtonElement} */ admitAll;
  /** @type {HTMLButtonElement} */ lowerAll;
  /** @type {Group} */ waiting;
  /** @type {Group} */ present;
  /** @type {Group} */ removed;
  /** @type {HTMLElement} */ waitingPart;
  /** @type {number | undefined} */ hands;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.heading = h("h2", { id: freshId("people"), tabindex: "-1" }, t("door.title"));
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.search = new SearchField("people.search", () => this.#update());
    this.here = h("p", { class: "hint" });
    this.autoAdmit = h("p", { class: "hint", hidden: true }, t("door.auto-admit"));
    this.nobodyHere = h("p", { class: "hint" }, t("door.nobody-here"));
    this.admitAll = this.#action("door.all", () => client.lead.admit(null), { class: "primary" });
    this.lowerAll = this.#action("hands.lower-all", () => client.lead.lowerHands(null));
    [this.waiting, this.present, this.removed] = ["waiting", "present", "removed"].map((name) => group(name));
    const waiting = h("section", { class: "waiting", "aria-labelledby": this.waiting.title.id },
      h("div", { class: "head" }, this.waiting.title, this.admitAll), this.autoAdmit, this.waiting.list);
    this.waitingPart = waiting;
    this.replaceChildren(h("section", { class: "card", "aria-labelledby": this.heading.id },
      this.heading, this.search.node, this.failure, waiting,
      h("div", { class: "head" }, this.present.title, this.lowerAll), this.here, this.present.list, this.nobodyHere, this.removed.title, this.removed.list));
    client.subscribe(() => this.#update());
    this.#update();
  }

  /** How many wait for something: those at the door, and raised hands. */
  get pending() {
    const { room } = this.client.lists;
    if (!this.client.leads || !room) return 0;
    return new Set(room.people.filter((one) => one.state === "waiting").map((one) => one.pubkey)).size + room.hands.length;
  }

  /**
   * @param {string} key
   * @param {() => unknown} run
   * @param {Props} [props]
   */
  #action(key, run, props = {}) {
    const guarded = async () => {
      show(this.failure, false);
      await run();
      announce(t("lead.done", { what: t(key) }));
    };
    const failed = (/** @type {Trouble} */ error) => {
      setText(this.failure, describe(error));
      show(this.failure, true);
    };
    return action(t(key), guarded, failed, { class: "quiet", ...props });
  }

  #update() {
    const { client } = this;
    const { session } = client;
    const open = client.leads && ["scheduled", "active"].includes(session?.state ?? "");
    const seated = ["seated", "returning"].includes(client.seat?.state ?? "");
    show(this, session !== null && (open || seated));
    if (session === null || this.hidden) return;
    const people = open ? (client.lists.room?.people ?? []) : [];
    this.#showWaiting(people.filter((one) => one.state === "waiting"), open);
    const present = open ? this.#rowsOf(people.filter((one) => one.state === "present")) : this.#seenHere();
    this.#tell(present.filter((row) => row.hand > 0).length);
    this.#fill(this.present, present);
    setText(this.here, t("join.here", { count: session.participantCount }));
    show(this.here, session.state === "active" && session.participantCount > 0);
    show(this.nobodyHere, present.length === 0);
    show(this.lowerAll, present.filter((row) => row.hand > 0).length > 1, this.heading);
    this.#fill(this.removed, this.#rowsOf(people.filter((one) => one.state === "removed")));
    show(this.removed.title, this.removed.list.childElementCount > 0);
    const lists = [this.waiting.list, this.present.list, this.removed.list];
    this.search.say(this.search.text === "" ? null : lists.reduce((sum, list) => sum + list.childElementCount, 0));
    show(this.search.node, Math.max(people.length, present.length) > MANY || this.search.text !== "");
  }

  /**
   * @param {RoomPerson[]} people
   * @param {boolean} open
   */
  #showWaiting(people, open) {
    const rows = this.#rowsOf(people);
    this.#fill(this.waiting, rows);
    show(this.waitingPart, open && (rows.length > 0 || !this.autoAdmit.hidden), this.heading);
    show(this.admitAll, rows.some((row) => row.waitingFor !== "locked"), this.heading);
    show(this.autoAdmit, open && Boolean(this.client.lists.room?.autoAdmit && this.client.session?.waitingRoom));
  }

  /**
   * As the daemon tells those who lead: one row a person, hands in their order, then those who lead.
   *
   * @param {RoomPerson[]} people
   * @returns {Row[]}
   */
  #rowsOf(people) {
    const hands = (this.client.lists.room?.hands ?? []).map((one) => one.pubkey);
    const sounds = this.#sounds();
    const rows = [...new Map(people.map((one) => [one.pubkey, one])).values()].map(({ pubkey, role, state, waitingFor, assurance }) => {
      const isHere = state === "present";
      return { pubkey, role, waitingFor, assurance, hand: isHere ? hands.indexOf(pubkey) + 1 : 0, sound: isHere ? (sounds.get(pubkey) ?? null) : null, isOwn: pubkey === this.client.me?.pubkey };
    });
    return inOrder(rows, (row) => nameOf(this.client, row.pubkey));
  }

  /** @returns {Row[]} all in the room, as the daemon tells them */
  #seenHere() {
    const sounds = this.#sounds();
    const own = this.client.me?.pubkey;
    const { seat } = this.client;
    const rows = [...(seat?.people ?? [])].map(([pubkey, { role }]) => ({
      pubkey,
      role,
      hand: (seat?.hands.indexOf(pubkey) ?? -1) + 1,
      sound: sounds.get(pubkey) ?? null,
      isOwn: pubkey === own,
    }));
    return inOrder(rows, (row) => nameOf(this.client, row.pubkey));
  }

  #sounds() {
    const media = this.client.seat?.media;
    /** @type {Map<string, boolean>} */
    const found = new Map();
    if (!media?.hasBegun) return found;
    for (const { pubkey, tracks } of media.others.values()) found.set(pubkey, Boolean(found.get(pubkey) || tracks.audio));
    if (this.client.me) found.set(this.client.me.pubkey, media.own.audio !== null);
    return found;
  }

  /**
   * @param {Group} given
   * @param {Row[]} rows
   */
  #fill({ title, list }, rows) {
    const sought = this.search.text.toLowerCase();
    const found = rows.filter((row) => `${nameOf(this.client, row.pubkey)} ${npubOf(row.pubkey)}`.toLowerCase().includes(sought));
    keyed(list, found, (row) => row.pubkey, (row) => this.#make(row, title.dataset.group ?? ""), (node, row) => this.#show(node, row));
    show(list, found.length > 0);
  }

  /**
   * @param {Row} row
   * @param {string} place
   * @returns {RowNode}
   */
  #make(row, place) {
    const { pubkey } = row;
    const face = avatar(this.client, pubkey);
    const name = h("span", { class: "who", dir: "auto" });
    const hint = h("span", { class: "hint" });
    const hand = h("span", { class: "hand" }, icon("hand"), h("span", {}));
    const silent = h("span", { class: "silent", role: "img", "aria-label": t("room.silent"), title: t("room.silent") }, icon("audio-off"));
    const node = h("li", { class: "person" }, face, h("span", { class: "about" }, name, hint), hand, silent);
    const made = Object.assign(node, { face, name, hint, hand, silent });
    if (place === "present") return this.#addActs(made, row);
    const key = place === "waiting" ? "door.admit" : "door.back-in";
    const admit = this.#action(key, () => this.client.lead.admit([pubkey]), { "aria-label": this.#about(key, pubkey) });
    node.append(admit);
    return Object.assign(made, { admit });
  }

  /**
   * @param {RowNode} node
   * @param {Row} row
   * @returns {RowNode}
   */
  #addActs(node, { pubkey, isOwn }) {
    if (isOwn) return node;
    const actions = failsInto(new PersonActions(this.client, pubkey, ["mute", "speak", "spotlight", "remove"]), this.failure);
    const lower = this.#action("hands.lower", () => this.client.lead.lowerHands([pubkey]), { "aria-label": this.#about("hands.lower", pubkey) });
    node.append(h("span", { class: "acts" }, withIcon(lower, "hand"), ...actions.nodes));
    return Object.assign(node, { actions, lower });
  }

  /**
   * @param {string} key
   * @param {string} pubkey
   */
  #about(key, pubkey) {
    return t("door.of", { what: t(key), npub: nameOf(this.client, pubkey) });
  }

  /**
   * @param {RowNode} node
   * @param {Row} row
   */
  #show(node, row) {
    fillAvatar(node.face, this.client, row.pubkey);
    setText(node.name, nameOf(this.client, row.pubkey) + (row.isOwn ? ` (${t("room.you")})` : ""));
    node.name.title = npubOf(row.pubkey);
    const waits = `door.waits.${row.waitingFor}`;
    const known = row.assurance ? t(`assurance.${row.assurance}`) : ""; // who leads lets in a name that is only said
    const role = row.role === "participant" ? known : t(`role.${/** @type {Role} */ (row.role)}`);
    setText(node.hint, row.waitingFor && has(waits) ? t(waits) : role);
    show(node.hint, node.hint.textContent !== "");
    show(node.hand, row.hand > 0);
    node.hand.setAttribute("aria-label", t("hands.place", { place: row.hand }));
    node.hand.setAttribute("role", "img");
    setText(/** @type {HTMLElement} */ (node.hand.lastElementChild), row.hand > 0 ? String(row.hand) : "");
    show(node.silent, row.sound === false);
    if (node.admit) show(node.admit, row.waitingFor !== "locked", this.heading); // a locked room lets nobody in
    if (node.lower) show(node.lower, this.client.leads && row.hand > 0, this.heading);
    node.actions?.update(this.heading, (name) => this.client.leads && (name !== "mute" || row.sound !== false));
  }

  /** @param {number} count */
  #tell(count) {
    const before = this.hands ?? 0;
    this.hands = count;
    if (count > before && this.client.leads) announce(t("hands.count", { count }));
  }
}

/** @param {string} name */
function group(name) {
  const title = h("h3", { id: freshId(name), "data-group": name }, t(`door.${name}`));
  return { title, list: h("ul", { class: "people", "aria-labelledby": title.id }) };
}

/**
 * @param {Row[]} rows
 * @param {(row: Row) => string} nameOfRow
 */
function inOrder(rows, nameOfRow) {
  const rank = (/** @type {Row} */ row) => (row.hand > 0 ? row.hand - 1000 : row.role === "instructor" ? 0 : row.role === "co-host" ? 1 : 2);
  return rows.sort((one, other) => rank(one) - rank(other) || nameOfRow(one).localeCompare(nameOfRow(other)));
}

customElements.define("podium-people", PodiumPeople);
