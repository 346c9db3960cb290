"""The evidence of the data checks, from odd answers in a real database."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.db.answer_packs import synchronise
from seedtest.db.attempts import Scope, last_days
from seedtest.db.buckets import EVERYBODY, Shard
from seedtest.db.quality import ability_output, answer_evidence, compared, feature_output, kpi_output
from seedtest.db.schema import FeaturesTopicDaily, MirtAbility, StudentTopicTheta, WeeklyKpi
from seedtest.quality import AnswerEvidence, Check, Level, ValueCounts, check_answers, check_output
from seedtest.quality.evidence import AnswerCounts, FitItems, HastyLearners, LeftOut, QuestionTopics, Repeats
from tests.calibrating import FITTED_AT, add_cohort, plan, run
from tests.db.exam_results import NOON, add_documents, add_questions, add_results, result

TODAY = NOON.date()
DAY = dt.timedelta(days=1)
MONDAY = dt.date(2026, 10, 26)
PAGE = Path(__file__).resolve().parents[2] / "docs/data-quality.md"


def evidence(connection: Connection, scope: Scope | None = None, shard: Shard = EVERYBODY) -> AnswerEvidence:
    """The evidence of a scope, today's by default, once its packs are in step."""
    scope = scope or last_days(TODAY, 1)
    synchronise(connection, compared(scope), shard)
    return answer_evidence(connection, scope, shard)


def answers(n: int, **values: Any) -> list[dict[str, Any]]:
    return [{"question_id": f"Q{k}", "is_correct": True, "time_spent_sec": 30} | values for k in range(n)]


def add_odd_results(connection: Connection) -> None:
    """Of each oddity a number of its own, in the results of one day."""
    add_results(
        connection,
        result(*answers(4), user_id=None),
        result(*answers(4), user_id=""),
        result(*answers(4), user_id=None, status="failed"),
        result(*answers(4), status="failed"),
        result(*answers(2, topic="algebra"), {"question_id": "Q0", "topic": "algebra"}),
        result(*answers(3, time_spent_sec=-1), {"question_id": ""}, "x", user_id="bob"),
        result(*answers(2, time_spent_sec=86_401), *answers(1, time_spent_sec="soon"), user_id="찬호"),
    )
    add_documents(connection, ["{}", '{"questions": "none"}'])
    connection.execute(sa.text("UPDATE exam_results SET updated_at = :noon"), {"noon": NOON})


def test_odd_answers_are_counted(engine: Engine) -> None:
    with engine.begin() as connection:
        add_odd_results(connection)
        found = evidence(connection)
    assert found.counts == AnswerCounts(
        n_results=5,
        n_without_list=2,
        n_elements=3 + 5 + 3,
        n_answers=3 + 3 + 3,
        n_without_topic=6,
        n_without_time=2,
        n_impossible_times=3 + 2,
    )
    assert found.repeats == Repeats(n_answers=9, n_repeated=2)
    assert found.left_out == LeftOut(n_without_user=3, n_failed=1)
    assert found.answers_by_day == {TODAY: 9}
    assert found.newest == NOON


def test_what_packing_left_out_need_not_be_counted_again(engine: Engine) -> None:
    scope = last_days(TODAY, 1)
    with engine.begin() as connection:
        add_odd_results(connection)
        done = synchronise(connection, compared(scope), counted=scope)
        given = answer_evidence(connection, scope, left_out=done.left_out)
        assert given == answer_evidence(connection, scope)
        assert answer_evidence(connection, scope, left_out={}).left_out == LeftOut()


def test_shards_add_up_to_the_whole(engine: Engine) -> None:
    with engine.begin() as connection:
        add_odd_results(connection)
        add_results(
            connection, *(result(*answers(10, time_spent_sec=0.1), user_id=f"u{n}") for n in range(20))
        )
        whole = evidence(connection)
        parts = [evidence(connection, shard=Shard(number, 3)) for number in range(3)]
    assert whole.hasty == HastyLearners(20, 200)
    for name in ("counts", "left_out", "hasty", "repeats"):
        summed = [vars(getattr(part, name)).values() for part in parts]
        assert [sum(column) for column in zip(*summed, strict=True)] == list(
            vars(getattr(whole, name)).values()
        )
    assert sum(part.counts.n_answers > 0 for part in parts) == 3


