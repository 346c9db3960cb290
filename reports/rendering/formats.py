"""The formats of a report."""

from enum import StrEnum


class Format(StrEnum):
    """A format that a report is rendered to; the value is also its file's ending."""

    HTML = "html"
    PDF = "pdf"

    @property
    def content_type(self) -> str:
        """The type that a server states for it."""
        return "text/html; charset=utf-8" if self is Format.HTML else "application/pdf"
