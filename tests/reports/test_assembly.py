"""Reports out of a real database: everybody gets a valid one, alone or in a batch, now or later."""

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection, Engine

from reports.advice import NoAdvice
from reports.bank import load_bank
from reports.levels import expected_eap, level_of, percentile
from reports.model import DAYS, WEEKS, AbilitySource, GoalStatus, PaceOf
from reports.queries import report_users
from seedtest.calibration import CalibrationPlan
from seedtest.db.schema import ReportPreference
from seedtest.errors import ConfigurationError, DataError
from seedtest.settings import Settings
from tests import calibrating
from tests.reports import weeks
from tests.reports.weeks import MONDAY, SUNDAY, add_ability, add_goal, add_kpis, add_session, question, report
from tests.simulated import ITEM_IDS

ODD_USER_IDS = (
    "찬호",
    "a,b\nc",
    "<script>alert(1)</script>",
    "👩‍🚀",
    "שלום",
    "50% {x} %(y)s",
    "quote \" and ' and \\N",
    " ",
    "NULL",
    "x" * 500,
)


@pytest.fixture
def statements(week: Connection) -> list[str]:
    """What was sent to the database while the test ran."""
    seen: list[str] = []

    def see(*event: Any) -> None:
        seen.append(event[2])

    sa.event.listen(week, "before_cursor_execute", see)
    return seen


# -- what a report says ----------------------------------------------------------------------------


def test_a_report_says_what_the_tables_hold(week: Connection) -> None:
    found = report(week, "u000")
    ability = week.execute(sa.text("SELECT * FROM mirt_ability_latest WHERE user_id = 'u000'")).one()
    topics = {
        row.topic_id: row
        for row in week.execute(sa.text("SELECT * FROM student_topic_theta WHERE user_id = 'u000'"))
    }
    kpis = week.execute(
        sa.text("SELECT kpis FROM weekly_kpi WHERE user_id = 'u000' AND week_start = :monday"),
        {"monday": MONDAY},
    ).scalar_one()
    spec = week.execute(sa.text("SELECT run_id, model_spec FROM mirt_fit_meta")).one()
    assert found.ability is not None
    assert (found.ability.theta, found.ability.se, found.ability.as_of) == (
        ability.theta,
        ability.se,
        ability.as_of,
    )
    assert {name: getattr(found.kpis, name) for name in kpis} == kpis
    assert {topic.topic_id: (topic.theta, topic.se, topic.n) for topic in found.topics if topic.n} == {
        topic_id: (row.theta, row.se, row.n) for topic_id, row in topics.items()
    }
    assert found.linking is not None
    assert found.linking.run_id == spec.run_id
    assert found.linking.slope == spec.model_spec["linking_constants"]["slope"]
    mean, sd = spec.model_spec["theta_mean"], spec.model_spec["theta_sd"]
    assert found.ability.percentile == percentile(ability.theta, mean, sd)
    assert found.ability.level is level_of(ability.theta)


def test_counts_of_the_week_are_the_answers_of_its_days(week: Connection) -> None:
    add_session(week, "ann", 0, question("Q00", time_spent_sec=90), question("Q01", correct=False))
    add_session(week, "ann", 6, question("Q00"))
    add_session(week, "ann", 7, question("Q02", time_spent_sec=30))
    add_kpis(week, "ann")
    found = report(week, "ann")
    counts = found.counts
    assert (counts.attempts, counts.correct, counts.sessions, counts.active_days) == (3, 2, 2, 2)
    assert counts.minutes == pytest.approx(1.5)
    assert (found.data.first_answer_at, found.data.last_answer_at) == (weeks.noon(7), weeks.noon(0))
    practised = {day.date: day.attempts for day in found.days if day.attempts}
    assert practised == {SUNDAY: 2, MONDAY: 1, MONDAY - dt.timedelta(days=1): 1}
    assert [week.n for week in found.response_times][-2:] == [1, 1]


def test_the_dates_of_the_answers_are_those_of_the_eight_weeks(week: Connection) -> None:
    for days_ago in (DAYS, DAYS - 1, 12):
        add_session(week, "ann", days_ago, question("Q00"))
    add_kpis(week, "ann")
    found = report(week, "ann")
    assert found.counts.attempts == 0
    assert (found.data.first_answer_at, found.data.last_answer_at) == (weeks.noon(DAYS - 1), weeks.noon(12))


