"""The night as a whole, on a simulated cohort, a real database and a real Prefect server."""

import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.client.schemas.objects import State
from sqlalchemy.engine import Engine

from flows.aggregate_features_daily import aggregate_features_daily
from flows.compute_daily_kpis import compute_daily_kpis
from flows.mirt_calibrate import mirt_calibrate
from flows.nightly import STAGES, nightly
from flows.stage import StageSummary
from seedtest.db.engine import create_engine
from seedtest.db.locks import stage_lock
from seedtest.errors import LockTimeoutError, StageError
from tests.conftest import listening
from tests.flows.conftest import LAST_DAY, PLAN
from tests.flows.snapshots import RESULTS, scalar, snapshot

WAREHOUSE = ("mirt_item_params", "mirt_ability", "mirt_fit_meta", "features_topic_daily", "weekly_kpi")


def rows(engine: Engine) -> dict[str, Any]:
    counts = {table: scalar(engine, f"SELECT count(*) FROM {table}") for table in WAREHOUSE}
    return counts | {"newest fit": scalar(engine, "SELECT max(fitted_at) FROM mirt_fit_meta")}


def test_the_night_fills_every_table_and_its_counts_add_up(cohort: Engine) -> None:
    calibration, features, kpis = nightly(date=LAST_DAY)

    counts = calibration.counts
    assert counts["answers in scope"] == scalar(cohort, "SELECT count(*) FROM attempt")
    repeats = calibration.dropped.get("repeated answers (MIRT_REPEATS=first)", 0)
    assert counts["answers counted"] == counts["answers loaded"] - repeats
    assert counts["items calibrated"] + counts["items excluded"] == counts["items"]
    assert counts["abilities"] + counts["learners excluded"] == counts["learners"] == PLAN.users
    assert counts["items calibrated"] == scalar(cohort, "SELECT count(*) FROM mirt_item_params")
    assert counts["abilities"] == scalar(cohort, "SELECT count(*) FROM mirt_ability_latest")

    written = features.counts["feature rows inserted"]
    assert written == scalar(cohort, "SELECT count(*) FROM features_topic_daily") > 0
    active = scalar(
        cohort, f"SELECT count(DISTINCT user_id) FROM attempt WHERE completed_at >= date '{LAST_DAY}' - 55"
    )
    assert kpis.counts["learners processed"] == active
    assert scalar(cohort, "SELECT count(*) FROM weekly_kpi") == 2 * active


def test_the_same_night_again_changes_no_feature_and_no_kpi(cohort: Engine) -> None:
    nightly(date=LAST_DAY)
    before = snapshot(cohort)
    _, features, kpis = nightly(date=LAST_DAY)
    assert snapshot(cohort) == before
    days = scalar(cohort, "SELECT count(DISTINCT (user_id, date)) FROM features_topic_daily")
    assert features.counts["learners' days unchanged"] == days
    assert features.counts["feature rows computed"] == 0
    assert kpis.counts["KPI rows unchanged since the last run"] == before["weekly_kpi"][0]


def test_computing_over_again_gives_the_same_rows(cohort: Engine) -> None:
    nightly(date=LAST_DAY)
    before = snapshot(cohort)
    features = aggregate_features_daily(date=LAST_DAY, full=True)
    kpis = compute_daily_kpis(date=LAST_DAY, full=True)
    assert snapshot(cohort) == before
    assert features.counts["feature rows unchanged"] == before["features_topic_daily"][0]
    assert kpis.counts["KPI rows unchanged"] == before["weekly_kpi"][0]


def test_answers_that_vanish_take_their_rows_along(cohort: Engine) -> None:
    nightly(date=LAST_DAY)
    someone = scalar(cohort, f"SELECT min(user_id) FROM features_topic_daily WHERE date = '{LAST_DAY}'")
    with cohort.begin() as connection:
        connection.execute(sa.text("DELETE FROM exam_results WHERE user_id = :user"), {"user": someone})
    _, features, _ = nightly(date=LAST_DAY)
    assert features.counts["feature rows deleted"] > 0
    assert scalar(cohort, f"SELECT count(*) FROM features_topic_daily WHERE user_id = '{someone}'") == 0


def test_a_dry_run_writes_nothing(cohort: Engine) -> None:
    nightly(date=LAST_DAY)
    before = rows(cohort)
    summaries = nightly(date=LAST_DAY, dry_run=True)
    assert rows(cohort) == before
    assert all(summary.dry_run for summary in summaries)


def test_a_dry_calibration_counts_and_writes_nothing(cohort: Engine, log: list[str]) -> None:
    summary = mirt_calibrate(date=LAST_DAY, dry_run=True)
    assert summary.counts["answers loaded"] > 0
    assert rows(cohort)["mirt_fit_meta"] == 0
    assert not any("upsert" in line for line in log)


