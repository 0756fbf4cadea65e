// Which microphone and camera a person chose, kept for this tab, and what to say when one does not work. No DOM in here.

import { t } from "../core/i18n.js";

const KEY = "podium.chosen.";
const chosen = new Map(); // where a browser forbids storage: until the page is loaded again

/** The id of the device that was chosen for "audio" or "video", or null: as the browser chooses. */
export function chosenDevice(kind) {
  try {
    return sessionStorage.getItem(KEY + kind) || null;
  } catch {
    return chosen.get(kind) ?? null;
  }
}

/** Remember a choice; null forgets it. */
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
 */
export async function openDevice(kind, wish) {
  const id = chosenDevice(kind);
  try {
    return await asked(kind, id ? { ...wish, deviceId: { exact: id } } : wish);
  } catch (error) {
    if (!id || !["OverconstrainedError", "NotFoundError"].includes(error.name)) throw error;
    chooseDevice(kind, null);
    return asked(kind, wish);
  }
}

async function asked(kind, wish) {
  const [track] = (await navigator.mediaDevices.getUserMedia({ [kind]: wish })).getTracks();
  return track;
}

const WHY = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};

/** A sentence about a microphone, camera or screen that could not be switched on. */
export function deviceTrouble(kind, error) {
  return t(`room.failed.${WHY[error.name] ?? "other"}`, { what: t(`room.${kind}`), why: error.message });
}