def test_in_a_topic_that_is_expected_which_ones_own_level_leads_to(week: Connection) -> None:
    found = report(week, "u000")
    assert found.ability
    assert found.linking
    for topic in found.topics:
        if topic.theta is None or topic.se is None:
            assert topic.expected_theta is None
            continue
        mean, sd = found.linking.theta_mean, found.linking.theta_sd
        assert topic.expected_theta == expected_eap(found.ability.theta, topic.se, mean, sd)


def test_an_item_is_known_by_its_last_answer(week: Connection) -> None:
    add_session(week, "ann", 3, question("Q05", correct=False), question("unfitted"))
    add_session(week, "ann", 1, question("Q05", correct=True))
    add_kpis(week, "ann")
    (item,) = report(week, "ann").items.answered
    assert (item.item_id, item.correct, item.n_answers, item.answered_at) == ("Q05", True, 2, weeks.noon(1))
    assert item.expected is not None


def test_candidates_are_unanswered_items_of_ones_topics_near_seventy_percent(
    week: Connection,
) -> None:
    week.execute(
        sa.text(
            "INSERT INTO question (id, content, topic_id) SELECT item_id, '?', CASE WHEN item_id < 'Q12'"
            " THEN 'topic0' ELSE 'elsewhere' END FROM mirt_item_params"
            " ON CONFLICT (id) DO UPDATE SET topic_id = excluded.topic_id"
        )
    )
    add_session(week, "ann", 1, question("Q00"), question("Q09", correct=False))
    add_kpis(week, "ann")
    items = report(week, "ann").items
    assert items.candidates
    assert all(0.6 <= item.expected <= 0.8 for item in items.candidates)
    assert {item.topic_id for item in items.candidates} == {"topic0"}
    assert not {item.item_id for item in items.candidates} & {"Q00", "Q09"}
    distances = [abs(item.expected - 0.7) for item in items.candidates]
    assert distances == sorted(distances)


def test_the_language_is_the_learners_or_else_the_settings(week: Connection) -> None:
    week.execute(sa.insert(ReportPreference).values(user_id="u001", language="en"))
    result = weeks.assembled(week, "u000", "u001", report_language="ko")
    assert [found.language for found in result.reports] == ["ko", "en"]


# -- the trend of θ --------------------------------------------------------------------------------


def test_a_week_without_a_stored_theta_has_that_of_its_answers(week: Connection) -> None:
    add_session(week, "ann", 15, *[question(item_id) for item_id in ITEM_IDS[:6]])
    add_session(week, "ann", 1, *[question(item_id) for item_id in ITEM_IDS[6:]])
    add_ability(week, "ann", 0.7, days_ago=1)
    add_kpis(week, "ann")
    found = report(week, "ann")
    assert [(point.week_start, point.source) for point in found.ability_trend.points] == [
        (MONDAY - dt.timedelta(days=14), AbilitySource.ANSWERS),
        (MONDAY, AbilitySource.CALIBRATION),
    ]
    assert found.ability is not None
    assert found.ability.theta == 0.7


def test_theta_of_answers_given_after_the_stored_one_takes_its_place(week: Connection) -> None:
    add_session(week, "ann", 1, *[question(item_id) for item_id in ITEM_IDS])
    add_ability(week, "ann", -3.0, days_ago=4)
    add_kpis(week, "ann")
    ability = report(week, "ann").ability
    assert ability is not None
    assert (ability.source, ability.as_of) == (AbilitySource.ANSWERS, weeks.noon(1))
    assert ability.theta > 0


def test_theta_on_another_scale_is_left_out_and_the_break_is_named(week: Connection) -> None:
    add_ability(week, "ann", 2.5, days_ago=20, version="v0")
    add_ability(week, "ann", 0.4, days_ago=2)
    add_kpis(week, "ann")
    trend = report(week, "ann").ability_trend
    assert [(point.week_start, point.theta) for point in trend.points] == [(MONDAY, 0.4)]
    assert (trend.version, trend.rescaled_from) == ("v1", "v0")


