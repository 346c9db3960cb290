"""What a person is told at the end of `make run`."""

import io
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from sqlalchemy.engine import Engine

from seedtest.db.schema import MirtAbility
from seedtest.settings import Settings
from seedtest.summary import render, summarise
from tests.db.exam_results import NOON, add_results, result


def test_the_summary_counts_rows_averages_abilities_and_says_where_things_are(
    engine: Engine, tmp_path: Path
) -> None:
    with engine.begin() as connection:
        add_results(connection, result({"question_id": "Q1"}, {"question_id": "Q2"}))
        for user_id, theta in (("ann", 1.0), ("bob", -0.5)):
            connection.execute(
                sa.insert(MirtAbility).values(
                    user_id=user_id,
                    version="v1",
                    source="calibration",
                    as_of=NOON,
                    theta=theta,
                    se=0.4,
                    model="2PL",
                )
            )
    summary = summarise(engine, Settings(seedtest_home=tmp_path, prefect_api_url="http://ui.example/api"))
    assert summary.rows == {"attempt (view)": 2, "exam_results": 1, "mirt_ability": 2}
    assert (summary.mean_theta, summary.mean_se) == (0.25, 0.4)
    said = io.StringIO()
    Console(file=said, width=200).print(render(summary))
    for text in ("mirt_ability", "0.25", "http://ui.example", str(tmp_path)):
        assert text in said.getvalue()
    assert "weekly reports" not in said.getvalue()


def test_an_empty_database_has_a_summary_too(engine: Engine, tmp_path: Path) -> None:
    summary = summarise(engine, Settings(seedtest_home=tmp_path))
    assert summary.rows == {"attempt (view)": 0}
    assert (summary.mean_theta, summary.mean_se, summary.version) == (None, None, None)
    assert render(summary)


def test_addresses_stay_whole_on_a_narrow_terminal(engine: Engine, tmp_path: Path) -> None:
    found = summarise(engine, Settings(seedtest_home=tmp_path))
    address = f"http://127.0.0.1:40001/{'seedtest-reports/' * 5}index.html"
    said = io.StringIO()
    terminal = Console(file=said, width=80, soft_wrap=True)
    terminal.print(render(replace(found, reports=address, ui=address, database=address)))
    lines = said.getvalue().splitlines()
    assert sum(line.endswith(address) for line in lines) == 3
    assert all(len(line) <= 80 for line in lines if address not in line and str(tmp_path) not in line)
