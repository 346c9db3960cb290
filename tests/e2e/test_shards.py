"""A night's learners dealt out to several runs, on the embedded stack."""

import pytest

from seedtest.db.engine import create_engine
from tests.e2e.conftest import LAST_DAY, Running
from tests.flows.snapshots import snapshot

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("stage", ["compute-daily-kpis", "aggregate-features-daily"])
def test_shards_write_what_one_run_writes(night: Running, stage: str) -> None:
    engine = create_engine(night.database_url)
    before = snapshot(engine)
    assert night.run(stage, date=str(LAST_DAY), shards="2", full="true").completed, "\n".join(night.said)
    assert snapshot(engine) == before
    engine.dispose()
