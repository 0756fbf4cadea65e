// The worker in which frames are sealed and opened, between the encoder and the network (RTCRtpScriptTransform).

import { FrameOpener, FrameSealer, RoomSecrets } from "./frame-crypto.js";

const secrets = new RoomSecrets();

addEventListener("message", ({ data }) => {
  if (data.type === "secret") secrets.put(data.epoch, data.secret);
});

addEventListener("rtctransform", ({ transformer }) => {
  const { direction, sender, kind } = transformer.options;
  const change = direction === "send" ? sealing(new FrameSealer(secrets, sender), kind) : opening(new FrameOpener(secrets, sender));
  // a frame that cannot be sealed or opened is dropped: silence is better than the clear, and than noise
  transformer.readable.pipeThrough(new TransformStream({ transform: change })).pipeTo(transformer.writable).catch(() => {});
  if (direction === "receive" && kind === "video") askForKeyFrame(transformer);
});

function sealing(sealer, kind) {
  return async (frame, controller) => {
    const sealed = await sealer.seal(frame.data, kind === "audio" ? "audio" : frame.type === "key" ? "key" : "delta");
    if (sealed === null) return;
    frame.data = sealed;
    controller.enqueue(frame);
  };
}

function opening(opener) {
  let dropped = 0;
  return async (frame, controller) => {
    const clear = await opener.open(frame.data);
    if (clear === null) {
      dropped += 1;
      // the first of a row, and then now and then: the page says that somebody cannot be seen yet
      if (dropped === 1 || dropped % 100 === 0) postMessage({ type: "locked", sender: opener.sender, dropped });
      return;
    }
    if (dropped > 0) postMessage({ type: "unlocked", sender: opener.sender });
    dropped = 0;
    frame.data = clear;
    controller.enqueue(frame);
  };
}

/** What came before the secret was dropped, the key frame with it: without a new one nothing can be decoded. */
function askForKeyFrame(transformer) {
  addEventListener("message", ({ data }) => {
    if (data.type === "secret") transformer.sendKeyFrameRequest().catch(() => {});
  });
}
