// @ts-check
// One session as this page knows it: what the daemon tells, who the person is, and the seat. No DOM in here.
// What is done with it: `acts` (whoever may see it), `entry` (the way into its room), `lead` (those who lead).

import { aboutService, exactNow, plain, signIn, signOut, signed, withHeader } from "../core/api.js";
import { forgetLogin, keepLogin, keptGuest, keptLogin, ofSession, onLoginChange } from "../core/login.js";
import { SharedStream } from "../core/shared-stream.js";
import { followGuest, takeLink } from "../signer/guest-signer.js";
import { PodiumError, pubkey } from "../signer/signer.js";
import { LeaderActs } from "./leader-acts.js";
import { Names } from "./names.js";
import { ParticipantActs, answeredBefore, keepAnswer } from "./participant-acts.js";
import { RoomEntry } from "./room-entry.js";

/** @import { Seat } from "../room/seat.js" */
/** @import { Lists, Me, Question, RsvpStatus, SeriesDate, Session, Trouble } from "../core/types.js" */

const ENGINES_HERE = ["embedded", "janus"]; // those whose media `media.js` takes

/** @type {Lists} */
const NO_LISTS = { rsvps: null, reminders: null, unreachable: null, attendance: null, room: null, named: null };

/** Observable: `subscribe(listener)` is told after each change. */
export class SessionClient {
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {SharedStream | null} */
  #stream = null;
  /** @type {Promise<void> | null} */
  #opening = null;
  /** @type {Promise<void> | null} */
  #signingIn = null;
  #told = false;
  /** @type {(() => void) | null} */
  #forget = null;
  /** @type {(() => void) | null} */
  #forgetGuest = null;

