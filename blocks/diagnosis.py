"""What a check finds: how bad, what it is by a stable name, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum

from seedtest.errors import ConfigurationError


class Level(StrEnum):
    """How bad a finding is: an error keeps some run from doing its work."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Category(StrEnum):
    """What was found, by a name that stays: tests and alerts compare it."""

    SOUND = "Sound"
    NOT_REGISTERED = "NotRegistered"
    CANNOT_LOAD = "CannotLoad"
    NOT_CHECKED = "NotChecked"
    NO_IDENTITY = "NoIdentity"
    REFUSED = "Refused"
    MISSING = "Missing"
    UNREACHABLE = "Unreachable"
    UNUSABLE = "Unusable"


@dataclass(frozen=True)
class Diagnosis:
    """What was found of one block or of what it points at."""

    level: Level
    category: Category
    subject: str
    summary: str
    detail: str = ""
    resolution: str = ""

    def __str__(self) -> str:
        """Return it for a log or an error: what, why, what to do."""
        return " ".join(filter(None, [f"{self.subject}: {self.summary}", self.detail, self.resolution]))


@dataclass(frozen=True)
class Target:
    """What was touched: the block as Prefect names it, what it points at, and whose that is."""

    subject: str
    name: str
    project: str = "PROJECT"

    def error(self, category: Category, summary: str, detail: str, resolution: str) -> Diagnosis:
        """Return an error found of it."""
        return Diagnosis(Level.ERROR, category, self.subject, summary, detail, resolution)


def sound(subject: str, summary: str) -> Diagnosis:
    """Return that all is well."""
    return Diagnosis(Level.OK, Category.SOUND, subject, summary)


def not_registered(target: Target) -> Diagnosis:
    """Return that the Prefect server has no such block."""
    return target.error(
        Category.NOT_REGISTERED,
        "the Prefect server has no such block.",
        "",
        "Register it: python -m blocks register --env ENV.",
    )


def cannot_load(target: Target) -> Diagnosis:
    """Return that the server's document does not fit the block's class; its values stay unsaid."""
    return target.error(
        Category.CANNOT_LOAD,
        "its document does not fit this version of the block.",
        "",
        "Write it anew: python -m blocks register --env ENV.",
    )


def not_checked(target: Target, needed: str) -> Diagnosis:
    """Return that a check makes no sense before another block is mended."""
    return target.error(
        Category.NOT_CHECKED, f"not checked, since it uses {needed}.", "", f"Mend {needed} first."
    )


class BlockFaultError(ConfigurationError):
    """A block, or what it points at, cannot be used; `diagnosis` says why and what to do."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(str(diagnosis))
        self.diagnosis = diagnosis
