"""What we write back to a reply that changed nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from podium_protocol.live.plain_text import single_line
from podium_protocol.live.replies import Unclear
from podium_protocol.live.texts import ENGLISH, MAX_TITLE, N_, Language, Rendered

_MAX_TITLES: Final = 10
_WHICH: Final = N_("Which session do you mean?")
_HOW: Final = N_(
    "You said {reply}. Several sessions wait for you, so nothing was changed. Reply to a message about the session you "
    "mean (most apps call it reply or quote), with yes, maybe, no or stop."
)
_ALL: Final = N_("Reply stop all to get no more messages at all.")
_PUZZLED: Final = N_("That was not understood: {title}")
_AUTOMATIC: Final = N_(
    "These messages are written by a program, and nobody reads what you answer. You can reply yes, maybe or no to say "
    "whether you come, stop to get no more messages about this session, stop all for none at all."
)
_PAGE: Final = N_("The session's page: {url}")
_OVER: Final = N_("That session is over, so nothing was changed.")


def explain_words(title: str, page: str | None, language: Language = ENGLISH) -> Rendered:
    """What can be said, to somebody who said something else about the session called `title`."""
    say = language.catalogue.gettext
    headline = say(_PUZZLED).format(title=single_line(title, MAX_TITLE))
    where = () if page is None else (say(_PAGE).format(url=page),)
    return Rendered(headline, "\n\n".join((headline, say(_AUTOMATIC), *where)))


def explain(why: Unclear, reply: str, titles: Sequence[str], language: Language = ENGLISH) -> Rendered:
    """The answer to an ambiguous reply, with the sessions it could be about, or to one that came too late."""
    say = language.catalogue.gettext
    if why is Unclear.OVER:
        return Rendered(say(_OVER), f"{say(_OVER)}\n\n{say(_ALL)}")
    listed = "\n".join(f"- {single_line(title, MAX_TITLE)}" for title in titles[:_MAX_TITLES])
    sections = (say(_WHICH), say(_HOW).format(reply=reply), listed, say(_ALL))
    return Rendered(say(_WHICH), "\n\n".join(section for section in sections if section))
