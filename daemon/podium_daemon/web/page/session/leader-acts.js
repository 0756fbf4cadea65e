// @ts-check
// What those who lead a session do, one call to the daemon each: the room, its people, chat, polls and questions, attendance, the session's revisions.

import { file, signAndSubmit, signed } from "../core/api.js";

/** @import { Answers, AskToSign, Attendance, GuestRow, Kind, RoomPoll, SessionFields } from "../core/types.js" */

/** The acts of those who lead; the daemon refuses them to others. */
export class LeaderActs {
  /** @type {(name: "room" | "session", data: any) => void} */
  #tell;

  /**
   * @param {string} path of the session
   * @param {(name: "room" | "session", data: any) => void} tell called with what the daemon answers, as with an event of the stream
   */
  constructor(path, tell) {
    this.path = path;
    this.#tell = tell;
  }

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
    this.#tell("room", await signed("POST", `${this.path}/room/admit`, wish));
  }

  /**
   * @param {string} person
   * @param {string} reason
   */
  async remove(person, reason) {
    this.#tell("room", await signed("POST", `${this.path}/room/remove`, { pubkey: person, reason }));
  }

  /**
   * Silence one person's "audio", "video" or "screen"; they may switch it on again.
   *
   * @param {string} person
   * @param {Kind} kind
   */
  async mute(person, kind) {
    this.#tell("room", await signed("POST", `${this.path}/room/mute`, { pubkey: person, kind }));
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
   * Except one person from mute-all, or no longer.
   *
   * @param {string} person
   * @param {boolean} on
   */
  async letSpeak(person, on) {
    this.#tell("room", await signed("POST", `${this.path}/room/speak`, { pubkey: person, on }));
  }

  /**
   * Show one person large to everybody, or nobody (null).
   *
   * @param {string | null} person
   */
  async spotlight(person) {
    this.#tell("room", await signed("POST", `${this.path}/room/spotlight`, { pubkey: person }));
  }

  /**
   * Let nobody in but those who lead, or let people in again; who is in the room stays.
   *
   * @param {boolean} on
   */
  async lock(on) {
    this.#tell("room", await signed("POST", `${this.path}/room/lock`, { on }));
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
   * Take these people's hands down, or all (null).
   *
   * @param {string[] | null} pubkeys
   */
  async lowerHands(pubkeys) {
    const wish = pubkeys === null ? { everybody: true } : { pubkeys };
    await signed("POST", `${this.path}/room/hands/lower`, wish);
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

  /** What the daemon keeps of the chat, as a file. */
  chatFile() {
    return file(`${this.path}/chat?format=text`);
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

  /**
   * Attendance as a file: "csv" or "csv-intervals".
   *
   * @param {string} format
   */
  attendanceFile(format) {
    return file(`${this.path}/attendance?format=${format}`);
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
    this.#tell("session", await signed("POST", this.path + path));
  }
}