def test_the_calibration_logs_the_contracts_lines_in_order(cohort: Engine, log: list[str]) -> None:
    summary = mirt_calibrate(date=LAST_DAY)
    counts = summary.counts
    seeds = scalar(cohort, "SELECT count(*) FROM question WHERE meta ? 'irt'")
    wanted = [
        f"Loaded {counts['answers loaded']} observations from attempt VIEW",
        f"Loaded {seeds} anchors/seeds from question.meta",
        f"Total observations: {counts['answers counted']}",
        f"Model: 2PL, Anchors: {counts['anchors with parameters']}",
        'Linking constants received: {"slope": ',
        f"Calibration upsert completed: {counts['items calibrated']} items, {counts['abilities']} abilities",
        "IRT calibration completed successfully",
    ]
    places = [next(i for i, line in enumerate(log) if line.startswith(text)) for text in wanted]
    assert places == sorted(places)


def test_parts_that_no_learner_connects_are_told_once_and_before_the_fit(cohort: Engine) -> None:
    with cohort.begin() as connection:
        # A second cohort, whose learners and items nobody of the first one shares.
        connection.execute(
            sa.text(
                "INSERT INTO exam_results (session_id, user_id, status, result_json, created_at, updated_at)"
                " SELECT 'apart-' || session_id, 'apart-' || user_id, status, replace(result_json::text,"
                ' \'"question_id": "\', \'"question_id": "apart-\')::jsonb, created_at, updated_at'
                " FROM exam_results"
            )
        )
    with listening("prefect.flow_runs", "seedtest") as lines:
        summary = mirt_calibrate(date=LAST_DAY, linking="fixed")
    told = [place for place, line in enumerate(lines) if "without a common learner" in line]
    constants = lines.index("Linking constants received: {}")
    assert len(told) == 1
    assert lines[told[0]].startswith("The items fall into 2 parts without a common learner: 4")
    assert told[0] < next(place for place, line in enumerate(lines) if line.startswith("EM ")) < constants
    assert summary.facts["parts without a common learner"].startswith("2 parts, of ")
    assert summary.facts["linking"] == "fixed"


def test_without_answers_every_stage_says_so_and_succeeds(environment: None, engine: Engine) -> None:
    calibration, features, kpis = nightly(date=LAST_DAY)
    assert calibration.facts["outcome"].startswith("No observations")
    assert features.counts["feature rows computed"] == kpis.counts["KPI rows computed"] == 0


def test_a_failed_calibration_says_why_without_a_trace(cohort: Engine, log: list[str]) -> None:
    with stage_lock(cohort, "mirt-calibrate", wait_secs=0):
        state: State[StageSummary] = mirt_calibrate.with_options(retries=0)(date=LAST_DAY, return_state=True)
    assert state.is_failed()
    assert any(
        line.startswith("IRT calibration failed: Stage mirt-calibrate is already running") for line in log
    )
    assert "Traceback" not in log


def test_a_stage_runs_once_at_a_time_and_the_holder_is_named(cohort: Engine, database_url: str) -> None:
    other = create_engine(database_url, application_name="compute-daily-kpis run somebody-else")
    alone = compute_daily_kpis.with_options(retries=0)
    with (
        stage_lock(other, "compute-daily-kpis", wait_secs=0),
        pytest.raises(LockTimeoutError, match="'compute-daily-kpis run somebody-else'"),
    ):
        alone(date=LAST_DAY)
    other.dispose()
    alone(date=LAST_DAY)
    assert scalar(cohort, "SELECT count(*) FROM weekly_kpi") > 0


@pytest.mark.heavy
def test_a_retried_night_does_not_repeat_a_finished_stage(cohort: Engine, log: list[str]) -> None:
    blocked = threading.Event()

    def hold_until_features_failed_for_good() -> None:
        with stage_lock(cohort, "aggregate-features-daily", wait_secs=5):
            blocked.set()
            for _ in range(600):
                if sum("Stage aggregate-features-daily is already running" in line for line in log) >= 2:
                    return
                time.sleep(0.1)

    holder = threading.Thread(target=hold_until_features_failed_for_good)
    holder.start()
    blocked.wait(10)
    summaries = nightly.with_options(retries=1, retry_delay_seconds=1)(date=LAST_DAY)
    holder.join()
    assert [summary.stage for summary in summaries] == list(STAGES)
    assert sum(line.startswith("Calibration upsert completed") for line in log) == 1
    assert scalar(cohort, "SELECT count(*) FROM mirt_fit_meta") == 1


def test_one_impossible_learner_fails_the_run_but_stops_nobody_else(cohort: Engine) -> None:
    nightly(date=LAST_DAY)
    victim = scalar(cohort, "SELECT min(user_id) FROM weekly_kpi")
    with cohort.begin() as connection:
        connection.execute(
            sa.text("UPDATE mirt_ability SET theta = 'NaN' WHERE user_id = :user"), {"user": victim}
        )
        connection.execute(sa.text("DELETE FROM weekly_kpi"))
    with pytest.raises(StageError, match=f"KPIs of 1 learners could not be computed.*{victim}"):
        compute_daily_kpis.with_options(retries=0)(date=LAST_DAY)
    written = scalar(cohort, "SELECT count(DISTINCT user_id) FROM weekly_kpi")
    assert written == snapshot(cohort, RESULTS)["weekly_kpi"][0] / 2 > 0
    assert scalar(cohort, f"SELECT count(*) FROM weekly_kpi WHERE user_id = '{victim}'") == 0
