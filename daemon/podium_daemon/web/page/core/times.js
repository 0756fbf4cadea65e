// @ts-check
// Times as people read them, and what people type as a time. Unix seconds everywhere else.

import { locale, t } from "./i18n.js";

export const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/**
 * Whether this browser knows the time zone.
 *
 * @param {string} name
 */
export function isZone(name) {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: name }));
  } catch {
    return false;
  }
}

/**
 * Weekday, date, time and zone.
 *
 * @param {number} at
 * @param {string} zone
 * @param {{ withDate?: boolean }} [parts]
 */
export function inZone(at, zone, { withDate = true } = {}) {
  /** @type {Intl.DateTimeFormatOptions} */
  const date = withDate ? { weekday: "long", year: "numeric", month: "long", day: "numeric" } : {};
  /** @type {Intl.DateTimeFormatOptions} */
  const format = { ...date, hour: "2-digit", minute: "2-digit", timeZoneName: "short", timeZone: zone };
  return new Intl.DateTimeFormat(locale, format).format(new Date(at * 1000));
}

/**
 * A beginning and an end: weekday, date, both times and the zone; the date once where it is the same.
 *
 * @param {number} from
 * @param {number} to
 * @param {string} zone
 * @param {{ withDate?: boolean }} [parts] without: the dates only where these differ
 */
export function fromTo(from, to, zone, { withDate = true } = {}) {
  /** @type {Intl.DateTimeFormatOptions} */
  const date = withDate ? { weekday: "long", year: "numeric", month: "long", day: "numeric" } : {};
  /** @type {Intl.DateTimeFormatOptions} */
  const format = { ...date, hour: "2-digit", minute: "2-digit", timeZoneName: "short", timeZone: zone };
  return new Intl.DateTimeFormat(locale, format).formatRange(new Date(from * 1000), new Date(to * 1000));
}

/**
 * Hours, minutes and seconds: 1:02:03.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const texts = parts.map((part, index) => (index ? String(part).padStart(2, "0") : String(part)));
  return parts[0] ? texts.join(":") : `${parts[1]}:${texts[2]}`;
}

/**
 * The time until something, as a person would say it.
 *
 * @param {number} seconds
 */
export function until(seconds) {
  if (seconds >= 172800) return t("countdown.days", { days: Math.floor(seconds / 86400), hours: Math.floor(seconds / 3600) % 24 });
  return clock(seconds);
}

/**
 * `2026-12-01T18:00` on a wall clock in `zone` as Unix seconds; null if it is no such time there.
 *
 * @param {string} text
 * @param {string} zone
 */
export function fromWallClock(text, zone) {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)$/.exec(text);
  if (!match) return null;
  const wall = Date.UTC(+match[1], +match[2] - 1, +match[3], +match[4], +match[5]);
  // the zone's offset at the time we look for is not known yet: try the offsets of the days around it
  for (const near of [wall - 86400000, wall + 86400000]) {
    const guess = wall - offset(near, zone);
    if (guess + offset(guess, zone) === wall) return guess / 1000;
  }
  return null; // the clocks skip this hour
}

/**
 * Unix seconds as `2026-12-01T18:00` on a wall clock in `zone`.
 *
 * @param {number} at
 * @param {string} zone
 */
export function toWallClock(at, zone) {
  return new Date(at * 1000 + offset(at * 1000, zone)).toISOString().slice(0, 16);
}

/**
 * @param {number} milliseconds
 * @param {string} zone
 */
function offset(milliseconds, zone) {
  const whole = Math.floor(milliseconds / 1000) * 1000;
  const names = ["year", "month", "day", "hour", "minute", "second"];
  /** @type {Intl.DateTimeFormatOptions} */
  const format = { timeZone: zone, hourCycle: "h23", ...Object.fromEntries(names.map((name) => [name, "numeric"])) };
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en", format).formatToParts(new Date(whole)).map((part) => [part.type, +part.value]),
  );
  return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second) - whole;
}
