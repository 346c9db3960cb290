"""The operators' checks after a run: each a pure verdict on measured values."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

MEASUREMENTS = """
SELECT
    (SELECT count(*) FROM attempt_base WHERE completed_at >= :first AND completed_at < :end) AS answers,
    (SELECT count(*) FROM question
        WHERE meta -> 'tags' @> '["anchor"]' AND jsonb_typeof(meta -> 'irt') = 'object') AS anchors,
    (SELECT count(*) FROM mirt_item_params) AS items,
    (SELECT count(DISTINCT user_id) FROM mirt_ability) AS users,
    (SELECT max(fitted_at) FROM mirt_fit_meta) AS fitted_at,
    (SELECT metrics -> 'converged' FROM mirt_fit_meta ORDER BY fitted_at DESC LIMIT 1) AS converged,
    (SELECT model_spec ->> 'version' FROM mirt_fit_meta ORDER BY fitted_at DESC LIMIT 1) AS version,
    (SELECT count(*) FROM features_topic_daily WHERE date BETWEEN :first AND :date) AS features,
    (SELECT max(date) FROM features_topic_daily WHERE date <= :date) AS newest_feature,
    (SELECT max((completed_at AT TIME ZONE 'UTC')::date) FROM attempt_base
        WHERE completed_at < :end AND topic_id IS NOT NULL) AS newest_answer,
    (SELECT count(*) FROM weekly_kpi WHERE week_start = :week) AS kpis,
    (SELECT count(DISTINCT user_id) FROM attempt_base
        WHERE completed_at >= :kpi_first AND completed_at < :end) AS active_users
"""
FEATURE_DAYS = 7
KPI_DAYS = 56


@dataclass(frozen=True)
class Expectations:
    """What a healthy database holds at least."""

    min_answers: int = 1
    min_items: int = 10
    min_users: int = 10
    min_anchors: int = 2
    max_age_hours: float = 26.0


@dataclass(frozen=True)
class Check:
    """One verdict; `resolution` says what to do when it is not ok."""

    name: str
    ok: bool
    detail: str
    resolution: str


def measure(connection: Connection, date: dt.date) -> dict[str, Any]:
    """Return the values that the checks judge, as of the end of `date` (UTC)."""
    end = dt.datetime.combine(date + dt.timedelta(days=1), dt.time(), dt.UTC)
    bounds = {
        "date": date,
        "end": end,
        "first": date - dt.timedelta(days=FEATURE_DAYS - 1),
        "kpi_first": end - dt.timedelta(days=KPI_DAYS),
        "week": date - dt.timedelta(days=date.weekday()),
    }
    return dict(connection.execute(sa.text(MEASUREMENTS), bounds).mappings().one())


def judge(measured: Mapping[str, Any], expected: Expectations, now: dt.datetime) -> list[Check]:
    """Return a verdict on each measured value."""
    age = _age_hours(measured["fitted_at"], now)
    return [
        _at_least("answers", measured["answers"], expected.min_answers,
                  f"answers of the last {FEATURE_DAYS} days", "check that the platform writes exam_results"),
        _at_least("anchors", measured["anchors"], expected.min_anchors,
                  "anchors with parameters", "tag questions with 'anchor' and give them meta.irt, or expect fewer"),
        _at_least("items", measured["items"], expected.min_items,
                  "calibrated items", "run mirt-calibrate and read its excluded items"),
        _at_least("users", measured["users"], expected.min_users,
                  "learners with an ability", "run mirt-calibrate"),
        Check("calibration fresh", age is not None and age <= expected.max_age_hours,
              "never fitted" if age is None else f"fitted {age:.1f} h ago; {expected.max_age_hours:g} h allowed",
              "run mirt-calibrate, and look why its schedule did not"),
        Check("calibration converged", measured["converged"] is True,
              f"converged: {measured['converged']}, scale {measured['version']}", "read the fit's artifact"),
        _at_least("features", measured["features"], 1,
                  f"feature rows of the last {FEATURE_DAYS} days", "run aggregate-features-daily"),
        Check("features fresh", measured["newest_feature"] == measured["newest_answer"],
              f"newest feature {measured['newest_feature']}, newest answer in a topic {measured['newest_answer']}",
              "run aggregate-features-daily for the days between"),
        _at_least("KPIs", measured["kpis"], max(1, measured["active_users"]),
                  "learners with KPIs this week", "run compute-daily-kpis and read its failures"),
    ]  # fmt: skip


def _at_least(name: str, found: int, wanted: int, what: str, resolution: str) -> Check:
    return Check(name, found >= wanted, f"{found:,} {what}; {wanted:,} expected", resolution)


def _age_hours(moment: dt.datetime | None, now: dt.datetime) -> float | None:
    return None if moment is None else (now - moment).total_seconds() / 3600
