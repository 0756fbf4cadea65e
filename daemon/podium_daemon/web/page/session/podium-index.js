// @ts-check
// All sessions of this service: live ones, upcoming ones, past ones; and the form to schedule another.

import { aboutService, newerThan, plain, signAndSubmit, signed } from "../core/api.js";
import { action, announce, freshId, h, keyed, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { keptLogin, onLoginChange } from "../core/login.js";
import { npubOf } from "../core/npub.js";
import "./podium-session-form.js";
import "./podium-signing.js";
import { shortNpub } from "../signer/podium-identity.js";
import { seatsText } from "./podium-rsvp.js";
import { SessionClient } from "./session-client.js";
import { PodiumError, pubkey } from "../signer/signer.js";
import { inZone, ownZone } from "../core/times.js";

/** @import { Session, SessionFields, Trouble } from "../core/types.js" */

/** @typedef {"live" | "upcoming" | "past"} PartName */

const REFRESH = 15000; // while something changes; in quiet times less and less often
const SLOWEST = 120000;
const PART = 100; // sessions asked for at once
const PAST_AT_FIRST = 20;
const UNFINISHED = "podium.series";

/** `<podium-index>`. */
export class PodiumIndex extends HTMLElement {
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ loading;
  /** @type {Record<PartName, { section: HTMLElement, list: HTMLElement }>} */ parts;
  /** @type {HTMLParagraphElement} */ nothing;
  /** @type {number} */ shownPast;
  /** @type {Session[]} */ private;
  /** @type {HTMLButtonElement} */ more;
  /** @type {HTMLButtonElement} */ own;
  /** @type {HTMLDetailsElement} */ form;
  /** @type {HTMLParagraphElement} */ how;
  /** @type {Map<string, { body: any, etag: string | null }>} */ kept;
  /** @type {number} */ pause;
  /** @type {Session[] | undefined} */ sessions;
  /** @type {() => void} */ woken;
  /** @type {(() => void) | undefined} */ unsubscribe;

  connectedCallback() {
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.loading = h("p", { class: "hint", role: "status" }, t("session.loading"));
    this.parts = { live: this.#part("live"), upcoming: this.#part("upcoming"), past: this.#part("past") };
    this.nothing = h("p", { class: "hint", hidden: true }, t("index.nothing"));
    this.shownPast = PAST_AT_FIRST;
    this.private = [];
    this.more = action(t("index.more"), () => this.#more(), () => {}, { hidden: true });
    this.parts.past.section.append(this.more);
    const sections = Object.values(this.parts).map((part) => part.section);
    this.own = action(t("index.private"), () => this.#askForPrivate(), (error) => this.#failed(error), { class: "quiet" });
    const buttons = h("div", { class: "buttons" }, this.own);
    const parts = [h("h1", {}, t("index.title")), this.failure, this.loading, this.nothing, this.#claim(), ...sections, buttons, ...this.#create()];
    this.replaceChildren(...parts.filter((part) => part !== null));
    this.kept = new Map();
    this.pause = REFRESH;
    this.#look();
    if (keptLogin() !== null) this.#askForPrivate().catch((error) => this.#failed(error));
    this.woken = () => void (document.hidden || this.#look());
    document.addEventListener("visibilitychange", this.woken);
    this.unsubscribe = onLoginChange(() => void this.offer().catch(() => {}));
    aboutService().then(({ trouble }) => trouble && this.prepend(h("p", { class: "failure", role: "alert" }, t("service.twin"))), () => {});
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.woken);
    this.unsubscribe?.();
  }

  /** Look now, and again after a pause: twice as long as the last one when nothing has changed. */
  async #look() {
    clearTimeout(this.timer);
    const changed = document.hidden ? false : await this.#refresh();
    this.pause = changed ? REFRESH : Math.min(this.pause * 2, SLOWEST);
    clearTimeout(this.timer);
    if (this.isConnected) this.timer = setTimeout(() => this.#look(), this.pause);
  }

  /** All sessions from the newest on, as far back as past ones are shown; true if any part is new. */
  async #read() {
    const found = [];
    let changed = false;
    for (let offset = 0; offset !== null; ) {
      const path = `/api/sessions?order=newest&limit=${PART}&offset=${offset}`;
      const known = this.kept.get(path);
      const newer = await newerThan(known?.etag, path);
      if (newer) this.kept.set(path, newer);
      changed ||= newer !== null;
      const { sessions, next } = /** @type {{ body: any }} */ (newer ?? known).body;
      found.push(...sessions);
      offset = found.filter(isPast).length > this.shownPast ? null : next;
    }
    return { found, changed };
  }

  /** @param {PartName} name */
  #part(name) {
    const title = h("h2", { id: freshId(name) }, t(`index.${name}`));
    const list = h("ul", { class: "sessions" });
    return { section: h("section", { "aria-labelledby": title.id, hidden: true }, title, list), list };
  }

  /** What the operator's own link leads to: it makes the key of who opens it an instructor's. */
  #claim() {
    const secret = /^#claim=([A-Za-z0-9_-]{1,64})$/.exec(location.hash)?.[1];
    if (!secret) return null;
    history.replaceState(null, "", location.pathname); // nobody reads it from the address bar
    const title = h("h2", { id: freshId("claim"), tabindex: "-1" }, t("claim.title"));
    const text = h("p", {}, t("claim.text"));
    const go = action(t("claim.go"), async () => {
      show(this.failure, false);
      await signed("POST", "/api/instructors/claim", { secret });
      setText(title, t("claim.done"));
      show(text, false);
      show(buttons, false, title);
      this.form.open = true;
      announce(t("claim.done"));
      this.offer();
    }, (error) => this.#failed(error), { class: "primary" });
    const buttons = h("div", { class: "buttons" }, go);
    return h("section", { class: "card", "aria-labelledby": title.id }, title, text, buttons);
  }

  /** The form is there for those who may schedule; who is signed in and may not reads how to become one who may. */
  async offer() {
    const own = keptLogin();
    show(this.how, false);
    if (own === null) return show(this.form, true); // who they are shows with their signature
    const { instructors } = await plain("GET", "/api/service");
    const may = instructors.includes(own.pubkey);
    show(this.form, may);
    show(this.how, !may);
    setText(this.how, t("index.create.how", { npub: npubOf(own.pubkey) }));
  }

  #create() {
    const form = h("podium-session-form");
    const signing = h("podium-signing");
    const create = async (/** @type {SessionFields} */ fields) => {
      await mayHoldSessions();
      const draft = await plain("POST", "/api/sessions/draft", { ...fields, pubkey: await pubkey() });
      if (draft.series && draft.events.length > 0) {
        const of = draft.events.length;
        // a page that is loaded again goes on with the dates that are not signed
        keepUnfinished({ ...fields, identifier: draft.series.split(":").slice(2).join(":") });
        show(form, false);
        show(goOn, false);
        const isDone = await signing.ask(draft);
        show(form, true);
        const isBegun = !isDone && draft.events.length < of;
        show(goOn, isBegun);
        if (!isBegun) keepUnfinished(null);
        if (!isDone) {
          await this.#refresh();
          return false;
        }
      } else await signAndSubmit(draft);
      announce(t("form.saved"));
      form.dropDraft();
      location.assign(`/s/${await naddrOf(draft.lessonId, fields.visibility)}`);
    };
    form.create(create);
    const isUnfinished = keptUnfinished() !== null;
    const goOn = action(t("signing.unfinished"), async () => {
      await create(/** @type {SessionFields} */ (keptUnfinished()));
    }, (error) => this.#failed(error), { hidden: !isUnfinished });
    this.how = h("p", { class: "hint", hidden: true });
    this.form = h("details", { class: "card", open: form.hasDraft || isUnfinished }, h("summary", {}, t("index.create")), h("p", { class: "hint" }, t("index.create.hint")), goOn, form, signing);
    this.offer().catch(() => {}); // the form says it, too, before anything is signed
    return [this.form, this.how];
  }

  async #refresh() {
    let changed = false;
    try {
      const read = await this.#read();
      const { found } = read;
      changed = read.changed;
      const shown = new Set(found.map(({ lessonId }) => lessonId));
      this.sessions = [...found, ...this.private.filter(({ lessonId }) => !shown.has(lessonId))];
      this.sessions.sort((one, other) => one.scheduledAt - other.scheduledAt);
      show(this.failure, false);
    } catch (error) {
      this.#failed(/** @type {Trouble} */ (error));
    }
    show(this.loading, false);
    this.#show();
    return changed;
  }

  /** Private sessions are told to those they name, who are signed in for it. */
  async #askForPrivate() {
    const { sessions } = await signed("GET", "/api/sessions?order=newest&limit=200");
    this.private = sessions.filter((/** @type {Session} */ { visibility }) => visibility === "private");
    announce(t("index.private.found", { count: this.private.length }));
    await this.#refresh();
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }

  #more() {
    this.shownPast += 50;
    return this.#refresh();
  }

  #show() {
    if (!this.sessions) return;
    const past = this.sessions.filter(isPast).reverse();
    this.#fill("live", this.sessions.filter(({ state }) => state === "active"));
    this.#fill("upcoming", this.sessions.filter(({ state }) => state === "scheduled"));
    this.#fill("past", past.slice(0, this.shownPast));
    show(this.more, past.length > this.shownPast);
    show(this.nothing, this.sessions.length === 0);
  }

  /**
   * @param {PartName} name
   * @param {Session[]} sessions
   */
  #fill(name, sessions) {
    const { section, list } = this.parts[name];
    show(section, sessions.length > 0);
    keyed(list, sessions, (session) => session.lessonId, card, update);
  }
}

