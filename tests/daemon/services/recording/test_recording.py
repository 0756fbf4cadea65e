"""Recording as people experience it: who is asked, when it runs, when it stops. The source of each rule is named."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from podium_daemon.conference.engine import EngineUnavailable
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.recording.recording import RecordingSettings
from podium_protocol.events import VerifiedEvent, verify_json
from tests.support.recording import studio
from tests.support.soon import soon
from tests.support.world import new_key, pubkeys, world


def slug(answer: object) -> str:
    """Why it was refused."""
    assert isinstance(answer, Rejection), answer
    return answer.slug


class TestConsent:
    """semantics.md, "Consent"; the model, "Recording consent from all participants"."""

    async def test_everybody_present_has_to_have_signed_yes(self) -> None:
        """One person without a yes is enough for a no, and the refusal counts them; nobody is sent away."""
        async with studio() as here:
            await here.sit()
            seat = await here.sit(consent=False)
            refused = await here.record()
            assert slug(refused) == "not-agreed"
            assert isinstance(refused, Rejection)
            assert refused.detail.startswith("1 of 2 people")
            assert here.engine.calls == []
            assert seat.over is None
            await here.leave(seat)
            assert await here.record() is None

    async def test_whoever_leads_sees_who_has_not_agreed(self) -> None:
        """A refusal is shown to the instructor, who chooses."""
        async with studio() as here:
            unwilling = new_key()
            await here.sit()
            await here.sit(unwilling, consent=False)
            assert await here.here.recorder.undecided(await here.session()) == [unwilling.pubkey]

    @pytest.mark.parametrize("consent", [None, False])
    async def test_silence_is_no_consent(self, consent: bool | None) -> None:
        """A proof that says nothing about recording is worth as little as a no."""
        async with studio() as here:
            await here.sit(consent=consent)
            assert slug(await here.record()) == "not-agreed"

    async def test_a_yes_to_another_policy_is_a_yes_to_something_else(self) -> None:
        """The hash in the signed proof has to be that of the policy in force."""
        async with studio() as here:
            await here.sit(policy="an older text")
            assert slug(await here.record()) == "not-agreed"

    async def test_a_yes_in_the_table_without_a_signature_is_none(self) -> None:
        """What counts is the signed event: a row that merely says so was not made by the person."""
        async with studio() as here:
            key = new_key()
            await here.sit(key)
            rows = here.here.store.members
            (member,) = await rows.to_list()
            for text in (None, "{}", member.proof_event.replace(key.pubkey, new_key().pubkey)):
                await rows.put(msgspec.structs.replace(member, proof_event=text))
                assert slug(await here.record()) == "not-agreed"

    async def test_an_empty_room_is_not_recorded(self) -> None:
        """Recording starts only when the roster is not empty."""
        async with studio() as here:
            await (await here.sit()).leave("left")  # type: ignore[arg-type]  # the reason does not matter here
            assert slug(await here.record()) == "nobody-present"

    async def test_an_unknown_roster_is_not_recorded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Recording starts only when the roster is known."""
        async with studio() as here:
            await here.sit()

            async def away(_room: object) -> object:
                raise EngineUnavailable("no answer")

            monkeypatch.setattr(here.engine, "snapshot", away)
            assert slug(await here.record()) == "roster-unknown"

    async def test_end_to_end_encryption_rules_recording_out(self) -> None:
        """semantics.md, "E2EE": the recorder would hold the key; the reason is said."""
        async with studio() as here:
            row = await here.session()
            await here.here.store.sessions.put(msgspec.structs.replace(row, e2ee_required=True))
            await here.sit()
            refused = await here.record()
            assert slug(refused) == "e2ee"
            assert isinstance(refused, Rejection)
            assert "key" in refused.detail

    async def test_a_session_announced_without_recording_has_none(self) -> None:
        """People agree to what the signed session says (the model's `allowRecording`)."""
        async with studio(recording_allowed=False) as here:
            await here.sit()
            assert slug(await here.record()) == "recording-not-allowed"

    async def test_only_a_live_session_is_recorded(self) -> None:
        """Before and after there is nothing to record."""
        async with studio() as here:
            await here.sit()
            await here.end()
            assert slug(await here.record()) == "not-live"

    async def test_an_engine_that_cannot_says_what_to_do(self) -> None:
        """The link engine has no recorder, and its own words are told."""
        async with world() as here:
            row = await here.schedule(starts_in=0, recording_allowed=True)
            await here.turn()
            answer = await here.recorder.record(
                await here.row(row.session_address), here.instructor.pubkey, wanted=True
            )
            assert slug(answer) == "not-supported"

    async def test_only_those_who_agreed_are_recorded(self) -> None:
        """The engine is given the names of those who signed, and no other."""
        async with studio() as here:
            ada, ben = new_key(), new_key()
            await here.sit(ada)
            await here.sit(ben)
            assert await here.record() is None
            assert here.engine.calls == [("start", tuple(sorted(pubkeys(ada, ben))))]
            assert here.here.recorder.is_recording(here.session_address)
            assert here.here.notices[-1] == (here.session_address, "This session is being recorded from now on.")

    async def test_the_signed_answers_are_kept_with_the_recording(self) -> None:
        """Consent events are kept: each is the person's own, and says yes to this policy."""
        async with studio() as here:
            key = new_key()
            proof = await here.join(key)
            await here.sit(key)
            await here.record()
            (kept,) = await here.here.recorder.evidence(await here.session())
            event = verify_json(kept.event.encode())
            assert isinstance(event, VerifiedEvent)
            assert (event.pubkey, kept.given) == (key.pubkey, True)
            assert (await here.recording()).consents == (event.id,)
            assert proof.kind == event.kind == 27235