def test_an_old_theta_is_current_but_not_of_the_eight_weeks(week: Connection) -> None:
    add_ability(week, "ann", 1.2, days_ago=100)
    add_kpis(week, "ann")
    found = report(week, "ann")
    assert found.ability is not None
    assert (found.ability.theta, found.ability.as_of) == (1.2, weeks.noon(100))
    assert found.ability_trend.points == ()


# -- goals -----------------------------------------------------------------------------------------


def test_goals_stand_by_the_theta_in_their_topic(week: Connection) -> None:
    in_two_weeks = SUNDAY + dt.timedelta(days=14)
    add_goal(week, "u000", "topic0", target_level=9.0, target_date=in_two_weeks, priority=1)
    add_goal(week, "u000", "topic1", target_level=-9.0, target_date=in_two_weeks)
    add_goal(week, "u000", "never", target_level=0.0, priority=-1)
    found = report(week, "u000")
    assert [goal.topic_id for goal in found.goals] == ["topic0", "topic1", "never"]
    open_goal, reached, unknown = found.goals
    in_topic = {topic.topic_id: topic for topic in found.topics}["topic0"]
    assert open_goal.theta == in_topic.theta
    assert open_goal.weeks_left == 2
    assert open_goal.theta is not None
    assert open_goal.needed_per_week == pytest.approx((9.0 - open_goal.theta) / 2)
    assert (reached.status, reached.needed_per_week) == (GoalStatus.REACHED, 0.0)
    assert (unknown.status, unknown.probability) == (GoalStatus.UNKNOWN, None)


def test_a_goals_pace_is_the_topics_or_else_that_of_all_answers(week: Connection) -> None:
    for days_ago in (40, 3):
        questions = [question(item_id, topic="a") for item_id in ITEM_IDS[:6]]
        add_session(week, "ann", days_ago, *questions, question("Q09", topic="b"))
    for topic_id in ("a", "b"):
        add_goal(week, "ann", topic_id, target_level=8.0, target_date=SUNDAY + dt.timedelta(days=7))
    add_kpis(week, "ann")
    in_a, in_b = report(week, "ann", mirt_repeats="latest").goals
    assert (in_a.shown_of, in_b.shown_of) == (PaceOf.TOPIC, PaceOf.ALL)
    assert in_a.status is GoalStatus.BEHIND
    # Equal answers to equal items: no growth.
    assert in_a.shown_per_week == 0.0


# -- everybody gets a report -----------------------------------------------------------------------


def test_one_answer_makes_a_report(week: Connection) -> None:
    add_session(week, "ann", 0, question("unfitted"))
    add_kpis(week, "ann")
    found = report(week, "ann")
    assert (found.ability, found.topics, found.items.answered) == (None, (), ())
    assert found.answers_without_topic == 1
    assert (found.recommendations, found.no_advice) == ((), NoAdvice.TOO_FEW_ANSWERS)


def test_null_kpis_without_an_answer_make_a_report(week: Connection) -> None:
    add_kpis(week, "ann")
    found = report(week, "ann")
    assert found.kpis == found.last_week_kpis
    assert found.kpis.P is None
    assert (len(found.days), len(found.kpi_history), found.counts.attempts) == (DAYS, WEEKS, 0)
    assert (found.recommendations, found.no_advice) == ((), NoAdvice.NO_ANSWERS)


def test_reports_come_before_the_first_fit(engine: Engine) -> None:
    with engine.begin() as connection:
        add_session(connection, "ann", 0, question("Q00", topic="algebra", correct=False))
        add_kpis(connection, "ann", weeks.NOTHING | {"S": 0.25, "sigma": 3})
        found = report(connection, "ann")
    assert (found.linking, found.ability, found.kpis.S) == (None, None, 0.25)
    assert found.topics[0].theta is None
    assert found.recommendations[0].kind == "review_missed"


