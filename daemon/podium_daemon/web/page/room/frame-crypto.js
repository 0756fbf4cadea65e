// @ts-check
// End-to-end encryption of media frames: AES-GCM with a key for each sender's stream, derived by HKDF from the room's
// secret of an epoch. Works in a worker and in a page; no DOM, no clock. docs/encryption.md says what it protects against.
//
// A sealed frame:  clear head | ciphertext and tag | salt (8) counter (4) epoch (2) head length (1) version (1)
// Head and trailer are authenticated. The salt is drawn once for each stream, so that a key never meets a counter twice,
// also when somebody loads the page again and goes on under the same epoch.

const VERSION = 1;
const TRAILER = 16;
const TAG = 16;
const WINDOW = 1024; // frames of a stream that may come late: a relay that plays old ones again gets nothing shown
const MAX_STREAMS = 64; // keys kept: whoever forwards media could invent salts without end
const MAX_COUNTER = 0xffffffff;

/** Bytes that stay clear. Receivers read a frame's type and size from the payload (RFC 7741, 4.3), before any decoding. */
export const CLEAR = { key: 10, delta: 3, audio: 1 };

/** The room's secrets by epoch (32 bytes each). The newest is the one to send with; two older ones are kept for what is on its way. */
export class RoomSecrets {
  /** @type {Map<number, Promise<CryptoKey>>} */
  #secrets = new Map();
  #newest = -1;

