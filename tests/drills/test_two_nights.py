"""Two nights at once: they wait for each other, or the second says who is at work."""

from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from tests.drills.conftest import Snapshot
from tests.drills.processes import Run
from tests.flows.snapshots import ESTIMATES, RESULTS, snapshot


@pytest.mark.parametrize("patience_secs", ["60", "0"])
def test_two_nights_at_once_end_as_one(
    patience_secs: str,
    undisturbed: Snapshot,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = snapshot(engine, ESTIMATES)
    monkeypatch.setenv("LOCK_WAIT_SECS", patience_secs)
    with Run("nightly", tmp_path / "one") as one, Run("nightly", tmp_path / "two") as two:
        ended = {run: run.completed() for run in (one, two)}
    for run, has_completed in ended.items():
        assert has_completed or "is already running: '" in run.output, run.output
    assert any(ended.values())
    assert all(ended.values()) or patience_secs == "0"
    assert snapshot(engine, ESTIMATES) == expected
    assert snapshot(engine, RESULTS) == {table: undisturbed[table] for table in RESULTS}
