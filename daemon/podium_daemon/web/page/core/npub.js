// @ts-check
// A public key as people see it (NIP-19, bech32 of BIP-173).

const LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const PREFIX = "npub";

/**
 * `npub1...` of 64 hex digits.
 *
 * @param {string} pubkey
 */
export function npubOf(pubkey) {
  const words = fives((pubkey.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16)));
  const prefix = [...PREFIX].map((letter) => letter.charCodeAt(0));
  const whole = [...prefix.map((code) => code >> 5), 0, ...prefix.map((code) => code & 31), ...words];
  const sum = checksum([...whole, 0, 0, 0, 0, 0, 0]) ^ 1;
  const last = [5, 4, 3, 2, 1, 0].map((place) => (sum >> (5 * place)) & 31);
  return `${PREFIX}1${[...words, ...last].map((word) => LETTERS[word]).join("")}`;
}

/**
 * The 64 hex digits of `npub1...`, or of hex itself; null for anything else, a secret key above all.
 *
 * @param {string} text
 */
export function pubkeyOf(text) {
  const given = text.trim().replace(/^nostr:/, "").toLowerCase();
  if (/^[0-9a-f]{64}$/.test(given)) return given;
  const [, letters] = /^npub1([02-9ac-hj-np-z]{58})$/.exec(given) ?? ["", ""];
  const bits = [...letters.slice(0, 52)].flatMap((letter) => [4, 3, 2, 1, 0].map((place) => (LETTERS.indexOf(letter) >> place) & 1));
  const bytes = Array.from({ length: 32 }, (_, at) => Number.parseInt(bits.slice(at * 8, at * 8 + 8).join("") || "0", 2));
  const pubkey = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return letters && npubOf(pubkey) === given ? pubkey : null; // written again it must be the same, checksum and all
}

/** @param {number[]} bytes */
function fives(bytes) {
  const bits = bytes.flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((place) => (byte >> place) & 1));
  while (bits.length % 5 !== 0) bits.push(0);
  return Array.from({ length: bits.length / 5 }, (_, at) => Number.parseInt(bits.slice(at * 5, at * 5 + 5).join(""), 2));
}

/** @param {number[]} words */
function checksum(words) {
  let sum = 1;
  for (const word of words) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ word;
    GENERATOR.forEach((value, place) => {
      if ((top >> place) & 1) sum ^= value;
    });
  }
  return sum >>> 0;
}
