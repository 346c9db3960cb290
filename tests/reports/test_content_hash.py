"""Equal hashes, equal documents: what is rendered counts, and how the report was made does not."""

import dataclasses
import datetime as dt
import subprocess
import sys
from typing import Any

import pytest

from reports.advice import ItemsAboutRight, Rest
from reports.content_hash import content_hash
from reports.levels import Level
from reports.model import Ability, AbilitySource, Counts, Kpis, WeekKpis
from tests.conftest import ROOT
from tests.reports.empty import COMPUTED_AT, MONDAY, empty_report

ABILITY = Ability(0.5, 0.3, 0.6, Level.GOOD, "2PL", "v1", COMPUTED_AT, AbilitySource.CALIBRATION)
REPORT = dataclasses.replace(empty_report(), ability=ABILITY)


def hash_of(report: Any = REPORT, **options: Any) -> str:
    return content_hash(report, **{"template_digest": "t1", "format": "html"} | options)


def test_the_hash_of_a_report_is_the_same_in_every_process() -> None:
    code = "from tests.reports.test_content_hash import hash_of; print(hash_of())"
    there = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == hash_of()


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "bob"},
        {"language": "en"},
        {"answers_without_topic": 1},
        {"counts": Counts(1, 0, 1, 1, 0.5)},
        {"ability": dataclasses.replace(ABILITY, theta=0.500001)},
        {"kpi_history": (*REPORT.kpi_history[:-1], WeekKpis(MONDAY, Kpis(S=0.0)))},
        {"data": dataclasses.replace(REPORT.data, kpis_computed_at=COMPUTED_AT + dt.timedelta(seconds=1))},
        {"recommendations": (Rest(1, 1, 1),), "no_advice": None},
    ],
)
def test_what_is_rendered_changes_the_hash(change: dict[str, Any]) -> None:
    assert hash_of(dataclasses.replace(REPORT, **change)) != hash_of()


def test_the_template_and_the_format_change_the_hash() -> None:
    assert len({hash_of(), hash_of(template_digest="t2"), hash_of(format="pdf")}) == 3


def test_the_codes_version_does_not_change_the_hash() -> None:
    data = dataclasses.replace(REPORT.data, code_version="9.9")
    assert hash_of(dataclasses.replace(REPORT, data=data)) == hash_of()


def test_another_processors_last_bit_is_no_other_report() -> None:
    ability = dataclasses.replace(ABILITY, theta=0.5 + 1e-12)
    assert hash_of(dataclasses.replace(REPORT, ability=ability)) == hash_of()


def test_kinds_of_advice_with_equal_fields_are_told_apart() -> None:
    hashes = [
        hash_of(dataclasses.replace(REPORT, recommendations=(advice,), no_advice=None))
        for advice in (ItemsAboutRight((), 0.0, 0.7, 0.7), Rest(0, 0, 0))
    ]
    assert len(set(hashes)) == 2
