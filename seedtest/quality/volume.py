"""Checks of how many answers there are: new ones, as many as usual, and none gone."""

import datetime as dt

from seedtest.quality.evidence import COMPARED_DAYS, COMPARED_WEEKS, WEEK_DAYS, AnswerEvidence
from seedtest.quality.findings import Check, Finding, Level

STALE_HOURS = 24
"""From the newest answer to the end of the run's last day: longer, and not even that day has one."""

FEWEST_COMPARED = 200
"""Answers a day or week usually has, below which a factor of 3 is chance or a single class's trip."""

DAY_FACTOR = 3.0
"""A day below a third or above three times its usual volume is far off; few holidays and exam days are."""

WEEK_FACTOR = 2.0
"""A week evens out single days: half or double is far off."""

CERTAIN_WEEK = 1000
"""Answers a week usually has, from which on a week of none is no holiday but a fault on the way here."""

LOST_SHARE = 0.05
"""Share of written answers gone from which on it is a warning: results are deleted and corrected singly."""

LOST_SHARE_ERROR = 0.5
"""Share gone at which the write is stopped, as it would delete most of a week's good rows."""

FEWEST_RECORDED = 1000
"""Answers written, below which a share that is gone may be one learner who left."""

ASK_PLATFORM = (
    "Ask the exam platform whether results still arrive in exam_results, and since when they do not."
)


def freshness(evidence: AnswerEvidence) -> Finding:
    """Compare the newest answer with the end of the run's last day."""
    end = dt.datetime.combine(evidence.last_day + dt.timedelta(days=1), dt.time(), dt.UTC)
    if evidence.newest is None:
        return Finding(
            Check.FRESHNESS,
            Level.WARNING,
            "There is no answer at all.",
            f"none in the {COMPARED_DAYS} days up to {evidence.last_day}",
            f"Right for a new or empty database. Else: {ASK_PLATFORM}",
        )
    newest, hours = f"{evidence.newest:%Y-%m-%d %H:%M} UTC", (end - evidence.newest).total_seconds() / 3600
    detail = f"newest answer {newest}, {hours:.1f} h before the end of {evidence.last_day}"
    if hours <= STALE_HOURS:
        return Finding(Check.FRESHNESS, Level.OK, "The newest answer is of the run's last day.", detail)
    return Finding(
        Check.FRESHNESS,
        Level.WARNING,
        f"The run's last day, {evidence.last_day}, has no answer.",
        detail,
        f"{ASK_PLATFORM} Late results are picked up by the next runs.",
    )


def volume(evidence: AnswerEvidence) -> Finding:
    """Compare the last day and the last week with the same weekdays of the four weeks before.

    Nothing at all in a week that usually has plenty is an error: written all the same, every learner
    would look as if they had given up. A day alone mends itself once its results arrive.
    """
    day, week = evidence.on(evidence.last_day), evidence.week_until(evidence.last_day)
    usual_day, usual_week = evidence.usual_day, evidence.usual_week
    detail = (
        f"{evidence.last_day}: {day:,} answers, usually {usual_day:,.0f}; "
        f"its {WEEK_DAYS} days: {week:,}, usually {usual_week:,.0f} (median of {COMPARED_WEEKS} weeks before)"
    )
    if not week and usual_week >= CERTAIN_WEEK:
        return Finding(
            Check.VOLUME,
            Level.ERROR,
            f"There is no answer in the {WEEK_DAYS} days up to {evidence.last_day}.",
            detail,
            f"{ASK_PLATFORM} Check that DATABASE_URL names the right database.",
        )
    off = [
        *_far_off("The last day has", day, usual_day, DAY_FACTOR),
        *_far_off("The last week has", week, usual_week, WEEK_FACTOR),
    ]
    if not off:
        summary = "The volume is as usual." if usual_week else "There are no earlier weeks to compare with."
        return Finding(Check.VOLUME, Level.OK, summary, detail)
    return Finding(
        Check.VOLUME,
        Level.WARNING,
        " ".join(off),
        detail,
        "Holidays and exam weeks do this. Else: few: ask the exam platform for results that have not "
        "arrived; many: look for results that arrived twice, or were all touched (updated_at).",
    )


def lost_answers(evidence: AnswerEvidence) -> Finding:
    """Compare the answers of the last week with those that its topic features were made of.

    Features hold no answer without a topic, so there are at least as many answers as they hold. Fewer
    means results deleted, moved to another day or no longer readable.
    """
    recorded, now = evidence.n_recorded, evidence.week_until(evidence.last_day)
    lost = max(recorded - now, 0)
    detail = (
        f"{WEEK_DAYS} days up to {evidence.last_day}: {now:,} answers; features written hold {recorded:,}"
    )
    if lost <= LOST_SHARE * recorded or recorded < FEWEST_RECORDED:
        return Finding(Check.LOST_ANSWERS, Level.OK, "The answers written so far are still there.", detail)
    return Finding(
        Check.LOST_ANSWERS,
        Level.ERROR if lost >= LOST_SHARE_ERROR * recorded else Level.WARNING,
        f"{lost / recorded:.0%} of the answers that features were written from are gone.",
        detail,
        "Find out whether results were deleted, have a new updated_at, another status or no user_id; their "
        "rows of features and KPIs go with them. Was the database restored from a backup? Wait for its rest.",
    )


def _far_off(what: str, n: int, usual: float, factor: float) -> list[str]:
    """Return a sentence if a volume is far off the usual one, where that is large enough to say so."""
    if usual < FEWEST_COMPARED or usual / factor <= n <= usual * factor:
        return []
    return [f"{what} {n / usual:.0%} of its usual answers."]
