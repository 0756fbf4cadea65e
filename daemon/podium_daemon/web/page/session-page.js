import "./frame.js";
import "./podium-identity.js";
import "./podium-session.js";
