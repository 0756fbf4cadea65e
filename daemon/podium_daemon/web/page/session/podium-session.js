// @ts-check
// One session: what it is, when it is, and the parts for each stage of its life.

import { aboutService } from "../core/api.js";
import { announce, freshId, h, keyed, setText, show, webUrl } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { shortNpub } from "../signer/podium-identity.js";
import "./podium-answers.js";
import "./podium-attendance.js";
import "./podium-guest.js";
import "./podium-guests.js";
import "./podium-instructor.js";
import "./podium-named.js";
import "../room/podium-chat.js";
import "../room/podium-polls.js";
import "../room/podium-people.js";
import "./podium-join.js";
import "./podium-questions.js";
import "../room/podium-consent.js";
import "./podium-certificate.js";
import "./podium-invitation.js";
import "./podium-recording.js";
import "./podium-series.js";
import { seatsText } from "./podium-rsvp.js";
import { SessionClient } from "./session-client.js";
import { fromTo, inZone, isZone, ownZone, until } from "../core/times.js";
import { useLiveSession } from "../use-live-session.js";

/** @import { LiveSession, Session } from "../core/types.js" */
/** @import { PodiumAttendance } from "./podium-attendance.js" */
/** @import { PodiumBadges } from "./podium-badges.js" */
/** @import { PodiumCertificate } from "./podium-certificate.js" */
/** @import { PodiumChat } from "../room/podium-chat.js" */
/** @import { PodiumPolls } from "../room/podium-polls.js" */
/** @import { PodiumConsent } from "../room/podium-consent.js" */
/** @import { PodiumPeople } from "../room/podium-people.js" */
/** @import { PodiumAnswers } from "./podium-answers.js" */
/** @import { PodiumGuest } from "./podium-guest.js" */
/** @import { PodiumGuests } from "./podium-guests.js" */
/** @import { PodiumInstructor } from "./podium-instructor.js" */
/** @import { PodiumInvitation } from "./podium-invitation.js" */
/** @import { PodiumNamed } from "./podium-named.js" */
/** @import { PodiumJoin } from "./podium-join.js" */
/** @import { PodiumQuestions } from "./podium-questions.js" */
/** @import { PodiumRecording } from "./podium-recording.js" */
/** @import { PodiumSeries } from "./podium-series.js" */
/** @import { PodiumStage } from "../room/podium-stage.js" */
/** @import { PodiumRsvp } from "./podium-rsvp.js" */
/** @import { PodiumIdentity } from "../signer/podium-identity.js" */

