"""Pictures with their words and numbers, as one page of markdown."""

import base64
from collections.abc import Sequence

import polars as pl
from prefect.artifacts import create_markdown_artifact

from flows.artifacts import plain
from seedtest.calibration_pictures import Picture

# The UI fetches an artifact whole, and its server keeps every run's; the words come to a few thousand more.
MOST_IMAGE_CHARACTERS = 450_000


def publish_pictures(key: str, title: str, pictures: Sequence[Picture], description: str) -> None:
    """Publish pictures on one page, each with its words and numbers."""
    create_markdown_artifact(key=key, markdown=page(title, pictures), description=description)


def page(title: str, pictures: Sequence[Picture]) -> str:
    """Return pictures with their words as markdown; one that makes the page too large is left out."""
    sections, size = [f"# {title}"], 0
    for picture in pictures:
        image = _image(picture)
        size += len(image)
        if size > MOST_IMAGE_CHARACTERS:
            size, image = size - len(image), f"*Too large to be shown here: {plain(picture.alt)}*"
        look_for = f"*Look for* {plain(picture.look_for)}" if picture.look_for else ""
        sections += [f"## {picture.title}", plain(picture.shows), look_for, image, _numbers(picture.table)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _image(picture: Picture) -> str:
    if picture.png is None:
        return ""
    return f"![{plain(picture.alt)}](data:image/png;base64,{base64.b64encode(picture.png).decode()})"


def _numbers(table: pl.DataFrame | None) -> str:
    if table is None or table.is_empty():
        return ""
    texts = table.with_columns(pl.selectors.float().round(3)).cast(pl.String).fill_null("–")
    ruler = "|".join("---:" if dtype.is_numeric() else "---" for dtype in table.dtypes)
    lines = ["|".join(plain(cell) for cell in row) for row in (table.columns, *texts.iter_rows())]
    return "\n".join(f"|{line}|" for line in (lines[0], ruler, *lines[1:]))
