// @ts-check
// Remote signers for people without an extension, or beside it: a code to scan, a field for `bunker://`, and a line that says
// what the signer waits for.

import { signOut } from "../core/api.js";
import { action, freshId, h, setText, show, webUrl } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { drawQr } from "./qr.js";
import { RemoteSigner } from "./remote-signer.js";
import { offerRemote, onSignerChange, remoteSigner, useRemote } from "./signer.js";

/** @import { SignerView, Trouble } from "../core/types.js" */

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** `<podium-signer>`: the dialog. `connect()` opens it and resolves to a signer, or to null. */
export class PodiumSigner extends HTMLElement {
  /** @type {HTMLHeadingElement} */ heading;
  /** @type {HTMLParagraphElement} */ status;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLDivElement} */ code;
  /** @type {HTMLAnchorElement} */ link;
  /** @type {HTMLButtonElement} */ copy;
  /** @type {HTMLParagraphElement} */ local;
  /** @type {HTMLParagraphElement} */ page;
  /** @type {HTMLButtonElement} */ again;
  /** @type {HTMLDialogElement} */ dialog;
  /** @type {HTMLInputElement} */ field;
  /** @type {string | null} */ uri;

  /** @type {RemoteSigner | null} */
  #signer = null;
  /** @type {PromiseWithResolvers<RemoteSigner | null> | null} */
  #waiting = null;
  /** @type {() => void} */
  #end = () => {};

  connectedCallback() {
    if (this.dialog) return;
    const title = h("h2", { id: freshId("signer"), tabindex: "-1" }, t("remote.title"));
    this.heading = title;
    this.status = h("p", { class: "status", role: "status" });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.code = h("div", { class: "code" });
    this.link = h("a", { class: "button", hidden: true }, t("remote.open"));
    this.copy = action(t("remote.copy"), () => this.#copy(), (error) => this.#failed(error), { hidden: true });
    this.local = h("p", { class: "hint", hidden: true }, t("remote.local"));
    this.page = h("p", { hidden: true });
    this.again = action(t("remote.again"), () => this.#invite(), (error) => this.#failed(error), { hidden: true });
    const cancel = h("button", { type: "button", on: { click: () => this.dialog.close() } }, t("remote.cancel"));
    this.dialog = h("dialog", { "aria-labelledby": title.id },
      title, h("p", {}, t("remote.text")), this.code, this.status, this.page, this.failure,
      h("div", { class: "buttons" }, this.link, this.copy, this.again), this.local,
      this.#form(), h("details", {}, h("summary", {}, t("remote.none")), ...installs()),
      h("div", { class: "buttons" }, cancel));
    this.dialog.addEventListener("close", () => this.#closed());
    this.append(this.dialog);
  }

  /**
   * Let the person connect a signer.
   *
   * @returns {Promise<RemoteSigner | null>}
   */
  connect() {
    if (!this.#waiting) {
      this.#waiting = Promise.withResolvers ? Promise.withResolvers() : resolvers();
      this.dialog.showModal();
      this.heading.focus();
      this.#invite().catch((error) => this.#failed(error));
    }
    return this.#waiting.promise;
  }

  #form() {
    this.field = h("input", {
      id: freshId("bunker"), type: "text", inputmode: "url", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      placeholder: "bunker://…", maxlength: "8192", required: true,
    });
    const go = h("button", { type: "submit" }, t("remote.connect"));
    const form = h("form", { class: "paste" }, h("label", { for: this.field.id }, t("remote.paste")), this.field, go);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.field.value.trim();
      this.field.value = ""; // its secret lets one client in: it does not stay on the screen
      this.#try(text).catch((error) => this.#failed(error));
    });
    return form;
  }

  #invite() {
    return this.#try(null);
  }

  /** @param {string | null} bunker */
  async #try(bunker) {
    await this.#drop();
    show(this.failure, false);
    show(this.again, false);
    setText(this.status, t(bunker === null ? "remote.asking" : "remote.connecting"));
    const signer = await RemoteSigner.open(bunker);
    if (!this.#waiting) return void signer.close(); // the dialog was closed meanwhile
    this.#signer = signer;
    this.#end = signer.subscribe(() => this.#show(signer));
    this.#show(signer);
    await signer.connected();
    if (this.#signer !== signer) return;
    this.#end();
    this.#signer = null; // it is the page's now
    const waiting = this.#waiting;
    this.#waiting = null;
    this.dialog.close();
    waiting?.resolve(signer);
  }

  /** @param {RemoteSigner} how */
  #show({ view }) {
    const uri = view.state === "pairing" ? view.uri : null;
    if (uri !== this.uri) {
      this.uri = uri;
      this.code.replaceChildren(...(uri ? [drawQr(view.qr, t("remote.code"))] : []));
      // made by our own daemon; the scheme is looked at all the same before a person is sent there
      if (uri?.startsWith("nostrconnect://")) this.link.setAttribute("href", uri);
      else this.link.removeAttribute("href");
      show(this.link, uri !== null, this.heading);
      show(this.copy, uri !== null && Boolean(navigator.clipboard), this.heading);
      show(this.local, uri !== null && isLocal(uri));
      if (uri) setText(this.status, t("remote.scan"));
    }
    if (view.isSlow && !uri) setText(this.status, t("remote.slow"));
    agreement(this.page, view.page);
  }

  /** @param {Trouble} error */
  #failed(error) {
    if (!this.#waiting) return; // closed: nobody looks
    setText(this.status, "");
    this.code.replaceChildren();
    this.uri = null;
    for (const part of [this.link, this.copy, this.local, this.page]) show(part, false, this.heading);
    setText(this.failure, error.slug === "signer-lost" ? error.detail || describe(error) : describe(error));
    show(this.failure, true);
    show(this.again, true);
  }

  async #copy() {
    await navigator.clipboard.writeText(this.uri ?? "");
    setText(this.status, t("remote.copied"));
  }

  #closed() {
    this.#drop();
    this.#waiting?.resolve(null);
    this.#waiting = null;
  }

  async #drop() {
    this.#end();
    const signer = this.#signer;
    this.#signer = null;
    this.uri = null;
    this.code.replaceChildren();
    if (signer) await signer.close();
  }
}

