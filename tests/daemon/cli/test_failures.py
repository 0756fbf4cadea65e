"""From an error to an exit code and a sentence."""

from __future__ import annotations

import pytest

from podium_daemon.cli.failures import Exit, exit_code_of, sentence_of
from podium_daemon.client import ApiProblem, DaemonUnreachable, DraftRefused
from podium_protocol.errors import PodiumError, RemoteProtocolError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ApiProblem(401, "login", "the login is not for this URL", "Sign again."), Exit.SIGNER),
        (ApiProblem(409, "signer", "the signer is away", ""), Exit.SIGNER),
        (ApiProblem(409, "no-relay", "there is no relay", ""), Exit.NO_RELAY),
        (ApiProblem(409, "session-over", "the session is ended", ""), Exit.FAILED),
        (ApiProblem(502, "", "http://x answered 502", ""), Exit.FAILED),
        (DaemonUnreachable("no daemon answers", is_closed=True), Exit.FAILED),
        (RemoteProtocolError("the answer cannot be understood"), Exit.FAILED),
        (DraftRefused("the daemon asked us to sign another event. Nothing was signed"), Exit.SIGNER),
    ],
)
def test_what_the_client_raises_tells_scripts_whose_turn_it_is(error: PodiumError, code: Exit) -> None:
    """A login or a signature is the signer's turn, a missing relay the operator's."""
    assert exit_code_of(error) is code


def test_only_a_daemon_that_does_not_run_is_to_be_started() -> None:
    """One that broke off is told as it was."""
    closed = sentence_of(DaemonUnreachable("no daemon answers at http://x", is_closed=True))
    assert closed == "no daemon answers at http://x: start it with `podium run`, or name it with --url"
    assert sentence_of(DaemonUnreachable("it did not answer")) == "it did not answer"
