"""What the service may answer: the contract's fields (domain §6), each with the values it can have."""

import math
from dataclasses import field
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AliasChoices, ConfigDict, FailFast, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails, from_json

from seedtest.irt import ErrorKind, ExclusionKind
from seedtest.irt_client.transport import CallError

STRICT: Final = ConfigDict(strict=True)
"""A number in quotes is no number."""

IDS: Final = {
    "item_params": ("item", "item_id"),
    "abilities": ("learner", "user_id"),
    "exclusions": ("exclusion", "id"),
}
"""What a row of each list is about, and the key of its id."""

LONGEST_QUOTE: Final = 40

Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Asymptote = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, config=STRICT)
class Parameters:
    """Parameters of an item; c may be left out where the model has none."""

    a: Finite
    b: Finite
    c: Asymptote | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class StandardErrors:
    """Standard errors of an item's parameters; null: unknown, or the parameter was held."""

    a: NotNegative | None = None
    b: NotNegative | None = None
    c: NotNegative | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class ItemRow:
    """Estimates of an item."""

    item_id: str
    params: Parameters
    n: Count
    se: StandardErrors | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class AbilityRow:
    """Estimates of a learner; without model and version, which a million rows repeat."""

    user_id: str
    theta: Finite
    se: NotNegative | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class ExclusionRow:
    """An item or learner left out, and why."""

    kind: ExclusionKind
    id: str
    reason: str
    n: Count = 0


@dataclass(frozen=True, slots=True, config=STRICT)
class Constants:
    """Slope and intercept, or A and B."""

    slope: Finite = Field(validation_alias=AliasChoices("slope", "A"))
    intercept: Finite = Field(validation_alias=AliasChoices("intercept", "B"))


@dataclass(frozen=True, slots=True, config=STRICT)
class ModelSpec:
    """What was fitted; the contract leaves open which of these a service tells beside the model."""

    model: str
    theta_mean: Finite | None = None
    theta_sd: Positive | None = None
    n_blocks: Count | None = None
    error_kind: ErrorKind | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class Metrics:
    """How the fit went."""

    loglik: Finite
    aic: Finite
    bic: Finite
    n_parameters: Count | None = None
    n_iterations: Count | None = None
    converged: bool | None = None
    criterion: NotNegative | None = None
    log_prior: Finite | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class FitMeta:
    """Everything about the fit as a whole."""

    model_spec: ModelSpec
    metrics: Metrics
    linking_constants: Constants | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class Answer:
    """The answer to a calibration."""

    status: Literal["ok"]
    item_params: Annotated[list[ItemRow], FailFast()]
    abilities: Annotated[list[AbilityRow], FailFast()]
    fit_meta: FitMeta
    exclusions: Annotated[list[ExclusionRow], FailFast()] = field(default_factory=list)


@dataclass(frozen=True, slots=True, config=STRICT)
class ScoreAnswer:
    """The answer to a score; `n_items` answers counted."""

    status: Literal["ok"]
    theta: Finite
    standard_error: NotNegative
    n_items: Annotated[int, Field(ge=1)]


Kind = TypeVar("Kind")

_ANSWER: Final = TypeAdapter(Answer)
_SCORE: Final = TypeAdapter(ScoreAnswer)


def read_answer(body: bytearray) -> Answer:
    """Read the service's answer to a calibration; for what it raises see `read_score`."""
    return _read(_ANSWER, body)


def read_score(body: bytearray) -> ScoreAnswer:
    """Read the service's answer to a score.

    Raises
    ------
    CallError
        Transient for what is no JSON: a part of an answer, or a page of something on the way. For good
        where a field is missing or holds what it cannot; the message names it and its item or learner.
    """
    return _read(_SCORE, body)


def _read(kind: TypeAdapter[Kind], body: bytearray) -> Kind:
    try:
        return kind.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        raise CallError(f"the answer of {len(body)} bytes is not JSON: {first['msg']}", is_transient=True)
    raise CallError(f"invalid answer: {_told(first, body)}", is_transient=False)


def _told(fault: ErrorDetails, body: bytearray) -> str:
    names = [str(part) for part in fault["loc"] if isinstance(part, str)]
    what = ".".join(names) or "the answer"
    return f"{what}{_whose(fault, body)}{_value(fault['input'])}: {fault['msg']}"


def _whose(fault: ErrorDetails, body: bytearray) -> str:
    match fault["loc"]:
        case (str(part), int(number), *_) if part in IDS:
            kind, key = IDS[part]
            row: Any = from_json(body, allow_inf_nan=True)[part][number]
            given = row.get(key) if isinstance(row, dict) else None
            return f" of {kind} {given!r}" if isinstance(given, str) else f" of row {number}"
        case _:
            return ""


def _value(given: object) -> str:
    """Quote a value where it is short enough to help."""
    if isinstance(given, float) and math.isnan(given):
        return " is NaN"
    short = given is None or isinstance(given, bool | int | float | str)
    text = "null" if given is None else repr(given)
    return f" is {text}" if short and len(text) <= LONGEST_QUOTE else ""
