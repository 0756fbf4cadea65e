// @ts-check
// One session as this page knows it: what the daemon tells, who the person is, and the seat. No DOM in here.

import { aboutService, exactNow, file, known, now, plain, signAndSubmit, signIn, signOut, signed, withHeader } from "../core/api.js";
import { forgetLogin, keepLogin, keepName, keptGuest, keptLogin, keptName, ofSession, onLoginChange } from "../core/login.js";
import { Cipher } from "../room/cipher.js";
import { Keyring, canSealFrames } from "../room/frame-keys.js";
import { keepCertificate, keepSeat, keptCertificate, takeSeat } from "../room/kept-seat.js";
import { TalkCipher } from "../room/talk-cipher.js";
import { hasMedia, makeCertificate } from "../room/media.js";
import { Seat } from "../room/seat.js";
import { followGuest, takeLink } from "../signer/guest-signer.js";
import { PodiumError, login, nip44, pubkey, sign } from "../signer/signer.js";
import { SharedStream } from "../core/shared-stream.js";
import { Names } from "./names.js";

/** @import { Talker } from "../room/seat.js" */
/** @import { Answers, AskToSign, Attendance, Consent, GuestRow, Invitation, Kind, Lists, Me, Question, RoomPoll, RsvpStatus, SeriesDate, Session, SessionFields, Template, Trouble } from "../core/types.js" */

