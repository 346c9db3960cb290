"""Run the benchmarks: `python -m benchmarks [bulk] [irt] [theta-api] [reports] …`."""

import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import batch, bulk, irt, theta_api, weekly_reports
from benchmarks.irt.rivals import Rivals
from benchmarks.timing import machine


class Part(StrEnum):
    """What can be measured by itself."""

    BULK = "bulk"
    BATCH = "batch"
    IRT = "irt"
    THETA_API = "theta-api"
    REPORTS = "reports"


def main(  # noqa: PLR0913 (typer makes an option of each)
    parts: Annotated[list[Part] | None, typer.Argument(help="What to measure (default: all)")] = None,
    *,
    with_rivals: Annotated[
        bool, typer.Option("--with-rivals", help="Install PyPI's rivals into .seedtest/rivals first")
    ] = False,
    rivals_python: Annotated[
        Path | None, typer.Option(envvar="BENCH_RIVALS_PYTHON", help="A Python with mirt and girth")
    ] = None,
    rscript: Annotated[
        Path | None, typer.Option(help="Rscript of an R with mirt (default: on the path)")
    ] = None,
    r_library: Annotated[
        Path | None, typer.Option(envvar="BENCH_R_LIBRARY", help="Folder in which R finds mirt")
    ] = None,
    rival_secs: Annotated[
        float, typer.Option(help="Leave out a rival's fit that takes longer; stop repeating at half of it")
    ] = 100.0,
    huge: Annotated[
        bool, typer.Option("--huge", help="200 million answers too: 15 GB of disk, 10 minutes")
    ] = False,
    learners: Annotated[int, typer.Option(help="Learners in the database of the θ API")] = 2_000,
    reports: Annotated[int, typer.Option(help="Learners whose weekly reports are made")] = 400,
    batch_sizes: Annotated[
        list[int] | None, typer.Option(help="Answers in the window of features and KPIs (default: 1M, 10M)")
    ] = None,
    batch_runs: Annotated[int, typer.Option(help="Runs of which features and KPIs give the median")] = 5,
    cores: Annotated[
        int | None, typer.Option(help="Processes that make reports (default: all cores)")
    ] = None,
) -> None:
    """Measure against rivals and targets, in one run on this machine."""
    chosen = parts or list(Part)
    print(machine())
    if Part.BULK in chosen:
        bulk.main()
    if Part.BATCH in chosen:
        batch.main(sizes=batch_sizes or batch.SIZES, runs=batch_runs)
    if Part.IRT in chosen:
        on_path = shutil.which("Rscript")
        r = rscript if rscript is not None or on_path is None else Path(on_path)
        rivals = Rivals.found(python=rivals_python, install=with_rivals, rscript=r, r_library=r_library)
        irt.main(rivals, rival_secs=rival_secs, huge=huge)
    if Part.THETA_API in chosen:
        theta_api.main(learners=learners)
    if Part.REPORTS in chosen:
        weekly_reports.main(learners=reports)


if __name__ == "__main__":
    typer.run(main)
