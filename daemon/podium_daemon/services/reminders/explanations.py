"""What is written back to a participant whose message is unclear, or is no answer.

We write back only to people to whom we wrote first: to an answer that we cannot place, and once for each session, to a
message that is no answer, with what can be said. So no loop of messages arises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from podium_daemon.services.reminders.reply_judging import Correspondent, Heard, Outcome, session_spoken_of
from podium_daemon.writers.gift_wrapper import AskedBy, LinkOf, inboxes_of
from podium_daemon.writers.private_outbox import HELP, Letter, PrivateOutbox
from podium_protocol.events import Pubkey, SignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live import message_texts as texts
from podium_protocol.live.languages import Language, language_of
from podium_protocol.live.reminders import is_old_answer
from podium_protocol.live.replies import Unclear
from podium_protocol.live.said import ALL
from podium_protocol.nips import nip17, nip59
from podium_storage.database import Transaction
from podium_storage.languages import languages_within
from podium_storage.mirror.mirror import Mirror
from podium_storage.outbox.outbox import Outbox
from podium_storage.outbox.values import OutboxItem
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

_WRAPS: Final = 25  # messages wrapped before the event loop gets a turn: about 10 ms
_EXPLAIN_WITHIN: Final = 24 * 3600  # seconds; an older reply was read again after a loss, and its writer has moved on
_QUIET: Final = 600  # seconds between two explanations to one person
_KEPT_PEOPLE: Final = 10_000


class Explanations:
    """Writes back, within the transaction in which messages are judged."""

    def __init__(
        self,
        secret: SecretKey,
        *,
        store: Store,
        mirror: Mirror,
        outbox: Outbox,
        private_outbox: PrivateOutbox,
        random_bytes: Callable[[int], bytes],
        link_of: LinkOf,
        asked_by: AskedBy,
        service_language: Callable[[], str] = lambda: "en",
    ) -> None:
        """Take the parts that writing back needs.

        Args:
            secret: the service's key.
            store: holds what people were told, and who wants no messages.
            mirror: holds people's lists of message relays.
            outbox: takes the messages that are written back.
            private_outbox: takes the messages that say what can be said.
            random_bytes: the entropy of wraps.
            link_of: gives the address of a session's page for a person.
            asked_by: what recipients' relays are known to ask of a wrap.
            service_language: gives the tag of the language for people of whom none is known.
        """
        self._secret = secret
        self._store = store
        self._mirror = mirror
        self._outbox = outbox
        self._private_outbox = private_outbox
        self._random_bytes = random_bytes
        self._link_of = link_of
        self._asked_by = asked_by
        self._service_language = service_language
        self._explained: dict[Pubkey, int] = {}

    async def explain_unclear(
        self, tx: Transaction, outcome: Outcome, people: Mapping[Pubkey, Correspondent], now: int
    ) -> None:
        """Explain an unclear answer to people we know, who wrote recently and were not told a moment ago."""
        asked = {
            letter.sender: (letter, why)
            for letter, why in outcome.unclear
            if why is not Unclear.STRANGER
            and now - letter.at < _EXPLAIN_WITHIN
            and now - self._explained.get(letter.sender, 0) >= _QUIET
            and not is_old_answer(letter.at, people[letter.sender].known_since or 0)
        }
        inboxes = await inboxes_of(self._mirror.within(tx), asked) if asked else {}
        languages = await languages_within(tx, asked) if asked else {}
        items: list[OutboxItem] = []
        async for part in in_slices(list(asked.values()), _WRAPS):
            for letter, why in part:
                outcome.done.append(letter.wrap_id)
                if relays := inboxes.get(letter.sender):
                    titles = [row.title for row in people[letter.sender].open.values()]
                    said = texts.explain(why, letter.reply or "", titles, self._language(letter, languages))
                    wrap = self._wrapped(letter, said, relays, now)
                    items.append(_item(wrap, relays, letter, now))
        await self._outbox.add_many_within(tx, items)

    async def help_puzzled(
        self, tx: Transaction, outcome: Outcome, people: Mapping[Pubkey, Correspondent], now: int
    ) -> None:
        """Explain what can be said, once for each person and session, to people we know who wrote recently."""
        asked: dict[tuple[str, Pubkey], tuple[Heard, LiveSessionRow]] = {}
        for letter in outcome.puzzling:
            if (person := people.get(letter.sender)) is None:
                continue
            outcome.done.append(letter.wrap_id)
            is_old = now - letter.at >= _EXPLAIN_WITHIN or is_old_answer(letter.at, person.known_since or 0)
            if not is_old and (row := session_spoken_of(letter, person, self._secret.pubkey)) is not None:
                asked[row.session_address, letter.sender] = letter, row
        if not asked:
            return
        bound = self._store.within(tx)
        keys = [[session_address, pubkey, HELP] for session_address, pubkey in asked]
        told = await bound.letters.where("[lessonId+pubkey+topic]").any_of(keys).to_list()
        quiet = await bound.opt_outs.where("pubkey").any_of([pubkey for _, pubkey in asked]).to_list()
        known = {(row.session_address, row.pubkey) for row in told} | {
            (row.session_address, row.pubkey) for row in quiet
        }
        fresh = [key for key in asked if key not in known and (ALL, key[1]) not in known]
        languages = await languages_within(tx, [pubkey for _, pubkey in fresh]) if fresh else {}
        letters = [self._help_with(*asked[key], self._language(asked[key][0], languages), now) for key in fresh]
        await self._private_outbox.add(tx, letters)

    def _language(self, letter: Heard, languages: Mapping[str, str]) -> Language:
        """The language to answer a message in: its own, else the sender's, else the service's."""
        return language_of(letter.language or languages.get(letter.sender), self._service_language())

    def _help_with(self, letter: Heard, row: LiveSessionRow, language: Language, now: int) -> Letter:
        said = texts.explain_words(row.title, self._link_of(row, letter.sender, now), language)
        rumor = nip17.write_message(
            self._secret.pubkey,
            letter.sender,
            said.text,
            created_at=now,
            subject=said.headline,
            reply_to=letter.rumor_id,
        )
        expires_at = now + _EXPLAIN_WITHIN
        return Letter(
            session_address=row.session_address, recipient=letter.sender, topic=HELP, rumor=rumor, expires_at=expires_at
        )

    def _wrapped(self, letter: Heard, said: texts.Rendered, relays: Sequence[str], now: int) -> SignedEvent:
        rumor = nip17.write_message(
            self._secret.pubkey,
            letter.sender,
            said.text,
            created_at=now,
            subject=said.headline,
            reply_to=letter.rumor_id,
        )
        return nip59.gift_wrap(
            rumor,
            self._secret,
            letter.sender,
            now=now,
            entropy=self._random_bytes(nip59.ENTROPY_BYTES),
            expiration=now + _EXPLAIN_WITHIN,
            backdating=self._asked_by(relays).backdating,
        )

    def remember_explained(self, outcome: Outcome, now: int) -> None:
        """Leave those in peace for a while to whom an explanation is stored now."""
        for letter, _ in outcome.unclear:
            if letter.wrap_id in outcome.done:
                if len(self._explained) >= _KEPT_PEOPLE:
                    self._explained.clear()
                self._explained[letter.sender] = now


def _item(wrap: SignedEvent, relays: tuple[str, ...], letter: Heard, now: int) -> OutboxItem:
    return OutboxItem(
        event=wrap,
        relays=relays,
        not_before=now,
        expires_at=now + _EXPLAIN_WITHIN,
        reference=f"reply:{letter.wrap_id}",
    )
