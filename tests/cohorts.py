"""Small cohorts for tests: by hand, or drawn by hypothesis with all that is awkward in them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict

import polars as pl
from hypothesis import strategies as st

from seedtest.evidence import ABILITIES, GOALS
from seedtest.irt import ItemParameters, Prior
from seedtest.kpis import KpiResult, weekly_kpis
from seedtest.windows import ATTEMPTS
from tests import naive

CALIBRATED = {
    "Q1": naive.Item(0.8, -1.2),
    "Q2": naive.Item(1.2, -0.4),
    "Q3": naive.Item(1.5, 0.3, 0.2),
    "Q4": naive.Item(0.6, 0.9),
    "Q5": naive.Item(1.0, 0.0),
    "Q6": naive.Item(1.3, 1.4, 0.1),
    "Q7": naive.Item(0.9, -2.0),
}
ITEM_IDS = (*CALIBRATED, "new1", "new2")
TOPICS = {item_id: ("algebra", "geometry", None)[k % 3] for k, item_id in enumerate(ITEM_IDS)}

BOUNDARY_DATES = (
    dt.date(2028, 2, 29),  # leap day
    dt.date(2028, 3, 1),
    dt.date(2026, 12, 31),  # in ISO week 53
    dt.date(2027, 1, 3),  # the Sunday that ends it
    dt.date(2027, 1, 4),  # the Monday after
    dt.date(2025, 12, 29),  # a Monday of ISO year 2026
    dt.date(2026, 11, 1),
    dt.date(2026, 10, 31),
)
DAY = dt.timedelta(days=1)
THURSDAY = dt.date(2026, 11, 5)
LAST_INSTANT = dt.time(23, 59, 59, 999_999)
TIMES = (
    dt.time(),
    LAST_INSTANT,
    dt.time(12),
    dt.time(12, 0, 0, 1),
    dt.time(7, 31, 2, 123_456),
)


def at(day: dt.date, time: dt.time = dt.time(12)) -> dt.datetime:
    return dt.datetime.combine(day, time, dt.UTC)


def answer(
    completed_at: dt.datetime,
    item_id: str = "Q1",
    correct: bool = True,
    *,
    user_id: str = "ann",
    session_id: str | None = None,
    topic_id: str | None = "algebra",
    ms: int | None = None,
    hints: int | None = None,
    ordinal: int = 1,
) -> naive.Answer:
    """One answer; a session of its own unless named."""
    session_id = session_id or f"{user_id}-{completed_at.isoformat()}"
    hint_used = None if hints is None else hints > 0
    return naive.Answer(
        user_id,
        item_id,
        topic_id,
        session_id,
        correct,
        ms,
        hints,
        hint_used,
        completed_at,
        session_id,
        ordinal,
    )


def attempts_frame(answers: list[naive.Answer]) -> pl.DataFrame:
    return pl.DataFrame([asdict(a) for a in answers], schema=dict(ATTEMPTS))


def abilities_frame(abilities: list[naive.Ability]) -> pl.DataFrame:
    return pl.DataFrame([asdict(a) for a in abilities], schema=dict(ABILITIES))


def goals_frame(goals: list[naive.Goal]) -> pl.DataFrame:
    return pl.DataFrame([asdict(g) for g in goals], schema=dict(GOALS))


def parameters(items: dict[str, naive.Item]) -> ItemParameters:
    values = items.values()
    return ItemParameters.from_values(
        list(items), a=[i.a for i in values], b=[i.b for i in values], c=[i.c for i in values]
    )


def prior_of(fit: naive.Fit) -> Prior:
    return Prior(fit.prior_mean, fit.prior_sd)


def run_kpis(cohort: naive.Cohort, date: dt.date = THURSDAY) -> KpiResult:
    """The core's KPIs of a cohort."""
    return weekly_kpis(
        attempts_frame(cohort.answers),
        date,
        items=parameters(cohort.fit.items),
        prior=prior_of(cohort.fit),
        abilities=abilities_frame(cohort.abilities),
        goals=goals_frame(cohort.goals),
        default_target=cohort.default_target,
        repeats=cohort.fit.repeats,
    )