/** `<podium-signer-wait>`: says that the remote signer has to agree, and where. */
class PodiumSignerWait extends HTMLElement {
  /** @type {HTMLParagraphElement} */ text;
  /** @type {HTMLParagraphElement} */ page;

  connectedCallback() {
    if (this.text) return;
    this.hidden = true;
    this.setAttribute("role", "status");
    this.text = h("p", {});
    this.page = h("p", { hidden: true });
    this.append(this.text, this.page);
  }

  /** @param {RemoteSigner | null} signer */
  follow(signer) {
    this.#end?.();
    this.#end = signer?.subscribe(() => this.#show(signer.view));
    if (!signer) this.hidden = true;
  }

  /** @type {(() => unknown) | undefined} */
  #end = undefined;

  /** @param {SignerView} view */
  #show(view) {
    const isAsked = view.state === "connected" && view.requests.some(({ state }) => state === "asked");
    // everything outside an open dialog is out of reach
    const place = document.querySelector("dialog[open]") ?? document.body;
    if (isAsked && this.parentNode !== place) place.append(this);
    setText(this.text, isAsked ? t(view.isSlow ? "remote.slow" : "remote.agree") : "");
    agreement(this.page, view.page);
    this.hidden = !isAsked;
  }
}

/**
 * @param {HTMLElement} line
 * @param {string | null} url
 */
function agreement(line, url) {
  const page = url ? webUrl(url) : null; // opened by nobody but the person
  if ((page ?? "") === (line.dataset.page ?? "")) return;
  line.dataset.page = page ?? "";
  const link = page ? h("a", { href: page, target: "_blank", rel: "noopener noreferrer" }, t("remote.page", { host: new URL(page).host })) : "";
  line.replaceChildren(link);
  show(line, page !== null);
}

function installs() {
  return ["remote.install1", "remote.install2", "remote.install3"].map((key) => h("p", {}, t(key)));
}

/** @param {string} uri */
function isLocal(uri) {
  const relays = new URLSearchParams(uri.slice(uri.indexOf("?"))).getAll("relay");
  return relays.every((relay) => LOOPBACK.test(new URL(relay).hostname));
}

/** @returns {PromiseWithResolvers<RemoteSigner | null>} */
function resolvers() {
  const made = /** @type {PromiseWithResolvers<RemoteSigner | null>} */ ({});
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

customElements.define("podium-signer", PodiumSigner);
customElements.define("podium-signer-wait", PodiumSignerWait);

const dialog = document.body.appendChild(new PodiumSigner());
const wait = document.body.appendChild(new PodiumSignerWait());
onSignerChange(async () => wait.follow(await remoteSigner()));
offerRemote({ ask: () => dialog.connect(), kept: () => RemoteSigner.kept() });

/** Let the person connect a remote signer, and sign with it from now on. Whether they did. */
export async function connectRemote() {
  const signer = await dialog.connect();
  if (signer) useRemote(signer);
  return signer !== null;
}

/** Sign with it no more: the daemon forgets it, and the page is loaded again as a stranger's. */
export async function disconnectRemote() {
  await (await remoteSigner())?.close();
  await signOut(false);
  location.reload();
}
