"""RSVPs and opt-outs by message, on the whole world of services under a manual clock."""

from __future__ import annotations

import json
import os

import msgspec
import pytest

from podium_protocol import kinds
from podium_protocol.events import EventId, SignedEvent, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.nips import nip17, nip44, nip59
from podium_protocol.nips.nip11 import RelayLimits
from podium_storage.table.models import LiveSessionRow
from tests.support.private import edited, opened, scheduled
from tests.support.world import INBOX, World, new_key, pubkeys, signed, world

HOUR = 3600
DAY = 24 * HOUR


def message(
    here: World, key: SecretKey, text: str, *, to: str | None = None, late: int = 0, kind: int | None = None
) -> UnsignedEvent:
    """The rumor of a message from a person to the service; `to`: the rumor it replies to, `late`: seconds ago."""
    reply_to = None if to is None else EventId(to)
    rumor = nip17.write_message(key.pubkey, here.service.pubkey, text, created_at=here.now - late, reply_to=reply_to)
    return rumor if kind is None else UnsignedEvent(rumor.pubkey, rumor.created_at, kind, rumor.tags, rumor.content)


def wrapped(here: World, key: SecretKey, rumor: UnsignedEvent, *, expiration: int | None = None) -> VerifiedEvent:
    """The gift wrap of a rumor, as it comes from a relay."""
    entropy = os.urandom(nip59.ENTROPY_BYTES)
    wrap = nip59.gift_wrap(rumor, key, here.service.pubkey, now=here.now, entropy=entropy, expiration=expiration)
    return as_from_relay(wrap)


def as_from_relay(event: SignedEvent) -> VerifiedEvent:
    """The event as the ingest ladder hands it on."""
    verified = verify(event)
    assert isinstance(verified, VerifiedEvent)
    return verified


async def say(here: World, key: SecretKey, text: str, *, to: str | None = None, late: int = 0) -> VerifiedEvent:
    """A person writes to the service, and it reads."""
    wrap = wrapped(here, key, message(here, key, text, to=to, late=late))
    await here.replies.handle_wraps([wrap])
    await here.turn()
    return wrap


async def status(here: World, key: SecretKey, row: LiveSessionRow) -> str | None:
    """A person's answer as it stands."""
    rsvp = await here.rsvp(key, row)
    return None if rsvp is None else rsvp.status


async def invited(here: World, *rows: LiveSessionRow) -> SecretKey:
    """A person who confirmed these sessions and was told so, an hour apart and an hour ago."""
    person = await here.person()
    for row in rows:
        await here.answer(person, row)
        await here.turn()
        await here.advance(HOUR)
    return person


async def letter_about(here: World, key: SecretKey, row: LiveSessionRow, name: str = "confirmation") -> str:
    """The rumor id of a message a person got."""
    rumor_id = (await here.ledger(key, row))[name].rumor_id
    assert rumor_id is not None
    return rumor_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "declined"),
        ("No!", "declined"),
        (" maybe ", "tentative"),
        ("YES.", "confirmed"),
        ("no thanks", "declined"),
        ("Nein, leider 👎", "declined"),
        ("no problem", "confirmed"),
    ],
)
async def test_an_answer_by_message_is_an_rsvp(text: str, expected: str) -> None:
    """A reply to the confirmation changes the RSVP; anything more than a polite word is conversation."""
    async with world() as here:
        row = await here.schedule()
        person = await invited(here, row)
        await say(here, person, text, to=await letter_about(here, person, row))
        assert await status(here, person, row) == expected


@pytest.mark.parametrize("odd", [{"sig": ""}, {"id": ""}, {"tags": []}])
async def test_a_reply_is_read_as_clients_write_it(odd: dict[str, object]) -> None:
    """An empty signature (0xchat, go-nostr), no id, nobody addressed: the seal says whose words these are, to whom."""
    async with world() as here:
        row = await here.schedule()
        person = await invited(here, row)
        rumor = message(here, person, "no")
        plain = {"id": rumor.id, **msgspec.to_builtins(rumor), **odd}
        if "tags" in odd:
            del plain["id"]
        content = nip44.encrypt(json.dumps(plain), nip44.conversation_key(person, here.service.pubkey), os.urandom(32))
        seal = person.sign(UnsignedEvent(person.pubkey, here.now, kinds.SEAL, (), content), os.urandom(32))
        one_time, nonce, aux = (os.urandom(32) for _ in range(3))
        to = here.service.pubkey
        wrap = nip59.wrap(seal, to, ephemeral_secret=one_time, created_at=here.now, nonce=nonce, aux=aux)
        await here.replies.handle_wraps([as_from_relay(wrap)])
        assert await status(here, person, row) == "declined"


