// @ts-check
import "./core/frame.js";
import "./session/podium-index.js";
import "./signer/podium-signer.js";
