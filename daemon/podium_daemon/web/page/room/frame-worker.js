// @ts-check
// The worker in which frames are sealed and opened, between the encoder and the network (RTCRtpScriptTransform).

import { FrameOpener, FrameSealer, RoomSecrets } from "./frame-crypto.js";

/** @import { Message } from "../core/types.js" */

/** @typedef {{ data: ArrayBuffer, type?: string }} Frame */
/** @typedef {(frame: Frame, controller: TransformStreamDefaultController<Frame>) => Promise<void>} Change */
/**
 * RTCRtpScriptTransformer (W3C webrtc-encoded-transform), which TypeScript knows in workers only.
 *
 * @typedef {object} FrameTransformer
 * @property {Message} options
 * @property {ReadableStream<Frame>} readable
 * @property {WritableStream<Frame>} writable
 * @property {() => Promise<void>} sendKeyFrameRequest
 */

const secrets = new RoomSecrets();
/** @type {Map<string, FrameOpener>} */
const openers = new Map(); // by the name of what is received; whose frames come there is told later, and may change

addEventListener("message", ({ data }) => {
  if (data.type === "secret") secrets.put(data.epoch, data.secret);
  else if (data.type === "from") openers.set(data.name, new FrameOpener(secrets, data.sender));
});

addEventListener("rtctransform", (event) => {
  const { transformer } = /** @type {Event & { transformer: FrameTransformer }} */ (event);
  const { direction, sender, name, kind } = transformer.options;
  const change = direction === "send" ? sealing(new FrameSealer(secrets, sender), kind) : opening(name);
  // a frame that cannot be sealed or opened is dropped: silence is better than the clear, and than noise
  transformer.readable.pipeThrough(new TransformStream({ transform: change })).pipeTo(transformer.writable).catch(() => {});
  if (direction === "receive" && kind === "video") askForKeyFrame(transformer, name);
});

/**
 * @param {FrameSealer} sealer
 * @param {string} kind
 * @returns {Change}
 */
function sealing(sealer, kind) {
  return async (frame, controller) => {
    const sealed = await sealer.seal(frame.data, kind === "audio" ? "audio" : frame.type === "key" ? "key" : "delta");
    if (sealed === null) return;
    frame.data = sealed;
    controller.enqueue(frame);
  };
}

/**
 * @param {string} name
 * @returns {Change}
 */
function opening(name) {
  let dropped = 0;
  return async (frame, controller) => {
    const opener = openers.get(name);
    const clear = opener ? await opener.open(frame.data) : null;
    if (clear === null) {
      dropped += 1;
      // the first of a row, and then now and then: the page says that somebody cannot be seen yet
      if (opener && (dropped === 1 || dropped % 100 === 0)) postMessage({ type: "locked", sender: opener.sender });
      return;
    }
    if (dropped > 0) postMessage({ type: "unlocked", sender: opener?.sender });
    dropped = 0;
    frame.data = clear;
    controller.enqueue(frame);
  };
}

/**
 * What came before was dropped, the key frame with it: without a new one nothing can be decoded.
 *
 * @param {FrameTransformer} transformer
 * @param {string} name
 */
function askForKeyFrame(transformer, name) {
  addEventListener("message", ({ data }) => {
    const concerns = data.type === "secret" || (data.type === "from" && data.name === name);
    if (concerns) transformer.sendKeyFrameRequest().catch(() => {});
  });
}
