"""The catalogues: each holds every sentence, and every message is written in one language throughout."""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo

import podium_daemon
import podium_protocol
from podium_protocol.live import german
from podium_protocol.live.languages import ENGLISH, GERMAN, LANGUAGES, Language, known_tag, language_of
from podium_protocol.live.message_texts import (
    Subject,
    Unread,
    explain,
    explain_words,
    render,
    spoken_distance,
    spoken_time,
    write_unread,
)
from podium_protocol.live.private import Invitation, write_invitation
from podium_protocol.live.reminders import ReminderMessage
from podium_protocol.live.replies import Unclear
from podium_protocol.live.reply_words import SAYINGS, meaning_of
from podium_protocol.live.rsvp import Reply
from tests.support.events import NOW, key_of

START = 1_796_144_400  # 2026-12-01 18:00 in Berlin
HOUR = 3600
SUBJECT = Subject(
    title="Knots",
    starts_at=START,
    timezone="Europe/Berlin",
    join_url="https://podium.example/s/knots",
    moved_from=START - HOUR,
    cancel_reason="Ill.",
)
WHEN = "Dienstag, 1. Dezember 2026, 18:00 (Europe/Berlin, UTC+01:00)"
_FIELD = re.compile(r"\{\w+\}")
_COMMON = ("in {span}",)  # the same in both languages


def _extracted() -> Iterator[str | tuple[str, str]]:
    """Every sentence that is marked in the code, with the file's own words; a tuple: of a number of things."""
    for package in (podium_protocol, podium_daemon):
        for path in Path(package.__file__ or "").parent.rglob("*.py"):
            source = io.BytesIO(path.read_bytes())
            for _, message, _, _ in extract("python", source, keywords={"N_": None, "ngettext": (1, 2)}):
                yield message if isinstance(message, str) else (str(message[0]), str(message[1]))


SENTENCES = frozenset(_extracted())
SINGLE = frozenset(one for one in SENTENCES if isinstance(one, str))
COUNTED = frozenset(one[0] for one in SENTENCES if isinstance(one, tuple))


def test_the_german_catalogue_holds_every_sentence_and_no_other() -> None:
    """A sentence that is new, changed or gone in the code is new, changed or gone in the catalogue."""
    assert set(german.SENTENCES) == SINGLE
    assert set(german.COUNTED) == COUNTED
    assert len(SINGLE) > 40


def test_a_translation_has_the_placeholders_of_its_sentence_and_is_none_in_english() -> None:
    """None is lost or made up; no sentence was left as it was."""
    forms = [(one, form) for one, both in german.COUNTED.items() for form in both]
    for sentence, translated in [*german.SENTENCES.items(), *forms]:
        assert sorted(_FIELD.findall(translated)) == sorted(_FIELD.findall(sentence))
        assert translated != sentence or sentence in _COMMON
        assert translated.count("\n") == sentence.count("\n")


def test_there_is_a_catalogue_for_each_language_that_is_understood() -> None:
    """People are answered in the language in which they can answer."""
    assert set(LANGUAGES) == set(SAYINGS)


def test_the_words_that_a_message_asks_for_are_understood() -> None:
    """Whatever the German messages tell people to reply means the same as in the English ones."""
    for word in ("yes", "maybe", "no", "stop", "stop all"):
        assert meaning_of(german.SENTENCES[word]) == word
    for english, translated in german.SENTENCES.items():
        for word in ("maybe", "stop all"):
            if re.search(rf"\breply .*{word}\b", english, re.IGNORECASE):
                assert german.SENTENCES[word] in translated


@pytest.mark.parametrize(
    ("tag", "language"), [("de", "de"), ("de-AT", "de"), (" DE ", "de"), ("en-US", "en"), ("fr", None), ("", None)]
)
def test_a_browsers_tag_names_a_catalogue(tag: str, language: str | None) -> None:
    """Its region does not matter."""
    assert known_tag(tag) == language


def test_a_person_without_a_known_language_is_written_to_in_the_services() -> None:
    """So is a person whose language has no catalogue any more."""
    assert language_of("de") is GERMAN
    assert language_of(None, "de") is GERMAN
    assert language_of("fr", "en") is ENGLISH


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "jetzt"),
        (1, "in 1 Sekunde"),
        (60, "in 1 Minute"),
        (5400, "in 1 Stunde 30 Minuten"),
        (86_400, "in 1 Tag"),
        (14 * 86_400, "in 14 Tagen"),
        (-300, "vor 5 Minuten"),
        (-2 * 86_400, "vor 2 Tagen"),
    ],
)
def test_distances_are_spoken_in_german(seconds: int, words: str) -> None:
    """In the case that follows the preposition."""
    assert spoken_distance(seconds, GERMAN) == words


