// @ts-check
// Media of a seat: what one sends and what one receives, over the `media` messages of the room's socket. No DOM in here.

import { openDevice } from "./devices.js";

/** @import { Kind, Message } from "../core/types.js" */
/** @import { Cipher } from "./cipher.js" */

/** @type {Kind[]} */
const KINDS = ["audio", "video", "screen"]; // in the order of the media lines (docs/conference.md)
/** @type {Side[]} */
const SIDES = ["publish", "watch"];
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15000;
const STUCK = 4; // tries in vain, some four seconds: it is the network, and not a hiccup
const MOST_BITS = { audio: 40_000, video: 500_000, screen: 1_500_000 };

/** @typedef {"publish" | "watch"} Side */
/** @typedef {{ mid: string, kind: Kind, connection: string, pubkey: string, on: boolean }} Line */
/** @typedef {{ energy: number, seconds: number }} Sound */
/** @typedef {{ connection: string, pubkey: string, tracks: Partial<Record<Kind, MediaStreamTrack>> }} Other */

/** What a browser is asked for. */
export const WISHES = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  video: { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 24, max: 30 } },
  screen: { frameRate: { ideal: 10, max: 15 } },
};

/** The certificate of this browser's connections; the join proof names it, so that nobody else can take one's place. */
export async function makeCertificate() {
  const certificate = await RTCPeerConnection.generateCertificate(/** @type {EcKeyGenParams} */ ({ name: "ECDSA", namedCurve: "P-256" }));
  const { algorithm, value } = /** @type {RTCDtlsFingerprint} */ (certificate.getFingerprints().find((one) => one.algorithm === "sha-256"));
  return { certificate, fingerprint: `${algorithm} ${value?.toUpperCase()}` };
}

/** Whether this browser can do it here: media needs https or localhost. */
export const hasMedia = "RTCPeerConnection" in globalThis && Boolean(globalThis.navigator?.mediaDevices);

/**
 * States: away (the daemon has no media at the moment), connecting, live, trouble (it tries again), over.
 * `others`: by connection, {pubkey, tracks: {audio, video, screen}} of what comes at present.
 * `cipher`: seals and opens frames (cipher.js), or null.
 */
export class Media {
  /** @type {Record<Side, RTCPeerConnection | null>} */
  #sides = { publish: null, watch: null };
  #pauses = { publish: FIRST_PAUSE, watch: FIRST_PAUSE };
  #vain = { publish: 0, watch: 0 }; // tries since it last worked
  /** @type {Map<string, Sound>} */
  #heard = new Map(); // by media line: energy and seconds of sound so far
  /** @type {Map<string, number>} */
  #levels = new Map();
  /** @type {Map<Side, number>} */
  #timers = new Map();
  /** @type {RTCIceServer[]} */
  #servers = [];
  #turn = 0;
  /** @type {Line[]} */
  #lines = [];
  /** @type {Set<string> | null} */
  #inSight = null;
  /** @type {string | null} */
  #toldInSight = null;

  /** @param {{ send: (message: object) => unknown, changed: () => void, certificate: RTCCertificate, cipher?: Cipher | null }} how */
  constructor({ send, changed, certificate, cipher = null }) {
    this.send = send;
    this.changed = changed;
    this.certificate = certificate;
    this.cipher = cipher;
    this.state = "away";
    this.hasBegun = false; // an engine without media never begins
    /** @type {Record<Kind, MediaStreamTrack | null>} */
    this.own = { audio: null, video: null, screen: null };
    /** @type {Set<Kind>} */
    this.mutedHere = new Set(); // what was muted by whoever leads, until one switches it on again
    /** @type {Map<string, Other>} */
    this.others = new Map();
  }

  /**
   * A `media` message of the daemon.
   *
   * @param {Message} message
   */
  take(message) {
    /** @type {Record<string, () => unknown>} */
    const takers = {
      begin: () => this.#begin(message),
      accept: () => this.#accepted(message.sdp),
      offer: () => this.#offered(message),
      lines: () => this.#lined(message.lines),
      muted: () => this.#muted(message),
      failed: () => this.#again(message.side),
      away: () => this.#gone(),
    };
    takers[message.do]?.();
  }

  /**
   * Switch a microphone, camera or screen on. The browser asks the person; what it throws says what went wrong.
   *
   * @param {Kind} kind
   */
  async turnOn(kind) {
    if (!this.hasBegun) return;
    const track = await (kind === "screen" ? openScreen() : openDevice(kind, WISHES[kind]));
    if (this.state === "over") return track.stop(); // it took the person a while
    this.own[kind]?.stop();
    this.own[kind] = track;
    this.mutedHere.delete(kind);
    // the end of a shared window, or a camera that was pulled out
    track.addEventListener("ended", () => this.own[kind] === track && this.turnOff(kind));
    await this.#carry(kind);
    this.#tell();
  }

  /**
   * Switch it off: the device's light goes out too.
   *
   * @param {Kind} kind
   */
  async turnOff(kind) {
    this.own[kind]?.stop();
    this.own[kind] = null;
    await this.#carry(kind);
    this.#tell();
  }

