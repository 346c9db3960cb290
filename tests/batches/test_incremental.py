"""A run over what changed leaves the rows that a run over everything would."""

import datetime as dt
import functools
import itertools
import operator
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.batches.features import FeatureBatch, FeatureJob, plan_features, run_feature_part
from seedtest.batches.kpis import KpiBatch, KpiJob, plan_kpis, run_kpi_part
from seedtest.batches.plans import Plan
from seedtest.db.answer_packs import synchronise
from seedtest.db.buckets import EVERYBODY
from seedtest.db.frames import Written
from seedtest.db.packed_answers import question_topics
from seedtest.db.schema import ExamResult, FeaturesTopicDaily, InterestGoal, MirtAbility, Question, WeeklyKpi
from seedtest.irt import ItemParameters, Prior
from seedtest.scale import Fit
from seedtest.settings import Settings
from tests.db.exam_results import NOON, add_questions, add_results, result

TODAY = NOON.date()
DAY = dt.timedelta(days=1)
LEARNERS = [f"learner-{n}" for n in range(12)]
ITEMS = [f"Q{n}" for n in range(20)]
FIT = Fit(
    ItemParameters.from_values(ITEMS, a=np.linspace(0.6, 1.6, 20), b=np.linspace(-2, 2, 20)),
    Prior(),
    "v1",
    "fit-1",
    on_anchors=False,
)


B = TypeVar("B", FeatureBatch, KpiBatch)


@dataclass(frozen=True)
class Done:
    """What the parts of a night came to."""

    rows: pl.DataFrame
    n_answers: int
    n_unchanged: int
    written: Written
    n_parts: int

    @classmethod
    def of(cls, plan: Plan[Any], parts: Sequence[FeatureBatch | KpiBatch]) -> "Done":
        written = functools.reduce(operator.add, [part.written for part in parts])
        rows = pl.concat([part.rows for part in parts])
        return cls(rows, sum(part.n_answers for part in parts), plan.n_unchanged, written, len(parts))


@dataclass
class Nights:
    """Runs over one database."""

    engine: Engine
    fit: Fit = FIT
    settings: Settings = field(default_factory=Settings)
    most_answers: int = 400

    def features(self, date: dt.date = TODAY, *, full: bool = False, dry_run: bool = False) -> Done:
        with self.engine.begin() as connection:
            job = FeatureJob(date - 6 * DAY, date, self.fit, question_topics(connection), "first")
            synchronise(connection, job.scope)
        with self.engine.begin() as connection:
            plan = plan_features(
                connection, job, EVERYBODY.buckets, job.context, most_answers=self.most_answers, full=full
            )
        return Done.of(plan, [self._run(run_feature_part, job, part, dry_run) for part in plan.parts])

    def kpis(self, date: dt.date = TODAY, *, full: bool = False, dry_run: bool = False) -> Done:
        job = KpiJob(date, self.fit, self.settings)
        with self.engine.begin() as connection:
            synchronise(connection, job.scope)
        with self.engine.begin() as connection:
            plan = plan_kpis(
                connection, job, EVERYBODY.buckets, job.context, most_answers=self.most_answers, full=full
            )
        return Done.of(plan, [self._run(run_kpi_part, job, part, dry_run) for part in plan.parts])

    def _run(self, run: Callable[..., B], job: object, part: object, dry_run: bool) -> B:
        with self.engine.begin() as connection:
            return run(connection, job, part, dry_run=dry_run)

    def rows(self) -> list[tuple[object, ...]]:
        features, kpis = FeaturesTopicDaily.__table__, WeeklyKpi.__table__
        with self.engine.connect() as connection:
            kept = [column for column in features.columns if column.name != "computed_at"]
            first = connection.execute(sa.select(*kept).order_by(*features.primary_key)).all()
            own = sa.select(kpis.c.user_id, kpis.c.week_start, kpis.c.kpis).order_by(*kpis.primary_key)
            return [tuple(row) for row in (*first, *connection.execute(own))]


@pytest.fixture
def nights(engine: Engine) -> Nights:
    with engine.begin() as connection:
        add_questions(connection, *({"id": item, "topic_id": f"t{n % 3}"} for n, item in enumerate(ITEMS)))
        rng = random.Random(1)
        sittings = itertools.product(LEARNERS, range(0, 60, 2))
        add_results(
            connection,
            *(sitting(rng, user_id, NOON - n * DAY) for user_id, n in sittings if rng.random() < 0.6),
        )
    return Nights(engine)


def sitting(rng: random.Random, user_id: str, at: dt.datetime) -> dict[str, object]:
    answers = [
        {"question_id": item, "is_correct": rng.random() < 0.6, "time_spent_sec": rng.randint(5, 90)}
        for item in rng.sample(ITEMS, 4)
    ]
    return result(*answers, user_id=user_id, completed_at=at)