async def test_a_reply_that_declines_ends_the_reminders() -> None:
    """After `no` no reminder comes; after `yes` they do again, once each."""
    async with world() as here:
        row = await here.schedule(starts_in=2 * DAY)
        person = await invited(here, row)
        about = await letter_about(here, person, row)
        await say(here, person, "no", to=about)
        await here.advance(DAY)
        assert len(here.letters(person)) == 1
        await say(here, person, "yes", to=about)
        await here.advance(DAY - 2 * HOUR)
        assert here.letters(person)[-1] == "Know your rights starting in 1 hour"


async def test_the_named_message_decides_between_sessions() -> None:
    """With two sessions a reply to the older message is about the older session."""
    async with world() as here:
        one, two = await here.schedule(), await here.schedule(starts_in=3 * DAY)
        person = await invited(here, one, two)
        await say(here, person, "no", to=await letter_about(here, person, one))
        assert (await status(here, person, one), await status(here, person, two)) == ("declined", "confirmed")


async def test_without_a_name_the_session_told_of_last_is_meant() -> None:
    """Many clients send no reference; the last message is more than an hour younger than the one before."""
    async with world() as here:
        one, two = await here.schedule(), await here.schedule(starts_in=3 * DAY)
        person = await invited(here, one, two)
        await say(here, person, "maybe")
        assert (await status(here, person, one), await status(here, person, two)) == ("confirmed", "tentative")
        assert here.replies.counts["ambiguous"] == 0


async def test_an_ambiguous_reply_changes_nothing_and_is_answered_once() -> None:
    """Two sessions told of at once: the answer names both, replies to what was said, and is not sent again at once."""
    async with world() as here:
        one, two = await here.schedule(), await here.schedule(starts_in=3 * DAY)
        person = await here.person()
        for row in (one, two):
            await here.answer(person, row)
        await here.turn()
        before = len(here.letters(person))
        await say(here, person, "no")
        await say(here, person, "no!")
        assert {await status(here, person, row) for row in (one, two)} == {"confirmed"}
        assert here.letters(person)[before:] == ["Which session do you mean?"]
        assert here.replies.counts["ambiguous"] == 2


async def test_what_is_written_back_is_dated_within_what_the_relay_takes() -> None:
    """As all messages are, where the recipient's relay says how old it takes them (NIP-11)."""
    async with world() as here:
        here.limits = {INBOX: RelayLimits(created_at_lower_limit=60)}
        person, one, two = await here.person(), await here.schedule(), await here.schedule(starts_in=3 * DAY)
        for row in (one, two):
            await here.answer(person, row)
        await here.turn()
        await here.replies.handle_wraps([wrapped(here, person, message(here, person, "no"))])
        (wrap,) = [json.loads(row.event_json) for row in await here.outbox.due(here.now) if row.relay == INBOX]
        assert here.now - 54 <= wrap["created_at"] <= here.now


async def test_a_reply_to_a_session_that_is_over_is_answered_with_the_fact() -> None:
    """After the cancellation `yes` changes nothing and says so."""
    async with world() as here:
        row = await here.schedule()
        person = await invited(here, row)
        about = await letter_about(here, person, row)
        await here.cancel(row)
        await here.turn()
        await say(here, person, "no", to=about)
        assert await status(here, person, row) == "confirmed"
        assert here.letters(person)[-1] == "That session is over, so nothing was changed."


