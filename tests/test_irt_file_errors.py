"""Whatever is wrong with a file, the command says it in a sentence and fails."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from seedtest.cli import main
from seedtest.errors import DataError
from seedtest.irt import StoredResponses
from tests.irt.simulation import simulate

ROOT = Path(__file__).resolve().parents[1]
HEADER = "user_id,item_id,correct\n"
COHORT = simulate(51, 200, 8).frame

Run = Callable[..., str]


@pytest.fixture
def fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in the folder that fails with one sentence for a person; return that."""

    def run(*words: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["seedtest", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("seedtest: ")
        assert said.err.count("\n") == 1
        assert "Traceback" not in said.err
        assert not list(tmp_path.glob("crash-*"))
        return said.err

    return run


def frame_with(correct: pl.Expr) -> pl.DataFrame:
    last = pl.int_range(pl.len()) == pl.len() - 1
    return COHORT.with_columns(
        correct=pl.when(last).then(correct).otherwise(pl.col("correct").cast(pl.Float64))
    )


def flipped() -> bytes:
    """Return a Parquet file whose footer is sound and whose first page is not."""
    content = bytearray(parquet_bytes())
    content[4:204] = b"\xff" * 200
    return bytes(content)


def parquet_bytes() -> bytes:
    ids = [f"learner {number}" for number in range(20_000)]
    file = io.BytesIO()
    pl.DataFrame({"user_id": ids, "item_id": ids, "correct": [True] * len(ids)}).write_parquet(file)
    return file.getvalue()


CALIBRATE = ("--items", "i.csv", "--abilities", "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("r.csv", None, "There is no file r.csv"),
        ("r.csv", b"", "r.csv cannot be read as CSV: empty CSV"),
        ("r.csv", HEADER.encode(), "There are no responses to calibrate on"),
        ("r.csv", b"user_id,item_id\nu,i\n", "r.csv needs a column correct; there are only user_id, item_id"),
        ("r.csv", b"user_id;item_id;correct\nu;i;1\n", "r.csv needs a column user_id"),
        ("r.csv", f"{HEADER}u,i,yes\n".encode(), "must hold true and false or 1 and 0"),
        ("r.csv", f"{HEADER}u,i,2\n".encode(), "holds 2: an answer is right (1) or wrong (0)"),
        ("r.csv", (HEADER + "u,i,1\n" * 5000 + "u,i,0.5\n").encode(), "holds 0.5: an answer"),
        ("r.csv", (HEADER + "u,i,1\n" * 5000 + "u,i,NA\n").encode(), "could not parse `NA`"),
        ("r.csv", f"{HEADER}u,,1\n".encode(), "Column item_id of r.csv is null in 1 or more rows"),
        ("r.csv", f"{HEADER}u,i\nu,i,1,1\n".encode(), "found more fields"),
        ("r.csv", f"{HEADER}Zoë,i,1\n".encode("latin-1"), "invalid utf-8 sequence. Save it as UTF-8."),
        ("r.csv", f"{HEADER}u,i,1\n".encode("utf-16"), "needs a column user_id"),
        ("r.csv", f"{HEADER}u,i,1\n".encode(), "No model can be fitted to 0 usable items; 3 are needed"),
        ("r.parquet", b"", "r.parquet cannot be read as Parquet"),
        ("r.parquet", b"no parquet at all", "r.parquet cannot be read as Parquet"),
        ("r.parquet", parquet_bytes()[:-1000], "r.parquet cannot be read as Parquet"),
        ("r.parquet", flipped(), "r.parquet cannot be read as Parquet"),
        ("r.xlsx", b"PK", "r.xlsx is neither .parquet nor .csv"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--memory-mb", "1")])
def test_answers_that_cannot_be_read(
    tmp_path: Path, fails: Run, name: str, content: bytes | None, said: str, options: tuple[str, ...]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert said in fails("calibrate", name, *CALIBRATE, *options)
    assert not (tmp_path / "i.csv").exists()


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (frame_with(pl.lit(float("nan"))), "holds nan"),
        (frame_with(pl.lit(None)), "Column correct of r.parquet is null in 1 or more rows"),
        (frame_with(pl.lit(0.5)), "holds 0.5"),
        (frame_with(pl.lit(-1.0)), "holds -1"),
        (COHORT.clear(), "There are no responses to calibrate on"),
        (COHORT.filter(user_id="u0000"), "fewer than 5 answers: 8"),
        (COHORT.filter(item_id="i000"), "its learners answered no other item: 1"),
        (COHORT.with_columns(correct=pl.lit(value=True)), "all answers are right: 8"),
        (
            pl.select(item=pl.int_range(100_000)).select(
                user_id=(pl.col("item") // 50).cast(pl.String),
                item_id=pl.col("item").cast(pl.String),
                correct=pl.col("item") % 2 == 0,
            ),
            "fewer than 5 answers: 100000",
        ),
    ],
)
@pytest.mark.parametrize("options", [(), ("--memory-mb", "1")])
def test_answers_that_no_model_can_be_fitted_to(
    tmp_path: Path, fails: Run, frame: pl.DataFrame, said: str, options: tuple[str, ...]
) -> None:
    frame.write_parquet(tmp_path / "r.parquet")
    assert said in fails("calibrate", "r.parquet", *CALIBRATE, *options)


def test_a_folder_without_parquet_is_no_answers(tmp_path: Path, fails: Run) -> None:
    (tmp_path / "folder").mkdir()
    assert "There is no .parquet file in the folder folder" in fails("calibrate", "folder", *CALIBRATE)


def test_a_folder_whose_files_differ_names_the_one(tmp_path: Path, fails: Run) -> None:
    (tmp_path / "folder").mkdir()
    COHORT.write_parquet(tmp_path / "folder" / "1.parquet")
    COHORT.drop("correct").write_parquet(tmp_path / "folder" / "2.parquet")
    assert "folder/2.parquet needs a column correct" in fails("calibrate", "folder", *CALIBRATE)


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ("i.xlsx", "its name must end in .csv or .parquet"),
        ("no/i.csv", "there is no folder no"),
        ("r.csv/i.csv", "there is no folder r.csv"),
        ("folder.csv", "it is a folder"),
        ("r.csv", "is named twice"),
        ("a.csv", "is named twice"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, fails: Run, items: str, said: str
) -> None:
    (tmp_path / "r.csv").write_text("not looked at")
    (tmp_path / "folder.csv").mkdir()
    assert said in fails("calibrate", "r.csv", "--items", items, "--abilities", "a.csv")
    assert (tmp_path / "r.csv").read_text() == "not looked at"


@pytest.mark.parametrize("name", ["i.csv", "i.parquet", "f.json"])
def test_a_full_disk_is_said(tmp_path: Path, fails: Run, name: str) -> None:
    COHORT.write_parquet(tmp_path / "r.parquet")
    (tmp_path / name).symlink_to("/dev/full")
    names = {"--items": "i.csv", "--summary": "f.json"} | (
        {"--summary": name} if name == "f.json" else {"--items": name}
    )
    words = [word for pair in names.items() for word in pair]
    said = fails("calibrate", "r.parquet", "--abilities", "a.csv", *words)
    assert f"{name} cannot be written" in said
    assert "No space left on device" in said


def test_no_room_for_stored_answers_is_said(tmp_path: Path) -> None:
    pl.concat([COHORT] * 50).write_parquet(tmp_path / "r.parquet")
    code = (
        "import resource, pathlib; from seedtest.irt import StoredResponses\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "StoredResponses.read(pathlib.Path('r.parquet'), folder=pathlib.Path('.'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert "The answers in r.parquet cannot be kept in ." in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["r.parquet"]


def test_a_folder_that_is_none_holds_no_stored_answers(tmp_path: Path) -> None:
    COHORT.write_parquet(tmp_path / "r.parquet")
    with pytest.raises(DataError, match=r"cannot be kept in .*nowhere"):
        StoredResponses.read(tmp_path / "r.parquet", folder=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "4PL"), "model '4PL' is not supported"),
        (("--anchors", "none.csv"), "There is no file none.csv"),
        (("--anchors", "other.csv"), "None of the 1 anchors has an answer"),
        (("--anchors", "reversed.csv"), "Anchor 'i000' has parameters that are not finite with a > 0"),
        (("--anchors", "r.csv"), "r.csv needs a column a"),
    ],
)
def test_options_that_cannot_be_used(tmp_path: Path, fails: Run, options: tuple[str, ...], said: str) -> None:
    COHORT.write_csv(tmp_path / "r.csv")
    (tmp_path / "other.csv").write_text("item_id,a,b\nelsewhere,1,0\n")
    (tmp_path / "reversed.csv").write_text("item_id,a,b\ni000,-1,0\n")
    assert said in fails("calibrate", "r.csv", *CALIBRATE, *options)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"item_id,a\ni000,1\n", "items.csv needs a column b"),
        (b"item_id,a,b\ni000,1,hard\n", "could not parse `hard`"),
        (b"item_id,a,b\ni000,1,0\ni000,2,0\n", "Item 'i000' has two rows"),
        (b"item_id,a,b\ni000,,\n", "holds no item with a and b"),
        (b"item_id,a,b,c\ni000,1,0,2\n", "cannot be scored"),
        (b"item_id,a,b\ni000,inf,0\n", "cannot be scored"),
        (b"\xff\xfe\xff", "items.csv needs a column item_id"),
    ],
)
def test_items_that_cannot_be_used(tmp_path: Path, fails: Run, content: bytes, said: str) -> None:
    (tmp_path / "items.csv").write_bytes(content)
    COHORT.write_csv(tmp_path / "r.csv")
    assert said in fails("score", "r.csv", "--items", "items.csv", "--abilities", "a.csv")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sd", "0"), "is no distribution"),
        (("--method", "guess"), "guess"),
        (("--prior", "none.json"), "none.json cannot be read"),
        (("--prior", "items.csv"), "items.csv is no summary of a fit"),
        (("--prior", "list.json"), "list.json is no summary of a fit"),
    ],
)
def test_scoring_options_that_cannot_be_used(
    tmp_path: Path, fails: Run, options: tuple[str, ...], said: str
) -> None:
    (tmp_path / "items.csv").write_text("item_id,a,b\ni000,1,0\n")
    (tmp_path / "list.json").write_text("[1]")
    COHORT.write_csv(tmp_path / "r.csv")
    assert said in fails("score", "r.csv", "--items", "items.csv", "--abilities", "a.csv", *options)
