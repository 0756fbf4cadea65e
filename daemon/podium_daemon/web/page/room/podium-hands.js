// @ts-check
// Raised hands: a button for whoever sits in the room, and the list, in the order of raising, for those who lead.

import { action, announce, freshId, h, keyed, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { PersonActions, failsInto } from "../parts/person-actions.js";
import { shortNpub } from "../signer/podium-identity.js";

/** @import { Props } from "../core/dom.js" */
/** @import { Person, SessionClient, Trouble } from "../core/types.js" */

/** `<podium-hands>`; built by `setUp(client)`. */
export class PodiumHands extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLHeadingElement} */ heading;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLButtonElement} */ own;
  /** @type {HTMLParagraphElement} */ state;
  /** @type {HTMLOListElement} */ list;
  /** @type {HTMLParagraphElement} */ nobody;
  /** @type {HTMLButtonElement} */ all;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    const title = h("h2", { id: freshId("hands"), tabindex: "-1" }, t("hands.title"));
    this.heading = title;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.own = h("button", { type: "button", "aria-pressed": "false", on: { click: () => this.#toggle() } }, t("hands.raise"));
    this.state = h("p", { class: "hint", role: "status" });
    this.list = h("ol", { class: "people" });
    this.nobody = h("p", { class: "hint" }, t("hands.nobody"));
    this.all = this.#action("hands.lower-all", () => client.lowerHands(null));
    this.replaceChildren(
      h("section", { class: "card", "aria-labelledby": title.id }, title,
        h("div", { class: "buttons" }, this.own), this.state, this.list, this.nobody, h("div", { class: "buttons" }, this.all), this.failure),
    );
    client.subscribe(() => this.#update());
    this.#update();
  }

  #toggle() {
    this.client.seat?.raise(!this.client.seat.hand);
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
    const seated = client.seat?.state === "seated";
    const open = client.leads && ["scheduled", "active"].includes(client.session?.state ?? "");
    show(this, seated || open);
    show(this.own, seated && !client.leads, this.heading);
    const up = Boolean(seated && client.seat?.hand);
    this.own.setAttribute("aria-pressed", String(up));
    setText(this.state, up ? t("hands.up") : "");
    show(this.state, up);
    const hands = open ? (client.lists.room?.hands ?? []) : [];
    this.#tell(hands);
    keyed(this.list, hands, (hand) => hand.pubkey, (hand) => this.#item(hand), (item) => item.actions.update(this.heading));
    show(this.list, hands.length > 0, this.heading);
    show(this.nobody, open && hands.length === 0);
    show(this.all, hands.length > 1, this.heading);
  }

  /** @param {Person[]} hands */
  #tell(hands) {
    const before = this.count ?? 0;
    this.count = hands.length;
    if (hands.length > before) announce(t("hands.count", { count: hands.length }));
  }

  /** @param {Person} hand */
  #item(hand) {
    const name = t("door.of", { what: t("hands.lower"), npub: shortNpub(hand.npub) });
    const lower = this.#action("hands.lower", () => this.client.lowerHands([hand.pubkey]), { "aria-label": name });
    const actions = failsInto(new PersonActions(this.client, hand.pubkey, ["speak"]), this.failure);
    const buttons = h("span", { class: "buttons" }, ...actions.nodes, lower);
    return Object.assign(h("li", {}, h("span", { title: hand.npub }, shortNpub(hand.npub)), buttons), { actions });
  }
}

customElements.define("podium-hands", PodiumHands);
