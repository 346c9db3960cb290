"""Answers read from files, into memory or block by block."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seedtest.errors import DataError
from seedtest.irt import Responses, Scorer, StoredResponses, calibrate, read_responses
from seedtest.irt.ingest import Ids, read_batches
from tests.irt.simulation import simulate

ROOT = Path(__file__).resolve().parents[2]

SIMULATION = simulate(seed=41, n_users=3000, n_items=40, answers_each=12)
FRAME = SIMULATION.frame.sample(fraction=1, shuffle=True, seed=1)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "answers.parquet"
    FRAME.write_parquet(path, row_group_size=5000)
    return path


def assert_same(ours: Responses, theirs: Responses) -> None:
    assert (ours.user_ids, ours.item_ids) == (theirs.user_ids, theirs.item_ids)
    np.testing.assert_array_equal(ours.start, theirs.start)
    np.testing.assert_array_equal(ours.code, theirs.code)


def test_a_parquet_file_holds_the_same_answers_as_its_frame(parquet: Path) -> None:
    assert_same(read_responses(parquet), Responses.from_frame(FRAME))


def test_a_folder_of_parquet_files_is_one_data_set(tmp_path: Path) -> None:
    for number, part in enumerate(FRAME.iter_slices(10_000)):
        part.write_parquet(tmp_path / f"{number}.parquet")
    assert_same(read_responses(tmp_path), Responses.from_frame(FRAME))


@pytest.mark.parametrize("rows", [777, 5000, 1_000_000])
def test_batches_of_any_size_hold_every_answer_once(parquet: Path, rows: int) -> None:
    users, items, told = Ids(), Ids(), []
    batches = list(
        read_batches(parquet, users, items, rows_per_batch=rows, on_read=lambda *counts: told.append(counts))
    )
    assert [batch.user.size for batch in batches[:-1]] == [rows] * (len(batches) - 1)
    assert told[-1] == (FRAME.height, FRAME.height)
    user = users.ranks()[1][np.concatenate([batch.user for batch in batches])]
    code = np.concatenate([batch.code for batch in batches])
    expected = FRAME.select(pl.col("user_id").rank("dense") - 1, pl.col("correct").cast(pl.Int32))
    np.testing.assert_array_equal(user, expected["user_id"])
    np.testing.assert_array_equal(code & 1, expected["correct"])


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    for name in ("answers[1].parquet", "answers*.csv"):
        path = tmp_path / name
        FRAME.write_parquet(path) if path.suffix == ".parquet" else FRAME.write_csv(path)
        assert_same(read_responses(path), Responses.from_frame(FRAME))


def test_a_csv_file_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv.gz"
    path.write_bytes(gzip.compress(FRAME.write_csv().encode()))
    assert_same(read_responses(path), Responses.from_frame(FRAME))
    with StoredResponses.read(path, folder=tmp_path) as stored:
        assert len(stored) == FRAME.height


@pytest.mark.heavy
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process its peak memory")
def test_memory_is_bounded_however_large_the_row_groups(tmp_path: Path) -> None:
    n = 12_000_000
    rows = pl.select(row=pl.int_range(n)).lazy()
    path = tmp_path / "answers.parquet"
    rows.select(
        user_id=pl.format("learner number {}", pl.col("row") * 7919 % (n // 40)),
        item_id=pl.format("item number {}", pl.col("row") % 1000),
        correct=pl.col("row") % 3 == 0,
    ).sink_parquet(path, row_group_size=n)
    small = tmp_path / "small.parquet"
    FRAME.write_parquet(small)
    code = (
        "import pathlib; from seedtest.irt import StoredResponses\n"
        "status = pathlib.Path('/proc/self/status')\n"
        "def peak_mb(): return int(status.read_text().split('VmHWM:')[1].split()[0]) / 1000\n"
        # A first, small file brings in the libraries: the peak then tells of reading alone.
        f"with StoredResponses.read(pathlib.Path({str(small)!r})): pass\n"
        "before = peak_mb()\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "with StoredResponses.read(path, memory_mb=100) as stored: print(len(stored))\n"
        "print(peak_mb() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert int(done[0]) == n
    # The answers alone are 0.6 GB as text; 300,000 ids stay in memory while they are read.
    assert float(done[1]) < 300


@pytest.mark.parametrize("verdict", [pl.Boolean, pl.Int64, pl.Float64])
def test_a_csv_file_may_say_true_or_1(tmp_path: Path, verdict: type[pl.DataType]) -> None:
    path = tmp_path / "answers.csv"
    FRAME.with_columns(pl.col("correct").cast(verdict)).write_csv(path)
    assert_same(read_responses(path), Responses.from_frame(FRAME))


def test_ids_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("user_id,item_id,correct\n007,10,1\n7,9,0\n")
    responses = read_responses(path)
    assert (responses.user_ids, responses.item_ids) == (("007", "7"), ("10", "9"))


def test_whole_numbers_in_parquet_are_ids_too(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    pl.DataFrame({"user_id": [10, 9], "item_id": [1, 1], "correct": [True, False]}).write_parquet(path)
    assert read_responses(path).user_ids == ("10", "9")


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (FRAME.drop("correct"), "needs a column correct"),
        (FRAME.with_columns(correct=pl.lit("yes")), "must hold true and false or 1 and 0"),
        (FRAME.with_columns(correct=pl.lit(float("nan"))), "holds nan"),
        (FRAME.with_columns(correct=pl.lit(-1)), "holds -1"),
        (FRAME.with_columns(correct=pl.lit(0.5)), "holds 0.5"),
        (FRAME.with_columns(correct=pl.lit(None, pl.Boolean)), "Column correct .* is null"),
        (FRAME.with_columns(user_id=pl.lit(None, pl.String)), "Column user_id .* is null"),
    ],
)
def test_unusable_files_are_refused_with_the_reason(
    tmp_path: Path, frame: pl.DataFrame, complaint: str
) -> None:
    path = tmp_path / "answers.parquet"
    frame.write_parquet(path)
    with pytest.raises(DataError, match=complaint):
        read_responses(path)
    with pytest.raises(DataError, match=complaint):
        StoredResponses.read(path, folder=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["answers.parquet"]


def test_files_that_are_not_there_or_of_another_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_responses(tmp_path / "answers.parquet")
    (tmp_path / "answers.xlsx").touch()
    with pytest.raises(DataError, match=r"neither \.parquet nor \.csv"):
        read_responses(tmp_path / "answers.xlsx")


def test_an_empty_file_has_no_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    FRAME.clear().write_parquet(path)
    assert len(read_responses(path)) == 0


def test_blocks_on_disk_give_the_estimates_from_memory(parquet: Path, tmp_path: Path) -> None:
    in_memory = calibrate(read_responses(parquet))
    with StoredResponses.read(parquet, memory_mb=0, folder=tmp_path) as stored:
        assert len(stored.stored) > 20
        assert (len(stored), stored.n_users) == (FRAME.height, 3000)
        fit = calibrate(stored)
        parts = list(stored.abilities(Scorer(fit.items, fit.prior)))
        folder = stored.folder
    assert not folder.exists()
    for name in ("a", "b", "se_a", "se_b", "n"):
        np.testing.assert_allclose(getattr(fit.items, name), getattr(in_memory.items, name), atol=1e-9)
    assert fit.loglik == pytest.approx(in_memory.loglik, abs=1e-7)
    assert fit.bic == pytest.approx(in_memory.bic, abs=1e-7)
    assert [user for part in parts for user in part.user_ids] == list(in_memory.abilities.user_ids)
    theta = np.concatenate([part.theta for part in parts])
    np.testing.assert_allclose(theta, in_memory.abilities.theta, atol=1e-9)


def test_items_left_out_are_left_out_of_blocks_on_disk_too(tmp_path: Path) -> None:
    odd = pl.DataFrame(
        {
            "user_id": [f"u{number:04}" for number in range(20)] + ["hermit"] * 2,
            "item_id": ["easy"] * 20 + ["rare", "rarer"],
            "correct": [True] * 22,
        }
    )
    path = tmp_path / "answers.parquet"
    pl.concat([FRAME, odd]).write_parquet(path)
    in_memory = calibrate(read_responses(path))
    with StoredResponses.read(path, memory_mb=0, folder=tmp_path) as stored:
        fit = calibrate(stored)
        part = stored.select_items(np.array([item in fit.items.item_ids for item in stored.item_ids]))
        users = [user for abilities in part.abilities(Scorer(fit.items)) for user in abilities.user_ids]
    np.testing.assert_allclose(fit.items.b, in_memory.items.b, atol=1e-9)
    assert fit.bic == pytest.approx(in_memory.bic, abs=1e-6)
    assert fit.n_observations == in_memory.n_observations == FRAME.height
    assert {exclusion.id for exclusion in fit.exclusions} == {"easy", "rare", "rarer"}
    assert users == list(in_memory.abilities.user_ids)
