"""What a report is rendered from, as a hash: equal hashes render equal documents."""

import datetime as dt
import hashlib
import json
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal

from reports.model import WeeklyReport

UNRENDERED = {("DataDates", "code_version")}
"""Fields that change what a report says of its making only: a report keeps the version that made it."""

DIGITS = 9
"""Significant digits that count: another processor's last bits are no other report."""


def content_hash(report: WeeklyReport, *, template_digest: str, format: Literal["html", "pdf"]) -> str:
    """Return the SHA-256 of a report's content, the template's digest and the format, in hex."""
    content = [template_digest, format, _plain(report)]
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()


def _plain(value: Any) -> Any:  # noqa: ANN401 (any field's value)
    """Reduce a value to lists and texts, a dataclass with its name: kinds of advice may share fields."""
    if is_dataclass(value):
        kind: Any = type(value)
        return [kind.__name__, *(_plain(getattr(value, name)) for name in _rendered(kind))]
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return value.isoformat() if isinstance(value, dt.date) else value


@cache
def _rendered(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if (kind.__name__, field.name) not in UNRENDERED)
