"""Free fits in memory beside the rivals', at equal or better likelihood."""

from functools import partial

from benchmarks.irt.cohorts import Cohort, Size
from benchmarks.irt.likelihood import marginal_loglik
from benchmarks.irt.rivals import PUBLISHED_SECS, Rival, RivalFit, Rivals
from benchmarks.report import Report, at_least, at_most
from benchmarks.timing import RUNS, median_seconds
from seedtest.irt import Calibration, ErrorKind, ItemParameters, Responses, calibrate

TOLERANCE = 1e-4
"""Of R's mirt by default, and of its published seconds: both sides stop at an EM step below this."""

MOST_ITERATIONS = 12
LOGLIK_SLACK = 1e-7
"""Share of a log-likelihood within which two fits are equally good."""

RATIOS = {
    Size(500, 150, 150): {Rival.R_MIRT: 100.0},
    Size(5_000, 200, 200): {Rival.R_MIRT: 150.0},
    Size(20_000, 500, 40): {Rival.R_MIRT: 150.0},
    Size(100_000, 2_000, 40): {Rival.R_MIRT: 1000.0, Rival.PYPI_MIRT: 80.0},
}
"""How many times faster than a rival a fit should be."""

ANCHORED = Size(20_000, 500, 40)
N_ANCHORS = 50
ANCHORED_RATIO = 300.0


def fit_only(
    responses: Responses, anchors: ItemParameters | None = None, n_threads: int | None = None
) -> Calibration:
    """Estimate as the rivals are asked to: without priors and without standard errors."""
    return calibrate(
        responses,
        item_priors=None,
        tolerance=TOLERANCE,
        errors=ErrorKind.NONE,
        anchors=anchors,
        n_threads=n_threads,
    )


def main(report: Report, rivals: Rivals, rival_secs: float) -> None:
    """Measure every size, and a fit with held anchors."""
    for size in RATIOS:
        _free(report, rivals, size, rival_secs)
    _anchored(report, rivals, rival_secs)


def _free(report: Report, rivals: Rivals, size: Size, rival_secs: float) -> None:
    report.section(f"2PL, {size} ({size.n_answers:,} answers)")
    cohort = Cohort.simulate(size)
    responses = cohort.responses
    own_secs, own_loglik = _ours(report, cohort, responses, None)
    report.doing("with standard errors and the default tolerance")
    whole = median_seconds(partial(calibrate, responses))
    report.row("seedtest, calibrate() as it is by default", f"{whole:.3f} s", "with standard errors, to 1e-6")
    for rival in Rival:
        target = RATIOS[size].get(rival)
        published = PUBLISHED_SECS[size][rival]
        why = rivals.absent.get(rival) or _too_slow(published, rival_secs)
        if why:
            _published(report, rival, published, why, own_secs, target)
            continue
        report.doing(f"{rival} (about {published:g} s elsewhere)")
        _beside(report, cohort, rivals.fit(rival, cohort, rival_secs), own_secs, own_loglik, target)
    _threads(report, responses, own_secs, size)


def _ours(
    report: Report, cohort: Cohort, responses: Responses, anchors: ItemParameters | None
) -> tuple[float, float]:
    report.doing(f"seedtest, {RUNS} runs")
    seconds = median_seconds(partial(fit_only, responses, anchors))
    fit = fit_only(responses, anchors)
    loglik = marginal_loglik(cohort, fit.items.a, fit.items.b, fit.prior.mean, fit.prior.sd)
    report.row("seedtest, fit to an EM step below 1e-4", f"{seconds:.4f} s", f"log-likelihood {loglik:.3f}")
    report.verdict("iterations", fit.n_iterations, at_most(MOST_ITERATIONS, "iterations"))
    return seconds, loglik


def _too_slow(published_secs: float, rival_secs: float) -> str:
    if published_secs <= rival_secs:
        return ""
    return f"left out: takes longer than --rival-secs {rival_secs:g}"


def _published(
    report: Report, rival: Rival, published_secs: float, why: str, own_secs: float, target: float | None
) -> None:
    if published_secs == float("inf"):
        report.row(rival, "–", why)
        return
    note = f"({published_secs:g} s published, another machine; {why})"
    _ratio(report, rival, published_secs, own_secs, target, note)


def _beside(
    report: Report,
    cohort: Cohort,
    fit: RivalFit,
    own_secs: float,
    own_loglik: float,
    target: float | None,
) -> None:
    loglik = marginal_loglik(cohort, fit.a, fit.b, fit.mean, fit.sd)
    iterations = "" if fit.iterations is None else f"{fit.iterations} iterations, "
    runs = f"{len(fit.seconds)} run{'s' if len(fit.seconds) > 1 else ''}, {fit.remark}, "
    report.row(fit.label, f"{fit.median_secs:.3f} s", f"{runs}{iterations}log-likelihood {loglik:.3f}")
    _ratio(report, fit.label, fit.median_secs, own_secs, target, "")
    difference = own_loglik - loglik
    holds = difference >= -LOGLIK_SLACK * abs(own_loglik)
    report.judged(f"log-likelihood over {fit.label}'s", f"{difference:+.4f}", "equal or better", holds=holds)


def _ratio(
    report: Report, label: str, seconds: float, own_secs: float, target: float | None, note: str
) -> None:
    name, ratio = f"{label} ÷ seedtest", seconds / own_secs
    if target is None:
        report.row(name, f"{ratio:,.0f} ×", note)
    else:
        report.verdict(name, ratio, at_least(target, "×"), note)


def _threads(report: Report, responses: Responses, own_secs: float, size: Size) -> None:
    if size is not max(RATIOS, key=lambda one: one.n_answers):
        return
    report.doing("one thread")
    single = median_seconds(partial(fit_only, responses, n_threads=1))
    report.verdict("1 thread ÷ all", single / own_secs, at_least(2.2, "×"), f"({single:.3f} s; for 4 cores)")


def _anchored(report: Report, rivals: Rivals, rival_secs: float) -> None:
    report.section(f"2PL, {ANCHORED}, {N_ANCHORS} anchors held, mean and variance of ability free")
    cohort = Cohort.simulate(ANCHORED)
    at = range(0, ANCHORED.n_items, ANCHORED.n_items // N_ANCHORS)
    # The anchors' scale is another: the learners' mean there is 0.5 and their standard deviation 1.2.
    anchors = ItemParameters.from_values(
        [cohort.item_ids[item] for item in at], cohort.a[at] / 1.2, 1.2 * cohort.b[at] + 0.5
    )
    own_secs, own_loglik = _ours(report, cohort, cohort.responses, anchors)
    published = PUBLISHED_SECS[ANCHORED][Rival.R_MIRT]
    why = rivals.absent.get(Rival.R_MIRT) or _too_slow(published, rival_secs)
    if why:
        report.row(Rival.R_MIRT, "–", f"{why}; no seconds are published")
        return
    report.doing(f"{Rival.R_MIRT} (a free fit takes {published:g} s elsewhere)")
    fit = rivals.fit(Rival.R_MIRT, cohort, rival_secs, anchors)
    _beside(report, cohort, fit, own_secs, own_loglik, ANCHORED_RATIO)