/** @param {Session} how */
function isPast({ state }) {
  return state === "ended" || state === "cancelled";
}

/** Nobody signs three times to be told then that they may not: their key is looked for before the first signature. */
async function mayHoldSessions() {
  const own = await pubkey();
  const { instructors } = await plain("GET", "/api/service"); // as it is now: the operator may just have added them
  if (!instructors.includes(own)) throw new PodiumError("not-listed", undefined, undefined, { npub: npubOf(own) });
}

/**
 * To a stranger a private session is not there: signing for its name signs in to its page too.
 *
 * @param {string} lessonId
 * @param {string | undefined} visibility
 */
async function naddrOf(lessonId, visibility) {
  if (visibility === "private") return SessionClient.enter(lessonId);
  return (await plain("GET", `/api/sessions/${encodeURIComponent(lessonId)}`)).naddr;
}

/** The wish of a series of which not all was signed in this tab. @returns {SessionFields | null} */
function keptUnfinished() {
  try {
    return JSON.parse(sessionStorage.getItem(UNFINISHED) ?? "null");
  } catch {
    return null;
  }
}

/** @param {SessionFields | null} wish */
function keepUnfinished(wish) {
  try {
    if (wish === null) sessionStorage.removeItem(UNFINISHED);
    else sessionStorage.setItem(UNFINISHED, JSON.stringify(wish));
  } catch {
    // storage is switched off: the panel still goes on while the page stays open
  }
}

