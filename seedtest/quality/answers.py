"""Checks of what the answers of a run's days are like."""

from seedtest.quality.evidence import FEWEST_HASTY, HASTY_SHARE, AnswerEvidence
from seedtest.quality.findings import Check, Finding, Level
from seedtest.quality.volume import freshness, lost_answers, volume

LEFT_OUT_SHARE = 0.01
"""Results without a learner or a list of questions, and answers without a question: the writer's faults."""

FAILED_SHARE = 0.1
"""Results with status failed are an exam's daily life, but not a tenth of them."""

WITHOUT_TOPIC_SHARE = 0.05
"""Answers without a topic are missing from the features; beyond a twentieth a learner sees it."""

WITHOUT_TIME_SHARE = 0.2
"""E_t and the times of the features rest on known times; a median stands a fifth missing."""

IMPOSSIBLE_TIMES_SHARE = 0.001
"""Times below 0 or beyond a day: clocks of single devices stay below one in a thousand."""

IMPOSSIBLE_TIMES_SHARE_ERROR = 0.1
"""So many are another unit (ms for s): then the times that pass are wrong as well."""

FEWEST_TIMES = 1000
"""Known times below which a share of them may be a single device's."""

REPEATED_SHARE = 0.01
"""A question twice in one session is a paper's mistake, or a page sent twice."""

HASTY_ANSWERS_SHARE = 0.01
"""Share of answers given by hasty learners from which on they show in the items' parameters."""

ALL_RIGHT_SHARE = 0.01
"""Of the calibrated answers' items, the share that everybody may get right: warm-ups are meant to be easy."""

PAGE = "docs/data-quality.md"


def check_answers(evidence: AnswerEvidence) -> tuple[Finding, ...]:
    """Judge the answers before a stage writes anything from them; one finding a check."""
    checks = (
        freshness,
        volume,
        lost_answers,
        left_out,
        without_topic,
        without_time,
        impossible_times,
        repeated_questions,
        hasty_learners,
        constant_items,
    )
    return tuple(check(evidence) for check in checks)


def left_out(evidence: AnswerEvidence) -> Finding:
    """Judge what no stage reads: results without learner or list, failed ones, answers without question."""
    counts, out = evidence.counts, evidence.left_out
    n_results = counts.n_results + out.n_without_user + out.n_failed
    n_without_question = counts.n_elements - counts.n_answers
    detail = (
        f"of {n_results:,} results: {out.n_without_user:,} without user_id, {out.n_failed:,} failed, "
        f"{counts.n_without_list:,} whose questions are no list; of {counts.n_elements:,} answers: "
        f"{n_without_question:,} without question_id"
    )
    faults = {
        "results without a user_id or a list of questions": _share(
            out.n_without_user + counts.n_without_list, n_results
        )
        > LEFT_OUT_SHARE,
        "results with status failed": _share(out.n_failed, n_results) > FAILED_SHARE,
        "answers without a question_id": _share(n_without_question, counts.n_elements) > LEFT_OUT_SHARE,
    }
    return _finding(
        Check.LEFT_OUT,
        f"Many are left out: {', '.join(what for what, many in faults.items() if many)}.",
        "Hardly a result is left out.",
        detail,
        f"Show the exam platform such results; {PAGE} has the query.",
        is_wrong=any(faults.values()),
    )


def without_topic(evidence: AnswerEvidence) -> Finding:
    """Judge the share of answers that belong to no topic, and so to no features.

    Where nobody has counted them, those without a topic of their own are taken to find their question's
    as often as questions have one.
    """
    n, bound, questions = evidence.counts.n_answers, evidence.counts.n_without_topic, evidence.topics
    known = evidence.n_without_topic
    expected = known if known is not None else bound * questions.share_without
    if known is None:
        detail = (
            f"at most {bound:,} of {n:,} answers, about {expected:,.0f}: {questions.n_with_topic:,} of "
            f"{questions.n_questions:,} questions have a topic to fall back on"
        )
    else:
        detail = f"{known:,} of {n:,} answers ({_share(known, n):.2%})"
    return _finding(
        Check.WITHOUT_TOPIC,
        f"{_share(expected, n):.0%} of the answers belong to no topic: no features hold them.",
        "Hardly an answer is without a topic.",
        detail,
        f"Give the questions a topic_id, or have the exam platform send `topic`; {PAGE} names the items.",
        is_wrong=_share(expected, n) > WITHOUT_TOPIC_SHARE,
    )


