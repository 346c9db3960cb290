"""The operators' checks after a run: each a pure verdict on measured values."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from seedtest.db.calibrations import IN_FORCE, load_seeds
from seedtest.db.schema import MirtFitMeta
from seedtest.windows import first_day

MEASUREMENTS = """
WITH active AS (
    SELECT DISTINCT user_id FROM attempt_base WHERE completed_at >= :kpi_start AND completed_at < :end
)
SELECT
    (SELECT count(*) FROM attempt_base WHERE completed_at >= :start AND completed_at < :end) AS answers,
    (SELECT count(*) FROM mirt_item_params) AS items,
    (SELECT count(DISTINCT user_id) FROM mirt_ability WHERE version = :version) AS users,
    (SELECT count(*) FROM features_topic_daily WHERE date BETWEEN :first AND :date) AS features,
    (SELECT max(date) FROM features_topic_daily WHERE date BETWEEN :first AND :date) AS newest_feature,
    (SELECT max((completed_at AT TIME ZONE 'UTC')::date) FROM attempt_base
        WHERE completed_at >= :start AND completed_at < :end AND topic_id IS NOT NULL) AS newest_answer,
    (SELECT count(*) FROM active) AS active_users,
    (SELECT count(*) FROM active WHERE NOT EXISTS (
        SELECT FROM weekly_kpi AS k WHERE k.user_id = active.user_id AND k.week_start = :week
    )) AS users_without_kpis
"""

FIT_IN_FORCE = (
    sa.select(
        MirtFitMeta.fitted_at,
        MirtFitMeta.metrics["converged"].as_boolean().label("converged"),
        MirtFitMeta.model_spec["version"].as_string().label("version"),
    )
    .where(IN_FORCE)
    .order_by(MirtFitMeta.fitted_at.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Expectations:
    """What a healthy database holds at least."""

    min_answers: int = 1
    min_items: int = 10
    min_users: int = 10
    min_anchors: int = 2
    max_age_hours: float = 26.0


@dataclass(frozen=True)
class Measured:
    """What the database holds as of the end of a day.

    `answers`, `features` and the newest day of each are of the last `feature_days`; `newest_answer` is of
    those in a topic, which alone make features. `anchors` have parameters that can be used. `users` have an
    ability on the scale of the fit in force, whose `fitted_at`, `converged` and `version` these are.
    `active_users` answered in the last KPI_LOOKBACK_DAYS; `users_without_kpis` are those of them without a
    row of the running week. (How old a row is says nothing: a run that computes the same leaves it alone.)
    """

    feature_days: int
    answers: int
    anchors: int
    items: int
    users: int
    fitted_at: dt.datetime | None
    converged: bool | None
    version: str | None
    features: int
    newest_feature: dt.date | None
    newest_answer: dt.date | None
    active_users: int
    users_without_kpis: int


@dataclass(frozen=True)
class Check:
    """One verdict; `resolution` says what to do when it is not ok."""

    name: str
    ok: bool
    detail: str
    resolution: str


def measure(connection: Connection, date: dt.date, *, feature_days: int = 7, kpi_days: int = 56) -> Measured:
    """Return the values that the checks judge, as of the end of `date` (UTC).

    `feature_days` and `kpi_days` are AGG_LOOKBACK_DAYS and KPI_LOOKBACK_DAYS: what the flows looked back on.
    """
    first = first_day(date, feature_days)
    bounds = {
        "date": date,
        "first": first,
        "start": _midnight(first),
        "kpi_start": _midnight(first_day(date, kpi_days)),
        "end": _midnight(date + dt.timedelta(days=1)),
        "week": date - dt.timedelta(days=date.weekday()),
    }
    fit = connection.execute(FIT_IN_FORCE).first()
    of_fit = fit._asdict() if fit else {"fitted_at": None, "converged": None, "version": None}
    row = connection.execute(sa.text(MEASUREMENTS), bounds | {"version": of_fit["version"]}).one()
    anchors = len(load_seeds(connection).anchors)
    return Measured(feature_days=feature_days, anchors=anchors, **of_fit, **row._asdict())


def judge(measured: Measured, expected: Expectations, now: dt.datetime) -> list[Check]:
    """Return a verdict on each measured value."""
    return [
        *_judge_sources(measured, expected),
        *_judge_calibration(measured, expected, now),
        *_judge_results(measured),
    ]


def _judge_sources(measured: Measured, expected: Expectations) -> list[Check]:
    return [
        _at_least(
            "answers",
            measured.answers,
            expected.min_answers,
            f"answers of the last {measured.feature_days} days",
            "check that the platform writes exam_results",
        ),
        _at_least(
            "anchors",
            measured.anchors,
            expected.min_anchors,
            "anchors with parameters",
            "tag questions with 'anchor' and give them meta.irt, or expect fewer",
        ),
    ]


def _judge_calibration(measured: Measured, expected: Expectations, now: dt.datetime) -> list[Check]:
    read_exclusions = "run mirt-calibrate and read its excluded items"
    return [
        _at_least("items", measured.items, expected.min_items, "calibrated items", read_exclusions),
        _at_least(
            "users", measured.users, expected.min_users, "learners with an ability", "run mirt-calibrate"
        ),
        _judge_age(measured.fitted_at, expected.max_age_hours, now),
        Check(
            "calibration converged",
            measured.converged is True,
            f"converged: {measured.converged}, scale {measured.version}",
            "read the fit's artifact",
        ),
    ]


def _judge_age(fitted_at: dt.datetime | None, max_age_hours: float, now: dt.datetime) -> Check:
    resolution = "run mirt-calibrate, and look why its schedule did not"
    if fitted_at is None:
        return Check("calibration fresh", ok=False, detail="never fitted", resolution=resolution)
    age_hours = (now - fitted_at).total_seconds() / 3600
    detail = f"fitted {age_hours:.1f} h ago; {max_age_hours:g} h allowed"
    return Check("calibration fresh", age_hours <= max_age_hours, detail, resolution)


def _judge_results(measured: Measured) -> list[Check]:
    missing, active = measured.users_without_kpis, measured.active_users
    return [
        _at_least(
            "features",
            measured.features,
            # Days without an answer in a topic have no features to show.
            0 if measured.newest_answer is None else 1,
            f"feature rows of the last {measured.feature_days} days",
            "run aggregate-features-daily",
        ),
        Check(
            "features fresh",
            measured.newest_feature == measured.newest_answer,
            f"newest feature {measured.newest_feature}, newest answer in a topic {measured.newest_answer}",
            "run aggregate-features-daily for the days between",
        ),
        Check(
            "KPIs",
            missing == 0,
            f"{missing:,} of {active:,} active learners without KPIs this week",
            "run compute-daily-kpis and read its failures",
        ),
    ]


def _at_least(name: str, found: int, wanted: int, what: str, resolution: str) -> Check:
    return Check(name, found >= wanted, f"{found:,} {what}; {wanted:,} expected", resolution)


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
