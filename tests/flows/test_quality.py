"""The data checks of a run on a real Prefect server: its table, its log, and what stops it."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL

from flows.quality import publish_findings, require_no_errors
from seedtest.errors import DataQualityError, SeedtestError
from seedtest.quality import Check, Finding, Level
from seedtest.settings import QualityErrors, Settings
from tests.prefect_requests import ask

STAGE = "compute-daily-kpis"
SOUND = Finding(Check.FRESHNESS, Level.OK, "The newest answer is of the run's last day.", "1 h")
ODD = Finding(Check.REPEATED_QUESTIONS, Level.WARNING, "3.0% repeat.", "3 of 100", "Look at the papers.")
EMPTY = Finding(Check.VOLUME, Level.ERROR, "There is no answer.", "0, usually 7,000", "Ask the platform.")
BROKEN = Finding(Check.KPI_RANGE, Level.ERROR, "3 values are outside.", "P", "Find the writer.")


@flow
def checked(
    findings: Sequence[Finding], earlier: Sequence[Finding] = (), on_error: QualityErrors = "stop"
) -> str:
    """Do what a stage does with its findings."""
    publish_findings(STAGE, findings, earlier)
    require_no_errors(findings, on_error)
    return "went on"


def published() -> dict[str, Any]:
    """Return the newest artifact of the stage's data quality."""
    wanted = {"artifacts": {"key": {"any_": [f"{STAGE}-quality"]}}, "limit": 1}
    [found] = ask("POST", f"{PREFECT_API_URL.value()}/artifacts/latest/filter", wanted)
    return dict(found)


def test_findings_are_a_table_with_the_most_serious_first(environment: None, log: list[str]) -> None:
    assert checked([SOUND, ODD], on_error="stop") == "went on"
    shown = published()
    assert shown["type"] == "table"
    assert shown["description"] == "Data quality: 1 warning, 1 ok"
    assert json.loads(shown["data"]) == [
        {
            "level": "warning",
            "check": "repeated-questions",
            "summary": "3.0% repeat.",
            "detail": "3 of 100",
            "what_to_do": "Look at the papers.",
        },
        {
            "level": "ok",
            "check": "freshness",
            "summary": "The newest answer is of the run's last day.",
            "detail": "1 h",
            "what_to_do": "",
        },
    ]
    assert [line for line in log if line.startswith("Data quality")] == [
        "Data quality, warning: repeated-questions 3.0% repeat. (3 of 100) Look at the papers."
    ]


def test_an_error_stops_the_run_and_its_table_is_there(environment: None, log: list[str]) -> None:
    with pytest.raises(DataQualityError) as raised:
        checked([SOUND, EMPTY, BROKEN])
    assert str(raised.value) == (
        "Data checks failed: volume, kpi-range. "
        "volume: There is no answer. (0, usually 7,000) Ask the platform. "
        "kpi-range: 3 values are outside. (P) Find the writer. "
        "Once you have looked and want these data all the same, run again with QUALITY_ERRORS=warn."
    )
    assert isinstance(raised.value, SeedtestError)
    assert published()["description"] == "Data quality: 2 error, 1 ok"
    told = [line for line in log if line.startswith("Data quality, error: ")]
    assert [line.split()[3] for line in told] == ["volume", "kpi-range"]


def test_an_operator_who_has_looked_can_go_on(environment: None, log: list[str]) -> None:
    assert checked([EMPTY], on_error="warn") == "went on"
    assert "Going on in spite of volume, as QUALITY_ERRORS=warn says" in log


def test_findings_after_the_run_join_those_before_and_are_logged_once(
    environment: None, log: list[str]
) -> None:
    with pytest.raises(DataQualityError, match="kpi-range"):
        checked([BROKEN], earlier=[SOUND, ODD])
    assert [row["check"] for row in json.loads(published()["data"])] == [
        "kpi-range",
        "repeated-questions",
        "freshness",
    ]
    assert [line.split()[3] for line in log if line.startswith("Data quality")] == ["kpi-range"]


def test_errors_stop_unless_the_setting_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUALITY_ERRORS", raising=False)
    assert Settings().quality_errors == "stop"
    monkeypatch.setenv("QUALITY_ERRORS", "warn")
    assert Settings().quality_errors == "warn"
