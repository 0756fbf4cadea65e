// @ts-check
// The person's key stays with their signer: an extension (NIP-07), or a remote one (NIP-46, `remote-signer.js`). Here:
// asking it, and logins for the daemon's calls (NIP-98).

/** @import { Signer, Template, Trouble } from "../core/types.js" */
/** @import { RemoteSigner } from "./remote-signer.js" */

/** A refusal with a stable name (`slug`); `i18n.describe` has words for it. */
export class PodiumError extends Error {
  /**
   * @param {string} slug
   * @param {string} [detail]
   * @param {string} [next]
   * @param {{ [name: string]: unknown }} [values]
   */
  constructor(slug, detail = slug, next = "", values = {}) {
    super(detail);
    this.slug = slug;
    this.detail = detail;
    this.next = next;
    this.values = values;
  }
}

const WAIT = 3000; // extensions may come a moment after the page

/** @type {string | null} */
let ownPubkey = null;
/** @type {Promise<string> | null} */
let asking = null;
/** @type {Signer | null} */
let guest = null; // signs with the key that the service keeps for a guest
/** @type {RemoteSigner | null} */
let remote = null; // has `getPublicKey` and `signEvent`, like an extension
/** @type {(() => Promise<RemoteSigner | null>) | null} */
let choose = null;
/** @type {Promise<void> | null} */
let restored = null;
/** @type {Set<() => void>} */
const listeners = new Set();

/**
 * What to do where there is no extension. `ask()` lets the person connect a remote signer, which it resolves to, or null;
 * `kept()` resolves to the one that this tab has already, or null.
 *
 * @param {{ ask: () => Promise<RemoteSigner | null>, kept: () => Promise<RemoteSigner | null> }} how
 */
export function offerRemote({ ask: connect, kept }) {
  choose = connect;
  restored = kept().then((signer) => {
    if (signer && !remote) useRemote(signer);
  });
}

/**
 * Sign with this remote signer from now on; null: with the extension again.
 *
 * @param {RemoteSigner | null} signer
 */
export function useRemote(signer) {
  remote = signer;
  ownPubkey = null;
  for (const listener of listeners) listener();
}

/**
 * Sign as the guest of this page from now on; null: with a key of one's own again.
 *
 * @param {Signer | null} signer
 */
export function useGuest(signer) {
  guest = signer;
  ownPubkey = null;
  for (const listener of listeners) listener();
}

/** Whether the service signs here for a guest. */
export function isGuest() {
  return guest !== null;
}

/** The remote signer in use, or null. */
export async function remoteSigner() {
  await restored;
  return remote;
}

/**
 * Be told when another signer is used.
 *
 * @param {() => void} listener
 */
export function onSignerChange(listener) {
  listeners.add(listener);
}

/** Whoever signs: the remote signer in use, the extension, or what the person connects now. Throws `no-signer`. */
async function current() {
  if (guest) return guest;
  const kept = await remoteSigner();
  if (kept && !globalThis.crypto?.subtle) throw new PodiumError("no-https");
  if (kept) return kept;
  try {
    return await extension();
  } catch (error) {
    if (!(error instanceof PodiumError) || error.slug !== "no-signer" || !choose) throw error;
    const chosen = await choose();
    if (!chosen) throw error;
    useRemote(chosen);
    return chosen;
  }
}

const loaded = performance.now();

/**
 * The extension, once it is there. Throws `no-signer`.
 *
 * @param {number} [patience]
 */
export async function extension(patience = WAIT) {
  const page = /** @type {{ nostr?: Signer }} */ (globalThis);
  while (!page.nostr?.signEvent) {
    if (performance.now() >= loaded + patience) throw new PodiumError("no-signer");
    await new Promise((done) => setTimeout(done, 50));
  }
  if (!globalThis.crypto?.subtle) throw new PodiumError("no-https");
  return page.nostr;
}

/**
 * The extension's NIP-44, for the keys of encrypted rooms. Throws `no-nip44`: a remote signer is reached through the daemon,
 * which would then see what is encrypted with it.
 */
export async function nip44() {
  const signer = guest === null && (await remoteSigner()) === null ? await extension() : null;
  if (!signer?.nip44) throw new PodiumError("no-nip44");
  return signer.nip44;
}

/** The person's public key; the signer is asked once. */
export async function pubkey() {
  asking ??= ask().finally(() => {
    asking = null;
  });
  ownPubkey ??= await asking;
  return ownPubkey;
}

async function ask() {
  const signer = await current();
  const found = await signer.getPublicKey().catch(notSigned);
  if (!/^[0-9a-f]{64}$/.test(found)) throw new PodiumError("bad-signer");
  return found;
}

/**
 * Have a template signed. What comes back must be what was asked for, signed by the same person.
 *
 * @param {Template} template
 */
export async function sign(template) {
  const own = await pubkey();
  const signer = await current();
  const asked = { ...template, pubkey: guest?.signsAs ?? own };
  const signed = await signer.signEvent(structuredClone(asked)).catch(notSigned);
  const same = /** @type {const} */ (["pubkey", "kind", "content", "created_at"]).every((name) => signed?.[name] === asked[name]);
  if (!same || JSON.stringify(signed.tags) !== JSON.stringify(asked.tags)) throw new PodiumError("bad-signer");
  const { id, pubkey: by, created_at, kind, tags, content, sig } = signed;
  return { id, pubkey: by, created_at, kind, tags, content, sig };
}

/**
 * @param {Trouble} error
 * @returns {never}
 */
function notSigned(error) {
  if (error?.slug === "signer-lost") useRemote(null); // whoever tries again is offered to connect one
  throw error instanceof PodiumError ? error : new PodiumError("not-signed", String(error?.message ?? error));
}

/**
 * The Authorization header of one call. A nonce keeps two equal calls of one second apart.
 *
 * @param {string} url
 * @param {string} method
 * @param {string} body
 * @param {number} now
 * @param {string[][]} [extra]
 */
export async function login(url, method, body, now, extra = []) {
  const tags = [["u", url], ["method", method], ...extra];
  if (!extra.some(([name]) => name === "nonce")) tags.push(["nonce", hex(crypto.getRandomValues(new Uint8Array(8)))]);
  if (body) tags.push(["payload", hex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(body))))]);
  return `Nostr ${base64(await sign({ kind: 27235, created_at: now, tags, content: "" }))}`;
}

/** @param {string} text */
function utf8(text) {
  return new TextEncoder().encode(text);
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {unknown} value */
function base64(value) {
  return btoa(Array.from(utf8(JSON.stringify(value)), (byte) => String.fromCharCode(byte)).join(""));
}
