// @ts-check
// Questions to a session: what was asked and answered, a form to ask, and what those who lead do about it.

import { dropDrafts, keepDraft } from "../core/drafts.js";
import { action, announce, freshId, h, keyed, press, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";

/** @import { Props } from "../core/dom.js" */
/** @import { Answer, Question, SessionClient, Trouble } from "../core/types.js" */

/** @typedef {HTMLFormElement & { focusText: () => void }} WritingForm */

const OPEN = ["scheduled", "active"];
const MAX_TEXT = 1000; // characters; the daemon takes no more

/** `<podium-questions>`; built by `setUp(client)`. */
export class PodiumQuestions extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLHeadingElement} */ heading;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ nothing;
  /** @type {HTMLParagraphElement} */ more;
  /** @type {HTMLOListElement} */ list;
  /** @type {HTMLFormElement} */ form;
  /** @type {HTMLParagraphElement} */ open;
  /** @type {Set<string>} */
  #unread = new Set();

  /** How many came since the list was last in sight. */
  get fresh() {
    if (this.checkVisibility()) this.#unread.clear();
    return this.#unread.size;
  }

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    const title = h("h2", { id: freshId("questions"), tabindex: "-1" }, t("questions.title"));
    this.heading = title;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.nothing = h("p", { class: "hint" }, t("questions.none"));
    this.more = h("p", { class: "hint", hidden: true });
    this.list = h("ol", { class: "questions" });
    this.form = writingForm("question", "questions.yours", "questions.ask", (text) => this.#ask(text), (error) => this.failed(error));
    this.open = h("p", { class: "hint" });
    this.form.append(this.open);
    this.replaceChildren(
      h("section", { class: "card", "aria-labelledby": title.id }, title, this.nothing, this.more, this.list, this.form, this.failure),
    );
    client.subscribe(() => this.#update());
    this.#update();
  }

  /** @param {string} text */
  async #ask(text) {
    show(this.failure, false);
    await this.client.acts.ask(text);
    announce(t("questions.asked"));
  }

  /** @param {Trouble} error */
  failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }

  #update() {
    const { client } = this;
    const { session, questions, questionsTotal } = client;
    const open = session !== null && OPEN.includes(session.state);
    show(this, session !== null && session.state !== "cancelled" && (open || questions.length > 0));
    if (session === null) return;
    show(this.form, open, this.heading);
    setText(this.open, t(`questions.${client.audience}`));
    show(this.nothing, questions.length === 0);
    setText(this.more, t("questions.more", { count: questionsTotal - questions.length }));
    show(this.more, questionsTotal > questions.length);
    this.#tell(questions);
    keyed(this.list, questions, (one) => one.id, (one) => new Item(this, one).node, (node, one) => node.item.update(one));
  }

  /**
   * Say to screen readers how many came, not each of them: in a large session they come faster than one can listen.
   *
   * @param {Question[]} questions
   */
  #tell(questions) {
    const before = this.known;
    this.known = new Set(questions.map((one) => one.id));
    if (!before) return;
    const fresh = questions.filter((one) => !before.has(one.id) && one.pubkey !== this.client.me?.pubkey);
    for (const { id } of fresh) this.#unread.add(id);
    if (fresh.length > 0) announce(t("questions.new", { count: fresh.length }));
  }
}

/** One question in the list. */
class Item {
  /** @type {HTMLButtonElement} */ replyButton;
  /** @type {HTMLButtonElement} */ pin;
  /** @type {HTMLButtonElement} */ unpin;
  /** @type {HTMLButtonElement} */ hide;
  /** @type {HTMLButtonElement} */ showAgain;
  /** @type {HTMLButtonElement} */ answered;
  /** @type {HTMLButtonElement} */ unanswered;
  /** @type {HTMLButtonElement} */ silence;
  /** @type {HTMLButtonElement} */ unsilence;
  /** @type {HTMLButtonElement} */ withdraw;

