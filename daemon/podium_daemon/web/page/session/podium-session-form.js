// @ts-check
// The form of a session: to schedule one, and to change one.

import { dropDrafts, keepDraft } from "../core/drafts.js";
import { aboutService, now } from "../core/api.js";
import { action, freshId, h, setText, show } from "../core/dom.js";
import { describe, t } from "../core/i18n.js";
import { pubkeysIn } from "../parts/people-field.js";
import { PodiumError } from "../signer/signer.js";
import { fromWallClock, inZone, isZone, ownZone, toWallClock } from "../core/times.js";

/** @import { Session, SessionFields, Trouble } from "../core/types.js" */

/** @typedef {(fields: any) => unknown} Submit */
/** @typedef {"title" | "summary" | "start" | "timezone" | "duration" | "maxParticipants"} Input */
/** @typedef {Record<Input, HTMLInputElement> & { description: HTMLTextAreaElement }} Fields */

const REPEATS = ["", "weekly", "2-weekly", "monthly"];
const MOST_TIMES = 52;
/** @type {("requiresRSVP" | "waitingRoom" | "allowRecording")[]} */
const SWITCHES = ["requiresRSVP", "waitingRoom", "allowRecording"];
const RECORDING = "publicRecording"; // `recordingAccess` as a switch
const GUESTS = ["off", "invited", "anyone"];
const UNSAID = "invited";
const SEALED = "sealedAttendance"; // `attendance` as a switch
const ONLY_NEW = ["private", "e2eeRequired"]; // a session stays what it was announced as
const DEFAULT_MINUTES = 60;

/** `<podium-session-form>`; `create(submit)` or `edit(session, submit, close)` fill it. */
export class PodiumSessionForm extends HTMLElement {
  /** @type {Fields} */ fields;
  /** @type {SessionFields} */ given;
  /** @type {string} */ shown;
  /** @type {boolean} */ isNew;
  /** @type {HTMLTextAreaElement} */ invited;
  /** @type {string[]} */ drafts;
  /** @type {HTMLSelectElement} */ repeat;
  /** @type {HTMLInputElement} */ times;
  /** @type {HTMLSelectElement} */ guests;
  /** @type {Record<string, HTMLInputElement>} */ switches;
  /** @type {HTMLParagraphElement} */ preview;
  /** @type {HTMLParagraphElement} */ reveals;
  /** @type {HTMLParagraphElement} */ failure;
  /** @type {HTMLFormElement} */ form;
  /** @type {HTMLDataListElement} */ zoneList;

  /**
   * `submit(fields)` gets every field.
   *
   * @param {Submit} submit
   */
  create(submit) {
    const tomorrow = Math.ceil(Date.now() / 1000 / 3600) * 3600 + 86400;
    const empty = { title: "", summary: "", description: "", maxParticipants: null };
    this.#build({ ...empty, scheduledAt: tomorrow, duration: DEFAULT_MINUTES, timezone: ownZone }, submit, null);
    const { [SEALED]: sealed } = this.switches;
    aboutService().then((service) => {
      sealed.checked ||= service.attendance === "private"; // its defaults
      if (!this.guests.dataset.chosen && this.guests.value === UNSAID) this.guests.value = service.guests;
      this.#follow();
    }, () => {});
  }

