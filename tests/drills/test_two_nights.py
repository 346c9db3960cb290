"""Two nights at once: they wait for each other, or the second says who is at work."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from seedtest.batches.features import STAGE as FEATURES
from seedtest.batches.kpis import STAGE as KPIS
from tests.drills.conftest import Snapshot
from tests.drills.processes import Run
from tests.flows.snapshots import ESTIMATES, RESULTS, snapshot


@pytest.mark.parametrize("patience_secs", ["60", pytest.param("0", marks=pytest.mark.heavy)])
@pytest.mark.parametrize("flows", [(FEATURES, KPIS), pytest.param(("nightly",), marks=pytest.mark.heavy)])
def test_two_nights_at_once_end_as_one(
    flows: tuple[str, ...],
    patience_secs: str,
    undisturbed: Snapshot,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = snapshot(engine, ESTIMATES)
    monkeypatch.setenv("LOCK_WAIT_SECS", patience_secs)
    with ExitStack() as stack:
        started = [(flow, Run(flow, tmp_path / f"{flow}-{n}", retries=0)) for flow in flows for n in (1, 2)]
        runs = [(flow, stack.enter_context(run)) for flow, run in started]
        ended = [(flow, run.completed(), run.output) for flow, run in runs]
    for _, has_completed, output in ended:
        assert has_completed or "is already running: '" in output, output
    assert {flow for flow, has_completed, _ in ended if has_completed} == set(flows)
    assert patience_secs == "0" or all(has_completed for _, has_completed, _ in ended)
    assert snapshot(engine, ESTIMATES) == expected
    assert snapshot(engine, RESULTS) == {table: undisturbed[table] for table in RESULTS}
