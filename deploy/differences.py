"""What differs between what a server has and what the files say, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 80
_ABSENT = "nothing"


@dataclass(frozen=True)
class Change:
    """One thing that a deployment changes, or would change."""

    subject: str
    what: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}"


def changes(subject: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return the changes that make `before` into `after`; None: there was no such thing."""
    if before is None:
        return (Change(subject, "created"),)
    return tuple(Change(subject, text) for text in _differences("", before, after))


def _differences(path: str, before: object, after: object) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            where = f"{path}.{key}" if path else str(key)
            yield from _differences(where, before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, pair in enumerate(zip(before, after, strict=True)):
            yield from _differences(f"{path}[{place}]", *pair)
    elif before != after:
        yield f"{path} {_shown(before)} → {_shown(after)}"


def _shown(value: object) -> str:
    if value is None:
        return _ABSENT
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
