// @ts-check
// The room's secrets between people: made in the instructor's browser, encrypted to each person with the signer's own
// NIP-44, passed on by the daemon as ciphertext. Here is no DOM and no socket: `send` and `signer` are given.

/** @import { Message, Nip44 } from "../core/types.js" */

const MAX_CIPHERTEXT = 1024;

/** @typedef {{ to: string, epoch: number, ciphertext: string }} GivenKey */
/** @typedef {(epoch: number, secret: Uint8Array<ArrayBuffer>) => void} UseSecret */

/** Whether this browser can seal frames at all. */
export const canSealFrames = "RTCRtpScriptTransform" in globalThis;

/** @type {{ createScriptURL(address: string): any } | null} */
let policy = null;

/** The worker. A page that demands trusted types lets this one script be one, and no other. */
export function frameWorker() {
  const address = "/page/room/frame-worker.js";
  const made = policy ?? /** @type {any} */ (globalThis).trustedTypes?.createPolicy("podium-frames", { createScriptURL: () => address }) ?? { createScriptURL: () => address };
  policy = made;
  return new Worker(made.createScriptURL(address), { type: "module" });
}

/** The keys as whoever leads holds them: a new secret for each epoch, given to everybody who is in the room. */
export class KeyGiver {
  #epoch;
  /** @type {Uint8Array<ArrayBuffer> | null} */
  #secret = null;
  /** @type {Set<string>} */
  #given = new Set();

  /**
   * `nip44`: the signer's `nip44` (encrypt). `send({to, epoch, ciphertext})`. `firstEpoch`: above every one that was used.
   *
   * @param {{ room: string, nip44: Nip44, send: (key: GivenKey) => void, use: UseSecret, firstEpoch: number }} how
   */
  constructor({ room, nip44, send, use, firstEpoch }) {
    this.room = room;
    this.nip44 = nip44;
    this.send = send;
    this.use = use;
    this.#epoch = firstEpoch - 1;
  }

  /**
   * Follow who is in the room: newcomers get the secret; when somebody leaves there is a new one for those who stay.
   *
   * @param {string[]} pubkeys
   */
  async follow(pubkeys) {
    const present = new Set(pubkeys);
    const somebodyLeft = [...this.#given].some((pubkey) => !present.has(pubkey));
    const renewed = this.#secret === null || somebodyLeft ? this.#renew() : this.#secret;
    for (const pubkey of present) {
      if (this.#given.has(pubkey)) continue;
      const [epoch, secret] = [this.#epoch, renewed];
      const ciphertext = await this.nip44.encrypt(pubkey, JSON.stringify({ room: this.room, epoch, secret: hex(secret) }));
      if (epoch !== this.#epoch) return; // renewed meanwhile: that call gives the new one
      this.send({ to: pubkey, epoch, ciphertext });
      this.#given.add(pubkey);
    }
  }

  #renew() {
    if (this.#epoch >= 0xffff) throw new RangeError("this room has used up its epochs");
    this.#epoch += 1;
    this.#secret = crypto.getRandomValues(new Uint8Array(32));
    this.#given = new Set();
    this.use(this.#epoch, this.#secret);
    return this.#secret;
  }
}

/** Both ends of it on one seat: gives keys where the daemon says that this page is to, and takes those of the leader. */
export class Keyring {
  /** @type {KeyGiver | null} */
  #giver = null;

  /**
   * `leader` gives keys in `room`; `use(epoch, secret)` takes them; `earliest()` is an epoch above those before a restart.
   *
   * @param {{ room: string, leader: string, nip44: Nip44, use: UseSecret, earliest: () => number }} how
   */
  constructor({ room, leader, nip44, use, earliest }) {
    this.room = room;
    this.leader = leader;
    this.nip44 = nip44;
    this.use = use;
    this.earliest = earliest;
    /** @type {(message: object) => void} */
    this.send = () => {}; // the seat's
  }

  /**
   * A `key-holders` or `key` message of the daemon.
   *
   * @param {Message} message
   */
  async take(message) {
    if (message.type === "key") {
      const found = await readKey(message, { room: this.room, leaders: [this.leader], nip44: this.nip44 });
      if (found) this.use(...found);
      return;
    }
    const { room, nip44, use } = this;
    const send = (/** @type {GivenKey} */ key) => this.send({ type: "key", ...key });
    this.#giver ??= new KeyGiver({ room, nip44, send, use, firstEpoch: Math.max(message.epoch + 1, this.earliest()) });
    await this.#giver.follow(message.people);
  }
}

/**
 * Read a key that the daemon passed on: [epoch, secret], or null where it is not the leader's word on this room.
 *
 * @param {{ from?: any, ciphertext?: any }} given
 * @param {{ room: string, leaders: string[], nip44: Nip44 }} how
 * @returns {Promise<[number, Uint8Array<ArrayBuffer>] | null>}
 */
export async function readKey({ from, ciphertext }, { room, leaders, nip44 }) {
  if (!leaders.includes(from) || typeof ciphertext !== "string" || ciphertext.length > MAX_CIPHERTEXT) return null;
  try {
    const told = JSON.parse(await nip44.decrypt(from, ciphertext));
    if (told.room !== room || !Number.isInteger(told.epoch) || told.epoch < 0 || told.epoch > 0xffff) return null;
    return /^[0-9a-f]{64}$/.test(told.secret) ? [told.epoch, bytes(told.secret)] : null;
  } catch {
    return null; // whoever passed it on changed it, or the person said no
  }
}

/** @param {Uint8Array} data */
function hex(data) {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} text */
function bytes(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
