// @ts-check
import "./core/frame.js";
import "./verify/podium-verify.js";