class TestNewcomers:
    """semantics.md: "While recording, newcomers consent before they enter"."""

    async def test_the_door_asks_while_it_records(self) -> None:
        """The flag that the door looks at is up exactly as long as a take is on."""
        async with studio() as here:
            door = here.here.rooms._keeper._recording
            assert not door(here.session_address)
            await here.sit()
            await here.record()
            assert door(here.session_address)
            await here.record(wanted=False)
            assert not door(here.session_address)

    async def test_the_flag_is_up_before_the_room_is_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A participant who comes between the check and the start was asked at the door already."""
        async with studio() as here:
            await here.sit()
            seen: list[bool] = []
            snapshot = here.engine.snapshot

            async def spied(room: object) -> object:
                seen.append(here.here.recorder.is_recording(here.session_address))
                return await snapshot(room)  # type: ignore[arg-type]  # passed on as it came

            monkeypatch.setattr(here.engine, "snapshot", spied)
            await here.record()
            assert seen[0]

    async def test_a_newcomer_who_agreed_is_recorded_from_then_on(self) -> None:
        """The engine hears the longer list, and the newcomer's answer is kept too."""
        async with studio() as here:
            ada, late = new_key(), new_key()
            await here.sit(ada)
            await here.record()
            await here.sit(late)
            await here.look()
            assert here.engine.calls[-1] == ("start", tuple(sorted(pubkeys(ada, late))))
            assert len((await here.recording()).consents) == 2
            await here.look()
            assert len(here.engine.calls) == 2, "nothing is new"

    async def test_somebody_who_comes_without_a_yes_pauses_it(self) -> None:
        """Whatever way they found in: nothing of them is captured, and the recording stops."""
        async with studio() as here:
            await here.sit()
            await here.record()
            await here.sit(consent=None)
            await here.look()
            assert here.engine.calls[1:] == [("stop", ()), ("collect", ())]
            assert (await here.recording()).state == "paused"
            assert "1 of 2 people" in ((await here.recording()).reason or "")

    async def test_an_empty_room_goes_on_being_recorded(self) -> None:
        """The instructor who loses the connection for a moment need not start again; nothing is captured meanwhile."""
        async with studio() as here:
            key = new_key()
            seat = await here.sit(key)
            await here.record()
            await here.leave(seat)
            await here.look()
            await here.sit(key)
            await here.look()
            assert (await here.recording()).state == "recording"

    async def test_a_changed_policy_pauses_it(self) -> None:
        """With other words in force nobody has agreed any more."""
        async with studio() as here:
            await here.sit()
            await here.record()
            here.here.recorder.settings = RecordingSettings(policies={"en": "another text"})
            await here.look()
            assert (await here.recording()).state == "paused"


class TestAccess:
    """semantics.md: "the consent names which"."""

    async def test_a_session_that_says_another_audience_has_to_be_agreed_to_anew(self) -> None:
        """Those who agreed to be seen by participants have not agreed to be seen by anybody."""
        async with studio(recording_access=None) as here:
            await here.sit()
            assert await here.record() is None
            row = await here.session()
            await here.here.store.sessions.put(msgspec.structs.replace(row, recording_access="public"))
            await here.look()
            assert (await here.recording()).state == "paused"
            assert slug(await here.record()) == "not-agreed"

    async def test_of_several_takes_the_narrower_audience_counts(self) -> None:
        """What was recorded for participants is in the file, whatever was agreed to afterwards."""
        async with studio(recording_access=None) as here:
            key = new_key()
            await here.sit(key)
            await here.record()
            await here.here.clock.advance(2)
            row = msgspec.structs.replace(await here.session(), recording_access="public")
            await here.here.store.sessions.put(row)
            await here.look()
            answer = here.answer(key, given=True, row=row)
            assert await here.here.recorder.answer(row, answer) is None
            assert await here.record() is None
            assert (await here.recording()).access == "participants"