async def test_stop_ends_the_messages_of_one_session() -> None:
    """The RSVP stays, the reminders of that session end, those of others go on; the ledger says why."""
    async with world() as here:
        one, two = await here.schedule(starts_in=2 * DAY), await here.schedule(starts_in=2 * DAY)
        person = await invited(here, one, two)
        before = len(here.letters(person))
        await say(here, person, "Stop.", to=await letter_about(here, person, one))
        await here.advance(DAY - HOUR)
        assert len(here.letters(person)[before:]) == 1
        assert await status(here, person, one) == "confirmed"
        assert (await here.states(person, one))["day"] == "skipped"
        assert (await here.states(person, two))["day"] == "sent"


async def test_stop_all_ends_all_messages() -> None:
    """Sessions that come later are covered too."""
    async with world() as here:
        row = await here.schedule(starts_in=2 * DAY)
        person = await invited(here, row)
        before = len(here.letters(person))
        await say(here, person, "stop all")
        later = await here.schedule(starts_in=2 * DAY)
        await here.answer(person, later)
        await here.advance(2 * DAY)
        assert here.letters(person)[before:] == []
        (opt_out,) = await here.store.opt_outs.to_list()
        assert (opt_out.pubkey, opt_out.session_address) == (person.pubkey, "*")


async def test_the_newest_answer_wins_whichever_way_it_came() -> None:
    """A late message does not undo a newer RSVP event, and a newer event undoes the message."""
    async with world() as here:
        row = await here.schedule()
        person = await invited(here, row)
        await here.answer(person, row, RsvpStatus.TENTATIVE)
        await say(here, person, "no", late=60)
        assert await status(here, person, row) == "tentative"
        await here.advance(60)
        await say(here, person, "no")
        assert await status(here, person, row) == "declined"
        await here.advance(1)
        await here.answer(person, row)
        assert await status(here, person, row) == "confirmed"


async def test_a_clock_that_is_ahead_does_not_outrank_a_later_click() -> None:
    """A reply dated five minutes ahead counts from when it came."""
    async with world() as here:
        row = await here.schedule()
        person = await invited(here, row)
        await say(here, person, "no", late=-300)
        assert await status(here, person, row) == "declined"
        rsvp = await here.rsvp(person, row)
        assert rsvp is not None
        assert rsvp.rsvp_time == here.now


async def test_somebody_elses_reply_is_worth_nothing_for_others() -> None:
    """Naming a message that another person got changes neither's answer; the sender is who sealed."""
    async with world() as here:
        row = await here.schedule()
        person, other = await invited(here, row), await here.person()
        before = len(here.sent)
        await say(here, other, "no", to=await letter_about(here, person, row))
        await say(here, other, "stop all")
        assert (await status(here, person, row), await status(here, other, row)) == ("confirmed", None)
        assert here.replies.counts["stranger"] == 2
        assert await here.store.opt_outs.to_list() == []
        assert len(here.sent) == before


async def test_a_wrap_is_read_once_over_a_restart() -> None:
    """A wrap that a relay gives again, to this daemon or the next one, has no second effect."""
    async with world() as here:
        one, two = await here.schedule(), await here.schedule(starts_in=3 * DAY)
        person = await here.person()
        for row in (one, two):
            await here.answer(person, row)
        await here.turn()
        wrap = await say(here, person, "no")
        sent = len(here.sent)
        await here.clock.advance(HOUR)
        restarted = World(here.store, like=here)
        for again in (here, restarted):
            await again.replies.handle_wraps([wrap, wrap])
            await again.turn()
            assert again.replies.counts["known_or_expired"] == 2
        assert len(here.sent) == sent
        assert restarted.sent == []


async def test_a_daemon_that_lost_its_disk_reads_answers_again_and_writes_nobody() -> None:
    """Without its ledger it still knows the one open session of a person; old unclear replies are not answered."""
    async with world() as here:
        row = await here.schedule(starts_in=5 * DAY)
        person = await invited(here, row)
        wrap = await say(here, person, "no", to=await letter_about(here, person, row))
        async with world(like=here) as anew:
            for event in await here.mirror.by_filter(Filter()):
                await anew.mirror.ingest([event], received_at=anew.now)
            await anew.replies.handle_wraps([wrap])
            assert await status(anew, person, row) == "declined"
            await anew.clock.advance(2 * DAY)
            sent = len(anew.sent)
            other = await anew.schedule(starts_in=5 * DAY)
            await anew.answer(person, other)
            old = wrapped(anew, person, message(anew, person, "yes", late=DAY + HOUR))
            await anew.replies.handle_wraps([old])
            assert anew.replies.counts["ambiguous"] == 1
            await anew.deliver()
            assert [event for event in anew.sent[sent:] if event.kind == kinds.GIFT_WRAP] == []


