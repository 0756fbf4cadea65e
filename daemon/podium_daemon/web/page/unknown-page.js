// @ts-check
import "./core/frame.js";
import "./session/podium-private-door.js";
