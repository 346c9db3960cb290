"""Data quality: small checks before and after a stage, each saying what is wrong and what to do.

`check_answers` judges what a stage is about to read, `check_output` what it wrote. Every check is a pure
function of evidence that `seedtest.db.quality` counts in the database; docs/data-quality.md lists them.
"""

from seedtest.quality.answers import check_answers, without_topic
from seedtest.quality.evidence import AnswerEvidence, ValueCounts
from seedtest.quality.findings import Check, Finding, Level, by_severity, verdict
from seedtest.quality.output import check_output

__all__ = [
    "AnswerEvidence",
    "Check",
    "Finding",
    "Level",
    "ValueCounts",
    "by_severity",
    "check_answers",
    "check_output",
    "verdict",
    "without_topic",
]
