"""The data checks of a run: shown as a table, told in its log, and an error stops it."""

from collections.abc import Iterable, Sequence

from flows.artifacts import publish_table
from flows.stage import run_logger
from seedtest.errors import DataQualityError
from seedtest.quality import Finding, Level, by_severity, verdict
from seedtest.settings import QualityErrors


def publish_findings(stage: str, findings: Sequence[Finding], earlier: Sequence[Finding] = ()) -> None:
    """Publish findings as the table <stage>-quality, the most serious first, and log those that are not ok.

    The newest artifact of a key is the one that is seen: what a run has published and logged before is
    given as `earlier`, to be shown again and not logged again.
    """
    for finding in by_severity(findings):
        log = {Level.ERROR: run_logger().error, Level.WARNING: run_logger().warning}.get(finding.level)
        if log is not None:
            log(
                "Data quality, %s: %s %s (%s) %s",
                finding.level,
                finding.check,
                finding.summary,
                finding.detail,
                finding.remedy,
            )
    shown = by_severity((*earlier, *findings))
    rows = [
        {
            "level": finding.level.value,
            "check": finding.check.value,
            "summary": finding.summary,
            "detail": finding.detail,
            "what_to_do": finding.remedy,
        }
        for finding in shown
    ]
    publish_table(f"{stage}-quality", rows, f"Data quality: {verdict(shown)}")


def require_no_errors(findings: Iterable[Finding], on_error: QualityErrors) -> None:
    """Stop the run for findings of level error, unless QUALITY_ERRORS says to go on.

    Raises
    ------
    DataQualityError
        Names each check that failed, what it found, and what to do.
    """
    errors = [finding for finding in findings if finding.level is Level.ERROR]
    if not errors:
        return
    names = ", ".join(finding.check for finding in errors)
    if on_error == "warn":
        run_logger().warning("Going on in spite of %s, as QUALITY_ERRORS=warn says", names)
        return
    reasons = " ".join(f"{error.check}: {error.summary} ({error.detail}) {error.remedy}" for error in errors)
    raise DataQualityError(
        f"Data checks failed: {names}. {reasons} Once you have looked and want these data all the same, run "
        "again with QUALITY_ERRORS=warn."
    )
