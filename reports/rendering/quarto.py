"""The Quarto renderer: the same filled document, given to the program `quarto`."""

import os
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

from reports.document import Document
from reports.fonts import FONT_FILES
from reports.rendering.files import SOURCE, TEMPLATES
from reports.rendering.formats import Format
from reports.rendering.style import style_sheet
from seedtest.errors import ConfigurationError, ReportError

TIMEOUT_SECS = 120
_TARGET = {Format.HTML: "html", Format.PDF: "typst"}


def render_quarto(document: Document, formats: Collection[Format]) -> dict[Format, bytes]:
    """Return the document in the formats, rendered in a private folder that is removed afterwards.

    Raises
    ------
    ConfigurationError
        When no program `quarto` is installed.
    ReportError
        When Quarto refuses the document.
    """
    program = shutil.which("quarto")
    if program is None:
        raise ConfigurationError(
            "REPORT_RENDERER=quarto needs the program quarto, which is not on the PATH: "
            "install it from quarto.org, or set REPORT_RENDERER=embedded."
        )
    with TemporaryDirectory(prefix="report-") as folder:
        source = _laid_out(document, Path(folder))
        return {each: _rendered(program, source, each) for each in formats}


def _laid_out(document: Document, folder: Path) -> Path:
    """Write the document and what it refers to into a folder."""
    for path in TEMPLATES.iterdir():
        shutil.copy(path, folder)
    (folder / "figures").mkdir()
    for place, drawing in (document.printed | document.on_screen).items():
        (folder / place).write_text(drawing, "utf-8")
    shown = document.text + "".join(document.on_screen.values())
    (folder / "report.css").write_text(style_sheet(document.language, shown), "utf-8")
    (folder / "fonts").mkdir()
    for font in FONT_FILES:
        (folder / "fonts" / font.name).symlink_to(font)
    source = folder / SOURCE.name
    source.write_text(document.text, "utf-8")
    return source


def _rendered(program: str, source: Path, to: Format) -> bytes:
    made = source.with_suffix(f".{to}")
    command = [program, "render", source.name, "--to", _TARGET[to], "--output", made.name, "--quiet"]
    try:
        done = subprocess.run(
            command,
            cwd=source.parent,
            env={**os.environ, "HOME": str(source.parent)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise ReportError(f"Quarto took longer than {TIMEOUT_SECS} s to render the report to {to}.") from late
    if done.returncode or not made.is_file():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ReportError(f"Quarto cannot render the report to {to} (status {done.returncode}): {last}")
    return made.read_bytes()
