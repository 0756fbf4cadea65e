// @ts-check
// Which microphone, camera and speaker a person chose and what they want switched on, kept in this browser, and what to say
// when one does not work. No DOM in here.

import { t } from "../core/i18n.js";

/** @import { DeviceKind, Kind, Trouble } from "../core/types.js" */

const KEY = "podium.chosen.";
const WANTED = "podium.wanted.";
/** @type {Map<string, string | null>} */
const kept = new Map(); // where a browser forbids storage: until the page is loaded again

/** Whether sound can be sent to a speaker of one's choice. */
export const canChooseSpeaker = "setSinkId" in (globalThis.HTMLMediaElement?.prototype ?? {});

/**
 * The id of the device that was chosen, or null: as the browser chooses.
 *
 * @param {DeviceKind} kind
 */
export function chosenDevice(kind) {
  return read(KEY + kind);
}

/**
 * Remember a choice; null forgets it.
 *
 * @param {DeviceKind} kind
 * @param {string | null} id
 */
export function chooseDevice(kind, id) {
  write(KEY + kind, id);
}

/**
 * Whether the person wants this switched on as soon as they enter.
 *
 * @param {Kind} kind
 */
export function isWanted(kind) {
  return read(WANTED + kind) === "on";
}

/**
 * @param {Kind} kind
 * @param {boolean} on
 */
export function want(kind, on) {
  write(WANTED + kind, on ? "on" : null);
}

/** @param {string} key */
function read(key) {
  try {
    return localStorage.getItem(key) || null;
  } catch {
    return kept.get(key) ?? null;
  }
}

/**
 * @param {string} key
 * @param {string | null} value
 */
function write(key, value) {
  kept.set(key, value);
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // the map has it
  }
}

/**
 * The track of the chosen microphone or camera. One that is not there any more is forgotten, and another one taken.
 * What it throws says what went wrong.
 *
 * @param {Kind} kind
 * @param {MediaTrackConstraints} wish
 */
export async function openDevice(kind, wish) {
  const id = kind === "screen" ? null : chosenDevice(kind);
  try {
    return await asked(kind, id ? { ...wish, deviceId: { exact: id } } : wish);
  } catch (error) {
    if (!id || !["OverconstrainedError", "NotFoundError"].includes(/** @type {Trouble} */ (error).name)) throw error;
    write(KEY + kind, null);
    return asked(kind, wish);
  }
}

/**
 * @param {Kind} kind
 * @param {MediaTrackConstraints} wish
 */
async function asked(kind, wish) {
  const [track] = (await navigator.mediaDevices.getUserMedia({ [kind]: wish })).getTracks();
  return track;
}

/** @type {Record<string, string>} */
const WHY = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};

/**
 * A sentence about a microphone, camera or screen that could not be switched on.
 *
 * @param {Kind} kind
 * @param {Trouble} error
 */
export function deviceTrouble(kind, error) {
  return t(`room.failed.${WHY[error.name] ?? "other"}`, { what: t(`room.${kind}`), why: error.message });
}
