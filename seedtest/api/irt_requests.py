"""What the IRT service is asked: the fields beside the answers, checked; and the bodies as documentation."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seedtest.errors import RequestError
from seedtest.irt import ItemParameters, LinkingMethod, Prior

ModelName = Literal["Rasch", "1PL", "2PL", "3PL"]
Linking = Literal["mean-sigma", "mean-mean", "haebara", "stocking-lord"]
Body = TypeVar("Body", bound=BaseModel)
Id = Annotated[str, Field(min_length=1)]
# Far beyond what any item measures; within these bounds no likelihood overflows.
Discrimination = Annotated[float, Field(ge=-100, le=100, description="a, in 1/logits")]
Logits = Annotated[float, Field(ge=-1000, le=1000)]
Asymptote = Annotated[float | None, Field(ge=0, lt=1, description="c; missing or null: 0")]


class _Part(BaseModel):
    """A part of a body: types are as given, fields unknown here are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Params(_Part):
    """Parameters of an item: P(correct | θ) = c + (1 − c)·logistic(a(θ − b))."""

    a: Discrimination
    b: Logits
    c: Asymptote = None


class StartParams(_Part):
    """Parameters to start from; the engine passes over those that make no start."""

    a: float
    b: float
    c: Asymptote = None


class Start(_Part):
    """An item to start from known parameters."""

    item_id: Id
    params: StartParams


class Anchor(_Part):
    """An item with known parameters."""

    item_id: Id
    params: Params
    fixed: bool = Field(
        default=False, description="Hold these parameters during the fit; else they carry the fit's scale"
    )


class Observation(_Part):
    """An answer of a learner to an item."""

    user_id: Id
    item_id: Id
    is_correct: bool
    responded_at: str | None = None


class CalibrationOptions(_Part):
    """What a calibration is told beside the answers."""

    model: ModelName
    anchors: list[Anchor] | None = None
    linking: Linking | None = Field(None, description="How anchors that are not fixed carry the scale")
    starts: list[Start] | None = Field(None, description="Parameters to start from; they change no result")
    min_responses: int = Field(5, ge=2, le=1_000_000, description="Answers an item needs")

    @model_validator(mode="after")
    def _has_each_item_once(self) -> Self:
        for name in ("anchors", "starts"):
            ids = [known.item_id for known in getattr(self, name) or ()]
            if len(set(ids)) < len(ids):
                twice = next(item_id for item_id in ids if ids.count(item_id) > 1)
                raise ValueError(f"{name}: item {twice!r} is given twice")
        return self

    @property
    def linking_method(self) -> LinkingMethod:
        """The method asked for, or the default."""
        return LinkingMethod(self.linking or "mean-sigma")

    @property
    def held(self) -> ItemParameters | None:
        """Anchors whose parameters are held; None where there are none."""
        return _parameters([anchor for anchor in self.anchors or () if anchor.fixed])

    @property
    def loose(self) -> ItemParameters | None:
        """Anchors that are not held; None where there are none."""
        return _parameters([anchor for anchor in self.anchors or () if not anchor.fixed])

    @property
    def starting_values(self) -> ItemParameters | None:
        """`starts`, and beside held anchors the others; None where there are none."""
        others = self.anchors or () if self.held is not None else ()
        loose: dict[str, Anchor | Start] = {item.item_id: item for item in others if not item.fixed}
        return _parameters((loose | {item.item_id: item for item in self.starts or ()}).values())


class CalibrationBody(CalibrationOptions):
    """The body of a calibration; answers are read as they arrive, by `Observations`."""

    observations: list[Observation]


class ScoredAnswer(_Part):
    """An answer to score."""

    item_id: Id
    is_correct: bool


class NormalPrior(_Part):
    """The ability distribution N(mean, sd²)."""

    mean: Logits = 0.0
    sd: float = Field(1.0, ge=0.001, le=1000)


class ScoreBody(_Part):
    """Item parameters by id, and a learner's answers."""

    item_params: dict[Id, Params]
    responses: list[ScoredAnswer]
    model: ModelName | None = None
    prior: NormalPrior | None = None

    @property
    def ability(self) -> Prior:
        """The prior, N(0, 1) unless given."""
        prior = self.prior or NormalPrior()
        return Prior(prior.mean, prior.sd)

    @property
    def items(self) -> ItemParameters:
        """The parameters as arrays."""
        params = self.item_params.values()
        return ItemParameters.from_values(
            list(self.item_params), [p.a for p in params], [p.b for p in params], [p.c or 0.0 for p in params]
        )


def checked(kind: type[Body], fields: Mapping[str, Any]) -> Body:
    """Return the fields as a body of a kind, or name the first that is wrong."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise RequestError(_complaint(first["loc"], first["msg"])) from None


def _parameters(known: Collection[Start | Anchor]) -> ItemParameters | None:
    if not known:
        return None
    params = [item.params for item in known]
    return ItemParameters.from_values(
        [item.item_id for item in known],
        [p.a for p in params],
        [p.b for p in params],
        [p.c or 0.0 for p in params],
    )


def _complaint(where: tuple[int | str, ...], what: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return f"{path.lstrip('.')}: {what}." if path else f"{what.removeprefix('Value error, ')}."
