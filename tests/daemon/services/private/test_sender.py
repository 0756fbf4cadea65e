"""Letters of private sessions: sealed once, sent to the recipient's inbox and nowhere else, accounted for."""

from __future__ import annotations

from podium_daemon.writers.gift_wrapper import LOOK_AGAIN, NOT_READ, Work
from podium_protocol import kinds, tags
from podium_protocol.events import VerifiedEvent, verify_json
from podium_protocol.nips import nip13
from podium_protocol.nips.nip11 import RelayLimits
from podium_storage.changes import Batch
from podium_storage.outbox.values import RelayAccepted, RelayRefused
from podium_storage.table.models import LetterRow
from tests.support.private import edited, opened, scheduled
from tests.support.world import EVERYTHING, INBOX, OWN_INBOX, World, new_key, world


async def letters(here: World, pubkey: str) -> dict[str, LetterRow]:
    """A person's letters by topic."""
    return {row.topic: row for row in await here.store.letters.where("pubkey").equals(pubkey).to_list()}


async def states(here: World, pubkey: str) -> dict[str, str]:
    """What became of them."""
    return {topic: row.state for topic, row in (await letters(here, pubkey)).items()}


async def test_letters_go_to_the_recipients_inbox_only() -> None:
    """A guest's to their kind 10050, the service's own to its message relays."""
    async with world() as here:
        ada = await here.person()
        await scheduled(here, ada)
        await here.post._turn(EVERYTHING)
        rows = await here.outbox.due(here.now)
        assert sorted(row.relay for row in rows) == [INBOX, INBOX, OWN_INBOX]
        await here.deliver()
        await here.post._turn(EVERYTHING)
        assert await states(here, ada.pubkey) == {"session": "sent", "invitation": "sent"}
        assert all(row.rumor == b"" for row in (await letters(here, ada.pubkey)).values())


async def test_letters_are_dated_within_what_the_recipients_relays_take() -> None:
    """The limit of one's relay (NIP-11) does not touch the letters of others."""
    async with world() as here:
        here.limits = {INBOX: RelayLimits(created_at_lower_limit=60)}
        await scheduled(here, await here.person())
        await here.post._turn(EVERYTHING)
        wraps = [(row.relay, verify_json(row.event_json)) for row in await here.outbox.due(here.now)]
        ages = [(relay, here.now - wrap.created_at) for relay, wrap in wraps if isinstance(wrap, VerifiedEvent)]
        assert all(0 <= age <= 54 for relay, age in ages if relay == INBOX)
        assert [relay for relay, _ in ages].count(INBOX) == 2


async def test_letters_are_mined_for_relays_that_ask_for_work() -> None:
    """So many in one turn; what is left is sent in the next, which follows at once."""
    async with world() as here:
        here.limits = {INBOX: RelayLimits(min_pow_difficulty=6)}
        here.post._work = Work(1)
        await scheduled(here, await here.person())
        for count in (1, 2):
            assert (await here.post._turn(EVERYTHING) == here.now) is (count == 1)
            wraps = [row for row in await here.outbox.due(here.now) if row.relay == INBOX]
            assert [nip13.difficulty(row.event_id) >= 6 for row in wraps] == [True] * count


async def test_without_an_inbox_it_waits_and_is_sent_when_there_is_one() -> None:
    """Undeliverable is shown; the moment a kind 10050 appears the letter goes out."""
    async with world() as here:
        ada = new_key()
        await scheduled(here, ada)
        await here.turn()
        assert set((await states(here, ada.pubkey)).values()) == {"undeliverable"}
        assert "kind 10050" in ((await letters(here, ada.pubkey))["session"].reason or "")
        with here.store.changes.subscribe() as changes:
            await here.open_inbox(ada)
            batch = changes.take_changes()
        assert batch is not None
        await here.post._turn(batch)
        await here.turn()
        assert set((await states(here, ada.pubkey)).values()) == {"sent"}
        assert len(opened(here, ada)) == 2


async def test_nobody_is_unreachable_before_all_relays_have_told() -> None:
    """A guest whose list may be on a relay that was not read whole keeps the letters waiting, and nobody else's."""
    async with world() as here:
        ada, others = new_key(), [await here.person() for _ in range(2)]
        here.lists_read[ada.pubkey] = False
        await scheduled(here, ada, *others)
        await here.turn()
        own = await letters(here, ada.pubkey)
        assert {(row.state, row.reason) for row in own.values()} == {("scheduled", NOT_READ)}
        for key in others:
            assert set((await states(here, key.pubkey)).values()) == {"sent"}
        here.lists_read[ada.pubkey] = True
        await here.clock.advance(LOOK_AGAIN)
        await here.post._turn(Batch(()))
        assert set((await states(here, ada.pubkey)).values()) == {"undeliverable"}


