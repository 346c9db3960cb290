"""Counts tell of KPIs what the rows themselves do, however many parts these came in."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from seedtest.batches.spread import STEPS, WEEK_AND_KPI, KpiSpread
from seedtest.kpis import KPIS

MONDAYS = (dt.date(2026, 10, 26), dt.date(2026, 11, 2))
VALUES = st.one_of(st.none(), st.integers(-STEPS, STEPS).map(lambda n: n / STEPS))
ROWS = st.tuples(st.sampled_from(MONDAYS), *[VALUES] * len(KPIS))


def frame(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    schema = {"week_start": pl.Date} | dict.fromkeys(KPIS, pl.Float64)
    known = pl.DataFrame(rows, schema=schema, orient="row")
    return known.with_columns(as_of=pl.col("week_start") + pl.duration(days=6), user_id=pl.lit("ann"))


def described(rows: pl.DataFrame) -> pl.DataFrame:
    """The table from all rows at once, by polars' own quantiles."""
    value = pl.col("value")
    return (
        rows.unpivot(KPIS, index=["week_start", "as_of"], variable_name="kpi")
        .group_by(WEEK_AND_KPI)
        .agg(
            learners=pl.len().cast(pl.Int64),
            known=value.count().cast(pl.Int64),
            mean=value.mean(),
            p10=value.quantile(0.1),
            median=value.median(),
            p90=value.quantile(0.9),
        )
        .sort("week_start", pl.col("kpi").cast(pl.Enum(KPIS)))
    )


@settings(deadline=None, max_examples=50)
@given(parts=st.lists(st.lists(ROWS, max_size=12), max_size=5))
def test_parts_tell_what_all_rows_do(parts: list[list[tuple[object, ...]]]) -> None:
    spread = KpiSpread()
    for part in parts:
        spread.add(frame(part))
    rows = frame([row for part in parts for row in part])
    assert spread.n_rows == rows.height
    assert_frame_equal(spread.table(), described(rows), check_exact=False, abs_tol=1e-9)


def test_values_are_told_to_the_digits_that_are_shown() -> None:
    spread = KpiSpread()
    row = frame([(MONDAYS[0], *[0.12344] * len(KPIS))])
    spread.add(row)
    assert spread.table()["median"].to_list() == pytest.approx([0.1234] * len(KPIS))


def test_a_million_rows_take_no_more_than_their_values() -> None:
    spread = KpiSpread()
    rows = frame([(MONDAYS[0], *[n / STEPS] * len(KPIS)) for n in range(100)])
    for _ in range(50):
        spread.add(rows)
    assert spread.n_rows == 5_000
    assert spread._counts.height == 100 * len(KPIS)
