// The form of a session: to schedule one, and to change one.

import { action, freshId, h, setText, show } from "./dom.js";
import { describe, t } from "./i18n.js";
import { PodiumError } from "./signer.js";
import { fromWallClock, inZone, isZone, ownZone, toWallClock } from "./times.js";

const SWITCHES = ["requiresRSVP", "waitingRoom", "allowRecording"];
const DEFAULT_MINUTES = 60;

/** `<podium-session-form>`; `create(submit)` or `edit(session, submit, close)` fill it. */
export class PodiumSessionForm extends HTMLElement {
  /** `submit(fields)` gets every field. */
  create(submit) {
    const tomorrow = Math.ceil(Date.now() / 1000 / 3600) * 3600 + 86400;
    const empty = { title: "", summary: "", description: "", maxParticipants: null };
    this.#build({ ...empty, scheduledAt: tomorrow, duration: DEFAULT_MINUTES, timezone: ownZone }, submit, null);
  }

  /** `submit(fields)` gets what was changed; `close()` is called instead when nothing is to be saved. */
  edit(session, submit, close) {
    const changed = (fields) => Object.fromEntries(Object.entries(fields).filter(([name, value]) => value !== session[name]));
    this.#build(session, async (fields) => {
      const wish = changed(fields);
      return Object.keys(wish).length ? submit(wish) : close();
    }, close);
  }

  focusFirst() {
    this.querySelector("input")?.focus();
  }

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
    this.switches = Object.fromEntries(SWITCHES.map((name) => [name, h("input", { type: "checkbox", checked: Boolean(session[name]) })]));
    this.preview = h("p", { class: "hint", role: "status" });
    this.failure = h("p", { class: "failure", role: "alert", hidden: true });
    const save = action(t(close ? "form.save" : "form.create"), () => this.#submit(submit), (error) => this.#failed(error), { class: "primary" });
    const back = close ? h("button", { type: "button", on: { click: close } }, t("form.back")) : null;
    const rows = Object.entries(this.fields).map(([name, field]) => labelled(name, field));
    const switches = Object.entries(this.switches).map(([name, box]) => h("label", { class: "switch" }, box, t(`form.${name}`)));
    const form = h("form", { on: { input: () => this.#showTimes(), submit: (event) => {
      event.preventDefault();
      save.click();
    } } }, ...rows, this.preview, ...switches, h("p", { class: "hint" }, t("form.public")), this.failure, h("div", { class: "buttons" }, save, back));
    this.form = form;
    this.replaceChildren(form, this.zoneList);
    this.#showTimes();
  }

  #zones() {
    const names = Intl.supportedValuesOf?.("timeZone") ?? [ownZone];
    this.zoneList = h("datalist", { id: freshId("zones") }, ...["UTC", ...names].map((value) => h("option", { value })));
    return this.zoneList.id;
  }

  #start() {
    const zone = this.fields.timezone.value.trim();
    return isZone(zone) ? fromWallClock(this.fields.start.value.slice(0, 16), zone) : null;
  }

  #showTimes() {
    const zone = this.fields.timezone.value.trim();
    const at = this.#start();
    if (!isZone(zone)) setText(this.preview, t("form.bad-zone"));
    else if (at === null) setText(this.preview, t("form.bad-time"));
    else setText(this.preview, t("form.preview", { time: inZone(at, ownZone) }));
  }

  async #submit(submit) {
    show(this.failure, false);
    if (!this.form.reportValidity()) return;
    const at = this.#start();
    if (at === null) throw new PodiumError("bad-start", t("form.bad-time"));
    const { title, summary, description, timezone, duration, maxParticipants } = this.fields;
    const fields = {
      title: title.value.trim(),
      summary: summary.value.trim(),
      description: description.value.trim(),
      scheduledAt: at,
      duration: Number(duration.value),
      timezone: timezone.value.trim(),
      maxParticipants: maxParticipants.value ? Number(maxParticipants.value) : null,
    };
    for (const [name, box] of Object.entries(this.switches)) fields[name] = box.checked;
    await submit(fields);
  }

  #failed(error) {
    setText(this.failure, describe(error));
    show(this.failure, true);
  }
}

function labelled(name, field) {
  field.id = freshId(name);
  const hint = ["maxParticipants", "timezone"].includes(name) ? h("span", { class: "hint" }, ` ${t(`form.${name}.hint`)}`) : null;
  return h("div", { class: "field" }, h("label", { for: field.id }, t(`form.${name}`), hint), field);
}

customElements.define("podium-session-form", PodiumSessionForm);
