"""The files that shape a report, and the digest of them all."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from reports.fonts import FONT_FILES
from seedtest.settings import ReportRenderer

REPORTS = Path(__file__).parents[1]
SOURCE = REPORTS / "weekly_report.qmd"
TEMPLATES = REPORTS / "templates"
HTML_TEMPLATE = TEMPLATES / "report.html"
TYPST_TEMPLATE = TEMPLATES / "report.typ"
FILTER = TEMPLATES / "report.lua"

_SHAPING = (
    "weekly_report.qmd", "templates/*", "catalogues/*/*/*.po", "rendering/*.py", "rendering/*.lua",
    "figures/*.py", "document.py", "fonts.py", "levels.py", "markdown.py", "texts.py", "wording.py",
)  # fmt: skip
_PACKAGES = ("babel", "fonttools", "jinja2", "matplotlib", "pypandoc-binary", "typst")


@cache
def template_digest(renderer: ReportRenderer = "embedded") -> str:
    """Return the SHA-256 of all that shapes a report but its data, in hex.

    That is the document's source, templates, catalogues, fonts, the code of figures and wording, and the
    versions of the packages that draw.
    """
    digest = hashlib.sha256(renderer.encode())
    files = sorted(path for pattern in _SHAPING for path in REPORTS.glob(pattern))
    for path in (*files, *FONT_FILES):
        digest.update(f"\0{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    for package in _PACKAGES:
        digest.update(f"\0{package}\0{version(package)}".encode())
    return digest.hexdigest()