const DEVICE_KEY = "podium.device";
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

  #seatChanged() {
    this.#keepSeat();
    this.#change({});
  }

  #keepSeat() {
    const { seat } = this;
    if (seat === null) return;
    if (seat.isOver) keepSeat(this.reference, null);
    else if (seat.state === "seated" && seat.secret) keepSeat(this.reference, { url: seat.url, secret: seat.secret });
  }

  /** Take the seat again that this tab had when it was loaded anew. */
  async #comeBack() {
    const before = takeSeat(this.reference);
    if (before === null || this.session?.state !== "active" || this.seat !== null) return;
    const certificate = hasMedia ? await keptCertificate(device()) : null;
    if (hasMedia && this.showsMedia && certificate === null) return; // the proof names a certificate that is gone
    const media = certificate === null ? null : await this.#media(certificate);
    this.#change({ seat: new Seat(here(before.url), "", () => this.#seatChanged(), media, before.secret, this.#talker()) });
  }

  /** @returns {Talker} */
  #talker() {
    return { own: () => this.me?.pubkey ?? "", mustSeal: Boolean(this.session?.e2eeRequired) };
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
      .then(() => this.#comeBack())
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
    // after the public stream, never beside it: the one that comes later replaces the other
    this.#signingIn ??= Promise.resolve(this.#opening)
      .then(() => signInAs(own))
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

  /**
   * The guest's own key under a password (NIP-49).
   *
   * @param {string} password
   * @returns {Promise<string>}
   */
  async takeKey(password) {
    return (await signed("POST", `${this.path}/guest/key`, { password })).ncryptsec;
  }

  /** Who comes without a signer, and who may. @returns {Promise<{ policy: string, guests: GuestRow[] }>} */
  guests() {
    return signed("GET", `${this.path}/guests`);
  }

  /**
   * A personal link for each of these names; the links are told once.
   *
   * @param {string[]} names
   * @returns {Promise<{ guests: GuestRow[] }>}
   */
  inviteGuests(names) {
    return signed("POST", `${this.path}/guests`, { names });
  }

  /**
   * @param {string} person
   * @param {"renew" | "revoke"} what
   * @returns {Promise<GuestRow>}
   */
  changeGuest(person, what) {
    return signed("POST", `${this.path}/guests/${person}/${what}`);
  }

  /**
   * Answer with one signature, that of the answer itself: the daemon drafts it for whoever will sign.
   *
   * @param {RsvpStatus} status
   */
  async rsvp(status) {
    const own = await pubkey();
    const draft = { status, pubkey: own };
    const isOwn = this.isSignedIn && this.me?.pubkey === own;
    const call = isOwn || this.session?.visibility === "private" ? signed : plain; // to a stranger a private one is not there
    await signAndSubmit(await call("POST", `${this.path}/rsvp/draft`, draft));
    if (isOwn) await this.#when(() => this.me?.rsvp?.status === status);
    else this.#answer(status);
  }

  /** The challenge of the next join: with the notice and the recording policy to show first. */
  challenge() {
    // to a stranger a private one is not there; and what becomes of a guest's attendance is said to guests alone
    const call = this.session?.visibility === "private" || this.guest !== null ? signed : plain;
    return call("POST", `${this.path}/join/challenge`);
  }

  /**
   * Join with one signature. `consent` answers the policy with this hash, where one was shown, and may say a `name`.
   *
   * @param {Consent | null} consent
   */
  async join(consent) {
    if (this.seat && !this.seat.isOver) return this.seat;
    const name = consent?.name ?? "";
    keepName(name); // as it was typed, also where it is refused
    if (name) await this.#askName(name);
    const asked = await this.challenge();
    const hash = asked.recordingPolicyHash;
    if (hash !== (consent?.policyHash ?? "")) throw new PodiumError("policy-changed");
    const extra = [["a", asked.lessonId], ["nonce", asked.nonce], ["device", device()]];
    if (!this.isSignedIn) extra.push(["login", "yes"]); // whoever proves their key to enter need not prove it again
    if (hash) extra.push(["recording_consent", consent?.given ? "yes" : "no", hash]);
    const media = await this.#media();
    if (media) extra.push(["fingerprint", media.fingerprint]);
    if (name) extra.push(["name", name]);
    const header = await login(asked.url, "POST", "", Math.floor(exactNow()), extra);
    const ticket = await withHeader("POST", `${this.path}/join`, header);
    if (media) await keepCertificate(device(), media.certificate);
    const seat = new Seat(here(ticket.socketUrl), ticket.token, () => this.#seatChanged(), media, null, this.#talker());
    this.#change({ seat });
    if (ticket.login) keepLogin(ticket.login); // the stream follows it
    this.#named(name);
    await seat.settled;
    return seat;
  }

  /**
   * Whether one may have this name here; asked before the signature, which a refusal would have cost.
   *
   * @param {string} name
   */
  async #askName(name) {
    const wish = { name, pubkey: await pubkey() };
    const call = this.isSignedIn || this.session?.visibility === "private" ? signed : plain; // to a stranger a private one is not there
    await call("POST", `${this.path}/join/name`, wish);
  }

  /**
   * Remember the name for the next join, and ask the service whether it is the one that all see: a profile's own wins.
   *
   * @param {string} name
   */
  #named(name) {
    const own = keptLogin()?.pubkey;
    if (!name || !own) return;
    keepName(name);
    this.names.askAgain(own);
  }

  /** Whether the service has no name for the person but one that they gave at the door, as far as the page knows. */
  get isNameless() {
    const { me } = this;
    return this.guest === null && (me === null || me.name.startsWith("npub1") || keptName() !== "");
  }

  /**
   * Ask, or answer `question`, with one signature: that of the event itself.
   *
   * @param {string} text
   * @param {Question | null} [question]
   */
  async ask(text, question = null) {
    const { servicePubkey } = await aboutService();
    const tags = [["a", `30313:${servicePubkey}:${this.session?.conferenceRoomId}`, "", "root"]];
    if (question !== null) tags.push(["e", question.id, "", "reply"], ["p", question.pubkey]);
    await this.#say({ kind: 1311, created_at: now(), tags, content: text });
  }

  /**
   * Take a question of one's own back (NIP-09).
   *
   * @param {string} id
   */
  withdraw(id) {
    return this.#say({ kind: 5, created_at: now(), tags: [["e", id], ["k", "1311"]], content: "" });
  }

  /** Leave the room, or its door. */
  leave() {
    this.seat?.leave();
    this.#change({});
  }

  // -- the instructor

  start() {
    return this.#command("/start");
  }

  end() {
    return this.#command("/end");
  }

  reopen() {
    return this.#command("/reopen");
  }

  /**
   * Let these people in, or all who wait (null).
   *
   * @param {string[] | null} pubkeys
   */
  async admit(pubkeys) {
    const wish = pubkeys === null ? { everybody: true } : { pubkeys };
    this.#list("room", await signed("POST", `${this.path}/room/admit`, wish));
  }

  /**
   * @param {string} person
   * @param {string} reason
   */
  async remove(person, reason) {
    this.#list("room", await signed("POST", `${this.path}/room/remove`, { pubkey: person, reason }));
  }

  /**
   * What becomes of a question: show, hide, pin, unpin, answered, unanswered; of its author: silence, unsilence.
   *
   * @param {string} id
   * @param {string} command
   */
  async moderate(id, command) {
    // the stream brings what follows: were the answer shown, the stream might not repeat what it told before
    await signed("POST", `${this.path}/questions/${id}/${command}`);
  }

  /**
   * Vote for a question, or take the vote back; nobody is told whose it is.
   *
   * @param {string} id
   * @param {boolean} on
   */
  async vote(id, on) {
    await this.signIn();
    await signed("POST", `${this.path}/questions/${id}/vote`, { on });
  }

  /**
   * Take these people's hands down, or all (null).
   *
   * @param {string[] | null} pubkeys
   */
  async lowerHands(pubkeys) {
    const wish = pubkeys === null ? { everybody: true } : { pubkeys };
    await signed("POST", `${this.path}/room/hands/lower`, wish);
  }

  /**
   * Let everybody write in the chat, or only those who lead.
   *
   * @param {boolean} on
   */
  async switchChat(on) {
    await signed("POST", `${this.path}/chat`, { on });
  }

  /** @param {number} line */
  async deleteChatLine(line) {
    await signed("POST", `${this.path}/chat/${line}/delete`);
  }

  /** All polls, for those who lead. @returns {Promise<RoomPoll[]>} */
  async polls() {
    return (await signed("GET", `${this.path}/polls`)).polls;
  }

  /**
   * Prepare a poll.
   *
   * @param {object} wish
   * @returns {Promise<RoomPoll[]>}
   */
  async draftPoll(wish) {
    return (await signed("POST", `${this.path}/polls`, wish)).polls;
  }

  /**
   * Prepare a poll in an encrypted session.
   *
   * @param {object} wish
   * @returns {Promise<RoomPoll[]>}
   */
  async draftSealedPoll(wish) {
    return (await signed("POST", `${this.path}/polls/sealed`, wish)).polls;
  }

  /**
   * Replace a poll's cipher text by the same text under a newer key.
   *
   * @param {number} poll
   * @param {object} texts
   */
  async sealPoll(poll, texts) {
    await signed("POST", `${this.path}/polls/${poll}/seal`, texts);
  }

  /**
   * @param {number} poll
   * @param {"open" | "close" | "delete"} what
   * @returns {Promise<RoomPoll[]>}
   */
  async decidePoll(poll, what) {
    return (await signed("POST", `${this.path}/polls/${poll}/${what}`)).polls;
  }

  /** @param {number} poll */
  pollFile(poll) {
    return file(`${this.path}/polls/${poll}/votes`);
  }

  /** What the daemon keeps of the chat, as a file. */
  chatFile() {
    return file(`${this.path}/chat?format=text`);
  }

  /**
   * Silence everybody but those who lead, also whoever opens a microphone later; or let that be.
   *
   * @param {boolean} on
   */
  async muteAll(on) {
    await signed("POST", `${this.path}/room/mute-all`, { on });
  }

  /**
   * Silence one person's "audio", "video" or "screen"; they may switch it on again.
   *
   * @param {string} person
   * @param {Kind} kind
   */
  async mute(person, kind) {
    this.#list("room", await signed("POST", `${this.path}/room/mute`, { pubkey: person, kind }));
  }

  /**
   * Except one person from mute-all, or no longer.
   *
   * @param {string} person
   * @param {boolean} on
   */
  async letSpeak(person, on) {
    this.#list("room", await signed("POST", `${this.path}/room/speak`, { pubkey: person, on }));
  }

  /**
   * Show one person large to everybody, or nobody (null).
   *
   * @param {string | null} person
   */
  async spotlight(person) {
    this.#list("room", await signed("POST", `${this.path}/room/spotlight`, { pubkey: person }));
  }

  /**
   * Let nobody in but those who lead, or let people in again; who is in the room stays.
   *
   * @param {boolean} on
   */
  async lock(on) {
    this.#list("room", await signed("POST", `${this.path}/room/lock`, { on }));
  }

  /**
   * Record from now on, or stop.
   *
   * @param {boolean} on
   */
  async record(on) {
    await signed("POST", `${this.path}/room/recording`, { on });
  }

  /**
   * Publish a revision with these fields changed, and with `following` those of all that follow in its series.
   *
   * @param {Partial<SessionFields>} fields
   * @param {AskToSign} [ask] what signs a draft of several dates
   */
  edit(fields, ask) {
    return this.#submit("/draft", fields, ask);
  }

  /**
   * It takes place after all.
   *
   * @param {AskToSign} [ask]
   */
  restore(ask) {
    return this.#submit("/restore/draft", {}, ask);
  }

  /**
   * @param {string} reason
   * @param {boolean} [following] also all that follow in its series
   * @param {AskToSign} [ask]
   */
  cancel(reason, following = false, ask = undefined) {
    return this.#submit("/cancel/draft", { reason, following }, ask);
  }

  /** Publish the calendar of the series with the dates that take place. */
  async relist() {
    await signAndSubmit(await signed("POST", `${this.path}/series/draft`));
  }

  /** All dates of the series. @returns {Promise<{ dates: SeriesDate[], outdated: number }>} */
  async series() {
    const found = await known("GET", `${this.path}/series`);
    const own = this.session?.seriesNumber ?? 0;
    this.#change({ laterDates: found.dates.filter((/** @type {SeriesDate} */ { number, state }) => number > own && state === "scheduled") });
    return found;
  }

  /**
   * Answer the dates that follow in the series: a signature for each. What was answered stands if one is refused.
   *
   * @param {RsvpStatus} status
   */
  async answerLater(status) {
    const own = await pubkey();
    const isOwn = this.isSignedIn && this.me?.pubkey === own;
    const call = isOwn || this.session?.visibility === "private" ? signed : plain;
    for (const { naddr } of this.laterDates) {
      await signAndSubmit(await call("POST", `/api/sessions/${naddr}/rsvp/draft`, { status, pubkey: own }));
      if (!isOwn) keep(answerKey(naddr), status);
    }
  }

  /**
   * Vouch for a person's time in the session, in Unix seconds, with a note.
   *
   * @param {string} person
   * @param {number} joinedAt
   * @param {number} leftAt
   * @param {string} note
   */
  async recordAttendance(person, joinedAt, leftAt, note) {
    await signed("POST", `${this.path}/attendance/manual`, { pubkey: person, joinedAt, leftAt, note });
  }

  /**
   * Attendance as a file: "csv" or "csv-intervals".
   *
   * @param {string} format
   */
  attendanceFile(format) {
    return file(`${this.path}/attendance?format=${format}`);
  }

  /** The address of a calendar to subscribe to. @returns {Promise<string>} */
  async calendarAddress() {
    return (await signed("POST", "/api/calendar")).url;
  }

  /**
   * More of the people who answered, for those who lead: the stream tells the first ones.
   *
   * @param {number} offset
   * @param {string} sought a part of the name, or the beginning of the npub; "" for all
   * @returns {Promise<Answers>}
   */
  answers(offset, sought) {
    return signed("GET", `${this.path}/answers?offset=${offset}&limit=100&q=${encodeURIComponent(sought)}`);
  }

  /**
   * As `answers`: more of the people who attended.
   *
   * @param {number} offset
   * @param {string} sought
   * @returns {Promise<{ items: Attendance[], total: number }>}
   */
  async attended(offset, sought) {
    const { attendance, total } = await signed("GET", `${this.path}/attendance?offset=${offset}&limit=100&q=${encodeURIComponent(sought)}`);
    return { items: attendance, total };
  }

  /** The session as a file for calendars: with one's own answer, and of a private session for its people only. */
  calendarFile() {
    return file(`${this.path}/calendar.ics`);
  }

  /**
   * The description as a tree, and the page's address as a QR code.
   *
   * @returns {Promise<Invitation>}
   */
  invitation() {
    const call = this.session?.visibility === "private" ? signed : plain; // to a stranger a private one is not there
    return call("GET", `${this.path}/invitation`);
  }

  // -- inside

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

  /** What a room with media needs, if this one has any: a certificate, and the means to encrypt where that is required. */
  async #media(/** @type {RTCCertificate | null} */ certificate = null) {
    const { e2eeRequired, conferenceRoomId: room, instructorPubkey: leader, scheduledAt } = /** @type {Session} */ (this.session);
    if (!hasMedia) return null;
    const made = certificate === null ? await makeCertificate() : { certificate, fingerprint: "" };
    if (!e2eeRequired) return made;
    if (!canSealFrames) throw new PodiumError("no-frames");
    const own = await nip44();
    const cipher = new Cipher(await pubkey(), () => this.#change({}));
    const talk = new TalkCipher();
    const use = (/** @type {number} */ epoch, /** @type {Uint8Array<ArrayBuffer>} */ secret) => {
      cipher.use(epoch, secret);
      talk.use(epoch, secret);
      this.#change({});
    };
    // ten seconds are an epoch at most, so that a page that was loaded again begins above what it gave before
    const earliest = () => Math.min(0xffff, Math.max(0, Math.floor((exactNow() - scheduledAt + 86400) / 10)));
    return { ...made, cipher, talk, keyring: new Keyring({ room: /** @type {string} */ (room), leader, nip44: own, use, earliest }) };
  }

  /** @param {Template} template */
  async #say(template) {
    const call = this.session?.visibility === "private" ? signed : plain; // a stranger is not even told that it is there
    await call("POST", `${this.path}/questions`, { event: await sign(template) }); // the stream brings the list
  }

  /**
   * @param {string} path
   * @param {object} wish
   * @param {AskToSign} [ask]
   */
  async #submit(path, wish, ask = signAndSubmit) {
    const draft = await signed("POST", this.path + path, wish);
    return draft.series ? ask(draft) : signAndSubmit(draft);
  }

  /** @param {string} path */
  async #command(path) {
    this.#take("session", await signed("POST", this.path + path));
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
          this.#keepSeat();
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
    keep(answerKey(this.reference), answered);
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

/** @param {string} reference */
function answerKey(reference) {
  return `podium.answered.${reference}`;
}

/** @param {string} reference */
function answeredBefore(reference) {
  const found = kept(answerKey(reference));
  return found === "confirmed" || found === "tentative" || found === "declined" ? found : null;
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

/** This tab's name as a device: a page that is loaded again takes the same place. */
function device() {
  const name = kept(DEVICE_KEY) ?? crypto.randomUUID();
  keep(DEVICE_KEY, name);
  return name;
}

// what a tab remembers until it is closed; some browsers forbid it, then it is forgotten on loading
/** @param {string} key */
function kept(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string | null} value
 */
function keep(key, value) {
  try {
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, value);
  } catch {
    // nothing is kept
  }
}

/**
 * The socket's URL if it is this origin's: a page tells its token to nobody else.
 *
 * @param {string} url
 */
function here(url) {
  const found = new URL(url);
  if (found.host !== location.host) throw new PodiumError("wrong-address", url, "", { url: location.origin });
  return found.href;
}
