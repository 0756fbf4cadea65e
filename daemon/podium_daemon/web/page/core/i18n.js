// @ts-check
// The page's words: a small JSON catalogue for each language, English where a word is missing.

/** @import { Trouble } from "./types.js" */

/** @type {{ [tag: string]: string }} */
const LANGUAGES = { en: "English", de: "Deutsch" };
const KEY = "podium.language";

function chosen() {
  /** @type {string | null} */
  let kept = null;
  try {
    kept = localStorage.getItem(KEY);
  } catch {
    // storage is switched off: the browser's languages decide
  }
  const wanted = [kept ?? "", ...navigator.languages].filter(Boolean).map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in LANGUAGES) ?? "en";
}

/**
 * @param {string} name
 * @returns {Promise<{ [key: string]: string }>}
 */
async function read(name) {
  const answer = await fetch(new URL(`../${name}.json`, import.meta.url));
  return answer.ok ? answer.json() : {};
}

/** The language of the page, a BCP 47 tag. */
export const language = chosen();
const english = await read("en");
const catalogue = language === "en" ? english : { ...english, ...(await read(language)) };
/** The same language as the browser has it: en-GB counts 24 hours, en-US twice 12. */
export const locale = navigator.languages.find((tag) => tag.slice(0, 2).toLowerCase() === language) ?? language;
const plurals = new Intl.PluralRules(language);
document.documentElement.lang = language;

/**
 * The text of `key`, with {names} filled in; `count` picks the plural form.
 *
 * @param {string} key
 * @param {{ [name: string]: unknown, count?: number }} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const form = values.count !== undefined ? `${key}.${plurals.select(values.count)}` : key;
  const text = catalogue[form] ?? catalogue[`${key}.other`] ?? catalogue[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/**
 * Whether there is a text of this key.
 *
 * @param {string} key
 */
export function has(key) {
  return Object.hasOwn(catalogue, key);
}

/**
 * What to say about an error: our words where we have them, else the daemon's.
 *
 * @param {Trouble} error
 * @returns {string}
 */
export function describe(error) {
  const key = `problem.${error?.slug}`;
  if (has(key)) return t(key, { detail: error.detail ?? "", next: error.next ?? "", ...error.values }).trim();
  const detail = error?.detail ?? error?.message ?? String(error);
  return error?.next ? `${detail} ${error.next}` : detail;
}

/**
 * Keep another language and load the page again.
 *
 * @param {string} tag
 */
export function choose(tag) {
  try {
    localStorage.setItem(KEY, tag);
  } catch {
    return;
  }
  location.reload();
}

export const languages = LANGUAGES;
