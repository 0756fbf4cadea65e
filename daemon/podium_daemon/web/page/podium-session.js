// One session: what it is, when it is, and the parts for each stage of its life.

import { aboutService } from "./api.js";
import { announce, freshId, h, setText, show, webUrl } from "./dom.js";
import { t } from "./i18n.js";
import { shortNpub } from "./podium-identity.js";
import "./podium-instructor.js";
import "./podium-join.js";
import "./podium-rsvp.js";
import { SessionClient } from "./session-client.js";
import { clock, inZone, isZone, ownZone, until } from "./times.js";
import { useLiveSession } from "./use-live-session.js";

/** `<podium-session reference="naddr1...">`. */
export class PodiumSession extends HTMLElement {
  connectedCallback() {
    const reference = this.getAttribute("reference") ?? decodeURIComponent(location.pathname.split("/").pop());
    const client = (this.client = new SessionClient(reference));
    const join = h("podium-join");
    this.join = join;
    join.setUp(client);
    const hook = (this.hook = useLiveSession(client, { consent: (challenge) => join.consent(challenge) }));
    this.#build();
    join.follow(hook);
    this.rsvp.setUp(hook, client);
    this.instructor.setUp(client);
    for (const identity of document.querySelectorAll("podium-identity")) identity.client = client;
    hook.subscribe(() => this.#update());
    this.#update();
    client.open();
    this.#checkAddress();
  }

  disconnectedCallback() {
    this.client.close();
  }

  #build() {
    this.badge = h("span", { class: "badge" });
    this.heading = h("h1", { dir: "auto", tabindex: "-1" });
    this.by = h("p", { class: "by" });
    this.summary = h("p", { class: "lead", dir: "auto" });
    this.times = h("dl", { class: "times" });
    this.countdown = h("p", { class: "countdown", role: "timer", "aria-live": "off" });
    this.blocked = h("p", { class: "failure", role: "status" });
    this.description = h("div", { class: "text", dir: "auto" });
    const about = h("h2", { id: freshId("about") }, t("session.about"));
    this.about = h("section", { class: "card", "aria-labelledby": about.id }, about, this.description);
    this.rsvp = h("podium-rsvp");
    this.instructor = h("podium-instructor");
    this.ended = this.#buildEnded();
    this.offline = h("p", { class: "failure", role: "status", hidden: true }, t("session.offline"));
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    this.loading = h("p", { class: "hint", role: "status" }, t("session.loading"));
    this.article = h("article", { hidden: true },
      h("header", { class: "hero" }, this.badge, this.heading, this.by, this.summary, this.countdown, this.times, this.blocked),
      h("podium-signer-help"),
      this.join, this.ended, this.instructor, this.rsvp, this.about);
    this.replaceChildren(this.offline, this.failure, this.loading, this.article);
  }

  #buildEnded() {
    const title = h("h2", { id: freshId("ended") }, t("ended.title"));
    this.recording = h("p", { class: "recording" });
    this.watch = h("a", { class: "button primary", target: "_blank", rel: "noopener noreferrer" }, t("ended.watch"));
    this.own = h("p", { class: "own-attendance" });
    this.completion = h("p", { class: "completion" });
    return h("section", { class: "card", "aria-labelledby": title.id }, title, this.recording, this.watch, this.own, this.completion);
  }

  async #checkAddress() {
    const { publicUrl } = await aboutService().catch(() => ({ publicUrl: location.origin }));
    if (new URL(publicUrl).origin === location.origin) return;
    const right = webUrl(publicUrl.replace(/\/$/, "") + location.pathname);
    this.prepend(h("p", { class: "failure", role: "alert" }, t("session.address"), " ", h("a", { href: right }, right)));
  }

  #update() {
    const { hook, client } = this;
    const { session } = client;
    setText(this.failure, hook.error ?? "");
    show(this.failure, hook.error !== null);
    show(this.offline, session !== null && !client.isOnline);
    show(this.loading, hook.isLoading);
    show(this.article, session !== null);
    if (session === null) return;
    const { lesson } = hook;
    document.title = `${lesson.title} · Podium`;
    setText(this.heading, lesson.title);
    setText(this.by, t("session.by", { npub: shortNpub(session.instructorNpub) }));
    this.by.title = session.instructorNpub;
    setText(this.summary, lesson.summary);
    show(this.summary, lesson.summary !== "");
    setText(this.description, lesson.description);
    show(this.about, lesson.description !== "");
    this.#state(session);
    this.#times(session);
    this.#after(session);
  }

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
  }

  #times(session) {
    const zone = session.timezone && isZone(session.timezone) ? session.timezone : "UTC";
    const key = [session.scheduledAt, session.endsAt, zone].join();
    if (this.times.dataset.key === key) return;
    this.times.dataset.key = key;
    const datetime = new Date(session.scheduledAt * 1000).toISOString();
    const line = (label, value) => [h("dt", {}, label), h("dd", {}, h("time", { datetime }, value))];
    const lines = line(t("times.yours"), inZone(session.scheduledAt, ownZone));
    const theirs = inZone(session.scheduledAt, zone);
    if (theirs !== inZone(session.scheduledAt, ownZone)) lines.push(...line(t("times.theirs", { zone }), theirs));
    lines.push(h("dt", {}, t("times.duration")), h("dd", {}, t("times.minutes", { count: session.duration })));
    this.times.replaceChildren(...lines);
  }

  #after(session) {
    const { hook, client } = this;
    show(this.ended, hook.isEnded);
    if (!hook.isEnded) return;
    const cancelled = session.state === "cancelled";
    setText(this.recording, afterwards(session));
    show(this.watch, hook.hasRecording);
    if (hook.hasRecording) this.watch.setAttribute("href", hook.recordingUrl);
    const attendance = client.me?.attendance;
    setText(this.own, this.#attendanceText(attendance, client));
    show(this.own, !cancelled);
    setText(this.completion, attendance?.completedAt ? t(`completion.${attendance.completedBy}`) : t("completion.none"));
    show(this.completion, !cancelled && Boolean(attendance));
  }

  #attendanceText(attendance, client) {
    if (!client.isSignedIn) return t("ended.sign-in");
    return attendance ? t("ended.attended", { time: clock(attendance.totalDuration), joins: attendance.joinCount }) : t("ended.absent");
  }
}

function afterwards(session) {
  if (session.state === "cancelled") return t("ended.cancelled");
  return session.endReason === "no_show" ? t("ended.no_show") : t(`recording.${session.recordingState}`);
}

customElements.define("podium-session", PodiumSession);
