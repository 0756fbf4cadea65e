// @ts-check
// What is typed where people are named by their public keys.

import { t } from "../core/i18n.js";
import { pubkeyOf } from "../core/npub.js";
import { PodiumError } from "../signer/signer.js";

/**
 * The public keys in a text, each once; throws a PodiumError for anything else, for a secret key with a warning.
 *
 * @param {string} text
 */
export function pubkeysIn(text) {
  const words = text.split(/[\s,]+/).filter(Boolean);
  if (words.some((word) => /^(nostr:)?n(sec|cryptsec)1/i.test(word))) throw new PodiumError("bad-guest", t("form.secret"));
  const wrong = words.find((word) => pubkeyOf(word) === null);
  if (wrong !== undefined) throw new PodiumError("bad-guest", t("form.bad-guest", { text: wrong.slice(0, 80) }));
  return [...new Set(words.flatMap((word) => pubkeyOf(word) ?? []))];
}
