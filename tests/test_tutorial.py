"""The tutorial runs, and prints what it says."""

import contextlib
import io
import re
from pathlib import Path

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "irt.md"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:```text\n(?P<said>.*?)```)?", re.DOTALL)


def test_every_block_of_the_tutorial_prints_what_stands_below_it() -> None:
    names: dict[str, object] = {}
    blocks = list(BLOCK.finditer(TUTORIAL.read_text(encoding="utf-8")))
    assert len(blocks) >= 9
    for block in blocks:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(block["code"], TUTORIAL.name, "exec"), names)  # noqa: S102 - our own page
        assert said.getvalue() == (block["said"] or "")