  /**
   * @param {PodiumQuestions} owner
   * @param {Question} question
   */
  constructor(owner, question) {
    this.owner = owner;
    this.question = question;
    this.badge = h("span", { class: "badge", hidden: true });
    this.who = h("span", { class: "who" });
    this.text = h("p", { class: "text", dir: "auto" });
    this.votes = h("span", { class: "votes" });
    const voted = () => this.owner.client.acts.vote(this.question.id, this.vote.getAttribute("aria-pressed") !== "true");
    this.vote = this.#button("questions.vote", voted, { "aria-pressed": "false" });
    this.answers = h("ul", { class: "answers" });
    /** @type {WritingForm | null} */
    this.reply = null; // made when somebody answers, and the buttons when there is somebody to press them
    /** @type {HTMLElement | null} */
    this.buttons = null;
    const node = h("li", { tabindex: "-1" }, h("div", { class: "head" }, this.who, this.badge), this.text, h("div", { class: "buttons small" }, this.vote, this.votes), this.answers);
    /** @type {HTMLLIElement & { item: Item }} */
    this.node = Object.assign(node, { item: this });
  }

  /** @param {Question} question */
  update(question) {
    this.question = question;
    const { client } = this.owner;
    setText(this.who, whoText(question));
    this.who.title = question.npub;
    setText(this.text, question.text);
    const mark = markOf(question);
    setText(this.badge, mark ? t(mark) : "");
    show(this.badge, mark !== null);
    this.node.classList.toggle("pinned", question.pinned);
    this.node.classList.toggle("answered", question.answered);
    this.#showVotes(question, client);
    this.node.classList.toggle("unseen-by-others", question.state !== "shown");
    keyed(this.answers, question.answers, (one) => one.id, answerItem);
    show(this.answers, question.answers.length > 0);
    const mine = question.pubkey === client.me?.pubkey;
    if (this.buttons === null && (client.leads || mine)) {
      this.buttons = h("div", { class: "buttons small" }, ...this.#makeButtons());
      this.node.append(this.buttons);
    }
    if (this.buttons !== null) this.#showButtons(question, client, mine);
  }

  /**
   * @param {Question} question
   * @param {SessionClient} client
   */
  #showVotes(question, client) {
    const open = OPEN.includes(client.session?.state ?? "") && question.state === "shown" && !question.answered;
    show(this.vote, open && client.guest === null && question.pubkey !== client.me?.pubkey, this.node); // a vote is an event of one's own key
    this.vote.setAttribute("aria-pressed", String(client.me?.voted.includes(question.id) ?? false));
    setText(this.votes, t("questions.votes", { count: question.votes }));
    show(this.votes, question.votes > 0);
  }

