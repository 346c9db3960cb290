"""The weekly reports' flow: real renderers, a real bucket, a real database, in processes of their own."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from flows.compute_daily_kpis import compute_daily_kpis
from flows.generate_weekly_report import generate_weekly_report
from flows.mirt_calibrate import mirt_calibrate
from seedtest.errors import StageError
from tests.amazon import REGION
from tests.flows.conftest import LAST_DAY

WEEK = LAST_DAY - dt.timedelta(days=LAST_DAY.weekday())
LEARNERS = 6


@pytest.fixture
def week(cohort: Engine, amazon: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A cohort with KPIs of the week for a few, and a bucket for their reports."""
    monkeypatch.setenv("S3_ENDPOINT_URL", amazon)
    monkeypatch.setenv("S3_BUCKET", bucket)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("REPORT_CHUNK_SIZE", "2")
    monkeypatch.setenv("REPORT_PROCESSES", "2")
    mirt_calibrate(date=LAST_DAY)
    compute_daily_kpis(date=LAST_DAY)
    with cohort.begin() as connection:
        connection.execute(
            sa.text(
                "DELETE FROM weekly_kpi WHERE week_start <> :week OR user_id NOT IN"
                " (SELECT user_id FROM weekly_kpi WHERE week_start = :week ORDER BY user_id LIMIT :n)"
            ),
            {"week": WEEK, "n": LEARNERS},
        )
    return cohort


@pytest.fixture
def objects(amazon: str, bucket: str) -> Iterator[Any]:
    client = boto3.client("s3", endpoint_url=amazon, region_name=REGION)
    yield lambda: {
        found["Key"]: client.head_object(Bucket=bucket, Key=found["Key"])
        for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])
    }
    client.close()


def rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(
            connection.execute(
                sa.text("SELECT * FROM report_artifacts ORDER BY user_id, week_start, format")
            ).mappings()
        )


def test_every_learner_has_both_reports_and_every_row_its_object(week: Engine, objects: Any) -> None:
    summary = generate_weekly_report(week=LAST_DAY)
    assert summary.counts["learners"] == LEARNERS
    assert summary.counts["reports made"] == 2 * LEARNERS
    assert summary.counts["html reports of the week stored"] == LEARNERS
    stored, found = rows(week), objects()
    assert len(stored) == 2 * LEARNERS
    for row in stored:
        key = f"reports/{row['user_id']}/{WEEK}/report.{row['format']}"
        assert row["url"].endswith(f".amazonaws.com/{key}")
        assert found[key]["ContentLength"] == row["file_size_bytes"]
        assert (
            found[key]["ContentType"]
            == {
                "html": "text/html; charset=utf-8",
                "pdf": "application/pdf",
            }[row["format"]]
        )
        assert found[key]["CacheControl"] == "private, no-cache"
        assert found[key]["ServerSideEncryption"] == "AES256"


@pytest.mark.heavy
def test_a_rerun_makes_what_is_missing_or_out_of_date_and_nothing_else(week: Engine, objects: Any) -> None:
    generate_weekly_report(week=LAST_DAY)
    before, stored = rows(week), objects()
    again = generate_weekly_report(week=LAST_DAY)
    assert (again.counts["reports made"], again.counts["reports up to date"]) == (0, 2 * LEARNERS)
    assert rows(week) == before
    assert {key: head["LastModified"] for key, head in objects().items()} == {
        key: head["LastModified"] for key, head in stored.items()
    }
    changed, lost = before[0]["user_id"], before[-1]["user_id"]
    with week.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE weekly_kpi SET kpis = kpis || CAST('{\"A_t\": 0.123}' AS jsonb) WHERE user_id = :u"
            ),
            {"u": changed},
        )
        connection.execute(
            sa.text("DELETE FROM report_artifacts WHERE user_id = :u AND format = 'pdf'"), {"u": lost}
        )
    third = generate_weekly_report(week=LAST_DAY)
    assert third.counts["reports made"] == 3
    forced = generate_weekly_report(week=LAST_DAY, force=True, format="pdf")
    assert forced.counts["reports made"] == LEARNERS


@pytest.mark.heavy
def test_a_dry_run_writes_nothing(week: Engine, objects: Any) -> None:
    summary = generate_weekly_report(week=LAST_DAY, dry_run=True)
    assert summary.counts["reports made"] == 2 * LEARNERS
    assert rows(week) == []
    assert objects() == {}


@pytest.mark.heavy
def test_one_learner_with_impossible_data_stops_nobody_else(week: Engine) -> None:
    with week.begin() as connection:
        bad = connection.execute(sa.text("SELECT min(user_id) FROM weekly_kpi")).scalar_one()
        connection.execute(
            sa.text('UPDATE weekly_kpi SET kpis = CAST(\'{"A_t": "much"}\' AS jsonb) WHERE user_id = :u'),
            {"u": bad},
        )
    with pytest.raises(StageError, match=rf"Reports of 1 learners could not be made.*{bad}"):
        generate_weekly_report(week=LAST_DAY)
    assert {row["user_id"] for row in rows(week)}.isdisjoint({bad})
    assert len(rows(week)) == 2 * (LEARNERS - 1)


@pytest.mark.heavy
def test_one_learner_may_be_asked_for(week: Engine) -> None:
    with week.connect() as connection:
        one = connection.execute(sa.text("SELECT max(user_id) FROM weekly_kpi")).scalar_one()
    summary = generate_weekly_report(week=LAST_DAY, user=one, format="html")
    assert summary.counts["reports made"] == 1
    assert [(row["user_id"], row["format"]) for row in rows(week)] == [(one, "html")]
    nobody = generate_weekly_report(week=LAST_DAY, user="nobody")
    assert nobody.dropped == {"learners without KPIs of the week": 1}