  /**
   * Which pictures are in sight, as `connection kind`: an engine that can sends no others.
   *
   * @param {Set<string>} pictures
   */
  look(pictures) {
    this.#inSight = pictures;
    if (this.#lines.length === 0) return;
    const mids = this.#lines.filter(({ kind, connection }) => kind !== "audio" && pictures.has(`${connection} ${kind}`)).map(({ mid }) => mid);
    const told = mids.join();
    if (told === this.#toldInSight) return;
    this.#toldInSight = told;
    this.send({ type: "media", do: "showing", mids });
  }

  /** Listen: `levels()` then tells how loud it was since the last time. */
  async measure() {
    const peer = this.#sides.watch;
    const stats = await peer?.getStats();
    if (!peer || !stats || peer !== this.#sides.watch) return;
    const heard = soundOf(stats);
    const audible = this.#lines.filter((line) => line.kind === "audio" && line.on);
    this.#levels = new Map(audible.map(({ mid, connection }) => [connection, this.#loudness(mid, heard.get(mid))]));
    this.#heard = heard;
  }

  /** How loud each connection was between the last two times of `measure()`, 0 to 1. */
  levels() {
    return this.#levels;
  }

  /** What does not come through at present: "publish", "watch" or "both". */
  get lacks() {
    const [first, second] = SIDES.filter((side) => this.#isBad(side) || !this.#isUp(side));
    return second || !first ? "both" : first;
  }

  /** Whether it was tried in vain so often that waiting alone will not help. */
  get isStuck() {
    return Math.max(this.#vain.publish, this.#vain.watch) >= STUCK;
  }

  close() {
    this.#move("over");
    for (const kind of KINDS) this.own[kind]?.stop();
    this.own = { audio: null, video: null, screen: null };
    this.#drop("publish");
    this.#drop("watch");
    this.cipher?.close();
  }

  /** @param {Message} how */
  #begin({ iceServers = [] }) {
    this.hasBegun = true;
    this.#servers = iceServers;
    this.#vain = { publish: 0, watch: 0 };
    this.#move("connecting");
    this.#publish();
    this.#watch();
  }

  #gone() {
    this.#drop("publish");
    this.#drop("watch");
    this.#move("away");
  }

  // -- sending

  async #publish() {
    this.#drop("publish");
    const peer = this.#connect("publish");
    await this.#guarded("publish", this.#offer(peer));
  }

  /** @param {RTCPeerConnection} peer */
  async #offer(peer) {
    const known = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
    const codecs = known.filter(({ mimeType }) => mimeType.toLowerCase() === "video/vp8");
    for (const kind of KINDS) {
      const encoding = { maxBitrate: MOST_BITS[kind] };
      const line = peer.addTransceiver(kind === "audio" ? "audio" : "video", { direction: "sendonly", sendEncodings: [encoding] });
      if (kind !== "audio") line.setCodecPreferences(codecs); // the engine forwards VP8 only
      this.cipher?.seal(line.sender, kind);
    }
    await Promise.all(KINDS.map((kind) => this.#carry(kind)));
    await peer.setLocalDescription();
    if (peer === this.#sides.publish) this.send({ type: "media", do: "publish", sdp: peer.localDescription?.sdp });
  }

  /** @param {string} sdp */
  async #accepted(sdp) {
    const peer = this.#sides.publish;
    if (peer?.signalingState !== "have-local-offer") return;
    await this.#guarded("publish", peer.setRemoteDescription({ type: "answer", sdp }));
    this.#tell();
  }

  /** @param {Kind} kind */
  async #carry(kind) {
    const sender = this.#sides.publish?.getTransceivers()[KINDS.indexOf(kind)]?.sender;
    await sender?.replaceTrack(this.own[kind]).catch(() => {}); // the connection was closed meanwhile: the next one has it
  }

  /** Say what is on. `turn` tells that the last muting was seen. */
  #tell() {
    const on = Object.fromEntries(KINDS.map((kind) => [kind, this.own[kind] !== null]));
    if (this.#sides.publish) this.send({ type: "media", do: "sending", ...on, turn: this.#turn });
    this.changed();
  }

  /** @param {Message} how */
  #muted({ kind, turn }) {
    this.#turn = turn;
    this.mutedHere.add(kind);
    this.turnOff(kind);
  }

  // -- receiving

  #watch() {
    this.#drop("watch");
    this.#connect("watch");
    this.send({ type: "media", do: "watch" });
  }

  /** @param {Message} how */
  async #offered({ offer, sdp }) {
    const peer = this.#sides.watch;
    if (!peer) return;
    await this.#guarded("watch", peer.setRemoteDescription({ type: "offer", sdp }).then(() => peer.setLocalDescription()));
    if (peer !== this.#sides.watch || peer.signalingState !== "stable") return;
    this.send({ type: "media", do: "watch", offer, sdp: peer.localDescription?.sdp });
    this.#lined(this.#lines);
  }

