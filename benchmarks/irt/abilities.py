"""Scoring: one learner at once, and a million."""

from functools import partial

import numpy as np

from benchmarks.irt.cohorts import Cohort, Size
from benchmarks.report import Report, at_most
from benchmarks.timing import RUNS, median_seconds
from seedtest.irt import ItemParameters, Scorer

CALLS = 20_000
N_ANSWERS = 50
MILLION = Size(1_000_000, 5_000, 40)
FEW = Size(1_000, 5_000, 40)


def main(report: Report) -> None:
    """Measure EAPs."""
    report.section("EAP abilities")
    # Before the million: their answers would only crowd the cache of a process that scores one learner.
    few = Cohort.simulate(FEW)
    seconds = median_seconds(partial(_one_by_one, _scorer(few), few))
    report.verdict(f"one learner, {N_ANSWERS} answers by id", seconds / CALLS * 1e6, at_most(10, "µs"))
    report.doing("simulating a million learners")
    cohort = Cohort.simulate(MILLION)
    scorer = _scorer(cohort)
    report.doing(f"a million learners, {RUNS} runs")
    batch = median_seconds(partial(scorer.rows, cohort.rows))
    report.verdict(f"{MILLION.n_users:,} learners, 40 answers each", batch, at_most(1, "s"))


def _scorer(cohort: Cohort) -> Scorer:
    return Scorer(ItemParameters.from_values(cohort.item_ids, cohort.a, cohort.b))


def _one_by_one(scorer: Scorer, cohort: Cohort) -> None:
    at = np.random.default_rng(3).choice(cohort.size.n_items, N_ANSWERS, replace=False)
    known = cohort.item_ids
    item_ids, verdicts = [known[item] for item in at], [bool(item % 2) for item in at]
    for _ in range(CALLS):
        scorer.one(item_ids, verdicts)
