// @ts-check
// Which microphone and camera a person chose, kept for this tab, and what to say when one does not work. No DOM in here.

import { t } from "../core/i18n.js";

/** @import { Kind, Trouble } from "../core/types.js" */

const KEY = "podium.chosen.";
/** @type {Map<string, string | null>} */
const chosen = new Map(); // where a browser forbids storage: until the page is loaded again

/**
 * The id of the device that was chosen for "audio" or "video", or null: as the browser chooses.
 *
 * @param {string} kind
 */
export function chosenDevice(kind) {
  try {
    return sessionStorage.getItem(KEY + kind) || null;
  } catch {
    return chosen.get(kind) ?? null;
  }
}

/**
 * Remember a choice; null forgets it.
 *
 * @param {string} kind
 * @param {string | null} id
 */
export function chooseDevice(kind, id) {
  chosen.set(kind, id);
  try {
    if (id) sessionStorage.setItem(KEY + kind, id);
    else sessionStorage.removeItem(KEY + kind);
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
  const id = chosenDevice(kind);
  try {
    return await asked(kind, id ? { ...wish, deviceId: { exact: id } } : wish);
  } catch (error) {
    if (!id || !["OverconstrainedError", "NotFoundError"].includes(/** @type {Trouble} */ (error).name)) throw error;
    chooseDevice(kind, null);
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