  /** @param {Line[]} lines */
  #lined(lines) {
    this.#lines = lines;
    /** @type {Map<string, Other>} */
    const found = new Map();
    for (const { mid, kind, connection, pubkey, on } of lines) {
      const receiver = this.#receiver(mid);
      if (!receiver || !KINDS.includes(kind)) continue;
      this.cipher?.expect(receiver, pubkey);
      const other = found.get(connection) ?? { connection, pubkey, tracks: {} };
      found.set(connection, other);
      if (on) other.tracks[kind] = receiver.track;
    }
    this.others = found;
    if (this.#inSight) this.look(this.#inSight); // a line may carry somebody else now
    this.changed();
  }

  /** @param {string} mid */
  #receiver(mid) {
    return this.#sides.watch?.getTransceivers().find((line) => line.mid === mid)?.receiver ?? null;
  }

  // -- connections

  /** @param {Side} side */
  #connect(side) {
    const peer = new RTCPeerConnection({ iceServers: this.#servers, certificates: [this.certificate], bundlePolicy: "max-bundle" });
    this.#sides[side] = peer;
    if (side === "watch") peer.addEventListener("track", ({ receiver }) => this.cipher?.receive(receiver));
    peer.addEventListener("connectionstatechange", () => {
      if (peer !== this.#sides[side]) return;
      if (peer.connectionState === "connected") {
        this.#pauses[side] = FIRST_PAUSE;
        this.#vain[side] = 0;
      }
      if (peer.connectionState === "failed") this.#again(side);
      this.#weigh();
    });
    return peer;
  }

  /**
   * A connection that did not come about is made anew, after a pause that grows.
   *
   * @param {Side} side
   */
  #again(side) {
    if (this.state === "over" || this.state === "away" || this.#timers.has(side)) return;
    this.#vain[side] += 1;
    this.#move("trouble");
    this.changed(); // it may be the other side now, or for the fourth time
    const anew = () => {
      this.#timers.delete(side);
      if (side === "publish") this.#publish();
      else this.#watch();
    };
    this.#timers.set(side, setTimeout(anew, this.#pauses[side]));
    this.#pauses[side] = Math.min(this.#pauses[side] * 2, LONGEST_PAUSE);
  }

  /**
   * @param {Side} side
   * @param {Promise<unknown>} work
   */
  async #guarded(side, work) {
    const peer = this.#sides[side];
    try {
      await work;
    } catch {
      if (peer === this.#sides[side]) this.#again(side);
    }
  }

  /** @param {Side} side */
  #drop(side) {
    clearTimeout(this.#timers.get(side));
    this.#timers.delete(side);
    this.#sides[side]?.close();
    this.#sides[side] = null;
    if (side !== "watch") return;
    this.#toldInSight = null;
    this.#lines = [];
    this.others = new Map();
  }

  /** @param {Side} side */
  #isUp(side) {
    return (this.#sides[side]?.connectionState ?? "connected") === "connected";
  }

  /** @param {Side} side */
  #isBad(side) {
    return this.#timers.has(side) || ["disconnected", "failed", "closed"].includes(this.#sides[side]?.connectionState ?? "new");
  }

  /**
   * Loudness since the last time (RMS, W3C webrtc-stats: energy is level squared times seconds).
   *
   * @param {string} mid
   * @param {Sound | undefined} now
   */
  #loudness(mid, now) {
    const before = this.#heard.get(mid);
    if (!now || !before) return this.#receiver(mid)?.getSynchronizationSources()[0]?.audioLevel ?? 0;
    const seconds = now.seconds - before.seconds;
    return seconds > 0 ? Math.sqrt(Math.max(0, now.energy - before.energy) / seconds) : 0;
  }

  #weigh() {
    if (this.state === "over" || this.state === "away") return;
    const states = Object.values(this.#sides).flatMap((peer) => (peer ? [peer.connectionState] : []));
    if (SIDES.some((side) => this.#isBad(side))) this.#move("trouble");
    else if (states.every((state) => state === "connected")) this.#move("live");
    else if (this.state !== "trouble") this.#move("connecting");
  }

  /** @param {string} state */
  #move(state) {
    if (this.state === state || this.state === "over") return;
    this.state = state;
    this.changed();
  }
}

async function openScreen() {
  const [track] = (await navigator.mediaDevices.getDisplayMedia({ video: WISHES.screen })).getTracks();
  return track;
}

/**
 * Of each audio line that comes in: the energy and the seconds of sound so far. A browser without them tells none.
 *
 * @param {RTCStatsReport} stats
 */
function soundOf(stats) {
  /** @type {Map<string, Sound>} */
  const found = new Map();
  for (const one of stats.values()) {
    if (one.type !== "inbound-rtp" || one.kind !== "audio" || one.totalAudioEnergy === undefined) continue;
    const { energy = 0, seconds = 0 } = found.get(one.mid) ?? {};
    found.set(one.mid, { energy: energy + one.totalAudioEnergy, seconds: seconds + one.totalSamplesDuration });
  }
  return found;
}
