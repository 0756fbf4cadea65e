// @ts-check
// Polls of the room: one votes and sees results; those who lead prepare, open, close and export them.

import { action, announce, freshId, h, keyed, saveFile, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";

/** @import { RoomPoll, SessionClient, Trouble } from "../core/types.js" */
/** @import { PollLog } from "./poll-log.js" */

/** @typedef {HTMLLIElement & { inputs: HTMLInputElement[], results: HTMLElement[], right: HTMLElement[], cast: HTMLButtonElement, said: HTMLElement, close: HTMLElement, lead: HTMLElement }} PollNode */

/** `<podium-polls>`; built by `setUp(client)`. Shows itself while one sits in the room. */
export class PodiumPolls extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {RoomPoll[]} */ drafts;
  /** @type {HTMLUListElement} */ list;
  /** @type {HTMLUListElement} */ prepared;
  /** @type {HTMLParagraphElement} */ nothing;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLElement} */ lead;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.drafts = [];
    this.asked = false;
    this.list = h("ul", { class: "polls", "aria-label": t("tab.poll") });
    this.prepared = h("ul", { class: "polls", "aria-label": t("poll.drafts") });
    this.nothing = h("p", { class: "hint" }, t("poll.none"));
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.lead = h("section", {}, h("h3", {}, t("poll.drafts")), this.prepared, this.#makeForm());
    this.replaceChildren(this.failure, this.nothing, this.list, this.lead);
    client.subscribe(() => this.#update());
    this.#update();
  }

  /** @returns {PollLog | null} */
  get log() {
    return this.client.seat?.polls ?? null;
  }

  /** How many wait for one's vote. */
  get pending() {
    return this.log?.unanswered ?? 0;
  }

  /**
   * @param {string} key
   * @param {(button: HTMLButtonElement) => unknown} run
   */
  #action(key, run) {
    const guarded = async (/** @type {HTMLButtonElement} */ button) => {
      show(this.failure, false);
      await run(button);
    };
    return action(t(key), guarded, (error) => this.#fail(error), { class: "quiet" });
  }

  /** @param {Trouble} error */
  #fail(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }

  #makeForm() {
    const question = h("input", { id: freshId("question"), maxlength: "300", required: true });
    const options = h("textarea", { id: freshId("options"), rows: "4", required: true });
    const boxes = ["multiple", "named", "live"].map((name) => ({ name, box: h("input", { type: "checkbox" }) }));
    const submit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      show(this.failure, false);
      const lines = options.value.split("\n").map((line) => line.trim()).filter(Boolean);
      const right = lines.flatMap((line, index) => (line.startsWith("*") ? [index] : []));
      const wish = { question: question.value, options: lines.map((line) => line.replace(/^\*\s*/, "")), right, ...Object.fromEntries(boxes.map(({ name, box }) => [name, box.checked])) };
      await this.client.draftPoll(wish).then((polls) => {
        this.#keep(polls);
        question.value = options.value = "";
      }, (error) => this.#fail(error));
    };
    return h("form", { class: "write", on: { submit } },
      h("label", { for: question.id }, t("poll.question")), question,
      h("label", { for: options.id }, t("poll.options")), options,
      ...boxes.map(({ name, box }) => h("label", { class: "check" }, box, t(`poll.${name}`))),
      h("div", { class: "buttons" }, h("button", { type: "submit" }, t("poll.prepare"))));
  }

  /** @param {RoomPoll[]} polls */
  #keep(polls) {
    this.drafts = polls.filter((poll) => poll.stage === "draft");
    this.#update();
  }

  #update() {
    const { client, log } = this;
    show(this, log !== null && ["seated", "returning"].includes(client.seat?.state ?? ""));
    show(this.lead, client.leads);
    if (log === null || this.hidden) return;
    if (client.leads && !this.asked) {
      this.asked = true;
      client.polls().then((polls) => this.#keep(polls), (error) => this.#fail(error));
    }
    show(this.nothing, log.polls.length === 0);
    keyed(this.list, log.polls, (poll) => poll.id, (poll) => this.#make(poll), (node, poll) => this.#show(node, poll));
    keyed(this.prepared, this.drafts, (poll) => poll.id, (poll) => this.#makeDraft(poll));
  }

  /** @param {RoomPoll} poll */
  #makeDraft(poll) {
    const open = this.#action("poll.open", async () => this.#keep(await this.client.decidePoll(poll.id, "open")));
    const remove = this.#action("poll.delete", async () => this.#keep(await this.client.decidePoll(poll.id, "delete")));
    return h("li", {}, h("p", { class: "text", dir: "auto" }, poll.question), h("div", { class: "buttons small" }, open, remove));
  }

  /**
   * @param {RoomPoll} poll
   * @returns {PollNode}
   */
  #make(poll) {
    const name = freshId("poll");
    const inputs = poll.options.map((_, index) => h("input", { type: poll.multiple ? "checkbox" : "radio", name, value: String(index) }));
    const results = poll.options.map(() => h("span", { class: "hint" }));
    const right = poll.options.map(() => h("span", { class: "badge", hidden: true }, t("poll.right")));
    const lines = poll.options.map((text, index) => h("label", { class: "check" }, inputs[index], h("span", { dir: "auto" }, text), results[index], right[index]));
    const cast = this.#action("poll.vote", () => this.log?.vote(poll.id, inputs.filter((one) => one.checked).map((one) => Number(one.value))));
    const said = h("p", { class: "hint", role: "status" });
    const close = this.#action("poll.close", async () => this.#keep(await this.client.decidePoll(poll.id, "close")));
    const csv = this.#action("poll.csv", async () => saveFile(await this.client.pollFile(poll.id), "text/csv"));
    const lead = h("div", { class: "buttons small" }, close, csv, this.#action("poll.delete", async () => this.#keep(await this.client.decidePoll(poll.id, "delete"))));
    const kind = h("p", { class: "hint" }, t(poll.named ? "poll.is-named" : "poll.is-anonymous"));
    const node = h("li", {}, h("fieldset", {}, h("legend", { dir: "auto" }, poll.question), kind, ...lines), cast, said, lead);
    announce(t("poll.new", { question: poll.question }));
    return /** @type {PollNode} */ (Object.assign(node, { inputs, results, right, cast, said, close, lead }));
  }

  /**
   * @param {PollNode} node
   * @param {RoomPoll} poll
   */
  #show(node, poll) {
    const chosen = this.log?.chosen(poll.id) ?? null;
    const isOpen = poll.stage === "open";
    poll.options.forEach((_, index) => {
      node.inputs[index].disabled = !isOpen;
      setText(node.results[index], poll.counts ? t("poll.count", { count: poll.counts[index] }) : "");
      show(node.right[index], poll.right?.includes(index) ?? false);
    });
    show(node.cast, isOpen);
    setText(node.said, this.#words(poll, chosen));
    show(node.lead, this.client.leads);
    show(node.close, isOpen, node.lead);
  }

  /**
   * @param {RoomPoll} poll
   * @param {number[] | null} chosen
   */
  #words(poll, chosen) {
    const yours = chosen ? t("poll.yours", { what: chosen.map((index) => poll.options[index]).join(", ") }) : "";
    if (poll.stage === "open") return yours;
    if (!poll.right || !chosen) return [t("poll.is-closed"), yours].join(" ").trim();
    const hit = String(chosen) === String(poll.right);
    return [t("poll.is-closed"), yours, t(hit ? "poll.hit" : "poll.missed")].join(" ");
  }
}

customElements.define("podium-polls", PodiumPolls);
