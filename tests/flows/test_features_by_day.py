"""The table of days that a features run leaves: sums over its parts, which it does not keep."""

import json

import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL
from sqlalchemy.engine import Engine

from flows.aggregate_features_daily import aggregate_features_daily
from flows.mirt_calibrate import mirt_calibrate
from tests.flows.conftest import LAST_DAY
from tests.prefect_requests import ask

BY_DAY = """
SELECT date::text, count(*) AS rows, sum(attempts)::int AS attempts,
    round(sum(correct)::numeric / sum(attempts), 4)::float AS accuracy,
    round(avg(rt_median), 4)::float AS mean_rt_median_ms,
    avg(theta_estimate)::float AS mean_theta,
    count(*) FILTER (WHERE theta_estimate IS NULL) AS without_theta
FROM features_topic_daily GROUP BY date ORDER BY date
"""


def test_a_line_a_day_however_many_parts_there_were(cohort: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    mirt_calibrate(date=LAST_DAY)
    with cohort.begin() as connection:
        # Few items keep parameters, so that some rows have no θ.
        connection.execute(sa.text("DELETE FROM mirt_item_params WHERE right(item_id, 1) <> '7'"))
    monkeypatch.setenv("BATCH_ANSWERS", "100")
    summary = aggregate_features_daily(date=LAST_DAY, lookback_days=4)
    wanted = {"artifacts": {"key": {"any_": ["aggregate-features-daily"]}}, "limit": 1}
    [found] = ask("POST", f"{PREFECT_API_URL.value()}/artifacts/latest/filter", wanted)
    shown = json.loads(found["data"])
    with cohort.connect() as connection:
        expected = [dict(row) for row in connection.execute(sa.text(BY_DAY)).mappings()]
    assert [row["date"] for row in shown] == [row["date"] for row in expected]
    assert len(shown) == 4
    assert 0 < sum(row["without_theta"] for row in shown) < sum(row["rows"] for row in shown)
    for mine, theirs in zip(shown, expected, strict=True):
        assert mine == pytest.approx(theirs, abs=1.1e-4)
    assert summary.counts["feature rows computed"] == sum(row["rows"] for row in shown)
