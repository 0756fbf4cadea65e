// @ts-check
// Polls of the room: one votes and sees results; those who lead prepare, open, close and export them.

import { dropDrafts, keepDraft } from "../core/drafts.js";
import { action, announce, freshId, h, keyed, press, saveFile, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { PodiumError } from "../signer/signer.js";
import { isPoll, openPoll, sealPoll } from "./poll-log.js";

/** @import { RoomPoll, SessionClient, Trouble } from "../core/types.js" */
/** @import { PollLog, Texts } from "./poll-log.js" */

/** @typedef {HTMLLIElement & { inputs: HTMLInputElement[], results: HTMLElement[], right: HTMLElement[], cast: HTMLButtonElement, said: HTMLElement, close: HTMLElement, lead: HTMLElement }} PollNode */

/** `<podium-polls>`; built by `setUp(client)`. Shows itself while one sits in the room, and what came out after its end. */
export class PodiumPolls extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {RoomPoll[]} */ drafts;
  /** @type {HTMLUListElement} */ list;
  /** @type {HTMLUListElement} */ prepared;
  /** @type {HTMLParagraphElement} */ nothing;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLElement} */ lead;
  /** @type {Set<string>} */ sealing;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.drafts = [];
    this.asked = false;
    this.sealing = new Set();
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
    const question = keepDraft("poll question", h("input", { id: freshId("question"), maxlength: "300", required: true }));
    const options = keepDraft("poll options", h("textarea", { id: freshId("options"), rows: "4", required: true }));
    const boxes = ["multiple", "named", "live"].map((name) => ({ name, box: h("input", { type: "checkbox" }) }));
    const prepare = h("button", { type: "submit" }, t("poll.prepare"));
    const submit = async () => {
      show(this.failure, false);
      const lines = options.value.split("\n").map((line) => line.trim()).filter(Boolean);
      const right = lines.flatMap((line, index) => (line.startsWith("*") ? [index] : []));
      const [multiple, named, live] = boxes.map(({ box }) => box.checked);
      const wish = { question: question.value, options: lines.map((line) => line.replace(/^\*\s*/, "")), right, multiple, named, live };
      await this.#keep(await this.#draft(wish));
      question.value = options.value = "";
      dropDrafts("poll question", "poll options");
    };
    const pressed = (/** @type {Event} */ event) => {
      event.preventDefault();
      press(prepare, submit, (error) => this.#fail(error));
    };
    return h("form", { class: "write", on: { submit: pressed } },
      h("label", { for: question.id }, t("poll.question")), question,
      h("label", { for: options.id }, t("poll.options")), options,
      ...boxes.map(({ name, box }) => h("label", { class: "check" }, box, t(`poll.${name}`))),
      h("div", { class: "buttons" }, prepare));
  }

  /** @param {Texts & { named: boolean, live: boolean }} wish */
  async #draft({ question, options, right, ...how }) {
    if (!this.log?.mustSeal) return this.client.lead.draftPoll({ question, options, right, ...how });
    const texts = { question, options, right, multiple: how.multiple };
    if (!isPoll(texts)) throw new PodiumError("poll-flawed");
    return this.client.lead.draftSealedPoll({ ...(await this.#sealed(texts)), options: options.length, ...how });
  }

  /** @param {Texts} texts */
  async #sealed(texts) {
    const sealed = await sealPoll(this.log?.cipher ?? null, this.client.me?.pubkey ?? "", texts);
    if (sealed === null) throw new PodiumError("poll-no-key");
    return sealed;
  }

  /** @param {RoomPoll[]} polls */
  async #keep(polls) {
    const drafts = polls.filter((poll) => poll.stage === "draft");
    const { log } = this;
    this.drafts = log?.mustSeal ? await Promise.all(drafts.map((poll) => openPoll(log.cipher, poll))) : drafts;
    this.#update();
  }

  /**
   * Seal a poll with the newest secret, which people have who came after it was prepared.
   *
   * @param {RoomPoll} poll
   */
  async #sealAnew(poll) {
    const old = poll.sealed?.question ?? "";
    if (!poll.isReadable || !this.log?.cipher?.isOld(old) || this.sealing.has(old)) return;
    this.sealing.add(old);
    await this.client.lead.sealPoll(poll.id, await this.#sealed({ ...poll, right: poll.right ?? [] })).finally(() => this.sealing.delete(old));
  }

  #update() {
    const { client, log } = this;
    const isOver = client.seat?.state === "ended";
    show(this, log !== null && (["seated", "returning"].includes(client.seat?.state ?? "") || (isOver && log.polls.length > 0)));
    show(this.lead, client.leads && !isOver);
    if (log === null || this.hidden) return;
    if (client.leads && !this.asked) {
      this.asked = true;
      client.lead.polls().then((polls) => this.#keep(polls), (error) => this.#fail(error));
    }
    show(this.nothing, log.polls.length === 0);
    if (client.leads) for (const poll of log.polls) if (poll.stage === "open" && poll.sealedBy === client.me?.pubkey) this.#sealAnew(poll).catch((error) => this.#fail(error));
    keyed(this.list, log.polls, (poll) => `${poll.id} ${poll.isReadable}`, (poll) => this.#make(poll), (node, poll) => this.#show(node, poll));
    keyed(this.prepared, this.drafts, (poll) => `${poll.id} ${poll.isReadable}`, (poll) => this.#makeDraft(poll));
  }

  /** @param {RoomPoll} poll */
  #makeDraft(poll) {
    const open = this.#action("poll.open", async () => {
      await this.#sealAnew(this.drafts.find((one) => one.id === poll.id) ?? poll);
      await this.#keep(await this.client.lead.decidePoll(poll.id, "open"));
    });
    const remove = this.#action("poll.delete", async () => this.#keep(await this.client.lead.decidePoll(poll.id, "delete")));
    show(open, poll.isReadable !== false);
    return h("li", {}, h("p", { class: "text", dir: "auto" }, titleOf(poll)), h("div", { class: "buttons small" }, open, remove));
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
    const close = this.#action("poll.close", async () => this.#keep(await this.client.lead.decidePoll(poll.id, "close")));
    const csv = this.#action("poll.csv", async () => saveFile(await this.client.lead.pollFile(poll.id), "text/csv"));
    const lead = h("div", { class: "buttons small" }, close, csv, this.#action("poll.delete", async () => this.#keep(await this.client.lead.decidePoll(poll.id, "delete"))));
    const kind = h("p", { class: "hint" }, t(poll.named ? "poll.is-named" : "poll.is-anonymous"));
    const node = h("li", {}, h("fieldset", {}, h("legend", { dir: "auto" }, titleOf(poll)), kind, ...lines), cast, said, lead);
    if (poll.isReadable !== false && poll.stage === "open") announce(t("poll.new", { question: poll.question }));
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
    show(node.cast, isOpen && poll.isReadable !== false);
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

/** @param {RoomPoll} poll */
function titleOf(poll) {
  return poll.isReadable === false ? t("poll.unreadable") : poll.question;
}

customElements.define("podium-polls", PodiumPolls);
