"""What a stage wrote, at the boundaries of each check."""

from dataclasses import replace

import pytest

from seedtest.quality import Check, Level, ValueCounts, check_output

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR
THETA = ValueCounts(Check.ABILITY_RANGE, "mirt_ability.theta", -6, 6, n_known=100, n_outside=0, n_unusable=0)
KPI = ValueCounts(Check.KPI_RANGE, "P", 0, 1, n_known=100, n_outside=0, n_unusable=0)


@pytest.mark.parametrize(
    ("values", "level"),
    [
        (THETA, OK),
        (replace(THETA, n_outside=1), WARNING),
        (replace(THETA, n_outside=24), WARNING),
        (replace(THETA, n_outside=25), ERROR),
        (replace(THETA, n_unusable=1), ERROR),
        (replace(THETA, n_known=19, n_outside=19), WARNING),
        (replace(THETA, n_known=20, n_outside=5), ERROR),
        (replace(THETA, n_known=0), OK),
        (KPI, OK),
        (replace(KPI, n_outside=1), ERROR),
        (replace(KPI, n_unusable=1), ERROR),
    ],
)
def test_each_check_at_its_boundary(values: ValueCounts, level: Level) -> None:
    [finding] = check_output([values])
    assert (finding.check, finding.level) == (values.check, level)
    assert bool(finding.remedy) == (level is not OK)


def test_columns_of_one_check_make_one_finding_of_the_worst() -> None:
    kpis = [replace(KPI, column=name) for name in ("I_t", "E_t", "P")]
    kpis[1] = replace(kpis[1], n_outside=2, n_unusable=1)
    topics = replace(THETA, check=Check.TOPIC_ABILITY_RANGE, column="student_topic_theta.theta", n_outside=1)
    first, second, third = check_output([*kpis, topics, THETA])
    assert [first.check, second.check, third.check] == [
        Check.ABILITY_RANGE,
        Check.TOPIC_ABILITY_RANGE,
        Check.KPI_RANGE,
    ]
    assert [first.level, second.level, third.level] == [OK, WARNING, ERROR]
    assert third.summary == "3 values are outside their range: E_t."
    assert "E_t in [0, 1]: 100 values, 2 outside, 1 not finite" in third.detail


def test_nothing_written_is_nothing_to_judge() -> None:
    assert check_output([]) == ()
