// @ts-check
// While one sits in a room that may be recorded: whether it is, and the way to take a consent back, or to give it.

import { aboutService, exactNow, known, withHeader } from "../core/api.js";
import { action, announce, freshId, h, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { login } from "../signer/signer.js";

/** @import { SessionClient, Trouble } from "../core/types.js" */

/** `<podium-consent>`; built by `setUp(client)`. */
export class PodiumConsent extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ state;
  /** @type {HTMLParagraphElement} */ policy;
  /** @type {HTMLButtonElement} */ withdraw;
  /** @type {HTMLButtonElement} */ agree;
  /** @type {string} */ asked;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.asked = "";
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.state = h("p", { class: "recording-now", role: "status" });
    this.policy = h("p", { dir: "auto", id: freshId("policy"), hidden: true });
    this.withdraw = action(t("consent.withdraw"), () => this.#takeBack(), (error) => this.#failed(error));
    this.agree = action(t("consent.agree"), () => this.#offer(), (error) => this.#failed(error), { "aria-describedby": this.policy.id, hidden: true });
    this.replaceChildren(this.state, this.policy, h("div", { class: "buttons" }, this.withdraw, this.agree), this.failure);
    client.subscribe(() => this.#update());
    this.#update();
  }

  #update() {
    const { session, seat } = this.client;
    show(this, session !== null && session.allowRecording && seat?.state === "seated");
    if (session === null) return;
    setText(this.state, t(session.isRecording ? "consent.recording-now" : "consent.not-recording"));
    this.state.dataset.on = String(session.isRecording);
    if (this.hidden) this.asked = "";
    else this.#ask(`${session.recordingAccess} ${session.isRecording}`);
  }

  /**
   * Ask once for each state of the session what the person has answered: another policy needs another yes.
   *
   * @param {string} about
   */
  async #ask(about) {
    if (this.asked === about) return;
    this.asked = about;
    const { agreed } = await known("GET", `${this.client.path}/recording`).catch(() => ({ agreed: true })); // a no is always there
    if (this.asked === about) this.#offerOne(agreed !== false);
  }

  /**
   * The one button that changes something.
   *
   * @param {boolean} agreed
   */
  #offerOne(agreed) {
    const heir = agreed ? this.withdraw : this.agree;
    show(heir, true);
    show(agreed ? this.agree : this.withdraw, false, heir);
    if (agreed) show(this.policy, false);
  }

  /** The policy is shown first; the second press signs. */
  async #offer() {
    const { policy, policyHash } = await known("GET", `${this.client.path}/recording`);
    if (this.policy.hidden || this.policy.textContent !== policy) {
      setText(this.policy, policy);
      show(this.policy, true);
      announce(policy);
      return;
    }
    await this.#sign("yes", policyHash);
    this.#offerOne(true);
    announce(t("consent.agreed"));
  }

  async #takeBack() {
    const { policyHash } = await known("GET", `${this.client.path}/recording`);
    await this.#sign("no", policyHash);
    this.#offerOne(false);
    announce(t("consent.withdrawn"));
  }

  /**
   * @param {string} answer
   * @param {string} policyHash
   */
  async #sign(answer, policyHash) {
    show(this.failure, false);
    const path = `${this.client.path}/recording/consent`;
    const { publicUrl } = await aboutService();
    const extra = [["a", this.client.session?.lessonId ?? ""], ["recording_consent", answer, policyHash]];
    const header = await login(publicUrl.replace(/\/$/, "") + path, "POST", "", Math.floor(exactNow()), extra);
    await withHeader("POST", path, header);
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }
}

customElements.define("podium-consent", PodiumConsent);
