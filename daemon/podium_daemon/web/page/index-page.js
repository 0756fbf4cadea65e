import "./frame.js";
import "./podium-index.js";
import "./podium-signer.js";
