"""Questions, hands and controls through the client, against the real HTTP interface."""

from __future__ import annotations

import pytest

from podium_daemon.client import ApiProblem, PodiumClient
from podium_protocol.errors import LocalProtocolError
from podium_protocol.keys import SecretKey
from tests.support.able_engine import AbleEngine
from tests.support.site import Site, site
from tests.support.until import until
from tests.support.world import new_key, world


def client(here: Site, secret: SecretKey | None = None) -> PodiumClient:
    """A person's client, on the server's clock."""
    return PodiumClient(here.base, secret, now=here.here.clock.now)


async def test_a_question_from_asking_to_taking_it_back() -> None:
    """Ask, answer, pin, hide, show and withdraw: each is seen by whom it should be."""
    async with site() as here:
        row = await here.here.schedule()
        key = new_key()
        await here.here.answer(key, row)
        async with client(here, key) as ada, client(here, here.here.instructor) as lead, client(here) as reader:
            asked = await ada.questions.ask(row.session_address, "Why a bowline?")
            (question,) = (await lead.questions.list(row.session_address)).questions
            assert (question.id, question.text, question.role, question.state) == (
                asked,
                "Why a bowline?",
                "participant",
                "shown",
            )
            answered = await lead.questions.ask(row.session_address, "It holds.", answer_to=question)
            await lead.questions.decide(row.session_address, asked, "pin")
            (seen,) = (await reader.questions.list(row.session_address)).questions
            assert (seen.pinned, [one.id for one in seen.answers]) == (True, [answered])
            assert await lead.questions.vote(row.session_address, asked) == 1
            assert await lead.questions.vote(row.session_address, asked, on=False) == 0
            (seen,) = (await lead.questions.decide(row.session_address, asked, "answered")).questions
            assert (seen.answered, seen.votes) == (True, 0)
            hidden = await lead.questions.decide(row.session_address, asked, "hide")
            assert [(one.state, len(one.answers)) for one in hidden.questions] == [("hidden", 1)]
            assert (await reader.questions.list(row.session_address)).total == 0, "an answer goes with its question"
            await ada.questions.withdraw(row.session_address, asked)
            assert [one.id for one in (await lead.questions.list(row.session_address)).questions] == [answered]
            assert (await reader.questions.list(row.session_address)).total == 0


async def test_a_refusal_is_told() -> None:
    """A stranger's question, and a moderation by nobody who leads, raise with the daemon's words."""
    async with site() as here:
        row = await here.here.schedule()
        async with client(here, new_key()) as stranger, client(here) as reader:
            with pytest.raises(ApiProblem, match="questions are for those who come"):
                await stranger.questions.ask(row.session_address, "Why?")
            with pytest.raises(ApiProblem, match="only the instructor"):
                await stranger.questions.decide(row.session_address, "ab" * 32, "hide")
            with pytest.raises(LocalProtocolError, match="no key"):
                await reader.questions.ask(row.session_address, "Why?")


async def test_a_hand_goes_up_and_is_taken_down() -> None:
    """The seat knows whether its hand is up; the instructor sees it and takes it down."""
    async with site() as here:
        row = await here.here.schedule(starts_in=0)
        await here.here.turn()
        key = new_key()
        async with client(here, key) as ada, client(here, here.here.instructor) as lead:
            seat = await ada.join(row.session_address)

            async def up() -> bool:
                return seat.hand

            async def down() -> bool:
                return not seat.hand

            await seat.raise_hand()
            await until(up, "the room agrees")
            assert [hand.pubkey for hand in (await lead.room(row.session_address)).hands] == [key.pubkey]
            assert (await lead.leading.lower_hands(row.session_address)).hands == ()
            await until(down, "the person is told")
            await seat.raise_hand()
            await until(up, "the room agrees again")
            await seat.raise_hand(up=False)
            await until(down, "and again")
            for command in (lead.leading.mute_all, lead.leading.record):
                with pytest.raises(ApiProblem, match="cannot"):
                    await command(row.session_address, on=True)
            await seat.leave()


async def test_the_instructor_leads_people_in_a_room() -> None:
    """One is muted, all are, one may speak, one is large: the room says so, and the seat hears who is large."""
    async with world(engine=AbleEngine) as found:
        engine = found.engine
        assert isinstance(engine, AbleEngine)
        async with site(found) as here:
            row = await found.schedule(starts_in=0)
            await found.turn()
            key = new_key()
            async with client(here, key) as ada, client(here, found.instructor) as lead:
                seat = await ada.join(row.session_address)
                await lead.leading.mute(row.session_address, key.pubkey, "video")
                assert engine.said == [("mute", key.pubkey, "video")]
                with pytest.raises(ApiProblem, match="everybody may speak"):
                    await lead.leading.let_speak(row.session_address, key.pubkey)
                await lead.leading.mute_all(row.session_address, on=True)
                assert (await lead.leading.let_speak(row.session_address, key.pubkey)).speakers == (key.pubkey,)
                assert (await ada.room(row.session_address)).speakers == (), "for those who lead"
                assert (await lead.leading.let_speak(row.session_address, key.pubkey, on=False)).speakers == ()
                room = await lead.leading.spotlight(row.session_address, key.pubkey)
                assert (room.spotlight.support, room.spotlight.pubkey, room.auto_admit) == ("native", key.pubkey, False)

                async def lit() -> bool:
                    return seat.spotlight == key.pubkey

                await until(lit, "the seat hears who is large")
                assert (await lead.leading.spotlight(row.session_address, None)).spotlight.pubkey is None
                await seat.leave()