class TestWithdrawal:
    """semantics.md: "Withdrawal pauses at once"."""

    async def test_a_signed_no_stops_the_engine_before_the_call_returns(self) -> None:
        """The take is closed, the engine stopped, everybody told, and the no is kept as evidence."""
        async with studio() as here:
            key = new_key()
            await here.sit(key)
            await here.record()
            await here.here.clock.advance(2)
            assert await here.here.recorder.answer(await here.session(), here.answer(key, given=False)) is None
            assert here.engine.calls[1] == ("stop", ())
            row = await here.recording()
            assert (row.state, row.takes[-1][1]) == ("paused", here.here.clock.now())
            assert here.here.notices[-1][1].startswith("The recording is paused")
            kept = await here.here.recorder.evidence(await here.session())
            assert [one.given for one in kept] == [True, False]

    async def test_it_goes_on_only_when_everybody_agrees_again(self) -> None:
        """Resuming is a start like the first: with a person who said no it is refused, without them it is not."""
        async with studio() as here:
            ada, ben = new_key(), new_key()
            await here.sit(ada)
            seat = await here.sit(ben)
            await here.record()
            await here.here.recorder.answer(await here.session(), here.answer(ben, given=False))
            assert slug(await here.record()) == "not-agreed"
            await here.leave(seat)
            assert await here.record() is None
            assert here.engine.calls[-1] == ("start", (ada.pubkey,))
            assert len((await here.recording()).takes) == 2

    async def test_a_no_can_become_a_yes_without_leaving(self) -> None:
        """A person who said no at the door signs a yes inside, and the recording can begin."""
        async with studio() as here:
            key = new_key()
            await here.sit(key, consent=False)
            assert slug(await here.record()) == "not-agreed"
            assert await here.here.recorder.answer(await here.session(), here.answer(key, given=True)) is None
            assert await here.record() is None

    async def test_an_engine_that_is_away_is_stopped_as_soon_as_it_is_back(self) -> None:
        """The take is closed at once all the same, so that nothing after it gets into the file."""
        async with studio() as here:
            key = new_key()
            await here.sit(key)
            await here.record()
            here.engine.away = True
            await here.here.recorder.answer(await here.session(), here.answer(key, given=False))
            row = await here.recording()
            assert (row.state, row.engine_on) == ("paused", True)
            here.engine.away = False
            await here.look()
            assert here.engine.calls[-2:] == [("stop", ()), ("collect", ())]
            assert not (await here.recording()).engine_on

    @pytest.mark.parametrize("case", ["another session", "no tags", "old policy", "a stranger"])
    async def test_an_answer_has_to_be_clear(self, case: str) -> None:
        """A yes is for this session, this policy, and from a person who has joined."""
        async with studio() as here:
            key = new_key()
            await here.sit(key, consent=False)
            events = {
                "another session": here.answer(key, given=True, session=f"31923:{key.pubkey}:x"),
                "old policy": here.answer(key, given=True, policy="older"),
                "a stranger": here.answer(new_key(), given=True),
                "no tags": msgspec.structs.replace(here.answer(key, given=True), tags=()),
            }
            refused = await here.here.recorder.answer(await here.session(), events[case])
            assert slug(refused) in ("bad-consent", "policy-changed", "not-here")
            assert slug(await here.record()) == "not-agreed"


class TestEngines:
    """What an engine may do to a recording."""

    async def test_a_refusal_of_the_engine_is_told_and_nothing_runs(self) -> None:
        """Its words are the answer; the door asks nobody any more; after the end there is no recording."""
        async with studio() as here:
            await here.sit()
            here.engine.deaf = Rejection(Slug.DISK, "the disk of the engine is full")
            assert await here.record() == here.engine.deaf
            assert not here.here.recorder.is_recording(here.session_address)
            assert (await here.recording()).state == "paused"
            await here.end()
            assert await here.here.recorder.recordings(await here.session()) == []
            assert (await here.session()).recording_state == "none"

    async def test_an_engine_that_is_away_leaves_nothing_running(self) -> None:
        """The call fails, the take is closed."""
        async with studio() as here:
            await here.sit()
            here.engine.away = True
            with pytest.raises(EngineUnavailable):
                await here.record()
            assert not here.here.recorder.is_recording(here.session_address)
            assert (await here.recording()).state == "paused"
            here.engine.away = False
            await here.look()
            assert ("stop", ()) in here.engine.calls, "it may have begun all the same"

    async def test_a_recorder_that_fails_is_told_to_everybody(self) -> None:
        """People learn that nothing is recorded any more, the instructor sees why."""
        async with studio() as here:
            await here.sit()
            stop = Stop()
            running = asyncio.create_task(here.here.recorder.run(stop))
            await soon(lambda: here.here.clock.sleeping > 0)
            await here.record()
            try:
                here.engine.fail_recording(here.here.room_of(await here.session()).room)
                await soon(lambda: not here.here.recorder.is_recording(here.session_address))
                await soon(lambda: here.here.notices[-1][1] == "The recording was stopped.")
                assert "the disk is full" in ((await here.recording()).reason or "")
            finally:
                stop.set()
                await running

    async def test_again_is_no_second_recording(self) -> None:
        """Two commands in a row begin one take; two stops end it once."""
        async with studio() as here:
            await here.sit()
            assert await here.record() is None
            assert await here.record() is None
            assert [name for name, _ in here.engine.calls] == ["start"]
            await here.record(wanted=False)
            await here.record(wanted=False)
            assert [name for name, _ in here.engine.calls] == ["start", "stop", "collect"]
