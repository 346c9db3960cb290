"""Webhooks while the θ worker is killed, PostgreSQL restarted, the Prefect server away; at a small size."""

import pytest

from benchmarks.theta_storm import Plan, storm_on_own_stack
from tests.local.conftest import free_port
from tests.local.homes import open_folder

SMALL = Plan(n_sessions=600, server_away_secs=8)


@pytest.mark.heavy
def test_no_accepted_session_is_lost_or_doubled_whatever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    # The storm sets a secret of its own; it is gone after the test.
    monkeypatch.setenv("WEBHOOK_SECRET", "")
    said: list[str] = []
    with open_folder() as folder:
        found = storm_on_own_stack(folder / "home", SMALL, say=said.append, seedtest_prefect_port=free_port())
    assert found.is_sound, (found, said)
    assert found.done == SMALL.n_sessions
