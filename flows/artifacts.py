"""The artifacts of a run: a summary to read, tables to look into, progress to watch."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import polars as pl
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.stage import StageSummary

# The UI shows a table whole; a longer one is cut, and its description says so.
MOST_TABLE_ROWS = 1000


def publish_summary(summary: StageSummary, warnings: Sequence[str] = ()) -> None:
    """Publish a stage's summary as markdown, under the stage's name; what to look at stands first."""
    create_markdown_artifact(
        key=f"{summary.stage}-summary",
        markdown=markdown(summary, warnings),
        description=f"{summary.stage} for {summary.date}",
    )


def markdown(summary: StageSummary, warnings: Sequence[str] = ()) -> str:
    """Return the summary as markdown: warnings, counts, what was dropped and why, durations."""
    title = f"# {summary.stage}, {summary.date}"
    if summary.dry_run:
        title += "\n\n**Dry run: nothing was written.**"
    sections = [
        title,
        "\n".join(["## To look at", "", *(f"- {plain(warning)}" for warning in warnings)])
        if warnings
        else "",
        _table("Counted", "rows", {name: f"{count:,}" for name, count in summary.counts.items()}),
        _table("Left out, and why", "rows", {why: f"{count:,}" for why, count in summary.dropped.items()}),
        _table("Facts", "", summary.facts),
        f"Took {summary.seconds:.1f} s.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _table(name: str, unit: str, rows: Mapping[str, str]) -> str:
    if not rows:
        return ""
    lines = [f"| {_cell(key)} | {_cell(value)} |" for key, value in rows.items()]
    return "\n".join([f"| {name} | {unit} |", "|---|---:|", *lines])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def plain(text: str) -> str:
    """Return words of the database's and ours as words, whatever they mean in markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>#|~$])", r"\\\1", text).replace("\n", " ")


def publish_table(key: str, rows: pl.DataFrame | Sequence[Mapping[str, Any]], description: str) -> None:
    """Publish rows as a table artifact; of a long one the first rows, and the description counts them all."""
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows), infer_schema_length=None)
    if frame.height > MOST_TABLE_ROWS:
        description += f" (the first {MOST_TABLE_ROWS:,} of {frame.height:,} rows)"
    shown = frame.head(MOST_TABLE_ROWS).with_columns(
        pl.selectors.float().round(4), pl.selectors.temporal().cast(pl.String)
    )
    create_table_artifact(key=key, table=shown.to_dicts(), description=description)


class Progress:
    """A progress artifact that moves forward in named steps."""

    def __init__(self, artifact_id: UUID, steps: Sequence[str]) -> None:
        self._artifact_id = artifact_id
        self._steps = list(steps)

    def reach(self, step: str, share: float = 1.0) -> None:
        """Say that `share` of a step is done, and all steps before it."""
        self.tell((self._steps.index(step) + share) / len(self._steps), step)

    def tell(self, share: float, text: str) -> None:
        """Say that `share` of the whole is done, in words of the caller's."""
        update_progress_artifact(self._artifact_id, progress=round(100 * share, 1), description=text)


@contextmanager
def progress(stage: str, steps: Sequence[str]) -> Iterator[Progress]:
    """Show how far a run is, in the UI, under the stage's name."""
    artifact_id = create_progress_artifact(progress=0.0, key=f"{stage}-progress", description=steps[0])
    if not isinstance(artifact_id, UUID):
        raise TypeError("a progress artifact is created synchronously here")
    yield Progress(artifact_id, steps)
