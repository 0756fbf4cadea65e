"""The German catalogue: each sentence that people are written, by its English form.

People are called "du", and things by the names that the page has (`de.json`): Veranstaltung, Leitung, Aufzeichnung.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_REMINDERS: Final = {
    "You are confirmed: {title}": "Du hast einen Platz: {title}",
    "You may come: {title}": "Du kannst kommen: {title}",
    "You are number {position} on the waiting list: {title}": "Du bist Nummer {position} auf der Warteliste: {title}",
    "A seat became free, you are confirmed: {title}": "Ein Platz ist frei geworden, du hast ihn: {title}",
    "Tomorrow: {title} at {time}": "Morgen: {title} um {time} Uhr",
    "{title} starting in 1 hour": "{title} beginnt in 1 Stunde",
    "{title} starting soon - Join Now": "{title} beginnt gleich - jetzt teilnehmen",
    "{title} starting {relative}": "{title} beginnt {relative}",
    "{title} starting {relative} - Join Now": "{title} beginnt {relative} - jetzt teilnehmen",
    "Live now: {title}": "Läuft jetzt: {title}",
    "Moved: {title}": "Verlegt: {title}",
    "Cancelled: {title}": "Abgesagt: {title}",
    "It takes place after all: {title}": "Findet doch statt: {title}",
    "Recording available: {title}": "Die Aufzeichnung ist da: {title}",
    "Recording not available any more: {title}": "Die Aufzeichnung ist nicht mehr da: {title}",
    "Did not take place: {title}": "Fand nicht statt: {title}",
    "You can watch the session of {when}:": "Du kannst die Veranstaltung vom {when} ansehen:",
    "The recording of the session of {when} was taken back by those who lead it.": (
        "Die Leitung hat die Aufzeichnung der Veranstaltung vom {when} zurückgenommen."
    ),
    "From: {before}\nTo: {when}": "Bisher: {before}\nJetzt: {when}",
    "The instructor cancelled the session.": "Die Leitung hat die Veranstaltung abgesagt.",
    "Reason: {reason}": "Grund: {reason}",
    "The instructor did not come.": "Die Leitung kam nicht.",
    "It starts {relative}.": "Sie beginnt {relative}.",
    "It started {relative}.": "Sie hat {relative} begonnen.",
    "now": "jetzt",
    "in {span}": "in {span}",
    "{span} ago": "vor {span}",
    "Join: {url}": "Teilnehmen: {url}",
    "The session's page: {url}": "Seite der Veranstaltung: {url}",
    "This link is for you alone: it signs you in to this session. Do not pass it on.": (
        "Dieser Link ist nur für dich: er meldet dich bei dieser Veranstaltung an. Gib ihn nicht weiter."
    ),
    "This link is for you alone: it signs you in to this session's page. Do not pass it on. The room is encrypted from "
    "end to end: to enter it, open the page where your key is.": (
        "Dieser Link ist nur für dich: er meldet dich auf der Seite dieser Veranstaltung an. Gib ihn nicht weiter. Der "
        "Raum ist von Ende zu Ende verschlüsselt: öffne die Seite dort, wo dein Schlüssel ist, um ihn zu betreten."
    ),
    "Reply yes, maybe or no to change your answer, stop to get no more messages about this session, stop all for none "
    "at all.": (
        "Antworte ja, vielleicht oder nein, um deine Antwort zu ändern, stopp für keine Nachrichten mehr zu dieser "
        "Veranstaltung, stopp alles für gar keine mehr."
    ),
    "Reply stop all to get no more messages.": "Antworte stopp alles, um keine Nachrichten mehr zu bekommen.",
}

_ANSWERS: Final = {
    "yes": "ja",
    "maybe": "vielleicht",
    "no": "nein",
    "stop": "stopp",
    "stop all": "stopp alles",
    "Which session do you mean?": "Welche Veranstaltung meinst du?",
    "You said {reply}. Several sessions wait for you, so nothing was changed. Reply to a message about the session you "
    "mean (most apps call it reply or quote), with yes, maybe, no or stop.": (
        "Du hast {reply} gesagt. Es warten mehrere Veranstaltungen auf dich, deshalb wurde nichts geändert. Antworte "
        "auf eine Nachricht zu der Veranstaltung, die du meinst (die meisten Apps nennen das antworten oder zitieren), "
        "mit ja, vielleicht, nein oder stopp."
    ),
    "Reply stop all to get no more messages at all.": (
        "Antworte stopp alles, um überhaupt keine Nachrichten mehr zu bekommen."
    ),
    "That was not understood: {title}": "Das wurde nicht verstanden: {title}",
    "These messages are written by a program, and nobody reads what you answer. You can reply yes, maybe or no to say "
    "whether you come, stop to get no more messages about this session, stop all for none at all.": (
        "Diese Nachrichten schreibt ein Programm, und niemand liest, was du antwortest. Du kannst mit ja, vielleicht "
        "oder nein antworten, ob du kommst, mit stopp für keine Nachrichten mehr zu dieser Veranstaltung, mit stopp "
        "alles für gar keine mehr."
    ),
    "That session is over, so nothing was changed.": "Diese Veranstaltung ist vorbei, deshalb wurde nichts geändert.",
}

_INVITATIONS: Final = {
    "Invitation changed: {title}": "Einladung geändert: {title}",
    "You are invited: {title}": "Du bist eingeladen: {title}",
    "{inviter} invites you.": "{inviter} lädt dich ein.",
    "This session is private: only invited people see it and may come.": (
        "Diese Veranstaltung ist privat: nur Eingeladene sehen sie und können kommen."
    ),
    "Sign in on its page with this key.": "Melde dich auf ihrer Seite mit diesem Schlüssel an.",
    "Reply yes, maybe or no to answer.": "Antworte ja, vielleicht oder nein.",
}

_TO_INSTRUCTORS: Final = {
    "Your last change could not be read: {title}": "Deine letzte Änderung war nicht zu lesen: {title}",
    "Reason: {reason}.": "Grund (auf Englisch): {reason}.",
    "The session stays as it was: {when}.": "Die Veranstaltung bleibt, wie sie war: {when}.",
    "Put this right where you made the change, or edit the session here: {page}": (
        "Berichtige es dort, wo du die Änderung gemacht hast, oder ändere die Veranstaltung hier: {page}"
    ),
}

_BEFORE_JOINING: Final = {
    "This session may be recorded: picture, voice and shared screens of those who agree. You can withdraw at any time; "
    "recording then pauses at once.": (
        "Diese Veranstaltung kann aufgezeichnet werden: Bild, Stimme und geteilter Bildschirm von allen, die "
        "zustimmen. Du kannst die Zustimmung jederzeit zurücknehmen; die Aufzeichnung wird dann sofort angehalten."
    ),
    "Who may see the recording: those who answered yes or maybe to this session, were invited or took part, and those "
    "who lead it.": (
        "Wer die Aufzeichnung sehen darf: wer zu dieser Veranstaltung Ja oder Vielleicht gesagt hat, eingeladen war "
        "oder teilgenommen hat, und wer sie leitet."
    ),
    "Who may see the recording: anybody.": "Wer die Aufzeichnung sehen darf: alle.",
    "When you join and leave is recorded by the host of this session. Your attendance (when, how long, completed or "
    "not) is published on the relays under your public key (kind 31953): anybody can read it.": (
        "Wann du kommst und gehst, zeichnet der Gastgeber dieser Veranstaltung auf. Deine Anwesenheit (wann, wie "
        "lange, abgeschlossen oder nicht) wird unter deinem öffentlichen Schlüssel auf den Relays veröffentlicht: "
        "alle können sie lesen."
    ),
    "When you join and leave is recorded by the host of this session. Your attendance record goes encrypted to you and "
    "to the instructor; it is not published.": (
        "Wann du kommst und gehst, zeichnet der Gastgeber dieser Veranstaltung auf. Dein Anwesenheitsnachweis geht"
        " verschlüsselt an dich und an die Leitung; veröffentlicht wird er nicht."
    ),
}

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    _REMINDERS | _ANSWERS | _INVITATIONS | _TO_INSTRUCTORS | _BEFORE_JOINING
)

# they follow "in" and "vor"
COUNTED: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "{n} second": ("{n} Sekunde", "{n} Sekunden"),
        "{n} minute": ("{n} Minute", "{n} Minuten"),
        "{n} hour": ("{n} Stunde", "{n} Stunden"),
        "{n} day": ("{n} Tag", "{n} Tagen"),
    }
)
"""By the English form for one: the forms for one and for any other number."""