async def test_what_is_no_reply_is_counted_and_changes_nothing() -> None:
    """Forged senders, other kinds, expired wraps, other addressees, garbage, conversation: each has its count."""
    async with world() as here:
        row = await here.schedule()
        person, thief = await invited(here, row), new_key()
        no = message(here, person, "no")
        plain = msgspec.json.encode({"id": no.id, **msgspec.to_builtins(no)}).decode()
        content = nip44.encrypt(plain, nip44.conversation_key(thief, here.service.pubkey), os.urandom(32))
        seal = UnsignedEvent(thief.pubkey, here.now, kinds.SEAL, (), content)
        forged = nip59.wrap(
            thief.sign(seal, os.urandom(32)),
            here.service.pubkey,
            ephemeral_secret=os.urandom(32),
            created_at=here.now,
            nonce=os.urandom(32),
            aux=os.urandom(32),
        )
        elsewhere = UnsignedEvent(no.pubkey, no.created_at, no.kind, (("p", thief.pubkey),), no.content)
        garbage = signed(person, UnsignedEvent(person.pubkey, here.now, 1059, (("p", here.service.pubkey),), "AAAA"))
        wraps = [
            as_from_relay(forged),
            wrapped(here, person, message(here, person, "no", kind=kinds.RSVP)),
            wrapped(here, person, no, expiration=here.now),
            wrapped(here, person, elsewhere),
            garbage,
            wrapped(here, person, message(here, person, "no, I am ill")),
            wrapped(here, person, message(here, person, "no", late=-3600)),
        ]
        await here.replies.handle_wraps(wraps)
        assert await status(here, person, row) == "confirmed"
        wanted = (
            "forged_sender",
            "other_kind",
            "known_or_expired",
            "not_to_us",
            "unreadable",
            "conversation",
            "bad_time",
        )
        assert {name: here.replies.counts[name] for name in wanted} == dict.fromkeys(wanted, 1)
        assert sum(here.replies.counts.values()) == len(wraps)
        await here.replies.handle_wraps([as_from_relay(forged), garbage])
        assert here.replies.counts["known_or_expired"] == 3, "what does not open is not decrypted again"


@pytest.mark.parametrize("text", ["thanks!", None], ids=["a courtesy", "a kind that is not read"])
async def test_what_says_nothing_is_not_decrypted_again(text: str | None) -> None:
    """Readable wraps without an effect cost a decryption once, also for the next daemon: a relay may repeat them."""
    async with world() as here:
        person = await invited(here, await here.schedule())
        rumor = message(here, person, text or "hello", kind=None if text else 1)
        wrap = wrapped(here, person, rumor)
        await here.replies.handle_wraps([wrap])
        restarted = World(here.store, like=here)
        await restarted.replies.handle_wraps([wrap])
        assert restarted.replies.counts["known_or_expired"] == 1


async def test_many_replies_in_one_batch_are_all_read() -> None:
    """Two hundred and fifty people decline at once; each has one RSVP and nobody is lost between batches."""
    async with world() as here:
        row = await here.schedule()
        people = [new_key() for _ in range(250)]
        for person in people:
            await here.answer(person, row)
        await here.clock.advance(1)
        await here.replies.handle_wraps([wrapped(here, person, message(here, person, "no")) for person in people])
        rsvps = await here.store.rsvps.where("lessonId").equals(row.session_address).to_list()
        assert {rsvp.pubkey for rsvp in rsvps if rsvp.status == "declined"} == set(pubkeys(*people))
        assert here.replies.counts["rsvp"] == 250


@pytest.mark.parametrize(("text", "expected"), [("yes", "confirmed"), ("no", "declined")])
async def test_an_invitation_can_be_answered_by_message(text: str, expected: str) -> None:
    """Who was only invited to a private session answers with a word, with or without a reference."""
    async with world() as here:
        person = await here.person()
        row = await scheduled(here, person)
        await here.turn()
        await say(here, person, text)
        assert await status(here, person, row) == expected


