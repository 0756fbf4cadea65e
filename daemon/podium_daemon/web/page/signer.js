// The person's key stays with their extension (NIP-07). Here: asking it, and logins for the daemon's calls (NIP-98).

/** A refusal with a stable name (`slug`); `i18n.describe` has words for it. */
export class PodiumError extends Error {
  constructor(slug, detail = slug, next = "", values = {}) {
    super(detail);
    Object.assign(this, { slug, detail, next, values });
  }
}

const WAIT = 3000; // extensions may come a moment after the page

let ownPubkey = null;
let asking = null;

/** The extension, once it is there. Throws `no-signer`. */
export async function extension(patience = WAIT) {
  const until = performance.now() + patience;
  while (!window.nostr?.signEvent) {
    if (performance.now() >= until) throw new PodiumError("no-signer");
    await new Promise((done) => setTimeout(done, 50));
  }
  if (!globalThis.crypto?.subtle) throw new PodiumError("no-https");
  return window.nostr;
}

/** The person's public key; the extension is asked once. */
export async function pubkey() {
  asking ??= ask().finally(() => {
    asking = null;
  });
  ownPubkey ??= await asking;
  return ownPubkey;
}

async function ask() {
  const signer = await extension();
  const found = await signer.getPublicKey().catch((error) => {
    throw new PodiumError("not-signed", String(error?.message ?? error));
  });
  if (!/^[0-9a-f]{64}$/.test(found)) throw new PodiumError("bad-signer");
  return found;
}

/** Have a template signed. What comes back must be what was asked for, signed by the same person. */
export async function sign(template) {
  const own = await pubkey();
  const signer = await extension();
  const asked = { ...template, pubkey: own };
  const signed = await signer.signEvent(structuredClone(asked)).catch((error) => {
    throw new PodiumError("not-signed", String(error?.message ?? error));
  });
  const same = ["pubkey", "kind", "content", "created_at"].every((name) => signed?.[name] === asked[name]);
  if (!same || JSON.stringify(signed.tags) !== JSON.stringify(asked.tags)) throw new PodiumError("bad-signer");
  const { id, pubkey: by, created_at, kind, tags, content, sig } = signed;
  return { id, pubkey: by, created_at, kind, tags, content, sig };
}

/** The Authorization header of one call. A nonce keeps two equal calls of one second apart. */
export async function login(url, method, body, now, extra = []) {
  const tags = [["u", url], ["method", method], ...extra];
  if (!extra.some(([name]) => name === "nonce")) tags.push(["nonce", hex(crypto.getRandomValues(new Uint8Array(8)))]);
  if (body) tags.push(["payload", hex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(body))))]);
  return `Nostr ${base64(await sign({ kind: 27235, created_at: now, tags, content: "" }))}`;
}

function utf8(text) {
  return new TextEncoder().encode(text);
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64(value) {
  return btoa(Array.from(utf8(JSON.stringify(value)), (byte) => String.fromCharCode(byte)).join(""));
}