def disturb(connection: Connection, rng: random.Random) -> None:
    """Do something of what platforms do to their data."""
    ids = connection.scalars(sa.select(ExamResult.id).order_by(ExamResult.session_id)).all()
    one, user_id = ExamResult.id == rng.choice(ids), rng.choice(LEARNERS)
    at = NOON - rng.randrange(70) * DAY
    changes = (
        lambda: add_results(connection, sitting(rng, user_id, at)),
        lambda: connection.execute(sa.delete(ExamResult).where(one)),
        lambda: connection.execute(sa.update(ExamResult).where(one).values(updated_at=at)),
        lambda: connection.execute(sa.update(ExamResult).where(one).values(user_id=user_id)),
        lambda: connection.execute(sa.update(ExamResult).where(one).values(status="failed")),
        lambda: connection.execute(sa.delete(ExamResult).where(ExamResult.user_id == user_id)),
        lambda: connection.execute(
            sa.update(ExamResult).where(one).values(result_json=sitting(rng, "", at)["result_json"])
        ),
        lambda: connection.execute(
            sa.update(Question).where(Question.id == rng.choice(ITEMS)).values(topic_id=rng.choice("abc"))
        ),
        lambda: connection.execute(
            sa.insert(MirtAbility).values(
                user_id=user_id, version="v1", source="online", as_of=at, theta=rng.gauss(0, 1), se=0.4,
                model="2PL",
            )
        ),
        lambda: connection.execute(
            sa.insert(InterestGoal).values(user_id=user_id, topic_id=str(rng.random()), target_level=0.5)
        ),
    )  # fmt: skip
    rng.choice(changes)()


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(n, marks=pytest.mark.heavy) for n in range(3, 8))])
def test_whatever_changes_the_rows_are_those_of_a_run_over_everything(nights: Nights, seed: int) -> None:
    rng = random.Random(seed)
    for night in range(4):
        date = TODAY + night * DAY
        nights.features(date)
        nights.kpis(date)
        before = nights.rows()
        features, kpis = nights.features(date, full=True), nights.kpis(date, full=True)
        assert nights.rows() == before
        assert (features.written.unchanged, kpis.written.unchanged) == (
            features.rows.height,
            kpis.rows.height,
        )
        with nights.engine.begin() as connection:
            for _ in range(rng.randint(1, 5)):
                disturb(connection, rng)


def test_with_nothing_changed_nothing_is_read_or_computed(nights: Nights) -> None:
    nights.features()
    nights.kpis()
    features, kpis = nights.features(), nights.kpis()
    assert (features.n_answers, features.rows.height, kpis.n_answers, kpis.rows.height) == (0, 0, 0, 0)
    assert features.n_unchanged > 0
    assert kpis.n_unchanged == 2 * len(LEARNERS)


def test_only_the_learner_and_the_days_that_a_late_result_reaches_are_computed(nights: Nights) -> None:
    nights.features()
    nights.kpis()
    with nights.engine.begin() as connection:
        late = sitting(random.Random(3), LEARNERS[4], NOON - 3 * DAY)
        add_results(connection, late)
    features, kpis = nights.features(), nights.kpis()
    assert set(features.rows["user_id"]) == set(kpis.rows["user_id"]) == {LEARNERS[4]}
    assert features.rows["date"].min() == TODAY - 3 * DAY


def test_a_new_fit_computes_everything_anew(nights: Nights) -> None:
    first = nights.features().rows.height
    nights.fit = replace(
        FIT, items=ItemParameters.from_values(ITEMS, a=np.ones(20), b=np.linspace(-2, 2, 20))
    )
    assert nights.features().rows.height == first


def test_rows_that_somebody_deleted_come_back(nights: Nights) -> None:
    nights.features()
    nights.kpis()
    before = nights.rows()
    with nights.engine.begin() as connection:
        connection.execute(sa.delete(FeaturesTopicDaily).where(FeaturesTopicDaily.user_id == LEARNERS[0]))
        connection.execute(sa.delete(WeeklyKpi).where(WeeklyKpi.user_id == LEARNERS[1]))
    nights.features()
    nights.kpis()
    assert nights.rows() == before


def test_a_dry_run_computes_and_leaves_nothing(nights: Nights) -> None:
    features, kpis = nights.features(dry_run=True), nights.kpis(dry_run=True)
    assert features.rows.height > 0
    assert kpis.rows.height == 2 * len(LEARNERS)
    assert nights.rows() == []
    again = nights.features().rows
    key = ["user_id", "topic_id", "date"]
    assert again.sort(key).equals(features.rows.sort(key))


def test_parts_of_any_size_leave_the_same_rows(nights: Nights) -> None:
    left = []
    for most_answers in (1, 150, 10_000):
        nights.most_answers = most_answers
        done = nights.features(full=True), nights.kpis(full=True)
        left.append(nights.rows())
        fewest = {1: len(LEARNERS), 150: 3, 10_000: 1}[most_answers]
        assert all(one.n_parts >= fewest for one in done)
        assert most_answers < 10_000 or all(one.n_parts == 1 for one in done)
    assert left[0] == left[1] == left[2]
