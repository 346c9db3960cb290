"""The IRT engine against its rivals and its targets."""

from benchmarks.irt import abilities, fits, processes
from benchmarks.irt.rivals import Rivals
from benchmarks.report import Report


def main(rivals: Rivals, *, rival_secs: float, huge: bool) -> None:
    """Measure all, and sum up."""
    report = Report()
    print("Medians of five runs after one that is not counted, unless said otherwise.")
    fits.main(report, rivals, rival_secs)
    abilities.main(report)
    processes.main(report, huge=huge)
    report.close()