async def test_who_is_not_invited_any_more_cannot_answer_by_message() -> None:
    """The word comes too late, like one to a session that is over."""
    async with world() as here:
        person = await here.person()
        row = await scheduled(here, person)
        await here.turn()
        await say(here, person, "yes")
        await edited(here, row, invited=())
        await say(here, person, "yes")
        assert await here.rsvp(person, row) is None


async def react(here: World, key: SecretKey, content: str, about: str) -> None:
    """A person reacts to a message (NIP-17, "Kind 7")."""
    rows = (("e", about), ("p", here.service.pubkey), ("k", "14"))
    await here.replies.handle_wraps(
        [wrapped(here, key, UnsignedEvent(key.pubkey, here.now, kinds.REACTION, rows, content))]
    )
    await here.turn()


@pytest.mark.parametrize(
    ("content", "expected"), [("👎", "declined"), ("-", "declined"), ("🤔", "tentative"), ("❤️", "confirmed")]
)
async def test_a_reaction_to_a_message_is_an_answer(content: str, expected: str) -> None:
    """Many clients offer nothing quicker; a heart says nothing, and nobody is written to because of it."""
    async with world() as here:
        row = await here.schedule()
        person = await invited(here, row)
        await react(here, person, content, await letter_about(here, person, row))
        assert await status(here, person, row) == expected
        assert len(here.letters(person)) == 1


async def test_a_reaction_to_something_else_or_to_what_is_over_says_nothing() -> None:
    """A thumb under a cancellation, and one under another's message: no answer, and none back."""
    async with world() as here:
        one, two = await here.schedule(), await here.schedule(starts_in=3 * DAY)
        person = await invited(here, one, two)
        about = await letter_about(here, person, one)
        await here.cancel(one)
        await here.turn()
        before = here.letters(person)
        await react(here, person, "👎", about)
        await react(here, person, "👎", "0" * 64)
        assert [await status(here, person, row) for row in (one, two)] == ["confirmed", "confirmed"]
        assert here.letters(person) == before


async def test_what_is_not_understood_is_answered_once_for_each_session() -> None:
    """With what can be said and where the session is; a restart and more talk bring nothing more."""
    async with world() as here:
        one, two = await here.schedule(), await here.schedule(starts_in=3 * DAY)
        person, stranger = await invited(here, one, two), await here.person()
        about = [await letter_about(here, person, row) for row in (one, two)]
        before = len(here.letters(person))
        for text in ("What do I have to bring?", "And where is it?", "Hello? Anybody?", "no rope, sorry"):
            await say(here, person, text, to=about[0])
            here.replies._explanations._explained.clear()
        await say(here, stranger, "Who are you?")
        assert here.letters(person)[before:] == ["That was not understood: Know your rights"]
        await say(here, person, "I may be late.", to=about[1])
        await say(here, person, "Thanks!", to=about[1])
        assert len(here.letters(person)) == before + 2
        assert here.letters(stranger) == []
        (words,) = {
            text for text in _texts(here, person) if "not understood" in text and here.core.page_of(one) in text
        }
        assert "yes, maybe or no" in words
        assert "stop all" in words


async def test_who_wants_no_messages_and_who_writes_to_a_person_are_not_answered() -> None:
    """After `stop` nothing comes; where the service has the instructor's key, plain words may be for the instructor."""
    async with world() as here:
        row = await here.schedule()
        person = await invited(here, row)
        await say(here, person, "stop")
        await say(here, person, "I said stop!")
        assert len(here.letters(person)) == 1
    async with world() as here:
        here.instructor = here.service
        here.listed.add(here.service.pubkey)
        row = await here.schedule()
        person = await invited(here, row)
        await say(here, person, "How is your garden?")
        assert len(here.letters(person)) == 1
        await say(here, person, "Which room?", to=await letter_about(here, person, row))
        assert len(here.letters(person)) == 2


def _texts(here: World, key: SecretKey) -> list[str]:
    return [rumor.content for rumor in opened(here, key, kinds.PRIVATE_MESSAGE)]