def test_two_hundred_topics(week: Connection) -> None:
    for start in range(0, 200, 20):
        questions = [question("Q03", topic=f"topic {n}") for n in range(start, start + 20)]
        add_session(week, "ann", start // 20, *questions)
    add_kpis(week, "ann")
    assert len(report(week, "ann").topics) == 200


def test_a_hundred_thousand_answers(week: Connection) -> None:
    questions = [question(ITEM_IDS[n % 16], correct=n % 3 > 0, topic=f"t{n % 7}") for n in range(2_000)]
    for n in range(50):
        add_session(week, "ann", n, *questions)
    add_kpis(week, "ann")
    found = report(week, "ann")
    assert sum(day.attempts for day in found.days) == 100_000
    assert len(found.items.answered) == 16


def test_odd_user_ids_get_their_own_reports(week: Connection) -> None:
    for n, user_id in enumerate(ODD_USER_IDS):
        add_session(week, user_id, 1, *[question(item_id) for item_id in ITEM_IDS[: n + 1]])
        add_kpis(week, user_id)
    result = weeks.assembled(week, *ODD_USER_IDS)
    assert weeks.user_ids_of(result.reports) == list(ODD_USER_IDS)
    assert [found.counts.attempts for found in result.reports] == list(range(1, len(ODD_USER_IDS) + 1))


def test_who_has_no_kpis_gets_no_report_and_is_no_failure(week: Connection) -> None:
    result = weeks.assembled(week, "nobody", "u000")
    assert (result.without_kpis, result.failures) == (("nobody",), ())
    assert weeks.user_ids_of(result.reports) == ["u000"]
    assert weeks.assembled(week).reports == ()


def test_everybody_with_kpis_of_the_week_is_a_user_and_others_are_counted(week: Connection) -> None:
    add_session(week, "late for KPIs", 0, question("Q00"))
    add_session(week, "no answer", 0, {"no": "question"})
    add_session(week, "long ago", 60, question("Q00"))
    users = report_users(week, MONDAY, lookback_days=56)
    before = report_users(week, MONDAY - dt.timedelta(days=700), lookback_days=56)
    assert len(users.user_ids) == 241
    assert users.n_without_kpis == 1
    assert (before.user_ids, before.n_without_kpis) == ((), 0)


# -- one learner's bad data ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kpis", "reason"),
    [
        ({"P": 2.5}, "Kpis.P is 2.5"),
        ({"P": "high"}, "'high' as P"),
        ({"P": True}, "True as P"),
        ([1, 2], "hold list"),
    ],
)
def test_kpis_that_cannot_be_used_fail_their_learner_alone(week: Connection, kpis: Any, reason: str) -> None:
    add_kpis(week, "ann", kpis)
    result = weeks.assembled(week, "u000", "ann", "u001")
    assert weeks.user_ids_of(result.reports) == ["u000", "u001"]
    (failure,) = result.failures
    assert failure.user_id == "ann"
    assert reason in failure.reason


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE weekly_kpi SET kpis = kpis || '{\"S\": 1e400}' WHERE user_id = 'ann'",
        "INSERT INTO interest_goal (user_id, topic_id, target_score) VALUES ('ann', 'algebra', 'NaN')",
        "INSERT INTO interest_goal (user_id, topic_id, target_level) VALUES ('ann', 'algebra', '-Infinity')",
        "INSERT INTO mirt_ability VALUES ('ann', 'v1', 'online', '2026-10-31', 'NaN', 0.3, '2PL')",
        "INSERT INTO mirt_ability VALUES ('ann', 'v1', 'online', '2026-10-31', 0, -0.5, '2PL')",
    ],
)
def test_impossible_numbers_fail_their_learner_alone(week: Connection, statement: str) -> None:
    add_kpis(week, "ann")
    week.execute(sa.text(statement))
    result = weeks.assembled(week, "u000", "ann")
    assert weeks.user_ids_of(result.reports) == ["u000"]
    assert [failure.user_id for failure in result.failures] == ["ann"]


@pytest.mark.parametrize("day", ["infinity", "-infinity", "12345-06-07", "0044-03-15 BC"])
def test_a_goal_by_a_day_that_no_calendar_has_is_one_without_a_day(week: Connection, day: str) -> None:
    week.execute(
        sa.text("INSERT INTO interest_goal (user_id, topic_id, target_date) VALUES ('u000', 'topic0', :day)"),
        {"day": day},
    )
    (goal,) = report(week, "u000").goals
    assert (goal.target_date, goal.weeks_left) == (None, None)