  /** @param {string} reference */
  constructor(reference) {
    this.reference = reference;
    this.path = `/api/sessions/${encodeURIComponent(reference)}`;
    ofSession(reference);
    /** @type {Session | null} */
    this.session = null;
    /** @type {Me | null} */
    this.me = null;
    this.meSince = 0;
    /** @type {Lists} */
    this.lists = { ...NO_LISTS };
    /** @type {Question[]} */
    this.questions = [];
    this.questionsTotal = 0;
    /** @type {SeriesDate[]} */
    this.laterDates = []; // of the series, once its dates were read
    this.lead = new LeaderActs(this.path, (name, data) => this.#take(name, data));
    this.entry = new RoomEntry(this, (fields) => this.#change(fields));
    this.acts = new ParticipantActs(this, {
      change: (fields) => this.#change(fields),
      when: (condition) => this.#when(condition),
      answer: (answered) => this.#answer(answered),
    });
    this.names = new Names(this.path, () => this.isSignedIn, () => this.#change({}));
    /** @type {Seat | null} */
    this.seat = null;
    this.isLoading = true;
    this.isSignedIn = false;
    /** @type {RsvpStatus | null} */
    this.answered = answeredBefore(reference); // what the person answered here without signing in: an answer proves itself, and signs nobody in
    this.isOnline = true;
    this.isStarved = false; // whether the browser has no connection for what changes
    /** @type {Trouble | null} */
    this.error = null;
    /** @type {Trouble | null} */
    this.linkTrouble = null; // why a personal link opened nothing
    this.showsMedia = false; // whether people see each other on this page, and not in somebody else's meeting
  }

  /**
   * Call `listener` after each change; the function that is returned ends that.
   *
   * @param {() => void} listener
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Whether the person who is signed in to this browser may see a session that strangers are not told of.
   *
   * @param {string} reference
   */
  static async isKnown(reference) {
    ofSession(reference);
    const before = keptLogin();
    if (before === null) return false;
    const path = `/api/sessions/${encodeURIComponent(reference)}`;
    return withHeader("GET", path, `Bearer ${before.token}`).then(() => true, () => false); // nobody is asked to sign for it
  }

  /**
   * Sign in to a session that strangers are not told of; its naddr, whose page then asks for no signature.
   *
   * @param {string} reference
   */
  static async enter(reference) {
    await signInAs(await pubkey());
    return (await signed("GET", `/api/sessions/${encodeURIComponent(reference)}`)).naddr;
  }

  get leads() {
    return this.me !== null && this.me.role !== "participant";
  }

  get isInstructor() {
    return this.me?.role === "instructor";
  }

  /** Begin with the public view, which needs no signer; or as the person who loaded the page again. */
  open() {
    const about = aboutService().then(({ engine }) => this.#change({ showsMedia: ENGINES_HERE.includes(engine) }), () => {});
    this.#forgetGuest ??= followGuest(this.path);
    this.#forget ??= onLoginChange(() => this.#loginChanged());
    this.#opening ??= this.#begin()
      .then(() => about)
      .then(() => this.entry.comeBack())
      .catch((error) => this.#change({ error }))
      .finally(() => this.#change({ isLoading: false }));
    return this.#opening;
  }

  /** End the stream and the seat. */
  close() {
    this.#forget?.();
    this.#forgetGuest?.();
    this.#forget = this.#forgetGuest = null;
    this.#stream?.close();
    if (this.seat && !this.seat.isOver) this.seat.leave();
  }

  /** Prove who one is, once a week; from then on the stream tells what is one's own. */
  async signIn() {
    const own = await pubkey();
    if (this.isSignedIn && this.me?.pubkey === own) return; // the extension may hold another key by now
    // followed after the public stream, never beside it: the one that comes later replaces the other
    this.#signingIn ??= signInAs(own)
      .then(() => this.#opening)
      .then(() => this.#follow())
      .finally(() => {
        this.#signingIn = null;
      });
    await this.#signingIn;
    await this.#when(() => this.me !== null);
  }

  /**
   * Sign out here, or on every device of the person.
   *
   * @param {boolean} [everywhere]
   */
  async signOut(everywhere = false) {
    await signOut(everywhere);
  }

  /** The guest who is signed in on this page, or null. */
  get guest() {
    return keptGuest();
  }

  /** Who reads what a person here answers and asks. @returns {"private" | "guest" | "public"} */
  get audience() {
    if (this.session?.visibility === "private") return "private";
    return this.guest === null ? "public" : "guest";
  }

  /**
   * Come without a key, by a name.
   *
   * @param {string} name
   */
  async enterAsGuest(name) {
    keepLogin(await plain("POST", `${this.path}/guest`, { name }));
    await this.#when(() => this.me !== null);
  }

  async #begin() {
    await this.#openLink();
    const before = keptLogin();
    if (before !== null) {
      try {
        return await this.#follow();
      } catch (error) {
        if (/** @type {Trouble} */ (error).slug !== "login") throw error;
        forgetLogin(before.token); // it has ended: a stranger for now
      }
    }
    return this.#follow();
  }

  /** A personal link signs its person in, in the first browser that opens it. */
  async #openLink() {
    const link = takeLink();
    if (link === null) return;
    const before = keptLogin();
    if (before?.assurance) return; // this browser opened it before
    try {
      if (before !== null) throw new PodiumError("link-unneeded");
      keepLogin(await plain("POST", `${this.path}/guest/open`, { link }));
    } catch (error) {
      this.#change({ linkTrouble: /** @type {Trouble} */ (error) });
    }
  }

  /** Somebody signed in or out, here or in another tab. */
  async #loginChanged() {
    await Promise.allSettled([this.#opening, this.#signingIn]);
    if ((keptLogin()?.token ?? null) === (this.#stream?.token ?? null)) return;
    if (keptLogin() === null) this.#change({ isSignedIn: false, me: null, lists: { ...NO_LISTS } });
    await this.#follow().catch((error) => this.#change({ error }));
  }

  /**
   * The first view does not wait for a stream, which may have to wait for a connection.
   *
   * @param {string | null} token
   */
  #readFirst(token) {
    const read = token === null ? plain("GET", this.path) : withHeader("GET", this.path, `Bearer ${token}`); // nobody is asked to sign for it
    read.then((session) => this.session ?? this.#change({ session, isLoading: false }), () => {}); // the stream says what is wrong
  }

  /** Follow the session as the person who is signed in, or as a stranger. */
  async #follow() {
    const person = keptLogin();
    const token = person?.token ?? null;
    if (this.session === null) this.#readFirst(token);
    const stream = new SharedStream(this.reference, {
      token,
      who: person?.pubkey ?? "",
      on: {
        event: (name, data) => this.#take(name, data),
        beat: () => {
          this.seat?.beat();
          this.entry.keepWay();
        },
        state: (state) => this.#change({ isOnline: state === "live", isStarved: state === "starved" }),
        refused: () => forgetLogin(token ?? ""), // the page goes on as a stranger and offers to sign in again
      },
    });
    try {
      await stream.open();
    } catch (error) {
      stream.close();
      throw error;
    }
    this.#stream?.close(); // the public one stays until the signed one is there
    this.#stream = stream;
    this.#change({ isSignedIn: token !== null });
    await this.#when(() => this.session !== null);
  }

  /**
   * @param {string} name
   * @param {any} data
   */
  #take(name, data) {
    if (name === "session") this.#change({ session: data, error: null });
    else if (name === "me") this.#own(data);
    else if (name === "questions") this.#change({ questions: data.questions, questionsTotal: data.total });
    else if (name in this.lists) this.#list(name, data);
  }

  /** @param {Me} me */
  #own(me) {
    const counted = this.me?.attendance?.totalDuration;
    const meSince = counted === me.attendance?.totalDuration ? this.meSince : exactNow();
    if (this.answered) this.#answer(null);
    this.#change({ me, meSince });
  }

  /** @param {RsvpStatus | null} answered */
  #answer(answered) {
    keepAnswer(this.reference, answered);
    this.#change({ answered });
  }

  /**
   * @param {string} name
   * @param {object} data
   */
  #list(name, data) {
    // a button about a person is named once: their name is known before it is made
    if (name === "room") for (const one of /** @type {Lists["room"]} */ (data)?.people ?? []) this.names.note(one.pubkey, one.name ?? "");
    this.#change({ lists: { ...this.lists, [name]: data } });
  }

  /** @param {Partial<SessionClient>} fields */
  #change(fields) {
    Object.assign(this, fields);
    if (this.#told) return; // what changes together is told together
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }

  /**
   * @param {() => boolean} condition
   * @returns {Promise<void>}
   */
  #when(condition) {
    if (condition()) return Promise.resolve();
    return new Promise((done) => {
      const end = this.subscribe(() => {
        if (!condition()) return;
        end();
        clearTimeout(timer);
        done();
      });
      // a later answer from elsewhere may have overtaken ours: nobody waits for ever
      const timer = setTimeout(() => {
        end();
        done();
      }, 5000);
    });
  }
}

/**
 * The login of this key: one of another key makes room for it.
 *
 * @param {string} own
 */
async function signInAs(own) {
  const before = keptLogin();
  if (before !== null && before.pubkey !== own) await signOut(false);
  return signIn();
}
