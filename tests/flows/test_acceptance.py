"""The operators' own queries run unmodified after a night and return rows that make sense."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from flows.nightly import nightly
from seedtest.local.simulate import SimulationPlan, load_cohort, simulate

USERS, ITEMS = 60, 40
# Reports are not made yet; their queries only have to run.
WITHOUT_ROWS = {"report_artifacts", "report_coverage"}

Rows = list[dict[str, Any]]


@pytest.fixture
def night(environment: None, engine: Engine) -> Engine:
    """A cohort up to yesterday and its night: the queries look back from now."""
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    plan = SimulationPlan(users=USERS, items=ITEMS, topics=4, days=60, seed=3, end=yesterday, answers=30)
    load_cohort(engine, simulate(plan))
    nightly()
    return engine


def answers(engine: Engine, folder: Path) -> dict[str, Rows]:
    results = {}
    for file in sorted(folder.glob("*.sql")):
        with engine.connect() as connection:
            # exec_driver_sql: the text goes to the server as it stands.
            rows = connection.exec_driver_sql(file.read_text()).mappings().all()
        results[file.stem] = [dict(row) for row in rows]
    return results


def test_every_query_runs_and_makes_sense(night: Engine, shared: Path) -> None:
    found = answers(night, shared / "acceptance")
    assert len(found) >= 13
    assert {name for name, rows in found.items() if not rows} == WITHOUT_ROWS

    anchors = found["anchors"][0]
    assert anchors["anchor_count"] >= 2
    assert 0.3 < anchors["avg_anchor_discrimination"] < 3
    assert -2 < anchors["avg_anchor_difficulty"] < 2

    checked = {row["table_name"]: row for row in found["daily_check"]}
    assert 0 < checked["mirt_item_params"]["count"] <= ITEMS
    assert checked["mirt_ability"]["count"] == USERS
    assert all(row["last_update"] is not None for row in checked.values())

    for row in found["features_topic_daily"]:
        assert 0 <= row["correct"] <= row["attempts"]
        assert 0 <= row["accuracy_pct"] <= 100
        assert row["rt_median"] is None or row["rt_median"] > 0
    for name in ("mirt_ability", "mirt_ability_last_hour"):
        assert all(-6 < row["theta"] < 6 and row["se"] > 0 and row["version"] == "v1" for row in found[name])
    summary = found["mirt_ability_summary"][0]
    assert summary["user_count"] == USERS
    assert -1 < summary["avg_theta"] < 2
    assert 0.3 < summary["sd_theta"] < 2
    assert found["mirt_ability_updates_per_day"][0]["unique_users"] == USERS

    fit = found["mirt_fit_meta"][0]
    assert fit["model"] == "2PL"
    assert int(fit["n_users"]) == USERS
    assert int(fit["n_anchors"]) >= 2
    assert set(fit["linking_constants"]) == {"slope", "intercept"}
    assert float(fit["aic"]) > 0
    for row in found["mirt_item_params"]:
        assert float(row["discrimination"]) > 0
        assert -6 < float(row["difficulty"]) < 6
        assert float(row["guessing"]) == 0
    assert found["mirt_item_params_summary"][0]["item_count"] == checked["mirt_item_params"]["count"]
    for row in found["weekly_kpi"]:
        assert -1 <= float(row["improvement"] or 0) <= 1
        assert all(0 <= float(row[key] or 0) <= 1 for key in ("efficiency", "goal_prob", "churn_risk"))
