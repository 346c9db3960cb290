"""The IRT calibration: item parameters, abilities and topic θ on one scale."""

import datetime as dt

from sqlalchemy.engine import Engine

from flows.artifacts import Progress, progress, publish_summary, publish_table
from flows.batch_runs import judge_output, unpack
from flows.picture_pages import publish_pictures
from flows.quality import publish_findings, require_no_errors
from flows.settings import run_settings
from flows.stage import (
    Days,
    StageSummary,
    log_dropped,
    resolve_date,
    run_logger,
    snapshot,
    stage,
    stage_flow,
    timed,
    transactions,
)
from seedtest.calibration import (
    Answers,
    CalibrationPlan,
    Outcome,
    fit_and_publish,
    load_answers,
    write_outcome,
)
from seedtest.calibration_pictures import pictures
from seedtest.calibration_report import (
    doubts,
    exclusion_table,
    facts,
    item_table,
    linking_table,
    warnings,
)
from seedtest.calibration_review import review_table
from seedtest.db.quality import ability_output, answer_evidence, compared
from seedtest.engine import EmbeddedEngine
from seedtest.engine import Engine as IrtEngine
from seedtest.irt_client import HttpEngine
from seedtest.item_review import headlines
from seedtest.quality import check_answers
from seedtest.settings import LinkingName, Model, Repeats, Settings

STAGE = "mirt-calibrate"
STEPS = ("Loading answers", "Fitting the model", "Writing parameters and abilities")


@stage_flow(STAGE)
def mirt_calibrate(
    date: dt.date | None = None,
    lookback_days: Days = None,
    topic_id: str | None = None,
    exam_id: int | None = None,
    model: Model | None = None,
    repeats: Repeats | None = None,
    linking: LinkingName | None = None,
    dry_run: bool = False,
) -> StageSummary:
    """Calibrate items and abilities on the answers of the last days, and put them on the anchors' scale.

    Args:
        date: Last UTC day whose answers count, whole. Empty: yesterday.
        lookback_days: Days of answers up to the date. Empty: MIRT_LOOKBACK_DAYS.
        topic_id: Only answers in this topic. Empty: all topics.
        exam_id: Only answers of this exam. Empty: all exams.
        model: Item response model. Empty: MIRT_MODEL.
        repeats: Which answers of a learner to one item count. Empty: MIRT_REPEATS.
        linking: How the fit meets the anchors' scale; fixed: their parameters are held. Empty: MIRT_LINKING.
        dry_run: Load, say what would be fitted, write nothing.
    """
    try:
        settings = run_settings(
            mirt_lookback_days=lookback_days, mirt_model=model, mirt_repeats=repeats, mirt_linking=linking
        )
        plan = CalibrationPlan.from_settings(settings, resolve_date(date), topic_id=topic_id, exam_id=exam_id)
        with timed(StageSummary(stage=STAGE, date=plan.scope.last_day, dry_run=dry_run)) as summary:
            outcome = _run(summary, settings, plan)
        log_dropped(summary)
        _publish(summary, outcome)
    except Exception as error:
        # Operators look for this line, whatever went wrong; the error itself goes on.
        run_logger().error("IRT calibration failed: %s", error)
        raise
    run_logger().info("IRT calibration completed successfully")
    return summary


def _irt_engine(settings: Settings) -> IrtEngine:
    return (
        HttpEngine.from_settings(settings)
        if settings.irt_engine == "http"
        else EmbeddedEngine(settings.mirt_max_iterations)
    )


