// @ts-check
// Checks a certificate: one that the address holds (a scanned code), or a file that a person chooses or drops.

import { plain } from "../core/api.js";
import { announce, freshId, h, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { inZone, ownZone } from "../core/times.js";

/** @import { Certificate, Trouble } from "../core/types.js" */

const MAX_BYTES = 200_000;

/** `<podium-verify>`. */
export class PodiumVerify extends HTMLElement {
  /** @type {HTMLInputElement} */ file;
  /** @type {HTMLParagraphElement} */ verdict;
  /** @type {HTMLDListElement} */ details;
  /** @type {HTMLParagraphElement} */ failure;

  connectedCallback() {
    const id = freshId("certificate");
    this.file = h("input", { type: "file", id, accept: ".svg,.json,.txt,image/svg+xml,application/json,text/plain" });
    this.file.addEventListener("change", () => this.#read(this.file.files?.[0]));
    this.verdict = h("p", { class: "verdict", role: "status", hidden: true });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.details = h("dl", { class: "times", hidden: true });
    this.replaceChildren(h("p", {}, h("label", { for: id }, t("verify.file"), " "), this.file), this.verdict, this.failure, this.details);
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#read(event.dataTransfer?.files[0]);
    });
    addEventListener("hashchange", () => this.#fromAddress());
    this.#fromAddress();
  }

  #fromAddress() {
    const code = location.hash.slice(1);
    if (code) this.#check(code);
  }

  /** @param {File | undefined} file */
  async #read(file) {
    if (!file) return;
    // a picture is some 40 kB; a film that was dropped here by mistake is not read into memory
    if (file.size > MAX_BYTES) return this.#refuse(t("verify.too-long"));
    this.#check(await file.text());
  }

  /** @param {string} content */
  async #check(content) {
    show(this.failure, false);
    show(this.details, false);
    setText(this.verdict, t("verify.checking"));
    this.verdict.dataset.verdict = "";
    show(this.verdict, true);
    try {
      const { isValid, reason, isOurs, certificate } = await plain("POST", "/api/certificates/check", { content });
      if (!isValid) return this.#refuse(t("verify.invalid", { reason }));
      this.#tell(isOurs, certificate);
    } catch (error) {
      this.#refuse(describe(/** @type {Trouble} */ (error)));
    }
  }

  /** @param {string} words */
  #refuse(words) {
    show(this.verdict, false);
    show(this.details, false);
    setText(this.failure, words);
    show(this.failure, true);
  }

  /**
   * @param {boolean} isOurs
   * @param {Certificate} certificate
   */
  #tell(isOurs, certificate) {
    setText(this.verdict, t(isOurs ? "verify.ours" : "verify.others"));
    this.verdict.dataset.verdict = isOurs ? "good" : "warn";
    announce(this.verdict.textContent ?? "");
    const line = (/** @type {string} */ label, /** @type {string} */ value) => value ? [h("dt", {}, t(`verify.${label}`)), h("dd", { dir: "auto" }, value)] : [];
    this.details.replaceChildren(
      ...line("name", certificate.name),
      ...line("session", certificate.title),
      ...line("date", inZone(certificate.startsAt, ownZone)),
      ...line("completed", t(`completion.short.${certificate.completedBy}`)),
      ...line("minutes", certificate.minutes ? String(certificate.minutes) : ""),
      ...line("assurance", t(`assurance.${certificate.assurance}`)),
      ...line("issuer", certificate.serviceName),
      ...line("service", certificate.serviceNpub),
      ...line("participant", certificate.npub));
    show(this.details, true);
  }
}

customElements.define("podium-verify", PodiumVerify);