  /**
   * `submit(fields)` gets what was changed; `close()` is called instead when nothing is to be saved.
   *
   * @param {Session} session
   * @param {Submit} submit
   * @param {() => void} close
   */
  edit(session, submit, close) {
    const given = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (session));
    const changed = (/** @type {SessionFields} */ fields) => Object.fromEntries(Object.entries(fields).filter(([name, value]) => value !== given[name]));
    this.#build(session, async (/** @type {SessionFields} */ fields) => {
      const wish = changed(fields);
      return Object.keys(wish).some((name) => name !== "following") ? submit(wish) : close();
    }, close);
  }

  /** Whether a title was typed before this page was loaded. */
  get hasDraft() {
    return this.fields.title.value !== this.given.title;
  }

  focusFirst() {
    this.querySelector("input")?.focus();
  }

  /**
   * @param {SessionFields} session
   * @param {Submit} submit
   * @param {(() => void) | null} close
   */
  #build(session, submit, close) {
    const zone = session.timezone && isZone(session.timezone) ? session.timezone : "UTC";
    this.fields = {
      title: h("input", { required: true, maxlength: "200", autocomplete: "off", value: session.title }),
      summary: h("input", { maxlength: "500", autocomplete: "off", value: session.summary }),
      description: h("textarea", { rows: "5", value: session.description }),
      start: h("input", { type: "datetime-local", required: true, value: toWallClock(session.scheduledAt, zone) }),
      timezone: h("input", { required: true, autocomplete: "off", list: this.#zones(), value: zone }),
      duration: h("input", { type: "number", min: "1", max: "1440", required: true, value: String(session.duration) }),
      maxParticipants: h("input", { type: "number", min: "1", value: session.maxParticipants === null ? "" : String(session.maxParticipants) }),
    };
    this.given = session;
    this.shown = this.#typed();
    this.isNew = close === null;
    this.invited = h("textarea", { rows: "3", autocomplete: "off", spellcheck: "false" });
    this.guests = this.#choice(session.guests ?? UNSAID);
    const series = this.#repeats();
    const inSeries = !this.isNew && Boolean(/** @type {{ series?: unknown }} */ (session).series);
    const names = [...SWITCHES, RECORDING, SEALED, ...(this.isNew ? ONLY_NEW : []), ...(inSeries ? ["following"] : [])];
    /** @type {Record<string, unknown>} */
    const given = { ...session, [RECORDING]: session.recordingAccess === "public", [SEALED]: session.attendance === "private" };
    this.switches = Object.fromEntries(names.map((name) => [name, h("input", { type: "checkbox", checked: Boolean(given[name]) })]));
    this.preview = h("p", { class: "hint", role: "status" });
    this.reveals = h("p", { class: "hint", role: "status" });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    const typed = { ...this.fields, ...this.switches, guests: this.guests, ...(this.isNew ? { invited: this.invited, repeat: this.repeat, times: this.times } : {}) };
    this.drafts = Object.entries(typed).map(([name, field]) => {
      keepDraft(`${this.isNew ? "new" : "edit"} ${name}`, field);
      return `${this.isNew ? "new" : "edit"} ${name}`;
    });
    const sent = async (/** @type {SessionFields} */ wish) => {
      if ((await submit(wish)) !== false) this.dropDraft();
    };
    const leave = close && (() => {
      this.dropDraft();
      close();
    });
    const save = action(t(close ? "form.save" : "form.create"), () => this.#submit(sent), (error) => this.#failed(error), { class: "primary" });
    const back = leave ? h("button", { type: "button", on: { click: leave } }, t("form.back")) : null;
    const rows = Object.entries(this.fields).map(([name, field]) => labelled(name, field));
    const switches = Object.entries(this.switches).map(([name, box]) => h("label", { class: "switch" }, box, t(`form.${name}`)));
    const guests = this.isNew ? labelled("invited", this.invited) : null;
    const form = h("form", { on: { input: () => this.#follow(), submit: (event) => {
      event.preventDefault();
      save.click();
    } } }, ...rows, this.preview, ...series, ...switches, labelled("guests", this.guests), guests, this.reveals, this.failure, h("div", { class: "buttons" }, save, back));
    this.form = form;
    this.replaceChildren(form, this.zoneList);
    this.#follow();
  }

  #repeats() {
    this.repeat = h("select", {}, ...REPEATS.map((value) => h("option", { value }, t(`form.repeat.${value || "none"}`))));
    this.times = h("input", { type: "number", min: "2", max: String(MOST_TIMES), value: "12" });
    return this.isNew ? [labelled("repeat", this.repeat), labelled("times", this.times)] : [];
  }

  /** What was typed is published, or is not wanted any more. */
  dropDraft() {
    dropDrafts(...this.drafts);
  }

  #follow() {
    this.#showTimes();
    const encrypted = Boolean(this.switches.e2eeRequired?.checked);
    if (this.isNew && encrypted) this.switches.private.checked = true; // and is not recorded: the recorder would hold the key
    if (encrypted) this.switches.allowRecording.checked = false;
    const isPrivate = this.isNew ? this.switches.private.checked : this.given.visibility === "private";
    const publicRecording = this.switches[RECORDING];
    publicRecording.disabled = isPrivate || !this.switches.allowRecording.checked;
    if (isPrivate) publicRecording.checked = false;
    const isEncrypted = encrypted || Boolean(this.given.e2eeRequired);
    this.guests.disabled = isEncrypted; // the service has guests' keys, and must not have those of the room
    this.guests.options[2].disabled = isPrivate;
    if (isPrivate && this.guests.value === "anyone") this.guests.value = "invited";
    const sealed = this.switches[SEALED];
    sealed.disabled = isPrivate || this.given.attendance === "private"; // what was to be sealed is never published
    if (sealed.disabled) sealed.checked = true;
    if (this.isNew) show(/** @type {HTMLElement} */ (this.times.parentElement), this.repeat.value !== "");
    this.times.required = this.repeat.value !== "";
    setText(this.reveals, t(isPrivate ? "form.private-reveals" : "form.public"));
  }

  /**
   * Who may come without a signer.
   *
   * @param {string} chosen
   */
  #choice(chosen) {
    const select = h("select", { on: { change: () => { select.dataset.chosen = "yes"; } } },
      ...GUESTS.map((value) => h("option", { value }, t(`form.guests.${value}`))));
    select.value = chosen;
    return select;
  }

  /** Those who are invited, by their public keys. */
  #guests() {
    return pubkeysIn(this.invited.value);
  }

  #zones() {
    const names = Intl.supportedValuesOf?.("timeZone") ?? [ownZone];
    this.zoneList = h("datalist", { id: freshId("zones") }, ...["UTC", ...names].map((value) => h("option", { value })));
    return this.zoneList.id;
  }

  #typed() {
    return `${this.fields.start.value} ${this.fields.timezone.value.trim()}`;
  }

  #start() {
    const zone = this.fields.timezone.value.trim();
    if (this.#typed() === this.shown) return this.given.scheduledAt; // with its seconds, which no field shows
    return isZone(zone) ? fromWallClock(this.fields.start.value.slice(0, 16), zone) : null;
  }

  /**
   * Whether nobody could come any more; a session that runs keeps its beginning.
   *
   * @param {number} at
   */
  #isPast(at) {
    return at !== this.given.scheduledAt && at <= now();
  }

  #showTimes() {
    const zone = this.fields.timezone.value.trim();
    const at = this.#start();
    if (!isZone(zone)) setText(this.preview, t("form.bad-zone"));
    else if (at === null) setText(this.preview, t("form.bad-time"));
    else if (this.#isPast(at)) setText(this.preview, t("form.past"));
    else setText(this.preview, t("form.preview", { time: inZone(at, ownZone) }));
  }

  /** @param {Submit} submit */
  async #submit(submit) {
    show(this.failure, false);
    if (!this.form.reportValidity()) return;
    const at = this.#start();
    if (at === null) throw new PodiumError("bad-start", t("form.bad-time"));
    if (this.#isPast(at)) throw new PodiumError("bad-start", t("form.past"));
    const { title, summary, description, timezone, duration, maxParticipants } = this.fields;
    /** @type {SessionFields} */
    const fields = {
      title: title.value.trim(),
      summary: summary.value.trim(),
      description: description.value.trim(),
      scheduledAt: at,
      duration: Number(duration.value),
      timezone: timezone.value.trim(),
      maxParticipants: maxParticipants.value ? Number(maxParticipants.value) : null,
    };
    for (const name of SWITCHES) fields[name] = this.switches[name].checked;
    fields.recordingAccess = this.switches[RECORDING].checked ? "public" : "participants";
    fields.attendance = this.switches[SEALED].checked ? "private" : "public";
    if (!this.guests.disabled) fields.guests = this.guests.value;
    if (this.isNew) {
      fields.visibility = this.switches.private.checked ? "private" : "public";
      fields.e2eeRequired = this.switches.e2eeRequired.checked;
      fields.invited = this.#guests();
      if (this.repeat.value) Object.assign(fields, { repeat: this.repeat.value, times: Number(this.times.value) });
    }
    if (this.switches.following?.checked) fields.following = true;
    await submit(fields);
  }

  /** @param {Trouble} error */
  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }
}

/**
 * @param {string} name
 * @param {HTMLElement} field
 */
function labelled(name, field) {
  field.id = freshId(name);
  const hint = ["maxParticipants", "timezone", "invited", "guests", "repeat"].includes(name) ? h("span", { class: "hint" }, ` ${t(`form.${name}.hint`)}`) : null;
  return h("div", { class: "field" }, h("label", { for: field.id }, t(`form.${name}`), hint), field);
}

customElements.define("podium-session-form", PodiumSessionForm);
