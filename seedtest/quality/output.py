"""Checks of what a stage wrote."""

from collections.abc import Iterable, Mapping
from itertools import groupby

from seedtest.quality.evidence import ValueCounts
from seedtest.quality.findings import Check, Finding, Level

BROKEN_SCALE_SHARE = 0.25
"""Share of θ outside ±6 from which on it is not single learners but the scale."""

FEWEST_THETAS = 20
"""Values below which that share may be a few learners of a tiny cohort."""

REMEDIES: Mapping[Check, str] = {
    Check.ABILITY_RANGE: "Look at the artifacts mirt-calibrate-summary and -anchors: slope and intercept "
    "of the linking, and anchors that drifted. Run the calibration again after mending the anchors.",
    Check.TOPIC_ABILITY_RANGE: "Look at the items of the topic: few, or with odd parameters, they carry θ "
    "away.",
    Check.FEATURE_THETA_RANGE: "Look at the items' parameters (artifact mirt-calibrate-review), calibrate "
    "again, then run these days again.",
    Check.KPI_RANGE: "No formula gives such a value: find out what else writes weekly_kpi, then run the week "
    "again. docs/data-quality.md has the query that finds the rows.",
}


def check_output(values: Iterable[ValueCounts]) -> tuple[Finding, ...]:
    """Judge the columns that a stage wrote; one finding a check, over all its columns."""
    ordered = sorted(values, key=lambda one: list(Check).index(one.check))
    return tuple(_judge(check, tuple(group)) for check, group in groupby(ordered, key=lambda one: one.check))


def _judge(check: Check, values: tuple[ValueCounts, ...]) -> Finding:
    level = max((_level(one) for one in values), key=list(Level).index)
    detail = "; ".join(
        f"{one.column} in [{one.low:g}, {one.high:g}]: {one.n_known:,} values, {one.n_outside:,} outside, "
        f"{one.n_unusable:,} not finite"
        for one in values
    )
    if level is Level.OK:
        return Finding(check, level, "All values are in their range.", detail)
    bad = sum(one.n_outside + one.n_unusable for one in values)
    columns = ", ".join(one.column for one in values if one.n_outside or one.n_unusable)
    return Finding(
        check, level, f"{bad:,} values are outside their range: {columns}.", detail, REMEDIES[check]
    )


def _level(values: ValueCounts) -> Level:
    """Return how bad a column is: what is no number always is; a KPI has no way out of its range, θ has."""
    if values.n_unusable:
        return Level.ERROR
    if not values.n_outside:
        return Level.OK
    scale_is_broken = (
        values.n_known >= FEWEST_THETAS and values.n_outside >= BROKEN_SCALE_SHARE * values.n_known
    )
    return Level.ERROR if scale_is_broken or values.check is Check.KPI_RANGE else Level.WARNING
