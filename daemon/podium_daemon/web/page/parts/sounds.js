// @ts-check
// Quiet sounds for what one may not be looking at; made here, and switched off for good where somebody wants that.

const KEY = "podium.sounds";
const LOUD = 0.05; // of 1: heard beside a voice, and no more
const LONG = 0.18; // seconds a note
/** @type {Record<string, number[]>} */
const NOTES = { people: [660, 880], questions: [880, 660], other: [740] }; // Hz, by the tab in which something came

/** @type {AudioContext | null} */
let context = null;
let isOff = read() === "off";

/** Whether sounds are on. */
export function soundsOn() {
  return !isOff;
}

/** @param {boolean} on */
export function switchSounds(on) {
  isOff = !on;
  try {
    localStorage.setItem(KEY, on ? "on" : "off");
  } catch {
    // until the page is loaded again
  }
}

/**
 * Two soft notes.
 *
 * @param {string} about the tab in which something came
 */
export function chime(about) {
  if (isOff || !("AudioContext" in globalThis)) return;
  context ??= new AudioContext();
  const { currentTime } = context;
  (NOTES[about] ?? NOTES.other).forEach((pitch, index) => note(/** @type {AudioContext} */ (context), pitch, currentTime + index * LONG));
}

/**
 * @param {AudioContext} sound
 * @param {number} pitch
 * @param {number} at
 */
function note(sound, pitch, at) {
  const tone = new OscillatorNode(sound, { frequency: pitch });
  const volume = new GainNode(sound, { gain: 0 });
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(LOUD, at + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.0001, at + LONG);
  tone.connect(volume).connect(sound.destination);
  tone.start(at);
  tone.stop(at + LONG);
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
