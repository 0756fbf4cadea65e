// @ts-check
// A person's own attendance of an ended session: how long, when, and what is missing to its completion.

import { h, keyed, setText, show } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { clock, fromTo, ownZone } from "../core/times.js";

/** @import { Me, Session, SessionClient } from "../core/types.js" */

/** `<podium-attendance>`; `follow(session, client)` after each change of an ended session. */
export class PodiumAttendance extends HTMLElement {
  /** @type {HTMLParagraphElement} */ own;
  /** @type {HTMLUListElement} */ stays;
  /** @type {HTMLParagraphElement} */ completion;

  connectedCallback() {
    if (this.own) return;
    this.own = h("p", { class: "own-attendance" });
    this.stays = h("ul", { class: "stays", "aria-label": t("ended.stays") });
    this.completion = h("p", { class: "completion" });
    this.replaceChildren(this.own, this.stays, this.completion);
  }

  /**
   * @param {Session} session
   * @param {SessionClient} client
   */
  follow(session, client) {
    const { me } = client;
    show(this, session.state !== "cancelled");
    setText(this.own, ownText(client));
    const stays = me?.intervals ?? [];
    keyed(this.stays, stays, (one) => String(one.start), () => h("li"), (item, one) => setText(item, fromTo(one.start, one.end, ownZone, { withDate: false })));
    show(this.stays, stays.length > 0);
    setText(this.completion, me ? completionText(me, session) : "");
    show(this.completion, Boolean(me?.attendance));
  }
}

/** @param {SessionClient} client */
function ownText({ isSignedIn, me }) {
  if (!isSignedIn) return t("ended.sign-in");
  const attendance = me?.attendance;
  return attendance && attendance.joinedAt !== null ? t("ended.attended", { time: clock(attendance.totalDuration), joins: attendance.joinCount }) : t("ended.absent");
}

/**
 * @param {Me} me
 * @param {Session} session
 */
function completionText({ attendance, missingSeconds }, session) {
  if (attendance?.completedAt) return t(`completion.${attendance.completedBy}`);
  if (missingSeconds === null) return t("completion.none");
  const isRecorded = session.recordingState === "available";
  return t(isRecorded ? "completion.missing.recorded" : "completion.missing", { count: Math.ceil(missingSeconds / 60) });
}

customElements.define("podium-attendance", PodiumAttendance);
