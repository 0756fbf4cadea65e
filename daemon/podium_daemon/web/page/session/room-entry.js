// @ts-check
// The way into the room of a session: the challenge, the join and its signature, the seat, and the way back after loading again.

import { exactNow, plain, signed, withHeader } from "../core/api.js";
import { keepLogin, keepName, keptLogin, keptName } from "../core/login.js";
import { Cipher } from "../room/cipher.js";
import { Keyring, canSealFrames } from "../room/frame-keys.js";
import { keepCertificate, keepSeat, keptCertificate, tabDevice, takeSeat } from "../room/kept-seat.js";
import { hasMedia, makeCertificate } from "../room/media.js";
import { Seat } from "../room/seat.js";
import { TalkCipher } from "../room/talk-cipher.js";
import { PodiumError, login, nip44, pubkey } from "../signer/signer.js";

/** @import { Talker } from "../room/seat.js" */
/** @import { Consent, Session, SessionClient } from "../core/types.js" */

/** Takes the person into the room; the seat is the client's `seat`. */
export class RoomEntry {
  /** @type {(fields: Partial<SessionClient>) => void} */
  #change;

  /**
   * @param {SessionClient} client
   * @param {(fields: Partial<SessionClient>) => void} change
   */
  constructor(client, change) {
    this.client = client;
    this.#change = change;
  }

  /** Whether the service has no name for the person but one that they gave at the door, as far as the page knows. */
  get isNameless() {
    const { me } = this.client;
    return this.client.guest === null && (me === null || me.name.startsWith("npub1") || keptName() !== "");
  }

  /** The challenge of the next join: with the notice and the recording policy to show first. */
  challenge() {
    // to a stranger a private one is not there; and what becomes of a guest's attendance is said to guests alone
    const call = this.client.session?.visibility === "private" || this.client.guest !== null ? signed : plain;
    return call("POST", `${this.client.path}/join/challenge`);
  }

  /**
   * Join with one signature. `consent` answers the policy with this hash, where one was shown, and may say a `name`.
   *
   * @param {Consent | null} consent
   */
  async join(consent) {
    if (this.client.seat && !this.client.seat.isOver) return this.client.seat;
    const name = consent?.name ?? "";
    keepName(name); // as it was typed, also where it is refused
    if (name) await this.#askName(name);
    const asked = await this.challenge();
    const hash = asked.recordingPolicyHash;
    if (hash !== (consent?.policyHash ?? "")) throw new PodiumError("policy-changed");
    const extra = [["a", asked.lessonId], ["nonce", asked.nonce], ["device", tabDevice()]];
    if (!this.client.isSignedIn) extra.push(["login", "yes"]); // whoever proves their key to enter need not prove it again
    if (hash) extra.push(["recording_consent", consent?.given ? "yes" : "no", hash]);
    const media = await this.#media();
    if (media) extra.push(["fingerprint", media.fingerprint]);
    if (name) extra.push(["name", name]);
    const header = await login(asked.url, "POST", "", Math.floor(exactNow()), extra);
    const ticket = await withHeader("POST", `${this.client.path}/join`, header);
    if (media) await keepCertificate(tabDevice(), media.certificate);
    const seat = new Seat(here(ticket.socketUrl), ticket.token, () => this.#seatChanged(), media, null, this.#talker());
    this.#change({ seat });
    if (ticket.login) keepLogin(ticket.login); // the stream follows it
    this.#named(name);
    await seat.settled;
    return seat;
  }

  /** Leave the room, or its door. */
  leave() {
    this.client.seat?.leave();
    this.#change({});
  }

  /** Take the seat again that this tab had when it was loaded anew. */
  async comeBack() {
    const before = takeSeat(this.client.reference);
    if (before === null || this.client.session?.state !== "active" || this.client.seat !== null) return;
    const certificate = hasMedia ? await keptCertificate(tabDevice()) : null;
    if (hasMedia && this.client.showsMedia && certificate === null) return; // the proof names a certificate that is gone
    const media = certificate === null ? null : await this.#media(certificate);
    this.#change({ seat: new Seat(here(before.url), "", () => this.#seatChanged(), media, before.secret, this.#talker()) });
  }

  /**
   * Whether one may have this name here; asked before the signature, which a refusal would have cost.
   *
   * @param {string} name
   */
  async #askName(name) {
    const wish = { name, pubkey: await pubkey() };
    const call = this.client.isSignedIn || this.client.session?.visibility === "private" ? signed : plain; // to a stranger a private one is not there
    await call("POST", `${this.client.path}/join/name`, wish);
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
    this.client.names.askAgain(own);
  }

  #seatChanged() {
    this.keepWay();
    this.#change({});
  }

  /** Remember what this tab needs to take its seat again after it was loaded anew. */
  keepWay() {
    const { seat } = this.client;
    if (seat === null) return;
    if (seat.isOver) keepSeat(this.client.reference, null);
    else if (seat.state === "seated" && seat.secret) keepSeat(this.client.reference, { url: seat.url, secret: seat.secret });
  }

  /** @returns {Talker} */
  #talker() {
    return { own: () => this.client.me?.pubkey ?? "", mustSeal: Boolean(this.client.session?.e2eeRequired) };
  }

  /** What a room with media needs, if this one has any: a certificate, and the means to encrypt where that is required. */
  async #media(/** @type {RTCCertificate | null} */ certificate = null) {
    const { e2eeRequired, conferenceRoomId: room, instructorPubkey: leader, scheduledAt } = /** @type {Session} */ (this.client.session);
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
