"""How the KPIs of a run are spread, told from counts: a run may compute millions of rows, and keeps none."""

import polars as pl

from seedtest.kpis import KPIS

STEPS = 10_000
"""Values are counted in steps of 1/STEPS, as many digits as are shown."""

WEEK_AND_KPI = ("week_start", "as_of", "kpi")


class KpiSpread:
    """How many learners have which value of a KPI in a week, added up over the parts of a run."""

    def __init__(self) -> None:
        self._counts = pl.DataFrame(schema=_COUNTS)

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows of `seedtest.kpis.KpiResult`."""
        both = pl.concat([self._counts, _counted(rows)])
        self._counts = both.group_by(*WEEK_AND_KPI, "step").agg(pl.col("n").sum())

    @property
    def n_rows(self) -> int:
        """Rows added so far."""
        return int(self._counts.filter(pl.col("kpi") == KPIS[0])["n"].sum())

    def table(self) -> pl.DataFrame:
        """Return a line a week and KPI: learners, how many have a value, mean, 10 %, median and 90 %.

        The quantiles are values that occur, but for the median of an even number, which lies between two.
        """
        step, n = pl.col("step"), pl.col("n").filter(pl.col("step").is_not_null())
        up_to, value = n.cum_sum(), step.drop_nulls() / STEPS

        def at(place: pl.Expr) -> pl.Expr:
            return value.filter(up_to > place).first()

        return (
            self._counts.sort(*WEEK_AND_KPI, "step")
            .group_by(*WEEK_AND_KPI, maintain_order=True)
            .agg(
                learners=pl.col("n").sum(),
                known=n.sum(),
                mean=(value * n).sum() / n.sum(),
                p10=at(_nearest(0.1, n.sum())),
                median=(at((n.sum() - 1) // 2) + at(n.sum() // 2)) / 2,
                p90=at(_nearest(0.9, n.sum())),
            )
            .with_columns(pl.col("mean").fill_nan(None))
            .sort("week_start", pl.col("kpi").cast(pl.Enum(KPIS)))
        )


_COUNTS = {"week_start": pl.Date, "as_of": pl.Date, "kpi": pl.String, "step": pl.Int32, "n": pl.Int64}


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    step = (pl.col("value") * STEPS).round().cast(pl.Int32)
    return (
        rows.unpivot(KPIS, index=["week_start", "as_of"], variable_name="kpi")
        .group_by(*WEEK_AND_KPI, step=step)
        .agg(n=pl.len().cast(pl.Int64))
    )


def _nearest(quantile: float, n: pl.Expr) -> pl.Expr:
    return (quantile * (n - 1)).round(mode="half_away_from_zero")