/** `<podium-session reference="naddr1...">`. */
export class PodiumSession extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {PodiumJoin} */ join;
  /** @type {LiveSession} */ hook;
  /** @type {HTMLSpanElement} */ badge;
  /** @type {HTMLHeadingElement} */ heading;
  /** @type {HTMLParagraphElement} */ by;
  /** @type {HTMLParagraphElement} */ summary;
  /** @type {HTMLDListElement} */ times;
  /** @type {HTMLParagraphElement} */ countdown;
  /** @type {HTMLParagraphElement} */ blocked;
  /** @type {HTMLParagraphElement} */ unread;
  /** @type {HTMLParagraphElement} */ reason;
  /** @type {HTMLUListElement} */ chips;
  /** @type {PodiumInvitation} */ invitation;
  /** @type {PodiumSeries} */ series;
  /** @type {PodiumRsvp} */ rsvp;
  /** @type {PodiumInstructor} */ instructor;
  /** @type {PodiumPeople} */ people;
  /** @type {PodiumNamed} */ named;
  /** @type {PodiumChat} */ chat;
  /** @type {PodiumPolls} */ polls;
  /** @type {PodiumAnswers} */ answers;
  /** @type {PodiumQuestions} */ questions;
  /** @type {HTMLElement} */ ended;
  /** @type {HTMLParagraphElement} */ offline;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLParagraphElement} */ loading;
  /** @type {PodiumConsent} */ consent;
  /** @type {HTMLElement} */ article;
  /** @type {PodiumRecording} */ recording;
  /** @type {PodiumAttendance} */ attendance;
  /** @type {PodiumCertificate} */ certificate;
  /** @type {PodiumBadges} */ badges;
  /** @type {PodiumGuest} */ guest;
  /** @type {PodiumGuests} */ guests;
  /** @type {HTMLParagraphElement} */ link;

  connectedCallback() {
    const reference = this.getAttribute("reference") ?? decodeURIComponent(location.pathname.split("/").pop() ?? "");
    const client = (this.client = new SessionClient(reference));
    const join = h("podium-join");
    this.join = join;
    join.setUp(client);
    const hook = (this.hook = useLiveSession(client, { consent: (challenge) => join.consent(challenge) }));
    this.#build();
    join.follow(hook);
    this.rsvp.setUp(hook, client);
    this.instructor.setUp(client);
    this.guest.setUp(client);
    this.guests.setUp(client);
    this.invitation.setUp(client);
    this.series.setUp(client);
    this.recording.setUp(client);
    this.consent.setUp(client);
    this.people.setUp(client);
    this.chat.setUp(client);
    this.polls.setUp(client);
    this.answers.setUp(client);
    this.named.setUp(client);
    this.questions.setUp(client);
    for (const identity of /** @type {NodeListOf<PodiumIdentity>} */ (document.querySelectorAll("podium-identity"))) identity.client = client;
    this.#addTabs(join.stage);
    hook.subscribe(() => this.#update());
    this.#update();
    client.open();
    this.#checkAddress();
  }

  disconnectedCallback() {
    this.client.close();
  }

  /**
   * What stands in the panel while one sits in the room.
   *
   * @param {PodiumStage} stage
   */
  #addTabs(stage) {
    const { client, people, chat, polls, questions, instructor, named, guests, answers, join, consent } = this;
    stage.addTab({ id: "people", elements: [people], count: () => people.pending });
    stage.addTab({ id: "chat", elements: [chat], count: () => chat.fresh });
    stage.addTab({ id: "poll", elements: [polls], isOffered: () => client.leads || (polls.log?.polls.length ?? 0) > 0, count: () => polls.pending });
    stage.addTab({ id: "questions", elements: [questions], count: () => questions.fresh });
    stage.addTab({ id: "lead", elements: [instructor, named, guests, answers], isOffered: () => client.leads });
    stage.addTab({ id: "settings", elements: [join.devices, stage.settings, consent] });
  }

  #build() {
    this.badge = h("span", { class: "badge" });
    this.heading = h("h1", { dir: "auto", tabindex: "-1" });
    this.by = h("p", { class: "by" });
    this.summary = h("p", { class: "lead", dir: "auto" });
    this.times = h("dl", { class: "times" });
    this.countdown = h("p", { class: "countdown", role: "timer", "aria-live": "off" });
    this.blocked = h("p", { class: "failure", role: "status" });
    this.unread = h("p", { class: "failure", role: "status" });
    this.reason = h("p", { class: "text", dir: "auto", hidden: true });
    this.chips = h("ul", { class: "facts" });
    this.invitation = h("podium-invitation");
    this.series = h("podium-series");
    this.rsvp = h("podium-rsvp");
    this.instructor = h("podium-instructor");
    this.guest = h("podium-guest");
    this.guests = h("podium-guests");
    this.link = h("p", { class: "failure", role: "alert", hidden: true });
    this.people = h("podium-people");
    this.chat = h("podium-chat");
    this.polls = h("podium-polls");
    this.answers = h("podium-answers");
    this.named = h("podium-named");
    this.questions = h("podium-questions");
    this.ended = this.#buildEnded();
    this.offline = h("p", { class: "failure", role: "status", hidden: true }, t("session.offline"));
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.loading = h("p", { class: "hint", role: "status" }, t("session.loading"));
    this.consent = h("podium-consent", { hidden: true });
    this.article = h("article", { hidden: true },
      h("header", { class: "hero" }, this.badge, this.heading, this.by, this.summary, this.countdown, this.times, this.series, this.chips, this.blocked, this.unread, this.reason),
      this.guest, h("podium-signer-help"),
      this.join, this.consent, this.ended, this.instructor, this.rsvp, this.invitation, this.named, this.guests, this.people, this.chat, this.polls, this.answers, this.questions);
    this.replaceChildren(this.offline, this.link, this.failure, this.loading, this.article);
  }

  #buildEnded() {
    const title = h("h2", { id: freshId("ended") }, t("ended.title"));
    this.recording = h("podium-recording");
    this.attendance = h("podium-attendance");
    this.certificate = h("podium-certificate");
    this.badges = h("podium-badges");
    return h("section", { class: "card", "aria-labelledby": title.id }, title, this.recording, this.attendance, this.certificate, this.badges);
  }

  async #checkAddress() {
    const { publicUrl, trouble } = await aboutService().catch(() => ({ publicUrl: location.origin, trouble: null }));
    if (trouble) this.prepend(h("p", { class: "failure", role: "alert" }, t("service.twin")));
    if (new URL(publicUrl).origin === location.origin) return;
    const right = webUrl(publicUrl.replace(/\/$/, "") + location.pathname);
    this.prepend(h("p", { class: "failure", role: "alert" }, t("session.address"), " ", h("a", { href: right }, right)));
  }

  #update() {
    const { hook, client } = this;
    const { session } = client;
    setText(this.failure, hook.error ?? "");
    show(this.failure, hook.error !== null);
    setText(this.link, client.linkTrouble ? describe(client.linkTrouble) : "");
    show(this.link, client.linkTrouble !== null);
    setText(this.offline, t(client.isStarved ? "session.starved" : "session.offline"));
    show(this.offline, session !== null && !client.isOnline);
    show(this.loading, hook.isLoading);
    show(this.article, session !== null);
    if (session === null) return;
    const { waiting } = this.join.stage.panel;
    document.title = `${waiting > 0 ? `(${waiting}) ` : ""}${session.title} · ${serviceName()}`;
    setText(this.heading, session.title);
    this.#who(session);
    setText(this.summary, session.summary);
    show(this.summary, session.summary !== "");
    this.#showChips(session);
    this.invitation.follow(session);
    this.series.follow(session);
    this.#state(session);
    this.#times(session);
    this.#after(session);
  }

  /**
   * Anybody can take any name: the key stands beside it, and what the domain vouches for looks different.
   *
   * @param {Session} session
   */
  #who(session) {
    const { instructorName: name, instructorNpub: npub, instructorNip05: nip05 } = session;
    const key = [name, npub, nip05].join("\n");
    if (this.by.dataset.key === key) return;
    this.by.dataset.key = key;
    /** @type {(Node | string)[]} */
    const parts = [t("session.by"), " "];
    if (name) parts.push(h("bdi", { class: "name" }, name), " · ");
    parts.push(h("span", { class: "key", title: npub }, shortNpub(npub)));
    if (nip05) parts.push(" ", h("span", { class: "verified" }, t("session.verified", { nip05: nip05.replace(/^_@/, "") })));
    this.by.replaceChildren(...parts);
  }

  /** @param {Session} session */
  #showChips(session) {
    const isAhead = session.state === "scheduled" || session.state === "active";
    const said = [
      session.visibility === "private" && "private", session.e2eeRequired && "encrypted", isAhead && session.allowRecording && "recording",
      isAhead && session.waitingRoom && "waiting", isAhead && session.guests === "anyone" && "guests",
    ].filter((name) => typeof name === "string");
    keyed(this.chips, said, (name) => name, (name) => h("li", { class: "fact" }, t(`chip.${name}`)));
    show(this.chips, said.length > 0);
  }

  /** @param {Session} session */
  #state(session) {
    const { hook } = this;
    const text = t(`state.${session.state}`);
    if (this.badge.textContent && this.badge.textContent !== text) announce(t(`state.now.${session.state}`));
    setText(this.badge, text);
    this.badge.dataset.state = session.state;
    const left = hook.timeUntilStart;
    setText(this.countdown, left === null ? "" : left > 0 ? t("countdown.in", { time: until(left) }) : t("countdown.now"));
    show(this.countdown, left !== null);
    setText(this.blocked, session.blockedReason ? t("session.blocked", { reason: session.blockedReason }) : "");
    show(this.blocked, Boolean(session.blockedReason) && hook.isScheduled);
    const runs = session.state === "scheduled" || session.state === "active";
    setText(this.unread, session.unreadReason ? t("session.unread", { reason: session.unreadReason }) : "");
    show(this.unread, Boolean(session.unreadReason) && runs && this.client.leads);
    setText(this.reason, session.cancelReason ? t("session.cancelled.because", { reason: session.cancelReason }) : "");
    show(this.reason, Boolean(session.cancelReason));
  }

  /** @param {Session} session */
  #times(session) {
    const { hook } = this;
    const zone = session.timezone && isZone(session.timezone) ? session.timezone : "UTC";
    const opens = session.state === "scheduled" ? session.doorsOpenAt : null;
    const seats = hook.canRSVP || hook.isScheduled || hook.isLive ? seatsText(session) : "";
    const key = [session.scheduledAt, session.endsAt, zone, opens, session.location, seats].join();
    if (this.times.dataset.key === key) return;
    this.times.dataset.key = key;
    const datetime = new Date(session.scheduledAt * 1000).toISOString();
    const line = (/** @type {string} */ label, /** @type {string} */ value) => [h("dt", {}, label), h("dd", {}, h("time", { datetime }, value))];
    const own = fromTo(session.scheduledAt, session.endsAt, ownZone);
    const lines = line(t("times.yours"), own);
    const theirs = fromTo(session.scheduledAt, session.endsAt, zone);
    if (theirs !== own) lines.push(...line(t("times.theirs", { zone }), theirs));
    lines.push(h("dt", {}, t("times.duration")), h("dd", {}, t("times.minutes", { count: session.duration })));
    if (opens !== null) lines.push(h("dt", {}, t("times.doors")), h("dd", {}, inZone(opens, ownZone, { withDate: false })));
    if (seats) lines.push(h("dt", {}, t("times.seats")), h("dd", {}, seats));
    if (session.location) lines.push(h("dt", {}, t("times.place")), h("dd", { dir: "auto" }, session.location));
    this.times.replaceChildren(...lines);
  }

  /** @param {Session} session */
  #after(session) {
    const { hook, client } = this;
    show(this.ended, hook.isEnded);
    if (!hook.isEnded) return;
    this.recording.follow(session);
    this.attendance.follow(session, client);
    this.certificate.follow(client);
    this.badges.follow(client);
  }
}

/** The name of the service, which stands in the page's head. */
function serviceName() {
  return document.querySelector(".home")?.textContent || "Podium";
}

customElements.define("podium-session", PodiumSession);