def test_a_fit_whose_record_lacks_its_scale_is_named(week: Connection) -> None:
    week.execute(sa.text("UPDATE mirt_fit_meta SET model_spec = model_spec - 'theta_sd'"))
    with pytest.raises(DataError, match="fit-2026-11-02T03:00:00Z lacks 'theta_sd'"):
        weeks.assembled(week, "u000")


def test_a_week_starts_on_a_monday(week: Connection) -> None:
    with pytest.raises(ConfigurationError, match="is a Sunday: ask for 2026-10-26"):
        weeks.assembled(week, "u000", week_start=SUNDAY)


# -- the same report, alone or in a batch, now or later --------------------------------------------


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_learners_report_is_the_same_alone_and_in_any_batch(
    mixed_week: tuple[Connection, tuple[str, ...]], data: st.DataObject
) -> None:
    week, user_ids = mixed_week
    batch = data.draw(st.lists(st.sampled_from(user_ids), min_size=1, max_size=40, unique=True))
    chosen = data.draw(st.sampled_from(batch))
    together = {found.user_id: found for found in weeks.assembled(week, *batch).reports}
    assert together[chosen] == report(week, chosen)


@pytest.fixture
def mixed_week(week: Connection) -> tuple[Connection, tuple[str, ...]]:
    """The week with learners of every kind, and all their ids."""
    for n, user_id in enumerate(ODD_USER_IDS[:-1]):
        for days_ago in (n * 4, n * 3 + 1, 2):
            questions = [
                question(item_id, (n + k + days_ago) % 3 > 0, topic=f"t{k % (n + 1)}", time_spent_sec=k)
                for k, item_id in enumerate(ITEM_IDS[: n * 2 + 1])
            ]
            add_session(week, user_id, days_ago, *questions)
        add_kpis(week, user_id, weeks.NOTHING | {"P": n / 10})
        add_goal(week, user_id, "t0", target_level=n / 4, target_date=SUNDAY + dt.timedelta(days=n))
    add_kpis(week, "silent")
    add_ability(week, "silent", 0.1, days_ago=80)
    return week, (*ODD_USER_IDS[:-1], "silent", *(f"u{n:03}" for n in range(0, 240, 12)))


def test_queries_do_not_grow_with_the_learners(week: Connection, statements: list[str]) -> None:
    weeks.assembled(week, "u000")
    alone = len(statements)
    weeks.assembled(week, *(f"u{n:03}" for n in range(240)))
    assert len(statements) - alone == alone == 7


def test_answers_after_the_week_change_nothing(week: Connection) -> None:
    before = report(week, "u000")
    add_session(week, "u000", -1, *[question(item_id, correct=False) for item_id in ITEM_IDS])
    add_ability(week, "u000", -2.0, days_ago=-1, source="online")
    assert report(week, "u000") == before


def test_a_later_fit_leaves_the_report_of_an_old_week_alone(engine: Engine) -> None:
    weeks.prepare(engine)
    with engine.begin() as connection:
        before = report(connection, "u000")
        for n in range(60):
            questions = [question(item_id, correct=(n + k) % 2 > 0) for k, item_id in enumerate(ITEM_IDS)]
            add_session(connection, f"u{n:03}", -3, *questions)
    plan = CalibrationPlan.from_settings(Settings(), SUNDAY + dt.timedelta(days=4))
    outcome, _ = calibrating.run(engine, plan, calibrating.FITTED_AT + dt.timedelta(days=4))
    assert outcome.reach().in_force
    with engine.connect() as connection:
        after = report(connection, "u000")
        assert after.linking != load_bank(connection, plan.scope.last_day).linked
    assert after == before


def test_weeks_before_the_first_fit_rest_on_it(week: Connection) -> None:
    weeks_before = MONDAY - dt.timedelta(days=14)
    add_session(week, "ann", 15, *[question(item_id) for item_id in ITEM_IDS])
    add_session(week, "ann", 1, *[question(item_id, correct=False) for item_id in ITEM_IDS])
    add_kpis(week, "ann", week_start=weeks_before)
    found = report(week, "ann", week_start=weeks_before)
    assert found.linking is not None
    assert found.ability is not None
    assert (found.ability.source, found.ability.as_of) == (AbilitySource.ANSWERS, weeks.noon(15))
    assert found.ability.theta > 0
