"""The simulated cohort: the same from the same plan, believable, recoverable, loaded once."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy.engine import Engine

from seedtest.db.frames import Written
from seedtest.errors import ConfigurationError
from seedtest.irt import ItemParameters, Responses, calibrate, link
from seedtest.local.simulate import Cohort, SimulationPlan, load_cohort, simulate, write_truth

END = dt.date(2026, 10, 30)
PLAN = SimulationPlan(end=END)
SMALL = SimulationPlan(users=20, items=30, topics=3, days=20, end=END, answers=15)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate(PLAN)


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def snapshot(engine: Engine) -> list[tuple[Any, ...]]:
    tables = ("exam_results", "question", "interest_goal")
    return [row for table in tables for row in rows(engine, f"SELECT * FROM {table} ORDER BY 1, 2")]


def mean(values: pl.Series) -> float:
    return float(values.drop_nulls().to_numpy().mean())


def gains(cohort: Cohort) -> pl.DataFrame:
    """The answers with what practice had added to θ."""
    offsets = cohort.users.select("user_id", "ability", pl.col("topic_offsets").arr.to_list())
    topics = pl.DataFrame({"topic_id": cohort.bank.topic_ids}).with_row_index("topic")
    joined = cohort.answers.join(offsets, on="user_id", maintain_order="left").join(
        topics, on="topic_id", maintain_order="left"
    )
    offset = pl.col("topic_offsets").list.get(pl.col("topic"))
    return joined.with_columns((pl.col("theta") - pl.col("ability") - offset).alias("gain"))


def test_the_same_plan_gives_the_same_cohort(cohort: Cohort) -> None:
    again = simulate(PLAN)
    for name in ("answers", "items", "users", "goals"):
        assert_frame_equal(getattr(again, name), getattr(cohort, name))


def test_another_seed_gives_another_cohort_with_other_ids(cohort: Cohort) -> None:
    other = simulate(replace(PLAN, seed=1))
    assert not set(other.users["user_id"]) & set(cohort.users["user_id"])
    assert not set(other.items["item_id"]) & set(cohort.items["item_id"])
    assert other.answers["correct"].to_list() != cohort.answers["correct"].to_list()


def test_a_later_end_moves_the_cohort_and_changes_nothing_else(cohort: Cohort) -> None:
    moved = simulate(replace(PLAN, end=END + dt.timedelta(days=3)))
    assert_frame_equal(moved.answers.drop("answered_at"), cohort.answers.drop("answered_at"))
    assert set(moved.answers["answered_at"] - cohort.answers["answered_at"]) == {dt.timedelta(days=3)}
    assert_frame_equal(moved.items, cohort.items)


def test_everybody_gives_the_answers_asked_for_in_sessions_of_5_to_12(cohort: Cohort) -> None:
    answers = cohort.answers
    assert answers.group_by("user_id").len()["len"].to_list() == [60] * 500
    assert answers.group_by("session_id").len()["len"].is_between(5, 12).all()
    assert answers.group_by("session_id").agg(pl.col("user_id").n_unique())["user_id"].max() == 1
    assert answers["item_id"].n_unique() == 150
    assert answers["topic_id"].n_unique() == 8


def test_nearly_all_answers_are_first_answers_and_repeats_return_to_missed_items(cohort: Cohort) -> None:
    pair = ["user_id", "item_id"]
    first = cohort.answers.unique(pair).group_by("user_id").len()["len"]
    assert (first >= 57).all()
    repeats = cohort.answers.filter("is_repeat")
    assert repeats.height > 1000
    before = repeats.join(cohort.answers.filter(~pl.col("is_repeat")), on=pair, suffix="_before")
    assert before.height == repeats.height
    assert not before["correct_before"].any()
    gap = before["answered_at"] - before["answered_at_before"]
    assert (gap > dt.timedelta()).all()
    assert (gap < dt.timedelta(days=29)).all()


def test_answers_fall_on_the_days_of_the_plan_and_its_last_day_has_some(cohort: Cohort) -> None:
    days = cohort.answers["answered_at"].dt.date()
    assert (days.min(), days.max()) == (PLAN.start, END)
    assert (days == END).sum() > 100
    assert days.n_unique() == 60


def test_people_learn_at_human_hours_and_one_session_at_a_time(cohort: Cohort) -> None:
    hours = cohort.answers["answered_at"].dt.convert_time_zone("Asia/Seoul").dt.hour()
    assert not set(hours) & {2, 3, 4, 5, 6, 7, 8}
    assert mean((hours >= 15) & (hours < 23)) > 0.7
    in_order = cohort.answers.select(
        (pl.col("answered_at").diff() > dt.timedelta()).over("user_id")
    ).to_series()
    assert in_order.drop_nulls().all()
    sessions = cohort.answers.group_by("session_id").agg(
        span=pl.col("answered_at").max() - pl.col("answered_at").min()
    )
    assert (sessions["span"] < dt.timedelta(hours=2)).all()


def test_parameters_have_believable_distributions(cohort: Cohort) -> None:
    ability = cohort.users["ability"].to_numpy()
    assert ability.mean() == pytest.approx(0.3, abs=0.15)
    assert ability.std() == pytest.approx(1.2, abs=0.1)
    b, log_a = cohort.items["b"].to_numpy(), np.log(cohort.items["a"].to_numpy())
    assert b.mean() == pytest.approx(0.0, abs=0.02)
    assert b.std() == pytest.approx(1.0, abs=0.03)
    assert log_a.mean() == pytest.approx(0.1, abs=0.02)
    assert log_a.std() == pytest.approx(0.5, abs=0.02)
    assert abs(np.corrcoef(b, log_a)[0, 1]) < 0.3
    assert cohort.answers["correct"].mean() == pytest.approx(0.58, abs=0.05)


def test_answers_follow_the_2pl_at_the_true_theta(cohort: Cohort) -> None:
    with_items = cohort.answers.join(cohort.items, on="item_id")
    z = with_items["a"] * (with_items["theta"] - with_items["b"])
    expected = 1 / (1 + np.exp(-z.to_numpy()))
    residual = with_items["correct"].to_numpy() - expected
    deciles = np.argsort(expected).reshape(10, -1)
    # The mean residual of each tenth of the answers stays within four of its standard errors.
    error = np.sqrt((expected * (1 - expected))[deciles].mean(axis=1) / deciles.shape[1])
    assert (np.abs(residual[deciles].mean(axis=1)) < 4 * error).all()


def test_learners_gain_by_practice_at_a_falling_rate(cohort: Cohort) -> None:
    gained = gains(cohort)
    within = gained.with_columns(step=pl.col("gain").diff().over("session_id"))
    assert (within["step"].drop_nulls() > 0).all()
    steps = within.group_by("session_id", maintain_order=True).agg(pl.col("step").diff().max())
    assert (steps["step"].drop_nulls() < 0).all()
    ends = gained.group_by("user_id").agg(first=pl.col("gain").first(), last=pl.col("gain").last())
    assert (ends["first"].abs() < 1e-9).all()
    assert 0.2 < mean(ends["last"]) < 0.5


def test_learners_forget_between_sessions_more_the_longer_they_pause(cohort: Cohort) -> None:
    sessions = (
        gains(cohort)
        .group_by("user_id", "session_id", maintain_order=True)
        .agg(begins=pl.col("answered_at").first(), first=pl.col("gain").first(), last=pl.col("gain").last())
    )
    by_user = sessions.with_columns(
        kept=(pl.col("first") / pl.col("last").shift(1)).over("user_id"),
        pause=pl.col("begins").diff().over("user_id").dt.total_hours(),
    ).drop_nulls()
    # A session's last answer still teaches something, so a little more than all may be kept.
    short, long = by_user.filter(pl.col("pause") < 48), by_user.filter(pl.col("pause") > 240)
    assert mean(long["kept"]) < 0.95 < mean(short["kept"])


def test_hints_and_times_follow_difficulty_and_are_sometimes_missing(cohort: Cohort) -> None:
    answers = cohort.answers.join(cohort.items, on="item_id").with_columns(
        distance=pl.col("theta") - pl.col("b"), usual=pl.col("response_time_ms").is_between(1_500, 240_000)
    )
    hard, easy = answers.filter(pl.col("distance") < -1), answers.filter(pl.col("distance") > 1)
    assert mean(hard["hints"]) > 3 * mean(easy["hints"])
    usual = answers.filter("usual")
    near = usual.filter(pl.col("distance").abs() < 0.3)["response_time_ms"]
    far = usual.filter(pl.col("distance").abs() > 2)["response_time_ms"]
    assert mean(near) > 1.2 * mean(far)
    assert answers["response_time_ms"].null_count() / answers.height == pytest.approx(0.03, abs=0.01)
    assert (~answers["usual"]).sum() / answers.height == pytest.approx(0.01, abs=0.005)
    assert answers["hints"].null_count() / answers.height == pytest.approx(0.1, abs=0.03)
    assert answers["response_time_ms"].drop_nulls().is_between(1, 86_400_000).all()


def test_some_leave_early_and_some_come_late_and_all_answer_while_they_are_there(cohort: Cohort) -> None:
    users = cohort.users
    assert 0.10 <= mean(users["dropped_out"]) <= 0.15
    assert 0.10 <= mean(users["joined_on"] > PLAN.start) <= 0.20
    days = cohort.answers.join(users, on="user_id").with_columns(day=pl.col("answered_at").dt.date())
    assert (
        days.select((pl.col("day") >= pl.col("joined_on")) & (pl.col("day") <= pl.col("last_day_on")))
        .to_series()
        .all()
    )
    assert (users.filter("dropped_out")["last_day_on"] < END - dt.timedelta(days=10)).all()


def test_most_learners_have_goals(cohort: Cohort) -> None:
    goals = cohort.goals
    assert goals["user_id"].n_unique() / PLAN.users == pytest.approx(0.6, abs=0.07)
    assert set(goals.group_by("user_id").len()["len"]) == {1, 2, 3}
    assert goals.select("user_id", "topic_id").is_unique().all()
    assert goals["interest"].is_between(1, 5).all()
    assert (goals["target_date"] > END).all()


def test_anchors_cover_the_scale_and_some_others_have_starting_values(cohort: Cohort) -> None:
    items = cohort.items
    anchors = items.filter("is_anchor")
    assert 0.15 <= anchors.height / items.height <= 0.20
    assert anchors["b"].std() == pytest.approx(items["b"].std(), abs=0.15)
    assert 0.2 < mean(items["starting_a"].is_not_null()) < 0.4


@pytest.mark.parametrize("seed", [PLAN.seed, 1, 2])
def test_a_calibration_linked_to_the_anchors_recovers_the_truth(seed: int) -> None:
    cohort = simulate(replace(PLAN, seed=seed))
    first = cohort.answers.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    free = calibrate(Responses.from_frame(first.select("user_id", "item_id", "correct")))
    anchors = cohort.items.filter("is_anchor").sort("item_id")
    nothing = np.full(anchors.height, np.nan)
    reference = ItemParameters(
        item_ids=tuple(anchors["item_id"]),
        a=anchors["a"].to_numpy(),
        b=anchors["b"].to_numpy(),
        c=np.zeros(anchors.height),
        se_a=nothing,
        se_b=nothing,
        se_c=nothing,
        n=np.zeros(anchors.height, np.int64),
    )
    constants = link(free.items, reference).constants
    assert constants is not None
    fit = free.linked(constants)
    items = pl.DataFrame({"item_id": fit.items.item_ids, "fit_a": fit.items.a, "fit_b": fit.items.b}).join(
        cohort.items, on="item_id"
    )
    users = pl.DataFrame({"user_id": fit.abilities.user_ids, "fit": fit.abilities.theta}).join(
        first.group_by("user_id").agg(pl.col("theta").mean()), on="user_id"
    )
    assert np.corrcoef(items["fit_b"], items["b"])[0, 1] >= 0.96
    assert np.corrcoef(items["fit_a"], items["a"])[0, 1] >= 0.87
    assert np.corrcoef(users["fit"], users["theta"])[0, 1] >= 0.95
    assert (users["fit"] - users["theta"]).mean() == pytest.approx(0.0, abs=0.15)


def test_a_loaded_cohort_reads_as_it_was_drawn(engine: Engine) -> None:
    cohort = simulate(SMALL)
    loaded = load_cohort(engine, cohort)
    assert (loaded.users, loaded.items, loaded.answers) == (20, 30, 300)
    assert loaded.sessions.inserted == cohort.answers["session_id"].n_unique()
    columns = [
        "user_id",
        "session_id",
        "ordinal",
        "item_id",
        "topic_id",
        "correct",
        "response_time_ms",
        "hints",
    ]
    attempts = rows(engine, f"SELECT {', '.join(columns)} FROM attempt_base")
    assert sorted(attempts, key=str) == sorted(cohort.answers.select(columns).rows(), key=str)
    ((first, last),) = rows(engine, "SELECT min(created_at), max(updated_at) FROM exam_results")
    assert (first, last) == (cohort.answers["answered_at"].min(), cohort.answers["answered_at"].max())
    assert len(rows(engine, "SELECT FROM interest_goal")) == cohort.goals.height


def test_questions_carry_the_truth_of_anchors_and_the_starting_values_of_others(engine: Engine) -> None:
    cohort = simulate(SMALL)
    load_cohort(engine, cohort)
    metas = dict(rows(engine, "SELECT id, meta FROM question"))
    for item in cohort.items.iter_rows(named=True):
        meta = metas[item["item_id"]]
        assert ("anchor" in meta["tags"]) == item["is_anchor"]
        a, b = (item["a"], item["b"]) if item["is_anchor"] else (item["starting_a"], item["starting_b"])
        expected = {"a": a, "b": b, "c": None, "model": "2PL", "version": "v1"}
        assert meta.get("irt") == (expected if a is not None else None)


def test_the_same_plan_loaded_twice_changes_nothing(engine: Engine) -> None:
    load_cohort(engine, simulate(SMALL))
    before = snapshot(engine)
    again = load_cohort(engine, simulate(SMALL))
    assert snapshot(engine) == before
    for written in (again.sessions, again.questions, again.goals):
        assert written == Written(unchanged=written.rows)


def test_a_later_end_takes_the_place_of_the_cohort_loaded_before(engine: Engine) -> None:
    first = load_cohort(engine, simulate(SMALL))
    ids = rows(engine, "SELECT id, session_id FROM exam_results ORDER BY id")
    moved = load_cohort(engine, simulate(replace(SMALL, end=END + dt.timedelta(days=1))))
    assert rows(engine, "SELECT id, session_id FROM exam_results ORDER BY id") == ids
    assert (moved.sessions.inserted, moved.sessions.changed) == (0, first.sessions.inserted)
    assert rows(engine, "SELECT count(*), max(completed_at)::date FROM attempt") == [
        (300, END + dt.timedelta(days=1))
    ]


def test_another_cohort_is_added_and_leaves_the_first_as_it_is(engine: Engine) -> None:
    load_cohort(engine, simulate(SMALL))
    before = snapshot(engine)
    load_cohort(engine, simulate(replace(SMALL, users=5)))
    assert rows(engine, "SELECT count(*) FROM attempt") == [(375,)]
    assert [row for row in snapshot(engine) if row in before] == before


def test_what_a_fit_wrote_to_an_item_survives_a_load(engine: Engine) -> None:
    load_cohort(engine, simulate(SMALL))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE question SET meta = jsonb_set(meta, '{irt}', '{\"a\": 9}')"))
    load_cohort(engine, simulate(SMALL))
    assert rows(engine, "SELECT DISTINCT meta -> 'irt' ->> 'a' FROM question") == [("9",)]


def test_parts_are_loaded_and_told_one_by_one(engine: Engine) -> None:
    # Wide enough that the learners do not fit into one part.
    cohort = simulate(SimulationPlan(users=40, items=40_000, topics=3, days=10, end=END, answers=5))
    told: list[tuple[int, int]] = []
    load_cohort(engine, cohort, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert rows(engine, "SELECT count(*), count(DISTINCT user_id) FROM attempt") == [(200, 40)]


def test_the_truth_is_kept_in_files(tmp_path: Path) -> None:
    cohort = simulate(SMALL)
    paths = write_truth(cohort, tmp_path / "truth")
    assert [path.name for path in paths] == ["items.parquet", "users.parquet", "answers.parquet"]
    assert sorted(path.name for path in (tmp_path / "truth").iterdir()) == sorted(path.name for path in paths)
    for path, frame in zip(paths, (cohort.items, cohort.users, cohort.answers), strict=True):
        assert_frame_equal(pl.read_parquet(path), frame)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"users": 0}, "users = 0: it must be from 1"),
        ({"items": 1}, "items = 1: it must be from 2"),
        ({"topics": 0}, "topics = 0"),
        ({"days": 0}, "days = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"answers": 0}, "answers = 0"),
        ({"items": 5, "topics": 6}, "5 items in 6 topics"),
        ({"answers": 81, "days": 2}, "at least 3 days"),
        ({"end": dt.date(1990, 1, 2)}, "after 1990-01-01"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SimulationPlan(**values)


def test_the_last_day_is_yesterday_unless_told() -> None:
    today = dt.datetime.now(dt.UTC).date()
    assert SimulationPlan().end in {today - dt.timedelta(days=1), today}


@st.composite
def plans(draw: st.DrawFn) -> SimulationPlan:
    days = draw(st.integers(1, 40))
    items = draw(st.integers(2, 40))
    return SimulationPlan(
        users=draw(st.integers(1, 30)),
        items=items,
        topics=draw(st.integers(1, items)),
        days=days,
        seed=draw(st.integers(0, 2**32 - 1)),
        end=END,
        answers=draw(st.integers(1, min(60, days * 40))),
    )


@settings(max_examples=60, deadline=None)
@given(plans())
def test_any_plan_gives_a_whole_cohort(plan: SimulationPlan) -> None:
    cohort = simulate(plan)
    answers = cohort.answers
    assert answers.group_by("user_id").len()["len"].to_list() == [plan.answers] * plan.users
    days = answers["answered_at"].dt.date()
    assert (days >= plan.start).all()
    assert days.max() == plan.end
    assert (
        answers.select((pl.col("answered_at").diff() > dt.timedelta()).over("user_id"))
        .to_series()
        .drop_nulls()
        .all()
    )
    ordinals = answers.group_by("session_id").agg(pl.col("ordinal").sort() == pl.int_range(1, pl.len() + 1))
    assert ordinals["ordinal"].explode().all()
    first_round = answers.with_columns(pl.int_range(pl.len()).over("user_id").alias("k")).filter(
        (pl.col("k") < plan.items) & ~pl.col("is_repeat")
    )
    assert first_round.select("user_id", "item_id").is_unique().all()
    assert answers["theta"].is_finite().all()
    assert cohort.items["is_anchor"].sum() >= 2
    assert cohort.items["topic_id"].n_unique() == plan.topics