  #makeButtons() {
    this.replyButton = this.#button("questions.answer", () => this.#openReply(), { "aria-expanded": "false" });
    this.pin = this.#command("pin");
    this.unpin = this.#command("unpin");
    this.hide = this.#command("hide");
    this.showAgain = this.#command("show");
    this.answered = this.#command("answered");
    this.unanswered = this.#command("unanswered");
    this.silence = this.#command("silence");
    this.unsilence = this.#command("unsilence");
    this.withdraw = this.#button("questions.withdraw", async () => {
      this.owner.heading.focus(); // this item is about to go
      await this.owner.client.acts.withdraw(this.question.id);
      announce(t("questions.withdrawn"));
    });
    return [this.replyButton, this.pin, this.unpin, this.hide, this.showAgain, this.answered, this.unanswered, this.silence, this.unsilence, this.withdraw];
  }

  /** @param {string} command */
  #command(command) {
    return this.#button(`questions.${command}`, async () => {
      await this.owner.client.lead.moderate(this.question.id, command);
      announce(t("lead.done", { what: t(`questions.${command}`) }));
    });
  }

  /**
   * @param {string} key
   * @param {() => unknown} run
   * @param {Props} [props]
   */
  #button(key, run, props = {}) {
    const guarded = async () => {
      show(this.owner.failure, false);
      await run();
    };
    const name = t("questions.of", { what: t(key), text: short(this.question.text) });
    return action(t(key), guarded, (error) => this.owner.failed(error), { class: "quiet", "aria-label": name, ...props });
  }

  /**
   * @param {Question} question
   * @param {SessionClient} client
   * @param {boolean} mine
   */
  #showButtons(question, client, mine) {
    const { leads } = client;
    const shown = question.state === "shown";
    const open = OPEN.includes(client.session?.state ?? "");
    const heir = this.node;
    show(this.replyButton, leads && open, heir);
    show(this.pin, leads && shown && !question.pinned, this.unpin.hidden ? heir : this.unpin);
    show(this.unpin, leads && question.pinned, heir);
    show(this.hide, leads && shown, heir);
    show(this.showAgain, leads && !shown, heir);
    show(this.answered, leads && shown && !question.answered, this.unanswered.hidden ? heir : this.unanswered);
    show(this.unanswered, leads && question.answered, heir);
    const other = question.role === "participant" && !mine;
    show(this.silence, leads && other && !question.silenced, heir);
    show(this.unsilence, leads && other && question.silenced, heir);
    show(this.withdraw, mine, heir);
    if (this.reply !== null && (!leads || !open)) show(this.reply, false, heir);
  }

  #openReply() {
    if (this.reply === null) {
      this.reply = writingForm(`answer ${this.question.id}`, "questions.your-answer", "questions.send", (text) => this.#answer(text), (error) => this.owner.failed(error));
      this.node.append(this.reply);
    }
    show(this.reply, true);
    this.replyButton.setAttribute("aria-expanded", "true");
    this.reply.focusText();
  }

  /** @param {string} text */
  async #answer(text) {
    show(this.owner.failure, false);
    await this.owner.client.acts.ask(text, this.question);
    announce(t("questions.answer-sent"));
    if (this.reply) show(this.reply, false, this.replyButton);
    this.replyButton.setAttribute("aria-expanded", "false");
  }
}

/**
 * A text and a button that sends it; what was typed stays until it was taken.
 *
 * @param {string} draft
 * @param {string} labelKey
 * @param {string} sendKey
 * @param {(text: string) => Promise<void>} send
 * @param {(error: Trouble) => void} failed
 */
function writingForm(draft, labelKey, sendKey, send, failed) {
  const text = keepDraft(draft, h("textarea", { id: freshId("text"), rows: "3", maxlength: MAX_TEXT, required: true, dir: "auto" }));
  const button = h("button", { type: "submit" }, t(sendKey));
  const form = h("form", { class: "write" }, h("label", { for: text.id }, t(labelKey)), text, h("div", { class: "buttons" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const written = text.value.trim();
    if (written === "") return;
    press(button, async () => {
      await send(written);
      text.value = "";
      dropDrafts(draft);
    }, failed);
  });
  return Object.assign(form, { focusText: () => text.focus() });
}

/** @param {Answer} answer */
function answerItem(answer) {
  return h("li", {}, h("span", { class: "who", title: answer.npub }, whoText(answer)), h("p", { class: "text", dir: "auto" }, answer.text));
}

/** @param {Answer} one */
function whoText(one) {
  return one.role === "participant" ? one.name : `${one.name} · ${t(`role.${one.role}`)}`;
}

/**
 * The key of the word beside a question: pinned, answered, hidden, or why it waits.
 *
 * @param {Question} question
 */
function markOf(question) {
  if (question.state === "hidden") return "questions.is.hidden";
  if (question.state === "held") return `questions.held.${question.hold ?? "new"}`;
  if (question.answered) return "questions.is.answered";
  return question.pinned ? "questions.is.pinned" : null;
}

/** @param {string} text */
function short(text) {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

customElements.define("podium-questions", PodiumQuestions);
