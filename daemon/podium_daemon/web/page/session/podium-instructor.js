// @ts-check
// What the instructor and co-hosts do, on the same page once they have signed in: start, end, what counts for everybody, edit, cancel.

import { dropDrafts, keepDraft } from "../core/drafts.js";
import { exactNow } from "../core/api.js";
import { action, announce, freshId, h, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { inZone, ownZone } from "../core/times.js";
import { section } from "../parts/section.js";
import { undoable } from "../parts/toasts.js";
import "./podium-session-form.js";
import "./podium-signing.js";

/** @import { Props } from "../core/dom.js" */
/** @import { Control, Session, SessionClient, Trouble } from "../core/types.js" */
/** @import { PodiumSessionForm } from "./podium-session-form.js" */
/** @import { PodiumSigning } from "./podium-signing.js" */

/** @typedef {{ button: HTMLButtonElement, why: HTMLElement, key: string }} Switch */

/** `<podium-instructor>`; built by `setUp(client)`. */
export class PodiumInstructor extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLButtonElement} */ start;
  /** @type {HTMLParagraphElement} */ startWhy;
  /** @type {HTMLButtonElement} */ end;
  /** @type {HTMLButtonElement} */ reopen;
  /** @type {HTMLButtonElement} */ restore;
  /** @type {HTMLButtonElement} */ edit;
  /** @type {HTMLButtonElement} */ cancel;
  /** @type {HTMLDialogElement} */ cancelDialog;
  /** @type {PodiumSessionForm} */ editor;
  /** @type {PodiumSigning} */ signing;
  /** @type {HTMLElement} */ scope;
  /** @type {HTMLElement} */ heading;
  /** @type {Switch} */ mute;
  /** @type {Switch} */ record;
  /** @type {Switch} */ lock;
  /** @type {HTMLButtonElement} */ nobodyLit;
  /** @type {HTMLElement} */ everybody;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.replaceChildren(this.#controls(), this.#forEverybody());
    client.subscribe(() => this.#update());
    setInterval(() => this.#nameStart(), 1000); // how early it is changes by itself
  }

  // -- building

  /**
   * @param {string} key
   * @param {() => unknown} run
   * @param {Props} [props]
   */
  #action(key, run, props = {}) {
    const guarded = async () => {
      show(this.failure, false);
      if ((await run()) === false) return;
      announce(t("lead.done", { what: t(key) }));
    };
    return action(t(key), guarded, (error) => this.#failed(error), props);
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }

  #controls() {
    const { client } = this;
    this.startWhy = h("p", { class: "hint", id: freshId("why"), hidden: true });
    this.start = this.#action("lead.start", () => client.lead.start(), { class: "primary", "aria-describedby": this.startWhy.id });
    this.end = this.#action("lead.end", () => undoable((seconds) => t("toast.ending", { seconds }), () => client.lead.end()), { class: "danger" });
    this.reopen = this.#action("lead.reopen", () => client.lead.reopen());
    this.restore = this.#action("lead.restore", () => client.lead.restore((draft) => this.signing.ask(draft)));
    this.edit = h("button", { type: "button", on: { click: () => this.#openEditor() } }, t("lead.edit"));
    this.cancel = h("button", { type: "button", class: "danger", on: { click: () => this.cancelDialog.showModal() } }, t("lead.cancel"));
    this.cancelDialog = this.#makeCancelDialog();
    this.editor = h("podium-session-form", { hidden: true });
    this.signing = h("podium-signing");
    const buttons = h("div", { class: "buttons" }, this.start, this.end, this.reopen, this.restore, this.edit, this.cancel);
    const card = section("lead.title", buttons, this.startWhy, this.failure, this.editor, this.signing, this.cancelDialog);
    this.heading = /** @type {HTMLElement} */ (card.firstElementChild);
    this.heading.tabIndex = -1;
    return card;
  }

  #makeCancelDialog() {
    const title = h("h2", { id: freshId("cancel") }, t("cancel.title"));
    const reason = keepDraft("cancel reason", h("textarea", { id: freshId("reason"), rows: "3", maxlength: "500" }));
    const following = h("input", { type: "checkbox" });
    this.scope = h("label", { class: "switch", hidden: true }, following, t("cancel.following"));
    const go = this.#action("cancel.go", async () => {
      const done = await this.client.lead.cancel(reason.value, following.checked && !this.scope.hidden, (draft) => {
        this.cancelDialog.close();
        return this.signing.ask(draft);
      });
      if (done !== false) dropDrafts("cancel reason");
      this.cancelDialog.close();
      return done;
    }, { class: "danger" });
    const back = h("button", { type: "button", on: { click: () => this.cancelDialog.close() } }, t("cancel.back"));
    return h("dialog", { "aria-labelledby": title.id },
      title, h("p", {}, t("cancel.text")), h("label", { for: reason.id }, t("cancel.reason")), reason, this.scope, h("div", { class: "buttons" }, go, back));
  }

  #openEditor() {
    if (!this.editor.hidden) return this.editor.focusFirst(); // what was typed stays
    const done = () => {
      show(this.editor, false);
      this.edit.focus();
    };
    this.editor.edit(/** @type {Session} */ (this.client.session), async (fields) => {
      const published = await this.client.lead.edit(fields, (draft) => {
        show(this.editor, false);
        return this.signing.ask(draft);
      });
      if (published !== false) announce(t("form.saved"));
      done();
      return published;
    }, done);
    show(this.editor, true);
    this.editor.focusFirst();
  }

  #forEverybody() {
    const controls = h("div", { class: "buttons" });
    this.mute = this.#switch("control.mute-all", (on) => this.client.lead.muteAll(on), controls);
    this.record = this.#switch("control.record", (on) => this.client.lead.record(on), controls);
    this.lock = this.#switch("control.lock", (on) => this.client.lead.lock(on), controls);
    this.nobodyLit = this.#action("control.nobody-large", () => this.client.lead.spotlight(null));
    controls.append(this.nobodyLit);
    this.everybody = section("control.title", controls, this.mute.why, this.record.why, this.lock.why);
    return this.everybody;
  }

  /**
   * A button that is on or off, or that says where else it is done.
   *
   * @param {string} key
   * @param {(on: boolean) => unknown} run
   * @param {HTMLElement} place
   */
  #switch(key, run, place) {
    const why = h("p", { class: "hint", id: freshId("why"), hidden: true });
    const button = this.#action(key, () => run(button.getAttribute("aria-pressed") !== "true"), { "aria-pressed": "false", "aria-describedby": why.id });
    place.append(button);
    return { button, why, key };
  }

  /**
   * @param {Switch} given
   * @param {Control | undefined} control
   * @param {string} [reason]
   */
  #showSwitch({ button, why, key }, control, reason = "") {
    const text = control?.support === "native" ? reason : control ? t(`${key}.${control.support}`) : "";
    setText(why, text);
    show(why, text !== "");
    button.disabled = !control || (text !== "" && !control.active);
    button.setAttribute("aria-pressed", String(Boolean(control?.active)));
  }

  // -- showing

  #update() {
    const { client } = this;
    const { session, lists } = client;
    show(this, session !== null && client.leads);
    if (session === null || !client.leads) return;
    const { state } = session;
    show(this.start, state === "scheduled", this.heading);
    this.#nameStart();
    show(this.end, state === "active", this.heading);
    show(this.reopen, state === "ended", this.heading);
    show(this.restore, client.isInstructor && session.canRestore && session.endsAt * 1000 > Date.now(), this.heading);
    show(this.edit, client.isInstructor && ["scheduled", "active"].includes(state), this.heading);
    show(this.cancel, client.isInstructor && state === "scheduled", this.heading);
    show(this.scope, Boolean(session.series));
    show(this.everybody, ["scheduled", "active"].includes(state));
    this.#showSwitch(this.mute, lists.room?.muteAll);
    this.#showSwitch(this.record, lists.room?.recording, session.allowRecording ? "" : t("control.record.not-announced"));
    const isRunning = state === "active"; // before that the recorder has no room to go to
    show(this.record.button, isRunning, this.heading);
    if (!isRunning) show(this.record.why, false);
    this.#showSwitch(this.lock, { support: "native", active: session.isLocked }, session.isLocked ? t("control.lock.on") : "");
    show(this.nobodyLit, lists.room?.spotlight?.support === "native" && lists.room.spotlight.pubkey !== null, this.heading);
  }

  /** A start before the hour says how early it is: credit counts from it. Before the doors open it is refused. */
  #nameStart() {
    const { session } = this.client;
    const isClosed = session?.state === "scheduled" && exactNow() < session.doorsOpenAt;
    show(this.startWhy, isClosed);
    this.start.disabled = isClosed;
    if (session?.state !== "scheduled") return;
    setText(this.startWhy, t("lead.start.doors", { time: inZone(session.doorsOpenAt, ownZone) }));
    const minutes = Math.round((session.scheduledAt - exactNow()) / 60);
    const isEarly = minutes >= 1 && !isClosed;
    setText(this.start, isEarly ? t("lead.start.early", { minutes }) : t("lead.start"));
  }
}

customElements.define("podium-instructor", PodiumInstructor);