# -- drawn cohorts ---------------------------------------------------------------------------------

USER_IDS = ("ann", "bob", "찬호")
# Both sides of every window's edge, and the last four weeks more often, where most windows lie.
AGES_DAYS = (*range(31), 1, 2, 3, 15, 16, 20, 35, 41, 42, 49, 54, 55, 56, 57, 59, 60, 61, 62, 63, 66, -1, -2)


def dates() -> st.SearchStrategy[dt.date]:
    return st.sampled_from(BOUNDARY_DATES) | st.dates(dt.date(2024, 1, 1), dt.date(2030, 12, 31))


def papers() -> st.SearchStrategy[list[str]]:
    """The items of one session: any, with repeats, or all of them once, which gives windows a θ."""
    return st.lists(st.sampled_from(ITEM_IDS), min_size=1, max_size=8) | st.just(list(ITEM_IDS))


@st.composite
def sittings(
    draw: st.DrawFn, date: dt.date, number: int, user_ids: Sequence[str], ages_days: Sequence[int]
) -> list[naive.Answer]:
    """The answers of one session, as one exam result holds them."""
    completed_at = at(
        date - dt.timedelta(days=draw(st.sampled_from(ages_days))), draw(st.sampled_from(TIMES))
    )
    user_id = draw(st.sampled_from(user_ids))
    result_id = f"{draw(st.integers(0, 9))}-{number}"  # ties are broken by an id, not by when it was drawn
    answers = []
    for ordinal, item_id in enumerate(draw(papers()), 1):
        hints = draw(st.sampled_from((None, 0, 0, 1, 2, 5)))
        answers.append(
            naive.Answer(
                user_id,
                item_id,
                TOPICS[item_id],
                f"session-{number}",
                draw(st.booleans()),
                draw(st.sampled_from((None, 0, 999, 1000, 45_001, 400_000, 2_000_000_000))),
                hints,
                None if hints is None else hints > 0,
                completed_at,
                result_id,
                ordinal,
            )
        )
    return answers


@st.composite
def ability_rows(draw: st.DrawFn, date: dt.date) -> naive.Ability:
    as_of = at(date - dt.timedelta(days=draw(st.integers(-1, 9))), draw(st.sampled_from(TIMES)))
    fitted_at = as_of + dt.timedelta(hours=draw(st.integers(0, 3)))
    theta, se = draw(st.floats(-4, 4)), draw(st.sampled_from((None, 0.0, -0.5, 0.05, 0.3, 1.0)))
    return naive.Ability(draw(st.sampled_from(USER_IDS)), theta, se, as_of, fitted_at)


def goal_rows() -> st.SearchStrategy[naive.Goal]:
    return st.builds(
        naive.Goal,
        st.sampled_from(USER_IDS),
        st.sampled_from(("algebra", "geometry", "number")),
        st.none() | st.floats(-3, 3),
        st.none() | st.integers(0, 5),
    )


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[naive.Cohort, dt.date]:
    """Up to three learners' answers around a date, with a fit, abilities and goals."""
    date = draw(dates())
    user_ids = draw(st.sampled_from((USER_IDS, USER_IDS[:1])))
    ages_days = draw(st.sampled_from((AGES_DAYS, range(28))))
    n_sittings = draw(st.integers(0, 14))
    fit = naive.Fit(
        draw(st.sampled_from((CALIBRATED, {"Q1": CALIBRATED["Q1"]}, {}, CALIBRATED))),
        *draw(st.sampled_from(((0.0, 1.0), (0.4, 0.8)))),
        draw(st.sampled_from(("first", "latest", "all"))),
    )
    return naive.Cohort(
        [a for number in range(n_sittings) for a in draw(sittings(date, number, user_ids, ages_days))],
        fit,
        draw(
            st.lists(
                ability_rows(date), max_size=4, unique_by=lambda row: (row.user_id, row.as_of, row.fitted_at)
            )
        ),
        draw(st.lists(goal_rows(), max_size=4, unique_by=lambda goal: (goal.user_id, goal.topic_id))),
        draw(st.sampled_from((0.0, 0.7))),
    ), date
