"""Calibrating and scoring plain files through the command line."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seedtest.errors import DataError, SeedtestError
from seedtest.irt import Prior, calibrate
from seedtest.irt_files import calibrate_file, score_file
from tests.irt.simulation import Simulation, simulate


def run(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("seedtest.local.simulate", reason="the command line needs seedtest.local.simulate")
    return subprocess.run(
        [sys.executable, "-m", "seedtest", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PATH": "/usr/bin:/bin"},
    )


def answers() -> Simulation:
    return simulate(51, 400, 12, answers_each=10)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_in_and_out_hold_the_calibration(tmp_path: Path, kind: str) -> None:
    frame = answers().frame.sample(fraction=1, shuffle=True, seed=1)
    easy = pl.DataFrame(
        {"user_id": [f"u{i:04}" for i in range(20)], "item_id": ["easy"] * 20, "correct": [True] * 20}
    )
    _write(pl.concat([frame, easy]), tmp_path / f"answers.{kind}")
    out = {"--items": f"items.{kind}", "--abilities": f"abilities.{kind}", "--summary": "fit.json"}
    done = run("calibrate", f"answers.{kind}", "--model", "2PL", *_flat(out), folder=tmp_path)
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


def test_scoring_with_the_written_items_gives_the_written_abilities(tmp_path: Path) -> None:
    _write(answers().frame, tmp_path / "answers.csv")
    out = {"--items": "items.csv", "--abilities": "abilities.parquet", "--summary": "fit.json"}
    assert run("calibrate", "answers.csv", "--model", "Rasch", *_flat(out), folder=tmp_path).returncode == 0
    fit = json.loads((tmp_path / "fit.json").read_text())
    again = {"--items": "items.csv", "--abilities": "again.csv", "--sd": fit["prior_sd"]}
    done = run("score", "answers.csv", *_flat(again), folder=tmp_path)
    assert "400 learners scored" in done.stdout
    first, second = _read(tmp_path / "abilities.parquet"), _read(tmp_path / "again.csv")
    np.testing.assert_allclose(second["theta"], first["theta"], atol=1e-9)
    np.testing.assert_array_equal(second["n"], first["n"])


def test_learners_without_a_calibrated_item_have_no_ability(tmp_path: Path) -> None:
    _write(pl.DataFrame({"item_id": ["x", "out"], "a": [1.0, None], "b": [0.0, None]}), tmp_path / "i.csv")
    asked = {"user_id": ["007", "8"], "item_id": ["x", "other"], "correct": [1, 0]}
    _write(pl.DataFrame(asked), tmp_path / "r.csv")
    done = run("score", "r.csv", "--items", "i.csv", "--abilities", "o.parquet", folder=tmp_path)
    assert "1 learners have no answer to a calibrated item" in done.stdout
    found = _read(tmp_path / "o.parquet")
    assert found["user_id"].to_list() == ["007", "8"]
    assert found["n"].to_list() == [1, 0]
    assert found["theta"].is_null().to_list() == [False, True]


def test_block_by_block_gives_the_same_tables(tmp_path: Path) -> None:
    _write(answers().frame, tmp_path / "answers.parquet")
    plain = {"--items": "a.csv", "--abilities": "b.csv", "--summary": "c.json"}
    stored = {"--items": "x.csv", "--abilities": "y.csv", "--summary": "z.json", "--memory-mb": 1}
    for options in (plain, stored):
        assert run("calibrate", "answers.parquet", *_flat(options), folder=tmp_path).returncode == 0
    for one, other in (("a.csv", "x.csv"), ("b.csv", "y.csv")):
        left, right = _read(tmp_path / one), _read(tmp_path / other)
        assert left.columns == right.columns
        numbers = [name for name in left.columns if left[name].dtype == pl.Float64]
        np.testing.assert_allclose(left.select(numbers), right.select(numbers), atol=1e-6, equal_nan=True)


HEADER = "user_id,item_id,correct\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no file"),
        ("", "cannot be read"),
        ("user_id,item_id\nu,i\n", "needs a column correct"),
        (HEADER + "u,i,yes\n", "must hold true and false or 1 and 0"),
        (HEADER + "u,i,2\n", "holds 2: an answer is right"),
        (HEADER + "u,,1\n", "Column item_id of .* is null"),
        (HEADER + "u,i,1\n", "No model can be fitted"),
    ],
)
def test_answers_that_cannot_be_used_are_explained(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "answers.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SeedtestError, match=said):
        calibrate_file(path, items=tmp_path / "i.csv", abilities=tmp_path / "a.csv")
    assert not (tmp_path / "i.csv").exists()


@pytest.mark.parametrize(
    ("name", "said"), [("a.xlsx", "must end in .csv or .parquet"), ("no/a.csv", "there is no folder")]
)
def test_what_cannot_be_written_is_said_before_the_work(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        calibrate_file(tmp_path / "absent.csv", items=tmp_path / "i.csv", abilities=tmp_path / name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("item_id,a\ni,1\n", "needs a column b"),
        ("item_id,a,b\ni,1,hard\n", "Column b of .* is String"),
        ("item_id,a,b\ni,1,0\ni,2,0\n", "Item 'i' has two rows"),
        ("item_id,a,b\ni,,\n", "holds no item with a and b"),
        ("item_id,a,b,c\ni,1,0,2\n", "cannot be scored"),
    ],
)
def test_items_that_cannot_be_used_are_named(tmp_path: Path, content: str, said: str) -> None:
    items, answered = tmp_path / "i.csv", tmp_path / "r.csv"
    items.write_text(content)
    answered.write_text(HEADER + "u,i,1\n")
    with pytest.raises(DataError, match=said):
        score_file(answered, items=items, abilities=tmp_path / "a.csv", prior=Prior())


def test_a_failure_is_a_sentence_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "r.parquet").write_text("no parquet")
    out = ("--items", "i.csv", "--abilities", "a.csv")
    done = run("calibrate", "r.parquet", *out, folder=tmp_path)
    assert done.returncode == 1
    assert "r.parquet cannot be read as .parquet" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("crash-*"))


def _flat(options: Mapping[str, object]) -> list[object]:
    return [word for pair in options.items() for word in pair]


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)


def _read(path: Path) -> pl.DataFrame:
    ids = {"user_id": pl.String, "item_id": pl.String}
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, schema_overrides=ids)
