import "./frame.js";
import "./podium-index.js";
