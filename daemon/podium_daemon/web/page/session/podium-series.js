// @ts-check
// Which date of a series a session is, and the others.

import { h, setText, show } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { inZone, ownZone } from "../core/times.js";

/** @import { Session, SessionClient } from "../core/types.js" */

/** `<podium-series>`; built by `setUp(client)`, shows the series of the session that it is told to `follow`. */
export class PodiumSeries extends HTMLElement {
  /** @type {SessionClient} */ client;
  /** @type {string} */ shown;
  /** @type {HTMLElement} */ summary;
  /** @type {HTMLOListElement} */ list;

  /** @param {SessionClient} client */
  setUp(client) {
    this.client = client;
    this.hidden = true;
    this.shown = "";
    this.summary = h("summary");
    this.list = h("ol", { class: "dates" });
    this.replaceChildren(h("details", { on: { toggle: () => this.#read() } }, this.summary, this.list));
  }

  /** @param {Session} session */
  follow(session) {
    const key = [session.series, session.scheduledAt, session.state, session.title].join();
    show(this, Boolean(session.series));
    if (!session.series || key === this.shown) return;
    this.shown = key;
    setText(this.summary, t("series.number", { number: session.seriesNumber }));
    this.#read();
  }

  async #read() {
    const own = /** @type {Session} */ (this.client.session);
    const { dates } = await this.client.series().catch(() => ({ dates: null }));
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
  }
}

customElements.define("podium-series", PodiumSeries);
