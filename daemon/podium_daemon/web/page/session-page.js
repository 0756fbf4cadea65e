// @ts-check
import "./core/frame.js";
import "./signer/podium-identity.js";
import "./session/podium-session.js";