def test_the_days_compared_are_utc_days_and_the_run_counts_its_own(engine: Engine) -> None:
    midnight = dt.datetime.combine(TODAY, dt.time(), dt.UTC)
    tick = dt.timedelta(microseconds=1)
    times = (midnight + DAY, midnight + DAY - tick, midnight, midnight - tick, midnight - 34 * DAY)
    with engine.begin() as connection:
        add_results(
            connection,
            *(
                result(*answers(n + 1), completed_at=at)
                for n, at in enumerate((*times, midnight - 34 * DAY - tick))
            ),
        )
        connection.execute(sa.text("SET LOCAL timezone TO 'Asia/Seoul'"))
        found = evidence(connection)
        both = evidence(connection, last_days(TODAY, 2))
    assert found.answers_by_day == {TODAY: 5, TODAY - DAY: 4, TODAY - 34 * DAY: 5}
    assert found.newest == midnight + DAY - tick
    assert (found.counts.n_answers, both.counts.n_answers) == (5, 9)


def test_a_longer_run_counts_all_its_days(engine: Engine) -> None:
    with engine.begin() as connection:
        add_results(connection, result(*answers(3), completed_at=NOON - 50 * DAY))
        found = evidence(connection, last_days(TODAY, 56))
    assert compared(last_days(TODAY, 56)) == last_days(TODAY, 56)
    assert compared(last_days(TODAY, 7)) == last_days(TODAY, 35)
    assert found.counts.n_answers == 3


@pytest.mark.parametrize(
    ("hasty", "slow", "is_hasty"), [(10, 10, True), (10, 11, False), (9, 0, False), (12, 0, True)]
)
def test_a_hasty_learner_has_ten_hasty_answers_and_they_are_half_of_all(
    engine: Engine, hasty: int, slow: int, is_hasty: bool
) -> None:
    with engine.begin() as connection:
        # In two sessions, one of which is not hasty at all.
        add_results(connection, result(*answers(hasty, time_spent_sec=0.999)), result(*answers(slow)))
        add_results(connection, result(*answers(30, time_spent_sec=1), user_id="bob"))
        found = evidence(connection)
    assert found.hasty == (HastyLearners(1, hasty) if is_hasty else HastyLearners())


def test_topics_of_questions_are_counted(engine: Engine) -> None:
    with engine.begin() as connection:
        topics = ("algebra", "", None)
        add_questions(connection, *({"id": f"Q{n}", "topic_id": topic} for n, topic in enumerate(topics)))
        assert evidence(connection).topics == QuestionTopics(n_questions=3, n_with_topic=1)


def test_an_empty_database_gives_evidence_that_stops_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        found = evidence(connection)
        written = (
            *ability_output(connection, FITTED_AT),
            *feature_output(connection, last_days(TODAY, 7)),
            *kpi_output(connection, [MONDAY]),
        )
    assert found == AnswerEvidence(TODAY, TODAY, {}, None)
    assert [finding.check for finding in check_answers(found) if finding.level is not Level.OK] == [
        Check.FRESHNESS
    ]
    assert {finding.level for finding in check_output(written)} == {Level.OK}


def add_features(connection: Connection, *rows: dict[str, Any]) -> None:
    common = {"topic_id": "algebra", "date": TODAY, "attempts": 10, "correct": 5, "hints": 0}
    common |= {"last_seen_at": NOON, "theta_estimate": None}
    connection.execute(sa.insert(FeaturesTopicDaily), [common | row for row in rows])


def test_answers_that_features_were_written_from_are_remembered_for_a_week(engine: Engine) -> None:
    with engine.begin() as connection:
        add_features(
            connection,
            {"user_id": "ann"},
            {"user_id": "ann", "topic_id": "geometry", "attempts": 900},
            {"user_id": "bob", "date": TODAY - 6 * DAY, "attempts": 90},
            {"user_id": "bob", "date": TODAY - 7 * DAY},
            {"user_id": "bob", "date": TODAY + DAY},
        )
        found = evidence(connection)
        assert sum(evidence(connection, shard=Shard(n, 2)).n_recorded for n in range(2)) == 1000
    assert found.n_recorded == 1000
    assert {f.check: f.level for f in check_answers(found)}[Check.LOST_ANSWERS] is Level.ERROR


def test_items_that_everybody_answers_alike_come_from_the_fit_in_force(engine: Engine) -> None:
    add_cohort(engine)
    with engine.begin() as connection:
        wrong = {"question_id": "miskeyed", "is_correct": False}
        sound = {"question_id": "Q01", "is_correct": True}
        add_results(connection, *(result(sound, wrong, user_id=f"w{n}", exam_id=1) for n in range(30)))
        assert evidence(connection).fit is None
    outcome, _ = run(engine, plan())
    with engine.begin() as connection:
        found = evidence(connection).fit
        connection.execute(sa.text("UPDATE mirt_fit_meta SET model_spec = model_spec - 'counts'"))
        # Of an earlier release.
        assert evidence(connection).fit is None
    assert found == FitItems("fit-2026-11-02T03:00:00Z", outcome.answers.counts()["items"], 1, 1)


