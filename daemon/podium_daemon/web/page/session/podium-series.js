// @ts-check
// Which date of a series a session is, and the others.

import { action, h, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { inZone, ownZone } from "../core/times.js";

/** @import { Session, SessionClient } from "../core/types.js" */

/** `<podium-series>`; built by `setUp(client)`, shows the series of the session that it is told to `follow`. */
export class PodiumSeries extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {string} */ shown;
  /** @type {HTMLElement} */ summary;
  /** @type {HTMLOListElement} */ list;
  /** @type {HTMLElement} */ outdated;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.shown = "";
    this.summary = h("summary");
    this.list = h("ol", { class: "dates" });
    this.outdated = h("div", { hidden: true });
    this.replaceChildren(h("details", { on: { toggle: () => this.#read() } }, this.summary, this.list), this.outdated);
  }

  /** @param {Session} session */
  follow(session) {
    const key = [session.series, session.scheduledAt, session.state, session.title, this.client.isInstructor].join();
    show(this, Boolean(session.series));
    if (!session.series || key === this.shown) return;
    this.shown = key;
    setText(this.summary, t("series.number", { number: session.seriesNumber }));
    this.#read();
  }

  async #read() {
    const own = /** @type {Session} */ (this.client.session);
    const { dates, outdated } = await this.client.acts.series().catch(() => ({ dates: null, outdated: 0 }));
    if (dates === null || dates.length === 0) return; // the number stays; opening it tries again
    setText(this.summary, t("series.place", { number: own.seriesNumber, of: dates[dates.length - 1].number }));
    const rows = dates.map((date) => {
      const time = h("time", { datetime: new Date(date.scheduledAt * 1000).toISOString() }, inZone(date.scheduledAt, ownZone));
      const here = date.lessonId === own.lessonId;
      const name = here ? h("strong", { "aria-current": "page" }, time) : h("a", { href: `/s/${date.naddr}` }, time);
      const title = date.title === own.title ? null : h("bdi", {}, date.title);
      return h("li", { value: date.number }, name, " ", title, date.state === "scheduled" ? null : h("span", { class: "hint" }, ` ${t(`state.${date.state}`)}`));
    });
    this.list.replaceChildren(...rows);
    this.#tellOutdated(outdated);
  }

  /** @param {number} count dates that another program cancelled and that the calendar still lists */
  #tellOutdated(count) {
    show(this.outdated, count > 0);
    if (count === 0) return;
    const failure = h("p", { class: "failure", role: "alert", hidden: true });
    const relist = action(t("series.relist"), async () => {
      await this.client.lead.relist();
      await this.#read();
    }, (error) => {
      setText(failure, describe(error));
      show(failure, true);
    });
    this.outdated.replaceChildren(h("p", { class: "hint" }, t("series.outdated", { count })), relist, failure);
  }
}

customElements.define("podium-series", PodiumSeries);