async def test_an_unreachable_guest_is_looked_up_hourly() -> None:
    """The turn says when it wants to be called again, and until then nobody is asked for."""
    async with world() as here:
        await scheduled(here, new_key())
        await here.post._turn(EVERYTHING)
        await here.deliver()
        at = await here.post._turn(EVERYTHING)
        assert at == here.now + 3600


async def test_a_look_that_finds_no_inbox_writes_nothing() -> None:
    """After a restart, and each hour, the letters of people without kind 10050 stay as they were written."""
    async with world() as here:
        ada = new_key()
        await scheduled(here, ada)
        await here.post._turn(EVERYTHING)
        before = await letters(here, ada.pubkey)
        await here.clock.advance(3600)
        await here.post._turn(EVERYTHING)
        await here.post._turn(Batch(()))
        assert await letters(here, ada.pubkey) == before


async def test_a_letter_nobody_could_be_given_is_let_go() -> None:
    """Two weeks on, its recipient's relays are not looked up any more, and a list that comes then changes nothing."""
    async with world() as here:
        ada = new_key()
        await scheduled(here, ada)
        await here.turn()
        await here.clock.advance(16 * 24 * 3600)
        with here.store.changes.subscribe() as changes:
            await here.open_inbox(ada)
            batch = changes.take_changes()
        assert batch is not None
        await here.post._turn(batch)
        await here.turn()
        assert set((await states(here, ada.pubkey)).values()) == {"undeliverable"}


async def test_an_invitation_is_not_sent_after_the_end() -> None:
    """Who has no inbox until the session is over is not invited to it; the signed session is theirs still."""
    async with world() as here:
        ada = new_key()
        await scheduled(here, ada, starts_in=60)
        await here.turn()
        await here.clock.advance(3 * 3600)
        await here.open_inbox(ada)
        await here.turn()
        assert await states(here, ada.pubkey) == {"session": "sent", "invitation": "missed"}
        assert opened(here, ada, kinds.PRIVATE_MESSAGE) == []


async def test_what_a_relay_refuses_is_written_down() -> None:
    """The relay's words stand in the ledger of the session."""
    async with world() as here:
        ada = await here.person()
        await scheduled(here, ada)
        await here.post._turn(EVERYTHING)
        rows = await here.outbox.due(here.now)
        answers = [
            RelayRefused(row.id, "blocked: not you") if row.relay == INBOX else RelayAccepted(row.id, "thanks")
            for row in rows
        ]
        await here.outbox.record(answers, now=here.now)
        await here.post._turn(EVERYTHING)
        row = (await letters(here, ada.pubkey))["session"]
        assert (row.state, row.relays) == ("failed", ((INBOX, "blocked: not you"),))
        assert (await letters(here, here.service.pubkey))["session"].state == "sent"


async def test_a_retry_sends_the_same_bytes() -> None:
    """A turn after a crash wraps nothing again that is on its way."""
    async with world() as here:
        await scheduled(here, await here.person())
        await here.post._turn(EVERYTHING)
        before = [row.event_id for row in await here.outbox.due(here.now)]
        await here.post._turn(EVERYTHING)
        assert [row.event_id for row in await here.outbox.due(here.now)] == before


async def test_a_newer_letter_takes_the_place_of_one_that_is_not_sent() -> None:
    """Who had no inbox for two revisions gets the second one only."""
    async with world() as here:
        ada = new_key()
        row = await scheduled(here, ada)
        await here.turn()
        row = await edited(here, row, title="Other knots")
        await here.open_inbox(ada)
        await here.turn()
        (copy,) = opened(here, ada, kinds.GENERIC_REPOST)
        assert tags.first(copy.tags, "e") == row.event_id
        (words,) = opened(here, ada, kinds.PRIVATE_MESSAGE)
        assert tags.first(words.tags, "subject") == "You are invited: Other knots", "it is the first they hear of it"


async def test_an_old_answer_of_a_relay_says_nothing_of_a_newer_letter() -> None:
    """The first revision arrives late, after the second was put down: the second is still to be sent."""
    async with world() as here:
        ada = await here.person()
        row = await scheduled(here, ada)
        await here.post._turn(EVERYTHING)
        late = await here.outbox.due(here.now)
        await edited(here, row, title="Other knots")
        await here.outbox.record([RelayAccepted(one.id) for one in late], now=here.now)
        await here.turn()
        assert len(opened(here, ada, kinds.GENERIC_REPOST)) == 1
        assert (await letters(here, ada.pubkey))["session"].state == "sent"
