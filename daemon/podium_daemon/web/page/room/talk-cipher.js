// @ts-check
// What people write in an encrypted room: AES-GCM with a key for each sender, derived by HKDF from the room's secret of an
// epoch. No DOM. docs/encryption.md says what it protects against.

const MAX_SECRETS = 256; // epochs that are remembered: whoever joins and leaves without end fills no memory
const SEALED = /^(\d{1,5})\.([A-Za-z0-9+/=]{38,12000})$/;

/** @typedef {"all" | "private" | "reaction" | "poll" | `right ${string}`} Purpose */

/** Seals and opens texts. A purpose is authenticated, so that what was meant for a few is not shown as meant for all. */
export class TalkCipher {
  /** @type {Map<number, Promise<CryptoKey>>} */
  #secrets = new Map();
  #newest = -1;

  /** @type {(() => void)[]} */
  #listeners = [];

  /** @param {() => void} listener is called when there is another secret */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  /**
   * @param {number} epoch
   * @param {Uint8Array<ArrayBuffer>} secret
   */
  use(epoch, secret) {
    this.#secrets.set(epoch, crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]));
    this.#newest = Math.max(this.#newest, epoch);
    if (this.#secrets.size > MAX_SECRETS) this.#secrets.delete([...this.#secrets.keys()][0]);
    for (const listener of this.#listeners) listener();
  }

  get hasSecret() {
    return this.#newest >= 0;
  }

  /**
   * Whether a text was sealed with an older secret than the newest, which who came later may not have.
   *
   * @param {string} sealed
   */
  isOld(sealed) {
    return Number(sealed.split(".", 1)[0]) < this.#newest;
  }

  /**
   * The sealed text, or null while there is no secret: nothing goes out in the clear.
   *
   * @param {string} text
   * @param {string} sender
   * @param {Purpose} purpose
   */
  async seal(text, sender, purpose) {
    const epoch = this.#newest;
    const key = await this.#key(epoch, sender);
    if (key === null) return null;
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const sealed = await crypto.subtle.encrypt(how(iv, purpose), key, new TextEncoder().encode(text));
    return `${epoch}.${encoded(new Uint8Array([...iv, ...new Uint8Array(sealed)]))}`;
  }

  /**
   * The text, or null if its secret is not known here or it is not what its sender wrote for this purpose.
   *
   * @param {string} sealed
   * @param {string} sender
   * @param {Purpose} purpose
   */
  async open(sealed, sender, purpose) {
    const [, epoch, text] = SEALED.exec(sealed) ?? [];
    if (!text) return null;
    const key = await this.#key(Number(epoch), sender);
    if (key === null) return null;
    try {
      const bytes = decoded(text);
      return new TextDecoder("utf-8", { fatal: true }).decode(await crypto.subtle.decrypt(how(bytes.slice(0, 12), purpose), key, bytes.slice(12)));
    } catch {
      return null; // changed on the way, or another's
    }
  }

  /**
   * @param {number} epoch
   * @param {string} sender
   */
  async #key(epoch, sender) {
    const secret = await this.#secrets.get(epoch);
    if (!secret) return null;
    const info = new TextEncoder().encode(`podium chat 1 ${epoch} ${sender}`);
    const from = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
    return crypto.subtle.deriveKey(from, secret, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  }
}

/**
 * @param {Uint8Array<ArrayBuffer>} iv
 * @param {Purpose} purpose
 */
function how(iv, purpose) {
  return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(purpose) };
}

/** @param {Uint8Array} bytes */
function encoded(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** @param {string} text */
function decoded(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
