// The worker in which frames are sealed and opened, between the encoder and the network (RTCRtpScriptTransform).

import { FrameOpener, FrameSealer, RoomSecrets } from "./frame-crypto.js";

const secrets = new RoomSecrets();
const openers = new Map(); // by the name of what is received; whose frames come there is told later, and may change

addEventListener("message", ({ data }) => {
  if (data.type === "secret") secrets.put(data.epoch, data.secret);
  else if (data.type === "from") openers.set(data.name, new FrameOpener(secrets, data.sender));
});

addEventListener("rtctransform", ({ transformer }) => {
  const { direction, sender, name, kind } = transformer.options;
  const change = direction === "send" ? sealing(new FrameSealer(secrets, sender), kind) : opening(name);
  // a frame that cannot be sealed or opened is dropped: silence is better than the clear, and than noise
  transformer.readable.pipeThrough(new TransformStream({ transform: change })).pipeTo(transformer.writable).catch(() => {});
  if (direction === "receive" && kind === "video") askForKeyFrame(transformer, name);
});

function sealing(sealer, kind) {
  return async (frame, controller) => {
    const sealed = await sealer.seal(frame.data, kind === "audio" ? "audio" : frame.type === "key" ? "key" : "delta");
    if (sealed === null) return;
    frame.data = sealed;
    controller.enqueue(frame);
  };
}

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
    if (dropped > 0) postMessage({ type: "unlocked", sender: opener.sender });
    dropped = 0;
    frame.data = clear;
    controller.enqueue(frame);
  };
}

/** What came before was dropped, the key frame with it: without a new one nothing can be decoded. */
function askForKeyFrame(transformer, name) {
  addEventListener("message", ({ data }) => {
    const concerns = data.type === "secret" || (data.type === "from" && data.name === name);
    if (concerns) transformer.sendKeyFrameRequest().catch(() => {});
  });
}
