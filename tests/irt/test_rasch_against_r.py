"""Rasch difficulties beside conditional maximum likelihood, by the R package eRm (Mair & Hatzinger, 2007).

The conditional likelihood needs no ability distribution, so it checks the marginal one from outside. The
two agree in the limit, not to the last digit.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seedtest.irt import Responses, calibrate
from seedtest.irt.parameters import FloatArray
from tests.irt.simulation import simulate

PROGRAM = """
files <- commandArgs(trailingOnly = TRUE)
fit <- eRm::RM(as.matrix(read.csv(files[1], check.names = FALSE)), se = FALSE)
write.csv(data.frame(b = -fit$betapar), files[2], row.names = FALSE)
"""


@pytest.fixture(scope="module")
def rscript() -> str:
    """The command that runs R, where R has eRm."""
    command = shutil.which("Rscript")
    if command is None:
        pytest.skip("needs R: Rscript is not on the path (Debian: r-base-core, r-cran-erm)")
    has_erm = subprocess.run(
        [command, "-e", "stopifnot(requireNamespace('eRm'))"], capture_output=True, check=False
    )
    if has_erm.returncode != 0:
        pytest.skip("needs R's package eRm (Debian: r-cran-erm)")
    return command


def conditional_difficulties(rscript: str, wide: pl.DataFrame, folder: Path) -> FloatArray:
    """Difficulties of a learners × items table of 0 and 1, null for no answer, centred, (n_items,)."""
    answers, found = folder / "answers.csv", folder / "difficulties.csv"
    wide.write_csv(answers, null_value="NA")
    subprocess.run([rscript, "-e", PROGRAM, answers, found], check=True, capture_output=True)
    b = pl.read_csv(found)["b"].to_numpy()
    return np.asarray(b - b.mean())


def marginal_difficulties(wide: pl.DataFrame) -> FloatArray:
    """Ours, centred, in the order of the table's columns."""
    long = wide.with_row_index("user_id").unpivot(
        index="user_id", variable_name="item_id", value_name="correct"
    )
    frame = long.drop_nulls().with_columns(pl.col("user_id").cast(pl.String), pl.col("correct") == 1)
    fit = calibrate(Responses.from_frame(frame), model="Rasch", item_priors=None)
    assert fit.converged
    b = fit.items.b[fit.items.index_of(wide.columns)]
    return np.asarray(b - b.mean())


def assert_alike(ours: FloatArray, theirs: FloatArray) -> None:
    assert np.corrcoef(ours, theirs)[0, 1] >= 0.999
    assert np.abs(ours - theirs).max() <= 0.05


def test_lsat7_has_erms_difficulties(rscript: str, shared: Path, tmp_path: Path) -> None:
    wide = pl.read_csv(shared / "reference" / "irt" / "lsat7" / "responses.csv")
    assert_alike(marginal_difficulties(wide), conditional_difficulties(rscript, wide, tmp_path))


@pytest.mark.parametrize("n_forms", [1, 2], ids=["one form", "two forms with ten common items"])
def test_a_cohort_has_erms_difficulties(rscript: str, tmp_path: Path, n_forms: int) -> None:
    cohort = simulate(seed=21, n_users=2_000, n_items=30, sd_log_a=0.0)
    marked = cohort.frame.with_columns(pl.col("correct").cast(pl.Int8))
    wide = (
        marked.pivot("item_id", index="user_id", values="correct")
        .drop("user_id")
        .select(cohort.items.item_ids)
    )
    assert_alike(
        marginal_difficulties(in_forms(wide, n_forms)),
        conditional_difficulties(rscript, in_forms(wide, n_forms), tmp_path),
    )


def in_forms(wide: pl.DataFrame, n_forms: int) -> pl.DataFrame:
    """Keep all answers, or of every other learner those to the first 20 items, of the rest to the last 20."""
    if n_forms == 1:
        return wide
    odd = pl.int_range(pl.len()) % 2 == 1
    first, last = wide.columns[:10], wide.columns[-10:]
    return wide.with_columns(
        pl.when(odd).then(None).otherwise(pl.col(first)).name.keep(),
        pl.when(odd).then(pl.col(last)).otherwise(None).name.keep(),
    )