def without_time(evidence: AnswerEvidence) -> Finding:
    """Judge the share of answers without a response time."""
    n, missing = evidence.counts.n_answers, evidence.counts.n_without_time
    return _finding(
        Check.WITHOUT_TIME,
        f"{_share(missing, n):.0%} of the answers have no response time: E_t and A_t rest on the others.",
        "Most answers have a response time.",
        f"{missing:,} of {n:,} answers ({_share(missing, n):.2%})",
        "Ask the exam platform why time_spent_sec is missing, and since which version of its pages.",
        is_wrong=_share(missing, n) > WITHOUT_TIME_SHARE,
    )


def impossible_times(evidence: AnswerEvidence) -> Finding:
    """Judge the share of known times that are below 0 or beyond a day; many mean another unit."""
    n, bad = evidence.counts.n_answers - evidence.counts.n_without_time, evidence.counts.n_impossible_times
    share = _share(bad, n)
    level = Level.WARNING if share > IMPOSSIBLE_TIMES_SHARE else Level.OK
    if share >= IMPOSSIBLE_TIMES_SHARE_ERROR and n >= FEWEST_TIMES:
        level = Level.ERROR
    detail = f"{bad:,} of {n:,} known times ({share:.2%}) are below 0 or beyond a day; they are not used"
    if level is Level.OK:
        return Finding(Check.IMPOSSIBLE_TIMES, level, "Hardly a response time is impossible.", detail)
    return Finding(
        Check.IMPOSSIBLE_TIMES,
        level,
        f"{share:.1%} of the response times are impossible.",
        detail,
        "Look whether time_spent_sec is in seconds: in another unit the times that pass are wrong as well. "
        f"{PAGE} has the query.",
    )


def repeated_questions(evidence: AnswerEvidence) -> Finding:
    """Judge the share of answers, of the last day, to a question that stood in their session before."""
    n, repeated = evidence.repeats.n_answers, evidence.repeats.n_repeated
    return _finding(
        Check.REPEATED_QUESTIONS,
        f"{_share(repeated, n):.1%} of the last day's answers repeat a question of their session.",
        "Hardly a question stands twice in a session.",
        f"{evidence.last_day}: {repeated:,} of {n:,} answers ({_share(repeated, n):.2%}); each counts as an "
        "answer, for θ by MIRT_REPEATS",
        f"Look whether papers hold a question twice, or pages are sent twice; {PAGE} names the items.",
        is_wrong=_share(repeated, n) > REPEATED_SHARE,
    )


def hasty_learners(evidence: AnswerEvidence) -> Finding:
    """Judge how many answers come from learners who mostly answer faster than anybody reads."""
    n, hasty = evidence.counts.n_answers, evidence.hasty
    share = _share(hasty.n_answers, n)
    return _finding(
        Check.HASTY_LEARNERS,
        f"{hasty.n_learners:,} learners answer faster than anybody reads, {share:.1%} of all answers.",
        "Hardly anybody answers faster than one can read.",
        f"{hasty.n_learners:,} learners with {FEWEST_HASTY} answers or more, and {HASTY_SHARE:.0%} of "
        f"theirs, in less than a second: {hasty.n_answers:,} of {n:,} answers",
        f"They are clicking through, or programs. {PAGE} has the query that names them; have the exam "
        "platform set status failed for results that are none.",
        is_wrong=share > HASTY_ANSWERS_SHARE,
    )


def constant_items(evidence: AnswerEvidence) -> Finding:
    """Judge the items that everybody gets right or wrong, as the fit in force left them out.

    They had answers enough to be calibrated (MIRT_MIN_RESPONSES). One that all get wrong is most likely
    a wrong key; easy ones are a matter of how many.
    """
    fit = evidence.fit
    if fit is None:
        return Finding(
            Check.CONSTANT_ITEMS, Level.OK, "No calibration has looked at the items yet.", "no fit in force"
        )
    many_right = _share(fit.n_all_right, fit.n_items) > ALL_RIGHT_SHARE
    return _finding(
        Check.CONSTANT_ITEMS,
        f"Everybody gets {fit.n_all_right:,} items right and {fit.n_all_wrong:,} items wrong.",
        "Hardly an item is answered by everybody alike.",
        f"of {fit.n_items:,} items in {fit.run_id}: all right {fit.n_all_right:,}, all wrong "
        f"{fit.n_all_wrong:,}; not calibrated",
        "Check the keys of those that all get wrong; keep easy ones as warm-ups, or replace them. The "
        "artifact mirt-calibrate-excluded names them.",
        is_wrong=many_right or fit.n_all_wrong > 0,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _finding(check: Check, wrong: str, right: str, detail: str, remedy: str, *, is_wrong: bool) -> Finding:
    """Return a warning with its remedy, or that all is well."""
    if is_wrong:
        return Finding(check, Level.WARNING, wrong, detail, remedy)
    return Finding(check, Level.OK, right, detail)
