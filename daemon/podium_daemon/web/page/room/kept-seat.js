// @ts-check
// What a tab needs to take its seat again after it was loaded anew: the way back, and the certificate that its join proof names.

const DEVICE_KEY = "podium.device";
const CERTIFICATES = "certificates";
const LASTS = 110000; // milliseconds; the daemon keeps a way back for two minutes

/** @typedef {{ url: string, secret: string, at: number }} KeptSeat */

/**
 * Remember the seat of this tab, or (null) that there is none.
 *
 * @param {string} reference
 * @param {{ url: string, secret: string } | null} seat
 */
export function keepSeat(reference, seat) {
  try {
    if (seat === null) sessionStorage.removeItem(keyOf(reference));
    else sessionStorage.setItem(keyOf(reference), JSON.stringify({ ...seat, at: Date.now() }));
  } catch {
    // nothing is kept: after loading again one joins again
  }
}

/**
 * The seat that this tab had a moment ago; each way back is good once.
 *
 * @param {string} reference
 * @returns {KeptSeat | null}
 */
export function takeSeat(reference) {
  try {
    const found = JSON.parse(sessionStorage.getItem(keyOf(reference)) ?? "null");
    sessionStorage.removeItem(keyOf(reference));
    const isSound = typeof found?.url === "string" && /^[\w-]{43}$/.test(found.secret);
    return isSound && Date.now() - found.at < LASTS ? found : null;
  } catch {
    return null;
  }
}

/** This tab's name as a device: a page that is loaded again takes the same place. Some browsers forbid it to be kept. */
export function tabDevice() {
  try {
    const name = sessionStorage.getItem(DEVICE_KEY) ?? crypto.randomUUID();
    sessionStorage.setItem(DEVICE_KEY, name);
    return name;
  } catch {
    return crypto.randomUUID();
  }
}

/**
 * @param {string} device
 * @param {RTCCertificate} certificate
 */
export async function keepCertificate(device, certificate) {
  await inStore("readwrite", (store) => store.put(certificate, device)).catch(() => {});
}

/**
 * @param {string} device
 * @returns {Promise<RTCCertificate | null>}
 */
export async function keptCertificate(device) {
  const found = await inStore("readonly", (store) => store.get(device)).catch(() => null);
  return found instanceof RTCCertificate && found.expires > Date.now() ? found : null;
}

/**
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest} ask
 * @returns {Promise<unknown>}
 */
async function inStore(mode, ask) {
  const opening = indexedDB.open("podium", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(CERTIFICATES);
  const database = /** @type {IDBDatabase} */ (await answered(opening));
  try {
    return await answered(ask(database.transaction(CERTIFICATES, mode).objectStore(CERTIFICATES)));
  } finally {
    database.close();
  }
}

/**
 * @param {IDBRequest} request
 * @returns {Promise<unknown>}
 */
function answered(request) {
  return new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}

/** @param {string} reference */
function keyOf(reference) {
  return `podium.seat.${reference}`;
}
