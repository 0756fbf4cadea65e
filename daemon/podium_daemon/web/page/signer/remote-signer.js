// @ts-check
// A remote signer (NIP-46) through the daemon, which holds the relays and our key for it; this tab holds the secret of the
// connection. It is asked like an extension: `getPublicKey`, `signEvent`. There is no `nip44` on purpose: what the signer
// decrypted would pass through the daemon, and a room that is encrypted end to end is closed to it. No DOM in here.

import { refusal, request } from "../core/api.js";
import { PodiumError } from "./signer.js";

/** @import { SignerView, Trouble, Unsigned } from "../core/types.js" */

const KEY = "podium.signer";
const WAIT = 20; // seconds that the daemon holds one look; proxies end what is silent for a minute
const PAUSE = 2000;

export class RemoteSigner {
  #secret;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {Map<symbol, (value?: unknown) => void>} */
  #waiting = new Map();
  /** @type {Promise<void> | null} */
  #following = null;
  #looks = new AbortController();

  /**
   * @param {SignerView} view
   * @param {string} secret
   */
  constructor(view, secret) {
    this.view = view;
    this.#secret = secret;
  }

  /**
   * A new connection: by the signer's own `bunker://` URL, or with `view.uri` and `view.qr` to show to the signer.
   *
   * @param {string | null} [bunker]
   */
  static async open(bunker = null) {
    const body = bunker === null ? {} : { bunker };
    const { secret, signer } = await send("POST", "/api/signers", "", body);
    const opened = new RemoteSigner(signer, secret);
    opened.#follow();
    return opened;
  }

  /** The connection that this tab had before it was loaded again, or null. */
  static async kept() {
    const found = kept();
    if (found === null) return null;
    try {
      const signer = new RemoteSigner(await send("GET", `/api/signers/${found.id}`, found.secret), found.secret);
      if (signer.view.state === "connected") return signer;
    } catch (error) {
      if (/** @type {Trouble} */ (error).slug === "offline") return null; // it may be there when the page is loaded again
    }
    keep(null);
    return null;
  }

  /**
   * Call `listener` after each change of `view`; the function that is returned ends that.
   *
   * @param {() => void} listener
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves once a signer is there; throws `signer-lost` with the reason where none came. */
  async connected() {
    while (this.view.state === "pairing") await this.#news();
    if (this.view.state !== "connected") throw new PodiumError("signer-lost", this.view.problem ?? "");
    keep({ id: this.view.id, secret: this.#secret });
  }

  async getPublicKey() {
    return this.view.pubkey;
  }

  /**
   * Have it signed. The person may have to agree; `view.page` is where, if the signer names a page.
   *
   * @param {Unsigned} event
   */
  async signEvent(event) {
    const id = crypto.randomUUID();
    const { kind, created_at, tags, content, pubkey } = event;
    await this.#ask(id, { pubkey, created_at, kind, tags, content });
    for (;;) {
      const asked = this.view.requests.find((one) => one.id === id);
      if (this.view.state === "over" || !asked) throw this.#lost();
      if (asked.state === "signed") return asked.event;
      if (asked.state !== "asked") throw new PodiumError("signer-said", asked.words, "", { words: asked.words });
      await this.#news();
    }
  }

  /** End the connection: the daemon forgets it and tells the signer. */
  async close() {
    keep(null);
    this.#take({ ...this.view, state: "over", version: Infinity });
    this.#looks.abort(); // a look that outlives the connection would be told that there is none
    await send("DELETE", `/api/signers/${this.view.id}`, this.#secret).catch(() => {});
  }

  /**
   * @param {string} id
   * @param {Unsigned} event
   */
  async #ask(id, event) {
    try {
      this.#take(await send("POST", `/api/signers/${this.view.id}/requests`, this.#secret, { id, event }));
    } catch (error) {
      if (/** @type {Trouble} */ (error).slug === "unknown-signer") throw this.#lost();
      throw error;
    }
    this.#follow();
  }

  #lost() {
    keep(null);
    this.#take({ ...this.view, state: "over", version: Infinity });
    return new PodiumError("signer-lost", this.view.problem ?? "");
  }

  // One look at a time, as long as something is expected.
  #follow() {
    if (this.#following !== null) return;
    this.#following = this.#look().finally(() => {
      this.#following = null;
      this.#tell();
      if (this.#isAwaited) this.#follow(); // it was asked for something while the last look ended
    });
  }

  get #isAwaited() {
    const { state, requests } = this.view;
    return state === "pairing" || (state === "connected" && requests.some((one) => one.state === "asked"));
  }

  async #look() {
    while (this.#isAwaited) {
      const path = `/api/signers/${this.view.id}?seen=${this.view.version}&wait=${WAIT}`;
      try {
        this.#take(await send("GET", path, this.#secret, undefined, this.#looks.signal));
      } catch (thrown) {
        const error = /** @type {Trouble} */ (thrown);
        if (error.slug === "unknown-signer") return void this.#lost();
        if (error.name === "AbortError") return;
        await new Promise((done) => setTimeout(done, PAUSE)); // the network is away, or the daemon is being started
      }
    }
  }

  /** @param {SignerView} view */
  #take(view) {
    if (view.version < this.view.version) return; // an older answer that came later
    this.view = view;
    this.#tell();
  }

  #tell() {
    for (const listener of [...this.#listeners]) listener();
    for (const done of [...this.#waiting.values()]) done();
  }

  #news() {
    const key = Symbol("news");
    return new Promise((done) => this.#waiting.set(key, done)).finally(() => this.#waiting.delete(key));
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {string} secret
 * @param {unknown} [body]
 * @param {AbortSignal} [signal]
 */
async function send(method, path, secret, body, signal) {
  /** @type {Record<string, string>} */
  const headers = secret ? { Authorization: `Podium-Signer ${secret}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const answer = await request(path, { method, headers, body: sent, signal });
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

// for this tab only, and until it is closed: whoever has the secret can ask the person's signer
function kept() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return found && /^[0-9a-f]{16}$/.test(found.id) && /^[\w-]{43}$/.test(found.secret) ? found : null;
  } catch {
    return null;
  }
}

/** @param {{ id: string, secret: string } | null} found */
function keep(found) {
  try {
    if (found === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, JSON.stringify(found));
  } catch {
    // storage is switched off: the signer has to be connected again when the page is loaded again
  }
}
