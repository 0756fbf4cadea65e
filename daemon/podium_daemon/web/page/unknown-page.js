import "./frame.js";
import "./podium-private-door.js";
