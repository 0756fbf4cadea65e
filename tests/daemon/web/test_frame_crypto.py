"""Sealed media frames in a real browser: only the right secret of the right sender opens them, and each once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from podium_protocol.events import Pubkey
from podium_protocol.nips import nip44
from tests.support.browsers import chromium, visit
from tests.support.events import key_of
from tests.support.site import site
from tests.support.until import until

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

# connections inside one machine, by plain addresses, and sound without somebody's click
_FLAGS: Final = (
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
)
_ADA, _BEN = "aa" * 32, "bb" * 32

_SET_UP: Final = """async () => {
  const {RoomSecrets, FrameSealer, FrameOpener, CLEAR} = await import("/page/room/frame-crypto.js");
  const secrets = (...pairs) => {
    const room = new RoomSecrets();
    for (const [epoch, fill] of pairs) room.put(epoch, new Uint8Array(32).fill(fill));
    return room;
  };
  const frame = (length) => crypto.getRandomValues(new Uint8Array(length)).buffer;
  const same = (a, b) => a !== null && a.byteLength === b.byteLength
    && new Uint8Array(a).every((byte, at) => byte === new Uint8Array(b)[at]);
  Object.assign(window, {RoomSecrets, FrameSealer, FrameOpener, CLEAR, secrets, frame, same});
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page() -> AsyncIterator[Any]:
    """A page of the daemon, under its content policy, with the modules loaded."""
    async with site() as here, chromium(*_FLAGS) as browser:
        visitor = await visit(browser)
        opened = await visitor.open(f"{here.base}/")
        await opened.evaluate(_SET_UP)
        yield opened
        assert visitor.errors == []
        assert visitor.foreign(here.base) == []


@pytest.mark.parametrize("kind", ["key", "delta", "audio"])
@pytest.mark.parametrize("length", [1, 3, 10, 11, 1200, 60_000])
async def test_what_was_sealed_opens_again(page: Any, kind: str, length: int) -> None:
    """Frames of every kind and length come back as they were, and little of them is to be seen on the way."""
    told = await page.evaluate(
        """async ([kind, length, ada]) => {
          const clear = frame(length);
          const sealed = await new FrameSealer(secrets([4, 1]), ada).seal(clear, kind);
          const opened = await new FrameOpener(secrets([4, 1]), ada).open(sealed);
          const [a, b] = [new Uint8Array(clear), new Uint8Array(sealed)];
          let alike = 0;
          while (alike < a.length && a[alike] === b[alike]) alike += 1;
          return {opened: same(opened, clear), alike, head: Math.min(CLEAR[kind], length), more: b.length - a.length};
        }""",
        [kind, length, _ADA],
    )
    assert told["opened"]
    assert told["more"] == 32
    assert told["alike"] <= told["head"] + 2  # two bytes of cipher text may be equal by chance


async def test_no_secret_no_frame(page: Any) -> None:
    """Without a secret nothing goes out, least of all in the clear, and nothing opens."""
    told = await page.evaluate(
        """async (ada) => {
          const clear = frame(100);
          const unsent = await new FrameSealer(new RoomSecrets(), ada).seal(clear, "key");
          const sealed = await new FrameSealer(secrets([0, 1]), ada).seal(clear, "key");
          return [unsent, await new FrameOpener(new RoomSecrets(), ada).open(sealed)];
        }""",
        _ADA,
    )
    assert told == [None, None]


async def test_a_wrong_key_opens_nothing(page: Any) -> None:
    """Another secret, another epoch's secret, and another sender's key give nothing."""
    told = await page.evaluate(
        """async ([ada, ben]) => {
          const sealed = await new FrameSealer(secrets([3, 1]), ada).seal(frame(200), "delta");
          const openers = [[secrets([3, 2]), ada], [secrets([4, 1]), ada], [secrets([3, 1]), ben]];
          const opened = openers.map(([room, sender]) => new FrameOpener(room, sender).open(sealed));
          return Promise.all(opened);
        }""",
        [_ADA, _BEN],
    )
    assert told == [None, None, None]


async def test_every_changed_byte_is_noticed(page: Any) -> None:
    """Head, body, tag and trailer: a server that forwards a frame cannot change a byte of it, nor cut it."""
    told = await page.evaluate(
        """async (ada) => {
          const sealed = await new FrameSealer(secrets([3, 1]), ada).seal(frame(40), "key");
          const opener = new FrameOpener(secrets([3, 1]), ada);
          const opened = [];
          for (let at = 0; at < sealed.byteLength; at++) {
            const changed = sealed.slice(0);
            new Uint8Array(changed)[at] ^= 1;
            if (await opener.open(changed) !== null) opened.push(at);
            if (await opener.open(sealed.slice(0, at)) !== null) opened.push(-at);
          }
          return [opened, await opener.open(sealed) !== null];
        }""",
        _ADA,
    )
    assert told == [[], True]


async def test_a_frame_is_shown_once(page: Any) -> None:
    """A frame that is played again is dropped; frames that overtook each other are not, and old ones are."""
    told = await page.evaluate(
        """async (ada) => {
          const sealer = new FrameSealer(secrets([3, 1]), ada);
          const sealed = [];
          for (let n = 0; n < 1200; n++) sealed.push(await sealer.seal(frame(20), "audio"));
          const opener = new FrameOpener(secrets([3, 1]), ada);
          const order = [5, 5, 3, 4, 3, 1100, 5, 77, 77, 76, 1199, 1100, 150, 1198];
          const told = [];
          for (const n of order) told.push(await opener.open(sealed[n]) !== null);
          return told;
        }""",
        _ADA,
    )
    assert told == [True, False, True, True, False, True, False, True, False, False, True, False, False, True]


async def test_a_new_epoch_takes_over(page: Any) -> None:
    """After a new secret frames go out under it; the one before opens for a while; people who left open nothing."""
    told = await page.evaluate(
        """async (ada) => {
          const room = secrets([1, 1]);
          const [sealer, stays] = [new FrameSealer(room, ada), new FrameOpener(room, ada)];
          const left = new FrameOpener(secrets([1, 1]), ada);
          const late = await sealer.seal(frame(50), "key");
          const back = [[2, 2], [1, 9], [2, 0]].map(([epoch, fill]) => room.put(epoch, new Uint8Array(32).fill(fill)));
          const fresh = await sealer.seal(frame(50), "key");
          const opened = [await stays.open(fresh), await stays.open(late), await left.open(fresh)];
          const seen = opened.map((one) => one !== null);
          for (const epoch of [3, 4, 5]) room.put(epoch, new Uint8Array(32).fill(epoch));
          return [back, seen, await new FrameOpener(room, ada).open(late)];
        }""",
        _ADA,
    )
    assert told == [[True, False, False], [True, True, False], None]


_CALL: Final = """async ([sealWith, openWith]) => {
  const {frameWorker} = await import("/page/room/frame-keys.js");
  const canvas = Object.assign(document.createElement("canvas"), {width: 320, height: 240});
  const paint = canvas.getContext("2d");
  const painting = setInterval(() => {
    paint.fillStyle = `hsl(${performance.now() % 360} 90% 50%)`;
    paint.fillRect(0, 0, 320, 240);
  }, 40);
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const out = audio.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  const complete = async (peer) => {
    await peer.setLocalDescription();
    while (peer.iceGatheringState !== "complete") {
      await new Promise((done) => { peer.onicegatheringstatechange = done; });
    }
    return peer.localDescription;
  };
  const worker = (fill) => {
    const made = frameWorker();
    if (fill !== null) made.postMessage({type: "secret", epoch: 1, secret: new Uint8Array(32).fill(fill)});
    return made;
  };
  const [sealing, opening] = [worker(sealWith), openWith === "none" ? null : worker(openWith)];
  window.locked = 0;
  opening?.addEventListener("message", ({data}) => { if (data.type === "locked") window.locked += 1; });
  const tracks = [...canvas.captureStream(25).getTracks(), ...out.stream.getTracks()];
  for (const track of tracks) {
    const sender = from.addTrack(track);
    sender.transform = new RTCRtpScriptTransform(sealing, {direction: "send", sender: "aa", kind: track.kind});
  }
  to.ontrack = ({receiver, track}) => {
    const options = {direction: "receive", name: track.kind, kind: track.kind};
    opening?.postMessage({type: "from", name: track.kind, sender: "aa"});
    if (opening) receiver.transform = new RTCRtpScriptTransform(opening, options);
    const player = document.createElement(track.kind);
    player.srcObject = new MediaStream([track]);
    document.body.append(player);
    player.play().catch(() => {});
  };
  for (const line of from.getTransceivers()) {
    if (line.sender.track.kind !== "video") continue;
    const {codecs} = RTCRtpSender.getCapabilities("video");
    line.setCodecPreferences(codecs.filter((codec) => codec.mimeType === "video/VP8"));
  }
  await to.setRemoteDescription(await complete(from));
  await from.setRemoteDescription(await complete(to));
  window.call = {from, to, opening, end: () => { clearInterval(painting); from.close(); to.close(); audio.close(); }};
}"""
_STATS: Final = """async () => {
  const told = {received: 0, decoded: 0, energy: 0, encoded: 0, locked: window.locked};
  for (const one of (await call.to.getStats()).values()) {
    if (one.type !== "inbound-rtp") continue;
    told.received += one.packetsReceived;
    told.decoded += one.framesDecoded ?? 0;
    told.energy += one.totalAudioEnergy ?? 0;
  }
  for (const one of (await call.from.getStats()).values()) told.encoded += one.framesEncoded ?? 0;
  return told;
}"""


async def called(page: Any, seal: int | None, opened: int | str | None, wanted: Any) -> Any:
    """A call inside the page until `wanted` holds of what is counted."""
    await page.evaluate(_CALL, [seal, opened])
    try:

        async def counted() -> Any:
            told = await page.evaluate(_STATS)
            return told if wanted(told) else None

        return await until(counted, "the call")
    finally:
        await page.evaluate("call.end()")


async def test_the_right_key_shows_and_sounds(page: Any) -> None:
    """Through a real connection, frames that were sealed in a worker are decoded at the other end."""
    await called(page, 1, 1, lambda told: told["decoded"] > 10 and told["energy"] > 0)


@pytest.mark.parametrize("opened", [2, None, "none"])
async def test_a_wrong_or_missing_key_shows_nothing(page: Any, opened: int | str | None) -> None:
    """With another key, with none, and without decryption packets arrive; no picture and no sound comes of them."""
    told = await called(page, 1, opened, lambda told: told["received"] > 60)
    assert told["decoded"] == 0
    if opened != "none":
        assert told["energy"] == 0
        assert told["locked"] > 0


async def test_a_secret_that_comes_later_opens_the_picture(page: Any) -> None:
    """A person who gets the secret during the call asks for a key frame and sees."""
    await page.evaluate(_CALL, [1, None])
    try:

        async def locked() -> bool:
            told = await page.evaluate(_STATS)
            return bool(told["locked"] and told["decoded"] == 0 and told["received"] > 30)

        await until(locked, "packets arrive and open nothing")
        await page.evaluate("call.opening.postMessage({type: 'secret', epoch: 1, secret: new Uint8Array(32).fill(1)})")

        async def seen() -> bool:
            return bool((await page.evaluate(_STATS))["decoded"] > 10)

        await until(seen, "a picture")
    finally:
        await page.evaluate("call.end()")


async def test_without_a_secret_nothing_is_sent(page: Any) -> None:
    """A sender that has no secret yet encodes and sends no media; with one it would."""
    told = await called(page, None, 1, lambda told: told["encoded"] > 30)
    assert (told["received"], told["decoded"], told["energy"]) == (0, 0, 0)


_GIVE: Final = """async ([ada, ben, cem]) => {
  const {KeyGiver, readKey} = await import("/page/room/frame-keys.js");
  const nip44 = (own) => ({
    encrypt: (peer, text) => window.podiumEncrypt(own, peer, text),
    decrypt: (peer, text) => window.podiumDecrypt(own, peer, text),
  });
  const [sent, used] = [[], []];
  const use = (epoch, secret) => used.push([epoch, secret.join()]);
  const giver = new KeyGiver({room: "r", nip44: nip44(ada), send: (one) => sent.push(one), use, firstEpoch: 7});
  for (const people of [[ben], [ben, cem], [ben, cem], [cem]]) await giver.follow(people);
  const read = (own, one, more = {}) => readKey(
    {from: ada, ...one}, {room: "r", leaders: [ada], nip44: nip44(own), ...more});
  const told = [];
  for (const one of sent) told.push([one.to, ...(await read(one.to, one)).map((part) => part.join?.() ?? part)]);
  const first = sent[0];
  const flawed = [
    await read(cem, first),
    await read(ben, first, {room: "other"}),
    await read(ben, first, {leaders: [cem]}),
    await read(ben, {...first, from: cem}, {leaders: [ada, cem]}),
    await read(ben, {...first, ciphertext: first.ciphertext.slice(0, -8) + "AAAAAAA="}),
    await read(ben, {...first, ciphertext: null}),
  ];
  return {used, told, flawed};
}"""


async def test_secrets_go_to_those_who_are_there(page: Any) -> None:
    """Newcomers get the secret; when a person leaves, those who stay get a new one; nobody else can read it."""
    ada, ben, cem = (key_of(number) for number in (1, 2, 3))
    secrets = {key.pubkey: key for key in (ada, ben, cem)}

    def encrypt(own: str, peer: str, text: str) -> str:
        return nip44.encrypt(text, nip44.conversation_key(secrets[Pubkey(own)], Pubkey(peer)), os.urandom(32))

    def decrypt(own: str, peer: str, text: str) -> str:
        return nip44.decrypt(text, nip44.conversation_key(secrets[Pubkey(own)], Pubkey(peer)))

    await page.expose_function("podiumEncrypt", encrypt)
    await page.expose_function("podiumDecrypt", decrypt)
    told = await page.evaluate(_GIVE, [ada.pubkey, ben.pubkey, cem.pubkey])
    (first, one), (second, other) = told["used"]
    assert (first, second) == (7, 8)
    assert one != other
    assert told["told"] == [[ben.pubkey, 7, one], [cem.pubkey, 7, one], [cem.pubkey, 8, other]]
    assert told["flawed"] == [None] * 6


async def test_no_other_script_becomes_a_worker(page: Any) -> None:
    """The content policy knows one policy, and a plain string becomes neither a worker nor a part of the page."""
    other = await page.context.new_page()  # what is tried here is complained of in its console
    await other.goto(page.url)
    told = await other.evaluate(
        """() => {
          const attempts = [
            () => new Worker("/page/room/frame-worker.js"),
            () => trustedTypes.createPolicy("other", {createScriptURL: (url) => url}),
            () => { document.createElement("div").innerHTML = "<b>"; },
          ];
          return attempts.map((attempt) => { try { attempt(); return "done"; } catch (error) { return error.name; } });
        }"""
    )
    assert told == ["TypeError", "TypeError", "TypeError"]
