// @ts-check
// The way in: what is recorded and the consent, one signature, the waiting room, the seat, and the way out.

import { exactNow } from "../core/api.js";
import { keptName } from "../core/login.js";
import { action, freshId, h, setText, show, webUrl } from "../core/dom.js";
import { describe, has, t } from "../core/i18n.js";
import "../room/podium-devices.js";
import { hasMedia } from "../room/media.js";
import { OtherTab } from "../room/other-tab.js";
import { noticeText } from "../room/podium-stage.js";
import { clock, inZone, ownZone } from "../core/times.js";

/** @import { Challenge, LiveSession, Session, SessionClient, Trouble } from "../core/types.js" */
/** @import { PodiumDevices } from "../room/podium-devices.js" */
/** @import { PodiumStage } from "../room/podium-stage.js" */
/** @import { Seat } from "../room/seat.js" */

const MAX_NAME = 40;

/** `<podium-join>`; built by `setUp(client)`, which gives the `consent` of the hook, then `follow(hook)`. */
export class PodiumJoin extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ status;
  /** @type {HTMLParagraphElement} */ notice;
  /** @type {HTMLButtonElement} */ join;
  /** @type {HTMLButtonElement} */ leave;
  /** @type {HTMLButtonElement} */ go;
  /** @type {HTMLAnchorElement} */ meeting;
  /** @type {HTMLParagraphElement} */ duration;
  /** @type {HTMLParagraphElement} */ here;
  /** @type {PodiumStage} */ stage;
  /** @type {PodiumDevices} */ devices;
  /** @type {HTMLParagraphElement} */ without;
  /** @type {HTMLDialogElement} */ dialog;
  /** @type {HTMLHeadingElement} */ heading;
  /** @type {LiveSession} */ hook;
  /** @type {HTMLParagraphElement} */ attendanceNotice;
  /** @type {HTMLParagraphElement} */ ownNotice;
  /** @type {HTMLParagraphElement} */ policy;
  /** @type {HTMLParagraphElement} */ audience;
  /** @type {HTMLInputElement[]} */ radios;
  /** @type {HTMLFieldSetElement} */ recording;
  /** @type {HTMLInputElement} */ name;
  /** @type {HTMLElement} */ naming;
  /** @type {HTMLElement} */ card;
  /** @type {HTMLElement} */ elsewhere;
  /** @type {OtherTab | null} */ other;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.status = h("p", { class: "status", role: "status" });
    this.notice = h("p", { class: "notice-line", role: "status", dir: "auto" });
    this.join = action(t("join.join"), () => this.#join(), (error) => this.#failed(error), { class: "primary" });
    this.leave = action(t("join.leave"), () => this.hook.leaveSession(), (error) => this.#failed(error));
    this.meeting = h("a", { class: "button primary", target: "_blank", rel: "noopener noreferrer", hidden: true }, t("join.meeting"));
    this.duration = h("p", { class: "duration" });
    this.here = h("p", { class: "hint" });
    this.stage = h("podium-stage");
    this.stage.setUp(client);
    this.devices = h("podium-devices");
    this.devices.setUp(client);
    this.without = h("p", { class: "warning", role: "status", hidden: true });
    this.dialog = this.#makeDialog();
    this.other = null;
    const bring = action(t("join.bring"), () => this.#bring(), (error) => this.#failed(error), { class: "primary" });
    this.elsewhere = h("p", { class: "notice-line elsewhere-line", role: "status", hidden: true }, h("span", {}, t("join.other-tab")), bring);
    const title = h("h2", { id: freshId("join"), tabindex: "-1" }, t("join.title"));
    this.heading = title;
    this.card = h("section", { class: "card", "aria-labelledby": title.id },
      title, this.status, this.notice, this.without, this.elsewhere, h("div", { class: "buttons" }, this.join, this.leave), this.duration, this.here, this.failure);
    this.stage.putElsewhere(this.meeting);
    this.replaceChildren(this.card, this.stage, this.dialog);
  }

  /** @param {LiveSession} hook */
  follow(hook) {
    this.hook = hook;
    hook.subscribe(() => this.#update());
    this.#update();
    this.stage.follow(hook);
  }

  /**
   * Ask before joining: resolves to what `useLiveSession` calls a consent.
   *
   * @param {Challenge} challenge
   */
  consent(challenge) {
    setText(this.attendanceNotice, t(`consent.attendance.${challenge.attendance}`));
    setText(this.ownNotice, challenge.ownNotice);
    show(this.ownNotice, challenge.ownNotice !== "");
    setText(this.policy, challenge.recordingPolicy);
    show(this.recording, challenge.recordingPolicy !== "");
    const audience = t(`consent.access.${this.client.session?.recordingAccess ?? "participants"}`);
    setText(this.audience, audience);
    show(this.audience, !challenge.recordingPolicy.endsWith(audience)); // it does, unless it is in another language
    for (const radio of this.radios) Object.assign(radio, { checked: false, required: challenge.recordingPolicy !== "" });
    show(this.naming, this.client.entry.isNameless);
    this.name.value = this.client.entry.isNameless ? keptName() : "";
    setText(this.go, t(this.client.guest === null ? "consent.join" : "consent.join.guest")); // for a guest the service signs
    this.dialog.returnValue = "";
    this.dialog.showModal();
    this.devices.begin();
    return new Promise((done) => {
      const closed = () => {
        this.devices.end();
        if (this.dialog.returnValue !== "join") return done(null);
        const policyHash = challenge.recordingPolicyHash;
        const name = this.name.value.trim();
        done({ ...(policyHash ? { given: this.radios[0].checked, policyHash } : {}), ...(name ? { name } : {}) });
      };
      this.dialog.addEventListener("close", closed, { once: true });
    });
  }

  #makeDialog() {
    const title = h("h2", { id: freshId("consent") }, t("consent.title"));
    this.attendanceNotice = h("p");
    this.ownNotice = h("p", { dir: "auto", hidden: true });
    this.policy = h("p", { dir: "auto", id: freshId("policy") });
    this.audience = h("p", { hidden: true });
    const name = freshId("answer");
    const radio = (/** @type {string} */ value) => h("input", { type: "radio", name, value, id: freshId(value) });
    this.radios = [radio("yes"), radio("no")];
    const choices = this.radios.map((input) => h("label", { for: input.id }, input, t(`consent.${input.value}`)));
    this.recording = h("fieldset", { "aria-describedby": this.policy.id }, h("legend", {}, t("consent.recording")), this.policy, this.audience, ...choices);
    this.name = h("input", { id: freshId("name"), maxlength: String(MAX_NAME), autocomplete: "nickname", dir: "auto" });
    const nameHint = h("p", { class: "hint", id: freshId("hint") }, t("join.name.hint"));
    this.name.setAttribute("aria-describedby", nameHint.id);
    this.naming = h("div", { class: "field", hidden: true }, h("label", { for: this.name.id }, t("join.name")), this.name, nameHint);
    const later = h("button", { type: "button", on: { click: () => this.dialog.close("") } }, t("consent.later"));
    this.go = h("button", { type: "submit", class: "primary", value: "join" });
    const told = h("div", { class: "told" }, this.naming, this.attendanceNotice, this.ownNotice, this.recording, h("div", { class: "buttons" }, this.go, later));
    const form = h("form", { method: "dialog" }, title, h("div", { class: "entry" }, h("div", { class: "tried" }, this.devices), told));
    return h("dialog", { "aria-labelledby": title.id, class: "entry-dialog" }, form);
  }

  /** Whether one sits in the room in another tab of this browser. */
  #isElsewhere() {
    const { client } = this;
    if (this.other === null && client.session && "BroadcastChannel" in globalThis) {
      this.other = new OtherTab(client.session.lessonId, {
        isIn: () => client.seat !== null && !client.seat.isOver,
        moveOut: () => client.seat?.leave("replaced"),
        changed: () => this.#update(),
      });
    }
    this.other?.tell();
    return this.other?.isElsewhere ?? false;
  }

  /** The other tab goes once this one sits, so that nothing of the attendance is lost. */
  async #bring() {
    await this.#join();
    if (this.client.seat && !this.client.seat.isOver) this.other?.bring();
  }

  async #join() {
    show(this.failure, false);
    await this.hook.joinSession();
  }

  /** @param {Trouble} error */
  #failed(error) {
    const { opensAt } = error.values ?? {};
    const text = typeof opensAt === "number" ? t("join.doors", { time: inZone(opensAt, ownZone) }) : describe(error);
    setText(this.failure, text);
    show(this.failure, true);
  }

  #update() {
    const { hook, client } = this;
    const { session, seat } = client;
    const soon = hook.isScheduled && session !== null && (client.leads || session.doorsOpenAt <= exactNow()); // those who lead pass before
    show(this, hook.isLive || soon || (seat !== null && !seat.isOver));
    const inside = seat !== null && !seat.isOver;
    const seated = inside && ["seated", "returning"].includes(seat.state);
    const comes = client.showsMedia && (inside || ((hook.isLive || soon) && client.me !== null));
    this.#say(statusText(seat, hook, session), comes && !hasMedia ? lackText() : "", seated);
    setText(this.notice, seat && !seated ? noticeText(seat) : "");
    show(this.notice, this.notice.textContent !== "");
    show(this.card, !seated);
    setText(this.join, t(seat?.isOver ? "join.again" : "join.join"));
    show(this.leave, inside, this.heading);
    this.#offer(inside, hook.isLive || soon);
    this.#meeting(seat);
    this.#count(seated);
  }

  /**
   * @param {boolean} inside
   * @param {boolean} isOpen
   */
  #offer(inside, isOpen) {
    const isElsewhere = this.#isElsewhere() && !inside;
    show(this.elsewhere, isElsewhere);
    show(this.join, !inside && !isElsewhere && isOpen, inside ? this.leave : this.heading);
  }

  /** @param {boolean} seated */
  #count(seated) {
    const { hook, client } = this;
    setText(this.duration, t("join.duration", { time: clock(hook.attendanceDuration) }));
    show(this.duration, hook.isAttending || hook.attendanceDuration > 0);
    setText(this.here, client.session && !seated ? t("join.here", { count: client.session.participantCount }) : "");
    show(this.here, hook.isLive && !seated);
  }

  /**
   * On the card, or on the stage: in one place, so that nothing is read out twice.
   *
   * @param {string} status
   * @param {string} without
   * @param {boolean} seated
   */
  #say(status, without, seated) {
    const { stage } = this;
    for (const [place, here] of /** @type {[PodiumJoin | PodiumStage, boolean][]} */ ([[this, !seated], [stage, seated]])) {
      for (const [node, text] of /** @type {[HTMLElement, string][]} */ ([[place.status, status], [place.without, without]])) {
        setText(node, here ? text : "");
        show(node, here && text !== "");
      }
    }
  }

  /** @param {Seat | null} seat */
  #meeting(seat) {
    const url = seat?.state === "seated" || seat?.state === "returning" ? webUrl(seat.meetingUrl) : null;
    // without a meeting of its own the room's address is this very page
    const elsewhere = url !== null && new URL(url).origin + new URL(url).pathname !== location.origin + location.pathname;
    if (elsewhere) this.meeting.setAttribute("href", url);
    else this.meeting.removeAttribute("href");
    show(this.meeting, elsewhere, this.stage.leave);
  }
}

function lackText() {
  return t(globalThis.isSecureContext ? "room.no-webrtc" : "room.no-https");
}

/**
 * @param {Seat | null} seat
 * @param {LiveSession} hook
 * @param {Session | null} session
 */
function statusText(seat, hook, session) {
  if (seat === null) return hook.isLive ? t("join.live") : t("join.early");
  if (seat.state === "left" && session?.state === "active") return t("seat.left");
  const key = seat.reason ? `seat.${seat.state}.${seat.reason}` : `seat.${seat.state}`;
  if (seat.state === "removed" && seat.text) return t("seat.removed.because", { reason: seat.text });
  return has(key) ? t(key) : seat.text || t(`seat.${seat.state}`);
}

customElements.define("podium-join", PodiumJoin);
