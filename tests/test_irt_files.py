"""Calibrating and scoring plain files through the command line."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedtest.cli import main
from seedtest.irt import ItemParameters, calibrate
from seedtest.irt_files import CalibrationFiles, FileProgress, Stage, calibrate_file
from seedtest.irt_tables import items_frame, read_items, write_table
from tests.irt.simulation import Simulation, simulate

ROOT = Path(__file__).resolve().parents[1]


def files(folder: Path, responses: str) -> CalibrationFiles:
    return CalibrationFiles(folder / responses, folder / "i.csv", folder / "a.csv")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in the test's folder, in this process: starting one takes longer than the work."""

    def command(*words: object) -> Done:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["seedtest", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return Done(int(stop.value.code or 0), said.out, said.err)

    return command


def answers() -> Simulation:
    return simulate(51, 400, 12, answers_each=10)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_in_and_out_hold_the_calibration(tmp_path: Path, kind: str, run: Run) -> None:
    frame = answers().frame.sample(fraction=1, shuffle=True, seed=1)
    easy = pl.DataFrame(
        {"user_id": [f"u{i:04}" for i in range(20)], "item_id": ["easy"] * 20, "correct": [True] * 20}
    )
    _write(pl.concat([frame, easy]), tmp_path / f"answers.{kind}")
    out = {"--items": f"items.{kind}", "--abilities": f"abilities.{kind}", "--summary": "fit.json"}
    done = run("calibrate", f"answers.{kind}", "--model", "2PL", *_flat(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert "left out: 1 item: all answers are right" in done.stdout

    fit, items = calibrate(answers().responses), _read(tmp_path / f"items.{kind}")
    assert items.columns == ["item_id", "a", "b", "c", "se_a", "se_b", "se_c", "n", "flags"]
    left_out = items.row(by_predicate=pl.col("item_id") == "easy", named=True)
    assert (left_out["a"], left_out["n"], left_out["flags"]) == (None, 20, "left out: all answers are right")
    kept = items.filter(pl.col("item_id") != "easy")
    np.testing.assert_allclose(kept["b"], fit.items.b, atol=1e-5)
    np.testing.assert_allclose(kept["se_b"], fit.items.se_b, rtol=1e-3)
    scored = _read(tmp_path / f"abilities.{kind}")
    assert scored.columns == ["user_id", "theta", "se", "n"]
    np.testing.assert_allclose(scored["theta"], fit.abilities.theta, atol=1e-5)
    summary = json.loads((tmp_path / "fit.json").read_text())
    assert summary["loglik"] == pytest.approx(fit.loglik, abs=1e-4)
    assert (summary["converged"], summary["model"], summary["n_items"]) == (True, "2PL", 12)
    assert summary["exclusions"] == {"item": {"all answers are right": 1}, "user": {}}
    assert {"aic", "bic", "n_iterations", "seconds"} <= summary.keys()


def test_scoring_with_the_written_items_gives_the_written_abilities(tmp_path: Path, run: Run) -> None:
    _write(answers().frame, tmp_path / "answers.csv")
    out = {"--items": "items.csv", "--abilities": "abilities.parquet", "--summary": "fit.json"}
    assert run("calibrate", "answers.csv", "--model", "Rasch", *_flat(out)).returncode == 0
    fit = json.loads((tmp_path / "fit.json").read_text())
    assert fit["prior_sd"] != 1
    first = _read(tmp_path / "abilities.parquet")
    for prior in ({"--prior": "fit.json"}, {"--sd": fit["prior_sd"]}):
        again = {"--items": "items.csv", "--abilities": "again.parquet"} | prior
        done = run("score", "answers.csv", *_flat(again))
        assert "400 learners scored" in done.stdout
        assert _read(tmp_path / "again.parquet").equals(first)


def test_learners_without_a_calibrated_item_have_no_ability(tmp_path: Path, run: Run) -> None:
    _write(pl.DataFrame({"item_id": ["x", "out"], "a": [1.0, None], "b": [0.0, None]}), tmp_path / "i.csv")
    asked = {"user_id": ["007", "8"], "item_id": ["x", "other"], "correct": [1, 0]}
    _write(pl.DataFrame(asked), tmp_path / "r.csv")
    done = run("score", "r.csv", "--items", "i.csv", "--abilities", "o.parquet")
    assert "1 learner without an answer to a calibrated item" in done.stdout
    found = _read(tmp_path / "o.parquet")
    assert found["user_id"].to_list() == ["007", "8"]
    assert found["n"].to_list() == [1, 0]
    assert found["theta"].is_null().to_list() == [False, True]


def test_block_by_block_gives_the_same_tables(tmp_path: Path, run: Run) -> None:
    _write(answers().frame, tmp_path / "answers.parquet")
    plain = {"--items": "a.csv", "--abilities": "b.csv", "--summary": "c.json"}
    stored = {"--items": "x.csv", "--abilities": "y.csv", "--summary": "z.json", "--memory-mb": 1}
    for options in (plain, stored):
        assert run("calibrate", "answers.parquet", *_flat(options)).returncode == 0
    for one, other in (("a.csv", "x.csv"), ("b.csv", "y.csv")):
        left, right = _read(tmp_path / one), _read(tmp_path / other)
        assert left.columns == right.columns
        numbers = [name for name in left.columns if left[name].dtype == pl.Float64]
        np.testing.assert_allclose(left.select(numbers), right.select(numbers), atol=1e-6, equal_nan=True)


def test_written_items_are_read_as_they_were_estimated(tmp_path: Path) -> None:
    fit = calibrate(answers().responses, model="3PL", max_iterations=20)
    for name in ("items.csv", "items.parquet"):
        write_table(items_frame(fit), tmp_path / name)
        found = read_items(tmp_path / name)
        assert found.item_ids == fit.items.item_ids
        for column in ("a", "b", "c", "se_a", "se_b", "se_c", "n"):
            np.testing.assert_array_equal(getattr(found, column), getattr(fit.items, column))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.sets(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), min_size=1),
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
    kind=st.sampled_from(["csv", "parquet"]),
)
def test_any_ids_and_numbers_survive_a_file(
    tmp_path: Path, ids: set[str], numbers: list[float], kind: str
) -> None:
    frame = pl.DataFrame({"item_id": sorted(ids)}).with_columns(a=pl.lit(numbers[0]), b=pl.lit(numbers[1]))
    write_table(frame, tmp_path / f"items.{kind}")
    found = read_items(tmp_path / f"items.{kind}")
    assert found.item_ids == tuple(sorted(ids))
    assert (set(found.a), set(found.b)) == ({numbers[0]}, {numbers[1]})


def test_anchors_keep_their_parameters_and_say_so(tmp_path: Path, run: Run) -> None:
    _write(answers().frame, tmp_path / "answers.csv")
    known = pl.DataFrame({"item_id": ["i000", "i001", "gone"], "a": [1.2, 0.8, 1.0], "b": [0.5, 1.0, 0.0]})
    _write(known, tmp_path / "anchors.csv")
    out = {"--items": "i.csv", "--abilities": "a.csv", "--summary": "f.json", "--anchors": "anchors.csv"}
    done = run("calibrate", "answers.csv", *_flat(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 of them anchors (held)" in done.stdout
    items = _read(tmp_path / "i.csv").filter(pl.col("flags").str.starts_with("anchor: held"))
    assert items.select("item_id", "a", "b").rows() == known.rows()[:2]
    summary = json.loads((tmp_path / "f.json").read_text())
    held = calibrate(
        answers().responses, anchors=ItemParameters.from_values(["i000", "i001"], [1.2, 0.8], [0.5, 1.0])
    )
    assert summary["n_anchors"] == 2
    assert summary["prior_mean"] == pytest.approx(held.prior.mean, abs=1e-6)


@pytest.mark.parametrize("memory_mb", [None, 1])
def test_repeated_answers_and_learners_left_out_are_counted(tmp_path: Path, memory_mb: int | None) -> None:
    again = answers().frame.head(7)
    stranger = pl.DataFrame({"user_id": ["stranger"], "item_id": ["rare"], "correct": [True]})
    _write(pl.concat([answers().frame, again, stranger]), tmp_path / "r.parquet")
    found = calibrate_file(files(tmp_path, "r.parquet"), memory_mb=memory_mb)
    assert found.n_repeated == 7
    assert found.n_observations == answers().frame.height + 7
    assert found.exclusions == {
        "item": {"fewer than 5 answers": 1},
        "user": {"no answer to a calibrated item": 1},
    }


def test_an_isolated_block_is_fitted_and_named(tmp_path: Path, run: Run) -> None:
    island = answers().frame.with_columns(pl.format("island {}", pl.col("user_id", "item_id")).name.keep())
    _write(pl.concat([answers().frame, island]), tmp_path / "r.csv")
    done = run("calibrate", "r.csv", "--items", "i.csv", "--abilities", "a.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The items fall into 2 parts without a common learner" in done.stdout
    assert _read(tmp_path / "i.csv").height == 24


def test_progress_tells_of_every_stage(tmp_path: Path) -> None:
    _write(answers().frame, tmp_path / "r.parquet")
    told: list[FileProgress] = []
    found = calibrate_file(files(tmp_path, "r.parquet"), on_progress=told.append)
    assert list(dict.fromkeys(one.stage for one in told)) == list(Stage)
    assert FileProgress(Stage.READING, 4000, 4000) in told
    assert max(one.done for one in told if one.stage is Stage.FITTING) == found.n_iterations


def test_a_terminal_shows_progress_and_a_pipe_does_not(tmp_path: Path) -> None:
    _write(answers().frame, tmp_path / "r.csv")
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "seedtest", "calibrate", "r.csv", "--items", "i.csv", "--abilities", "a.csv"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=follower,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TERM": "xterm"},
    )
    os.close(follower)
    assert b"Reading answers" in os.read(leader, 100_000)
    os.close(leader)
    assert b"2PL converged" in done.stdout
    assert b"Reading answers" not in done.stdout


def _flat(options: Mapping[str, object]) -> list[object]:
    return [word for pair in options.items() for word in pair]


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)


def _read(path: Path) -> pl.DataFrame:
    ids = {"user_id": pl.String, "item_id": pl.String}
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, schema_overrides=ids)