def test_times_are_spoken_in_german() -> None:
    """Weekday and month in German, the zone as the session has it."""
    assert spoken_time(START, "Europe/Berlin", GERMAN) == WHEN


@pytest.mark.parametrize(
    ("message", "headline"),
    [
        (ReminderMessage.DAY, "Morgen: Knots um 18:00 Uhr"),
        (ReminderMessage.HOUR, "Knots beginnt in 1 Stunde"),
        (ReminderMessage.CANCELLED, "Abgesagt: Knots"),
        (ReminderMessage.MOVED, "Verlegt: Knots"),
    ],
)
def test_a_german_message_is_german(message: ReminderMessage, headline: str) -> None:
    """Headline, date and what the reader can do."""
    ahead = {ReminderMessage.DAY: 24 * HOUR}.get(message, HOUR)
    rendered = render(message, SUBJECT, due_at=START - ahead, now=START - ahead, language=GERMAN)
    assert rendered.headline == headline
    assert WHEN in rendered.text


@pytest.fixture(scope="module")
def quoted() -> Language:
    """A real catalogue: every sentence that Babel extracts, set in quotation marks, compiled and loaded by gettext."""
    catalog = Catalog(locale="de")
    for message in SENTENCES:
        if isinstance(message, str):
            catalog.add(message, f"«{message}»")
        else:
            catalog.add(message, tuple(f"«{form}»" for form in message))
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Language(gettext.GNUTranslations(compiled), "de")


def _is_translated(text: str) -> bool:
    return all(section.startswith(("«", "https://", "- ")) or section == WHEN for section in text.split("\n\n"))


@pytest.mark.parametrize("message", list(ReminderMessage))
def test_a_message_is_out_of_the_readers_catalogue_throughout(message: ReminderMessage, quoted: Language) -> None:
    """Each line but the date and the links."""
    rendered = render(message, SUBJECT, due_at=START - HOUR, now=START - 1800, language=quoted)
    assert WHEN in rendered.text
    assert _is_translated(rendered.text)


@pytest.mark.parametrize("reply", list(Reply))
def test_an_explanation_is_out_of_the_readers_catalogue_throughout(reply: Reply, quoted: Language) -> None:
    """The list of sessions as they are called, and the word that was said as it is said in that language."""
    asked = explain(Unclear.AMBIGUOUS, reply, ["Knots", "Bends"], quoted)
    assert _is_translated(asked.text)
    assert f"«{reply}»" in asked.text
    assert _is_translated(explain(Unclear.OVER, reply, [], quoted).text)
    assert _is_translated(explain_words("Knots", "https://podium.example/s/knots", quoted).text)


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("personal", [False, True])
def test_an_invitation_is_out_of_the_readers_catalogue_throughout(
    quoted: Language, *, personal: bool, cancelled: bool
) -> None:
    """New, changed or taken back."""
    told = Invitation(
        title="Knots",
        starts_at=START,
        timezone="Europe/Berlin",
        page="https://podium.example/s/knots",
        inviter="Ida",
        is_personal=personal,
        cancelled=cancelled,
        cancel_reason="Ill.",
        changed=personal,
    )
    one, two = key_of(1).pubkey, key_of(2).pubkey
    rumor = write_invitation(told, service=one, recipient=two, created_at=NOW, language=quoted)
    assert WHEN in rumor.content
    assert _is_translated(rumor.content)
    plain = msgspec.structs.replace(told, cancel_reason=None)
    german_one = write_invitation(plain, service=one, recipient=two, created_at=NOW, language=GERMAN)
    assert WHEN in german_one.content


def test_a_notice_to_the_instructor_is_out_of_their_catalogue_throughout(quoted: Language) -> None:
    """But the reason, which the program gives in English."""
    told = Unread(title="Knots", starts_at=START, timezone="Europe/Berlin", reason="no end", page="https://p.example")
    one, two = key_of(1).pubkey, key_of(2).pubkey
    rumor = write_unread(told, service=one, recipient=two, created_at=NOW, language=quoted)
    assert WHEN in rumor.content
    assert _is_translated(rumor.content)
