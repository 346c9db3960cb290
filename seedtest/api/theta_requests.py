"""What the θ API is asked: bodies and parameters, checked."""

import datetime as dt
from typing import Annotated, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from seedtest.errors import RequestError
from seedtest.settings import Model

Body = TypeVar("Body", bound=BaseModel)

MOST_LOOKBACK_DAYS: Final = 3650
MOST_WEEKS: Final = 520
# An index entry of PostgreSQL holds 2.7 kB, and no text of it the character NUL.
LONGEST_ID: Final = 512
ID_PATTERN: Final = r"^[^\x00]+$"
Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, pattern=ID_PATTERN)]
ReportFormat = Literal["html", "pdf"]


def _written_out(value: object) -> object:
    """Refuse seconds since 1970, which the parser would take, as a number or as text."""
    if not isinstance(value, str) or value[4:5] != "-":
        raise ValueError("write it as 2026-11-05T09:30:00Z")
    return value


def _in_utc(value: dt.datetime) -> dt.datetime:
    """Return the time in UTC: PostgreSQL takes no offset of 16 hours, which the notation allows."""
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("lies beyond the calendar") from None


Instant = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_written_out), AfterValidator(_in_utc)
]


class _Body(BaseModel):
    """A body: types are as given, fields unknown here are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class UpdateThetaBody(_Body):
    """Whose θ, and from which answers."""

    user_id: Id
    session_id: Id | None = Field(None, description="The session that has just ended; told, not needed")
    lookback_days: int | None = Field(
        None,
        ge=1,
        le=MOST_LOOKBACK_DAYS,
        description="Days of answers that count; missing or null: THETA_LOOKBACK_DAYS, 30 by default",
    )
    model: Model = Field("2PL", description="What the caller expects; the answer states the fit in force")
    version: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "v1", description="What the caller expects; the answer states the fit in force"
    )


class SessionCompletedBody(_Body):
    """A session that has ended."""

    session_id: Id
    user_id: Id
    completed_at: Instant = Field(description="When it ended, with its offset from UTC")


class _Query(BaseModel):
    """Parameters of an address: an unknown one is a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HistoryQuery(_Query):
    """Whose θ over time."""

    user_id: Id = Field(examples=["test-user-123"])
    since: Instant | None = Field(
        None, description="Only θ of answers given from then on; a plus sign is written %2B"
    )


class WeeklyQuery(_Query):
    """Whose weeks."""

    user_id: Id = Field(examples=["test-user-123"])
    weeks: int = Field(8, ge=1, le=MOST_WEEKS, description="How many, counted from the newest")


def read_body(kind: type[Body], text: bytes) -> Body:
    """Return a JSON text as a body of a kind, or name the first field that is wrong.

    Raises
    ------
    RequestError
        400, `invalid body: …` in the words of the contract; it never quotes what was sent.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise RequestError(f"invalid body: {complaint(first['loc'], first['type'], first['msg'])}") from None


def complaint(where: tuple[int | str, ...], fault: str, what: str) -> str:
    """Say what is wrong with a field; `fault` is pydantic's name of it."""
    path = ".".join(str(part) for part in where)
    if fault in {"missing", "string_too_short"}:
        return f"{path} required"
    if fault == "string_pattern_mismatch":
        return f"{path}: the character NUL cannot be stored"
    # The JSON parser's words quote no text, only where it stopped.
    return f"{path}: {what.removeprefix('Value error, ')}" if path else what