  /**
   * Take the secret of an epoch, 0 to 65535. An older epoch than the newest is not taken: nobody goes back.
   *
   * @param {number} epoch
   * @param {Uint8Array<ArrayBuffer>} secret
   */
  put(epoch, secret) {
    if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffff) throw new RangeError("an epoch is 0 to 65535");
    if (!(secret instanceof Uint8Array) || secret.length !== 32) throw new RangeError("a secret has 32 bytes");
    if (epoch <= this.#newest) return false;
    this.#secrets.set(epoch, crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]));
    this.#newest = epoch;
    for (const old of this.#secrets.keys()) if (old < epoch - 2) this.#secrets.delete(old);
    return true;
  }

  get newest() {
    return this.#newest;
  }

  /**
   * The key of one sender's stream, or null where the epoch's secret is not known.
   *
   * @param {number} epoch
   * @param {string} sender
   * @param {Uint8Array<ArrayBuffer>} salt
   */
  async streamKey(epoch, sender, salt) {
    const secret = await this.#secrets.get(epoch);
    if (!secret) return null;
    const info = new TextEncoder().encode(`podium frames 1 ${epoch} ${sender}`);
    const how = { name: "HKDF", hash: "SHA-256", salt, info };
    return crypto.subtle.deriveKey(how, secret, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  }
}

/** Seals the frames of one stream. `sender` is the pubkey of whoever sends. */
export class FrameSealer {
  #salt = crypto.getRandomValues(new Uint8Array(8));
  #counter = 0;
  #epoch = -1;
  /** @type {Promise<CryptoKey | null> | null} */
  #key = null;

  /**
   * @param {RoomSecrets} secrets
   * @param {string} sender
   */
  constructor(secrets, sender) {
    this.secrets = secrets;
    this.sender = sender;
  }

  /**
   * The sealed frame, or null while there is no secret: nothing ever goes out in the clear.
   *
   * @param {ArrayBuffer} data
   * @param {keyof typeof CLEAR} kind
   */
  async seal(data, kind) {
    const epoch = this.secrets.newest;
    if (epoch < 0) return null;
    if (epoch !== this.#epoch || this.#counter >= MAX_COUNTER) {
      this.#salt = crypto.getRandomValues(new Uint8Array(8));
      [this.#epoch, this.#counter] = [epoch, 0];
      this.#key = this.secrets.streamKey(epoch, this.sender, this.#salt);
    }
    const counter = this.#counter++;
    const salt = this.#salt;
    const key = /** @type {CryptoKey} */ (await this.#key); // the newest epoch has its secret
    const head = new Uint8Array(data, 0, Math.min(CLEAR[kind], data.byteLength));
    const trailer = writeTrailer(salt, counter, epoch, head.length);
    const how = { name: "AES-GCM", iv: iv(counter), additionalData: joined(head, trailer) };
    const body = await crypto.subtle.encrypt(how, key, new Uint8Array(data, head.length));
    return joined(head, new Uint8Array(body), trailer).buffer;
  }
}

/** Opens the frames of one sender. What is not theirs, not whole, or was there before is null. */
export class FrameOpener {
  /** @type {Map<string, { name: string, key: Promise<CryptoKey | null>, seen: Seen }>} */
  #streams = new Map(); // "epoch:salt" -> {key, seen}

  /**
   * @param {RoomSecrets} secrets
   * @param {string} sender
   */
  constructor(secrets, sender) {
    this.secrets = secrets;
    this.sender = sender;
  }

  /** @param {ArrayBuffer} data */
  async open(data) {
    const found = readTrailer(data);
    if (found === null) return null;
    const { salt, counter, epoch, headLength, trailer } = found;
    const stream = this.#stream(epoch, salt);
    const key = await stream.key;
    if (key === null) {
      this.#streams.delete(stream.name); // the secret may come yet
      return null;
    }
    const head = new Uint8Array(data, 0, headLength);
    const body = new Uint8Array(data, headLength, data.byteLength - headLength - TRAILER);
    const how = { name: "AES-GCM", iv: iv(counter), additionalData: joined(head, trailer) };
    let clear;
    try {
      clear = await crypto.subtle.decrypt(how, key, body);
    } catch {
      return null;
    }
    return stream.seen.isNew(counter) ? joined(head, new Uint8Array(clear)).buffer : null;
  }

  /**
   * @param {number} epoch
   * @param {Uint8Array<ArrayBuffer>} salt
   */
  #stream(epoch, salt) {
    const name = `${epoch}:${salt.join()}`;
    let stream = this.#streams.get(name);
    if (stream) this.#streams.delete(name);
    else stream = { name, key: this.secrets.streamKey(epoch, this.sender, salt), seen: new Seen() };
    this.#streams.set(name, stream); // the one used last stands last
    if (this.#streams.size > MAX_STREAMS) this.#streams.delete(this.#streams.keys().next().value ?? "");
    return stream;
  }
}

/** The counters that came, as far back as `WINDOW`. */
class Seen {
  #last = -1;
  #marks = new Uint8Array(WINDOW);

  /** @param {number} counter */
  isNew(counter) {
    if (counter <= this.#last - WINDOW) return false;
    if (counter > this.#last) {
      const skipped = Math.min(counter - this.#last, WINDOW);
      for (let back = 0; back < skipped; back++) this.#marks[(counter - back) % WINDOW] = 0;
      this.#last = counter;
    } else if (this.#marks[counter % WINDOW]) return false;
    this.#marks[counter % WINDOW] = 1;
    return true;
  }
}

/**
 * @param {Uint8Array<ArrayBuffer>} salt
 * @param {number} counter
 * @param {number} epoch
 * @param {number} headLength
 */
function writeTrailer(salt, counter, epoch, headLength) {
  const trailer = new Uint8Array(TRAILER);
  const view = new DataView(trailer.buffer);
  trailer.set(salt);
  view.setUint32(8, counter);
  view.setUint16(12, epoch);
  view.setUint8(14, headLength);
  view.setUint8(15, VERSION);
  return trailer;
}

/** @param {ArrayBuffer} data */
function readTrailer(data) {
  if (data.byteLength < TRAILER + TAG) return null;
  const trailer = new Uint8Array(data, data.byteLength - TRAILER, TRAILER);
  const view = new DataView(data, data.byteLength - TRAILER, TRAILER);
  const headLength = view.getUint8(14);
  if (view.getUint8(15) !== VERSION || headLength > CLEAR.key) return null;
  if (data.byteLength < headLength + TAG + TRAILER) return null;
  return { salt: trailer.slice(0, 8), counter: view.getUint32(8), epoch: view.getUint16(12), headLength, trailer };
}

/** @param {number} counter */
function iv(counter) {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setUint32(8, counter);
  return bytes;
}

/** @param {Uint8Array[]} parts */
function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
