"""Whole processes: peak memory, the command line on files, the first fit after an import."""

import json
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.irt.child import Run, python
from benchmarks.irt.cohorts import Cohort, Size
from benchmarks.irt.fits import MOST_ITERATIONS
from benchmarks.report import Report, at_most
from benchmarks.timing import RUNS

FOUR_MILLION = Size(100_000, 2_000, 40)
FORTY_MILLION = Size(1_000_000, 5_000, 40)
TWO_HUNDRED_MILLION = Size(5_000_000, 20_000, 40)
HUGE_DISK_GB = 15
HUGE_MEMORY_MB = 512

FIRST_FIT = """
import numpy as np
from seedtest.irt import Responses, calibrate
user, item, correct = (np.fromfile(f"{folder}/{name}.i32", np.int32) for name in ("user", "item", "correct"))
ids = [tuple(map(str, range(n))) for n in (500, 150)]
calibrate(Responses.from_arrays(*ids, user, item, correct), item_priors=None)
"""


def main(report: Report, *, huge: bool) -> None:
    """Measure each in processes of their own."""
    _first_fit(report)
    _peak(report, FOUR_MILLION, None, 250)
    forty = _peak(report, FORTY_MILLION, 12, 900)
    _file(report, forty)
    if huge:
        _streamed(report)
    else:
        report.section(f"{TWO_HUNDRED_MILLION} streamed from Parquet")
        report.row("left out", "–", "--huge includes it")


def _first_fit(report: Report) -> None:
    size = Size(500, 150, 150)
    report.section(f"A new process: import and first fit, {size}, compiled kernels in their cache")
    with tempfile.TemporaryDirectory() as folder:
        Cohort.simulate(size).save(Path(folder))
        program = f"folder = {folder!r}\n{FIRST_FIT}"
        seconds = _median([python("-c", program) for _ in range(RUNS + 1)][1:])
    report.verdict("from start to end", seconds, at_most(3, "s"))


def _peak(report: Report, size: Size, limit_secs: float | None, limit_mb: float) -> Cohort:
    report.section(f"2PL, {size} ({size.n_answers:,} answers), a process of its own")
    report.doing("simulating")
    cohort = Cohort.simulate(size)
    with tempfile.TemporaryDirectory() as folder:
        cohort.save_rows(Path(folder))
        report.doing(f"{RUNS} processes")
        runs = [python("-m", "benchmarks.irt.fit_child", folder) for _ in range(RUNS)]
    said = [json.loads(run.said) for run in runs]
    seconds = statistics.median(one["seconds"] for one in said)
    processor = f"(processor time {statistics.median(one['cpu_secs'] for one in said):.2f} s)"
    if limit_secs is None:
        report.row("fit", f"{seconds:.3f} s", processor)
    else:
        report.verdict("fit", seconds, at_most(limit_secs, "s"), processor)
    report.verdict(
        "peak memory of the process", statistics.median(r.peak_mb for r in runs), at_most(limit_mb, "MB")
    )
    report.verdict("iterations", said[0]["iterations"], at_most(MOST_ITERATIONS, "iterations"))
    return cohort


def _file(report: Report, cohort: Cohort) -> None:
    report.section(f"seedtest calibrate, {cohort.size}: a shuffled Parquet file of text ids to items.csv")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report.doing("writing the file")
        answers = _written(cohort, folder)
        report.doing(f"{RUNS} processes")
        runs = [_calibrated(answers, folder / "memory") for _ in range(RUNS)]
        summary = json.loads((folder / "memory" / "fit.json").read_text())
    report.verdict(
        "from start to end", _median(runs), at_most(25, "s"), f"(the fit: {summary['seconds']:.1f} s)"
    )
    report.row("processor time", f"{statistics.median(run.cpu_secs for run in runs):.1f} s")
    report.row("peak memory of the process", f"{statistics.median(run.peak_mb for run in runs):,.0f} MB")


def _streamed(report: Report) -> None:
    report.section(f"seedtest calibrate --memory-mb {HUGE_MEMORY_MB}, {TWO_HUNDRED_MILLION} from Parquet")
    free_gb = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free_gb < HUGE_DISK_GB:
        report.row("left out", "–", f"needs {HUGE_DISK_GB} GB of disk; {free_gb:.0f} GB are free")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report.doing("simulating and writing the file")
        answers = _written(Cohort.simulate(TWO_HUNDRED_MILLION), folder)
        report.doing("streamed, one run")
        streamed = _calibrated(answers, folder / "streamed", "--memory-mb", str(HUGE_MEMORY_MB))
        report.verdict("from start to end, one run", streamed.seconds, at_most(150, "s"))
        report.verdict("peak memory of the process", streamed.peak_mb, at_most(2 * 1024**3 / 1e6, "MB"))
        report.doing("in memory, one run")
        held = _calibrated(answers, folder / "memory")
        report.row("in memory", f"{held.seconds:.0f} s", f"{held.peak_mb:,.0f} MB")
        report.verdict("largest difference of a or b", _difference(folder), at_most(1e-6, "logits"))


def _written(cohort: Cohort, folder: Path) -> Path:
    parts, file = folder / "parts", folder / "answers.parquet"
    parts.mkdir()
    cohort.write_shuffled(parts)
    pl.scan_parquet(parts / "*.parquet").sink_parquet(file)
    shutil.rmtree(parts)
    return file


def _calibrated(answers: Path, target: Path, *options: str) -> Run:
    target.mkdir(exist_ok=True)
    files = {"items": "items.csv", "abilities": "abilities.csv", "summary": "fit.json"}
    written = [f"--{option}={target / name}" for option, name in files.items()]
    return python("-m", "seedtest", "calibrate", answers, *written, *options)


def _difference(folder: Path) -> float:
    held, streamed = (pl.read_csv(folder / name / "items.csv") for name in ("memory", "streamed"))
    gaps = [np.abs((held[name] - streamed[name]).to_numpy()).max() for name in ("a", "b")]
    return float(max(gaps))


def _median(runs: list[Run]) -> float:
    return statistics.median(run.seconds for run in runs)
