// @ts-check
// People without a picture: who they are in words, and initials on a colour that follows from their key.

import { h } from "../core/dom.js";

/** @import { SessionClient } from "../core/types.js" */

const COLOURS = 12; // as many classes `hue-…` as the style sheet has

/**
 * What a person is called on this page: the name that is known of them, else the short npub.
 *
 * @param {SessionClient} client
 * @param {string} pubkey
 */
export function nameOf(client, pubkey) {
  const { session, names, guest } = client;
  if (session?.instructorPubkey === pubkey) names.note(pubkey, session.instructorName);
  if (guest?.pubkey === pubkey) names.note(pubkey, guest.name ?? "");
  return names.of(pubkey);
}

/**
 * The first letters of the first and the last word; of a key its last two characters, since all begin alike.
 *
 * @param {string} name
 */
export function initialsOf(name) {
  if (name.startsWith("npub1")) return name.slice(-2).toUpperCase();
  const words = name.split(/[\s_.-]+/u).filter(Boolean);
  const letters = [words[0], words.length > 1 ? words[words.length - 1] : ""].map((word) => [...(word ?? "")][0] ?? "");
  return letters.join("").toUpperCase() || "?";
}

/**
 * @param {SessionClient} client
 * @param {string | null} pubkey
 */
export function avatar(client, pubkey) {
  const node = h("span", { class: "avatar", "aria-hidden": "true" });
  fillAvatar(node, client, pubkey);
  return node;
}

/**
 * @param {HTMLElement} node
 * @param {SessionClient} client
 * @param {string | null} pubkey
 */
export function fillAvatar(node, client, pubkey) {
  const text = pubkey === null ? "?" : initialsOf(nameOf(client, pubkey));
  const hue = pubkey === null ? 0 : Number.parseInt(pubkey.slice(0, 4), 16) % COLOURS;
  if (node.textContent === text && node.dataset.hue === String(hue)) return;
  node.textContent = text;
  node.dataset.hue = String(hue);
}