def _run(summary: StageSummary, settings: Settings, plan: CalibrationPlan) -> Outcome | None:
    irt_engine = _irt_engine(settings)
    with stage(STAGE, settings) as engine, progress(STAGE, STEPS) as shown:
        with transactions(engine, dry_run=summary.dry_run) as given:
            unpacked = unpack(given, settings, compared(plan.scope), plan.scope)
            with given.snapshot() as connection:
                evidence = answer_evidence(connection, plan.scope, left_out=unpacked.left_out)
                before = check_answers(evidence)
                answers = load_answers(connection, plan)
        publish_findings(STAGE, before)
        require_no_errors(before, settings.quality_errors)
        _tell_loaded(summary, answers)
        shown.reach("Loading answers")
        if answers.counted.is_empty() or summary.dry_run:
            why = (
                "Dry run: nothing was fitted or written"
                if summary.dry_run
                else "No observations: nothing to fit"
            )
            run_logger().info(why)
            summary.facts["outcome"] = why
            return None
        outcome = _fit(summary, irt_engine, answers, plan, shown)
        fitted_at = _write(summary, engine, outcome, plan)
        with snapshot(engine) as connection:
            judge_output(summary, settings, ability_output(connection, fitted_at), before)
        shown.reach("Writing parameters and abilities")
        return outcome


def _tell_loaded(summary: StageSummary, answers: Answers) -> None:
    logger = run_logger()
    plan, seeds = answers.plan, answers.seeds
    logger.info("Loaded %d observations from attempt VIEW", answers.loaded.height)
    logger.info("Loaded %d anchors/seeds from question.meta", len(seeds))
    logger.info("Total observations: %d", answers.counted.height)
    logger.info("Model: %s, Anchors: %d", plan.model, len(seeds.anchors))
    if not answers.connectivity.is_connected:
        logger.warning("%s", answers.connectivity.message)
    summary.counts = answers.counts()
    summary.dropped = answers.dropped()
    summary.facts["days"] = f"{plan.scope.first_day} to {plan.scope.last_day}"
    summary.facts["repeats"] = plan.repeats


def _fit(
    summary: StageSummary, irt_engine: IrtEngine, answers: Answers, plan: CalibrationPlan, shown: Progress
) -> Outcome:
    logger = run_logger()

    def on_step(step: int, loglik: float, change: float) -> None:
        logger.debug("EM step %d: log-likelihood %.3f, largest change %.2g", step, loglik, change)
        # How many steps it will take is unknown; each brings the bar half-way nearer.
        shown.reach("Fitting the model", 1 - 0.5 ** (step / 5))

    if irt_engine.name == "http":
        logger.info("Calling R IRT service...")
    outcome = fit_and_publish(answers, plan, irt_engine, progress=on_step)
    logger.info("Linking constants received: %s", outcome.constants_text)
    for doubt in doubts(outcome):
        logger.warning("%s", doubt)
    summary.counts |= outcome.counts()
    summary.dropped |= outcome.dropped()
    summary.facts |= {"engine": irt_engine.name} | facts(outcome)
    return outcome


def _write(summary: StageSummary, engine: Engine, outcome: Outcome, plan: CalibrationPlan) -> dt.datetime:
    fitted_at = dt.datetime.now(dt.UTC)
    with engine.begin() as connection:
        written = write_outcome(connection, outcome, plan, fitted_at)
    fit = outcome.published.calibration
    run_logger().info(
        "Calibration upsert completed: %d items, %d abilities", len(fit.items), len(fit.abilities)
    )
    for table, rows in written.items():
        summary.counts |= rows.described(table)
    return fitted_at


def _publish(summary: StageSummary, outcome: Outcome | None) -> None:
    if outcome is None:
        publish_summary(summary)
        counts = [{"counted": name, "rows": count} for name, count in summary.counts.items()]
        publish_table(STAGE, counts, summary.facts["outcome"])
        return
    review = review_table(outcome)
    to_review = headlines(review)
    for line in to_review:
        run_logger().warning("To review: %s", line)
    n_items = f"{review['item_id'].n_unique():,}"
    summary.facts["items to review"] = n_items
    publish_summary(summary, warnings(outcome) + to_review)
    publish_table(f"{STAGE}-review", review, f"Items to look at, why, and what to do: {n_items}")
    title = f"{STAGE}, {summary.date}"
    publish_pictures(f"{STAGE}-figures", title, pictures(outcome), "The calibration in figures")
    publish_table(STAGE, item_table(outcome), "Item parameters on the published scale")
    excluded = exclusion_table(outcome)
    publish_table(f"{STAGE}-excluded", excluded, f"Items and learners left out: {excluded.height}")
    publish_table(
        f"{STAGE}-anchors", linking_table(outcome), "Items that carried the linking, old against new"
    )
