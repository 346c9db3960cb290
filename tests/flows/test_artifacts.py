"""Pages as markdown: words stay words, and a page stays small."""

import base64
import os

import polars as pl

from flows.artifacts import markdown
from flows.picture_pages import MOST_IMAGE_CHARACTERS, page
from flows.stage import StageSummary
from seedtest.calibration_pictures import Picture
from tests.calibrating import TODAY

ODD = "<script>|*Q_1*|[x](y)\n# $"


def test_words_from_the_bank_are_no_markup() -> None:
    table = pl.DataFrame({"item_id": [ODD, None], "b": [0.12345, float("nan")], "n": [1, 2]})
    shown = page("title", [Picture("A", ODD, ODD, ODD, b"\x89PNG", table)])
    assert "<script" not in shown.replace("\\<", "")
    assert shown.count("\n# ") == 0
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert rows[0] == "|item\\_id|b|n|"
    assert rows[1] == "|---|---:|---:|"
    assert rows[2].endswith("|0.123|1|")
    assert rows[3].startswith("|–|")


def test_a_picture_that_makes_the_page_too_large_is_told_in_words() -> None:
    image = os.urandom(MOST_IMAGE_CHARACTERS // 2)
    shown = page("title", [Picture("A", "a", "", "first", image), Picture("B", "b", "", "second", image)])
    assert base64.b64encode(image).decode() in shown
    assert "![first](data:image/png;base64," in shown
    assert "*Too large to be shown here: second*" in shown
    assert len(shown) < 500_000


def test_a_picture_that_there_is_not_is_a_sentence() -> None:
    assert page("title", [Picture("A", "Why not.")]) == "# title\n\n## A\n\nWhy not.\n"


def test_warnings_stand_first() -> None:
    shown = markdown(StageSummary(stage="s", date=TODAY, counts={"items": 2}), ["Beware of Q_1."])
    assert shown.index("- Beware of Q\\_1.") < shown.index("items")
    assert "To look at" not in markdown(StageSummary(stage="s", date=TODAY))
