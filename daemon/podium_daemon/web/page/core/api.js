// @ts-check
// Calls to the daemon. One signature signs in; from then on calls carry the token that it was answered with.

import { PodiumError, login, pubkey, sign } from "../signer/signer.js";
import { forgetLogin, keepLogin, keptLogin } from "./login.js";

/** @import { Draft, Login, Service, Trouble } from "./types.js" */

const PATIENCE = 30000; // milliseconds until a call's answer begins: a browser whose connections are all in use says nothing

let skew = 0;
/** @type {Promise<Service> | null} */
let service = null;
/** @type {Promise<Login> | null} */
let signingIn = null;

/** The daemon's time, Unix seconds: logins with a wrong clock are refused, and a countdown would lie. */
export function now() {
  return Math.floor(exactNow());
}

/** The same with fractions. */
export function exactNow() {
  return Date.now() / 1000 + skew;
}

/**
 * What the service says of itself, asked once.
 *
 * @returns {Promise<Service>}
 */
export function aboutService() {
  service ??= plain("GET", "/api/service");
  return service;
}

/**
 * A call that anybody may make.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export function plain(method, path, body) {
  return call(method, path, body, {});
}

/**
 * A read that anybody may make, unless the version one has is the newest: then null.
 *
 * @param {string | null | undefined} etag
 * @param {string} path
 */
export async function newerThan(etag, path) {
  const answer = await request(path, { headers: etag ? { "If-None-Match": etag } : {} });
  if (answer.status === 304) return null;
  if (!answer.ok) throw await refusal(answer);
  return { body: await answer.json(), etag: answer.headers.get("etag") };
}

/**
 * A call of the person, who signs in first where they have not: one signature.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function signed(method, path, body) {
  return (await withLogin(method, path, body)).json();
}

/**
 * A call of the person if they are signed in, else of anybody: no signature.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function known(method, path, body) {
  return keptLogin() === null ? plain(method, path, body) : signed(method, path, body);
}

/**
 * A call of the person whose answer is a file: its text and its name.
 *
 * @param {string} path
 */
export async function file(path) {
  const answer = await withLogin("GET", path);
  const name = /filename="([A-Za-z0-9._-]+)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1];
  return { text: await answer.text(), name: name ?? "podium.csv" };
}

/** The login that is kept, else a new one: one signature. */
export async function signIn() {
  const kept = keptLogin();
  if (kept !== null) return kept;
  signingIn ??= askToSignIn().finally(() => {
    signingIn = null;
  });
  return signingIn;
}

/**
 * Sign out here, or everywhere. What the daemon cannot be told is forgotten here all the same.
 *
 * @param {boolean} everywhere
 */
export async function signOut(everywhere) {
  const kept = keptLogin();
  if (kept === null) return;
  if (!everywhere) forgetLogin(kept.token); // first: another tab of this browser would still call with what has ended
  try {
    await call("POST", "/api/login/end", { everywhere }, bearer(kept));
  } catch (error) {
    if (everywhere && /** @type {Trouble} */ (error).slug !== "login") throw error; // other browsers are still signed in
  }
  forgetLogin(kept.token);
}

/** @returns {Promise<Login>} */
async function askToSignIn() {
  const { publicUrl } = await aboutService();
  const path = "/api/login";
  await pubkey();
  const header = await login(publicUrl.replace(/\/$/, "") + path, "POST", "", now());
  const made = await withHeader("POST", path, header);
  keepLogin(made);
  return made;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function withLogin(method, path, body) {
  const kept = await signIn();
  try {
    return await send(method, path, body, bearer(kept));
  } catch (error) {
    if (/** @type {Trouble} */ (error).slug !== "login") throw error;
    forgetLogin(kept.token); // it has ended, or was signed out elsewhere
    if (kept.assurance) throw new PodiumError("guest-ended"); // a guest has no key to sign in with again
    return send(method, path, body, bearer(await signIn()));
  }
}

/** @param {Login} how */
function bearer({ token }) {
  return { Authorization: `Bearer ${token}` };
}

/**
 * A call with a header of one's own.
 *
 * @param {string} method
 * @param {string} path
 * @param {string} header
 * @returns {Promise<any>}
 */
export function withHeader(method, path, header) {
  return call(method, path, undefined, { Authorization: header });
}

/**
 * Sign the events of a draft in their order and hand each in at once, a deletion with the revision before it. They are their
 * own proof: there is no login around them. What was taken leaves the draft, so a call that failed can be made again.
 *
 * @param {Draft} draft
 * @param {() => void} [taken] called after each
 */
export async function signAndSubmit(draft, taken = () => {}) {
  while (draft.events.length > 0) {
    const length = draft.events[1]?.kind === 5 ? 2 : 1;
    const events = [];
    for (const { kind, created_at, tags, content } of draft.events.slice(0, length)) {
      events.push(await sign({ kind, created_at, tags, content }));
    }
    await known("POST", "/api/events", { events });
    draft.events = draft.events.slice(length);
    taken();
  }
}

/** @param {unknown} body */
function encoded(body) {
  return body === undefined ? "" : JSON.stringify(body);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @param {Record<string, string>} headers
 */
async function call(method, path, body, headers) {
  return (await send(method, path, body, headers)).json();
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @param {Record<string, string>} headers
 */
async function send(method, path, body, headers) {
  const answer = await request(path, {
    method,
    headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
    body: body === undefined ? undefined : encoded(body),
  });
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/**
 * `fetch` that keeps the daemon's clock. A lost network is `offline`; so is a call that gets no answer for long, unless it can be
 * ended by a `signal` of its own.
 *
 * @param {string} path
 * @param {RequestInit} [options]
 */
export async function request(path, options) {
  const began = Date.now() / 1000;
  const patience = new AbortController();
  const timer = options?.signal ? undefined : setTimeout(() => patience.abort(), PATIENCE);
  // the page's own language, which the browser's need not be: people are written to in it
  const lang = globalThis.document?.documentElement.lang;
  const headers = { ...(lang ? { "Accept-Language": lang } : {}), ...options?.headers };
  let answer;
  try {
    const given = { ...options, headers, signal: options?.signal ?? patience.signal };
    answer = await fetch(path, { cache: "no-store", credentials: "omit", redirect: "error", ...given });
  } catch (error) {
    throw /** @type {Error} */ (error).name === "AbortError" && !patience.signal.aborted ? error : new PodiumError("offline");
  } finally {
    clearTimeout(timer);
  }
  const theirs = Date.parse(answer.headers.get("date") ?? "") / 1000;
  const ended = Date.now() / 1000;
  // the header has whole seconds, and an answer that was long under way says nothing of the clock
  if (theirs < began - 2) skew = theirs - began;
  else skew = theirs > ended + 2 ? theirs - ended : 0;
  return answer;
}

/**
 * The problem document (RFC 9457) of an answer as an error.
 *
 * @param {Response} answer
 */
export async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problemOf({ status: answer.status, detail: answer.statusText, ...problem });
}

/**
 * @param {{ type?: string, status?: number, detail?: string, next?: string, values?: { [name: string]: number } }} problem
 */
export function problemOf(problem) {
  const slug = String(problem.type ?? "").replace("urn:podium:problem:", "") || `http-${problem.status}`;
  return new PodiumError(slug, problem.detail ?? "", problem.next ?? "", problem.values ?? {});
}
