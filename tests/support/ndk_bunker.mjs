// A NIP-46 signer by @nostr-dev-kit/ndk. Arguments: the folder with node_modules, a relay URL, a token.
// Prints one line of JSON with the signer's key once it listens, then one for each request that it permits. A line on its
// standard input is a nostrconnect:// URI that its person scanned. It serves until its standard input ends.
import { createRequire } from "node:module";

const [folder, relay, token] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
globalThis.WebSocket ??= require("ws");
const { default: NDK, NDKNip46Backend, NDKPrivateKeySigner } = require("@nostr-dev-kit/ndk");

const ndk = new NDK({ explicitRelayUrls: [relay], enableOutboxModel: false }); // no relays of its own choice
const key = NDKPrivateKeySigner.generate();
const paired = new Set();

class Bunker extends NDKNip46Backend {
  async applyToken(pubkey, given) {
    if (given !== token) throw new Error("unknown token");
    paired.add(pubkey);
  }
}

const bunker = new Bunker(ndk, key, async ({ pubkey, method }) => {
  console.log(JSON.stringify({ method }));
  return paired.has(pubkey);
});
await ndk.connect(5000);
await bunker.start();
await new Promise((resolve) => setTimeout(resolve, 300)); // NDK does not say when its subscription stands
console.log(JSON.stringify({ pubkey: (await key.user()).pubkey }));

async function scan(uri) {
  const url = new URL(uri);
  paired.add(url.host);
  await bunker.rpc.sendResponse(crypto.randomUUID(), url.host, url.searchParams.get("secret"));
}

let text = "";
process.stdin.on("end", () => process.exit(0));
process.stdin.on("data", (chunk) => {
  const lines = (text += chunk).split("\n");
  text = lines.pop();
  lines.forEach(scan);
});