def test_written_thetas_outside_six_are_counted_for_the_run_alone(engine: Engine) -> None:
    thetas = (0.5, 6.0, -6.0, 6.0001, -7.0, float("nan"), float("inf"), float("-inf"))
    common = {"model": "2PL", "version": "v1", "as_of": NOON}
    with engine.begin() as connection:
        for table, key in (
            (MirtAbility, {"source": "calibration"}),
            (StudentTopicTheta, {"topic_id": "algebra", "n": 3}),
        ):
            rows = [
                {"user_id": f"u{n}", "theta": theta, "fitted_at": FITTED_AT} for n, theta in enumerate(thetas)
            ]
            rows.append({"user_id": "old", "theta": 99.0, "fitted_at": FITTED_AT - DAY})
            connection.execute(sa.insert(table), [common | key | row for row in rows])
        found = ability_output(connection, FITTED_AT)
    assert found == (
        ValueCounts(Check.ABILITY_RANGE, "mirt_ability.theta", -6, 6, 8, 2, 3),
        ValueCounts(Check.TOPIC_ABILITY_RANGE, "student_topic_theta.theta", -6, 6, 8, 2, 3),
    )


def test_written_features_are_judged_by_day_and_shard(engine: Engine) -> None:
    thetas = {"ann": 7.0, "bob": None, "cid": -0.5, "dan": -9.0}
    scope = last_days(TODAY, 2)
    with engine.begin() as connection:
        add_features(connection, *({"user_id": user, "theta_estimate": t} for user, t in thetas.items()))
        add_features(
            connection, *({"user_id": "ann", "date": TODAY + n * DAY, "theta_estimate": 8.0} for n in (-2, 1))
        )
        [whole] = feature_output(connection, scope)
        parts = [feature_output(connection, scope, Shard(n, 2))[0] for n in range(2)]
    assert (whole.column, whole.n_known, whole.n_outside) == ("features_topic_daily.theta_estimate", 3, 2)
    assert sum(part.n_outside for part in parts) == 2


def test_written_kpis_outside_their_range_are_counted_by_kpi(engine: Engine) -> None:
    kpis: list[Any] = [
        {"I_t": -1, "E_t": 0, "R_t": 1, "A_t": None, "P": 1.0, "S": 0.5, "sigma": 99},
        {"I_t": -1.01, "E_t": "0.5", "R_t": 1.5, "A_t": [], "P": True, "S": 10**40},
        {"I_t": 1},
        ["not", "an", "object"],
    ]
    with engine.begin() as connection:
        rows = [{"user_id": f"u{n}", "week_start": MONDAY, "kpis": kpi} for n, kpi in enumerate(kpis)]
        other = {"user_id": "ann", "week_start": MONDAY - 7 * DAY, "kpis": {"P": 7}}
        connection.execute(sa.insert(WeeklyKpi), [*rows, other])
        found = {one.column: one for one in kpi_output(connection, [MONDAY])}
        parts = [one for n in range(2) for one in kpi_output(connection, [MONDAY], Shard(n, 2))]
        assert kpi_output(connection, [MONDAY, MONDAY - 7 * DAY])[4].n_outside == 1
    assert {name: (one.n_known, one.n_outside, one.n_unusable) for name, one in found.items()} == {
        "I_t": (3, 1, 0),
        "E_t": (2, 0, 1),
        "R_t": (2, 1, 0),
        "A_t": (1, 0, 1),
        "P": (2, 0, 1),
        "S": (2, 1, 0),
    }
    assert (found["I_t"].low, found["I_t"].high) == (-1, 1)
    assert sum(part.n_known for part in parts) == sum(one.n_known for one in found.values())


@pytest.mark.parametrize("check", list(Check))
def test_every_check_stands_in_the_page(check: Check) -> None:
    assert f"| `{check.value}` |" in PAGE.read_text(encoding="utf-8")


def test_the_pages_queries_run_on_odd_answers(engine: Engine) -> None:
    queries = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    with engine.begin() as connection:
        add_odd_results(connection)
        add_results(connection, result(*answers(12, time_spent_sec=0.2), user_id="click"))
        rows = [{"user_id": "ann", "week_start": MONDAY, "kpis": {"P": 7}}]
        connection.execute(sa.insert(WeeklyKpi), rows)
        evidence(connection)
        days = f"{TODAY - 6 * DAY}' AND '{TODAY}"
        found = [
            connection.execute(sa.text(re.sub(r"[0-9-]{10}' AND '[0-9-]{10}", days, query))).mappings().all()
            for query in queries
        ]
    assert len(found) > 3
    assert all(found), [query for query, rows in zip(queries, found, strict=True) if not rows]
    assert "click" in {row.get("user_id") for rows in found for row in rows}
