// @ts-check
// What a connection's media goes through where the session demands end-to-end encryption: one worker for all of it.

import { frameWorker } from "./frame-keys.js";

/** @import { Kind } from "../core/types.js" */

/** Seals what `own` sends and opens what others send. Frames without a secret are dropped, in both directions. */
export class Cipher {
  #worker = frameWorker();
  /** @type {WeakMap<RTCRtpReceiver, { name: number, pubkey: string | null }>} */
  #received = new WeakMap(); // receiver -> {name, pubkey}: its name in the worker, and whose frames it opens
  #names = 0;

  /**
   * @param {string} own
   * @param {() => void} changed
   */
  constructor(own, changed) {
    this.own = own;
    this.hasSecret = false;
    this.locked = new Set(); // pubkeys whose frames could not be opened lately
    this.#worker.addEventListener("message", ({ data }) => {
      if (data.type === "locked") this.locked.add(data.sender);
      else this.locked.delete(data.sender);
      changed();
    });
  }

  /**
   * Use the secret of an epoch from now on.
   *
   * @param {number} epoch
   * @param {Uint8Array<ArrayBuffer>} secret
   */
  use(epoch, secret) {
    this.hasSecret = true;
    this.#worker.postMessage({ type: "secret", epoch, secret });
  }

  /**
   * Seal what a sender sends; said before it sends anything.
   *
   * @param {RTCRtpSender} sender
   * @param {Kind} kind
   */
  seal(sender, kind) {
    const options = { direction: "send", sender: this.own, kind: kind === "audio" ? "audio" : "video" };
    sender.transform = new RTCRtpScriptTransform(this.#worker, options);
  }

  /**
   * Open what a receiver receives; said in its `track` event, since a receiver that runs takes no transform any more.
   *
   * @param {RTCRtpReceiver} receiver
   */
  receive(receiver) {
    const name = (this.#names += 1);
    this.#received.set(receiver, { name, pubkey: null });
    receiver.transform = new RTCRtpScriptTransform(this.#worker, { direction: "receive", name, kind: receiver.track.kind });
  }

  /**
   * Whose frames a receiver gets from now on.
   *
   * @param {RTCRtpReceiver} receiver
   * @param {string} pubkey
   */
  expect(receiver, pubkey) {
    const known = this.#received.get(receiver);
    if (!known || known.pubkey === pubkey) return;
    known.pubkey = pubkey;
    this.#worker.postMessage({ type: "from", name: known.name, sender: pubkey });
  }

  close() {
    this.#worker.terminate();
  }
}