/** @param {Session} session */
function card(session) {
  const link = h("a", { href: `/s/${session.naddr}`, dir: "auto" });
  return h("li", { class: "card" },
    h("span", { class: "badge" }), h("h3", {}, link), h("p", { class: "when" }),
    h("p", { class: "by" }, t("session.by"), " ", h("bdi")), h("p", { class: "summary", dir: "auto" }), h("p", { class: "hint" }));
}

/**
 * @param {HTMLElement} node
 * @param {Session} session
 */
function update(node, session) {
  const [badge, title, when, by, summary, hint] = /** @type {Iterable<HTMLElement>} */ (node.children);
  setText(/** @type {Element} */ (by.lastElementChild), session.instructorName || shortNpub(session.instructorNpub));
  setText(badge, t(`state.${session.state}`));
  badge.dataset.state = session.state;
  setText(/** @type {Element} */ (title.firstElementChild), session.title);
  setText(when, `${inZone(session.scheduledAt, ownZone)} · ${t("times.minutes", { count: session.duration })}`);
  setText(summary, session.summary);
  show(summary, session.summary !== "");
  const open = session.state === "scheduled" || session.state === "active";
  setText(hint, open ? seatsText(session) : t(`recording.${session.recordingState}`));
  show(hint, open || session.recordingState !== "none");
}

customElements.define("podium-index", PodiumIndex);
