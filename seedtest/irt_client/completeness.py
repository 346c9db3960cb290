"""Whether an answer accounts for what was sent: every item and learner once, and nothing else."""

from collections.abc import Sequence

import polars as pl

from seedtest.engine import FitRequest
from seedtest.irt import ExclusionKind
from seedtest.irt_client.answer import Answer
from seedtest.irt_client.transport import CallError


def require_complete(answer: Answer, request: FitRequest) -> None:
    """Refuse an answer that leaves an item or learner out without a word, or adds one.

    Raises
    ------
    CallError
        The message names the first id at fault and how many there are.
    """
    _require_model(answer, request)
    if not (answer.item_params and answer.abilities):
        raise invalid("it holds no item or no learner, though a model that cannot be fitted is status 422")
    for kind, listed, part, sent in (
        (ExclusionKind.ITEM, [row.item_id for row in answer.item_params], "item_params", "item_id"),
        (ExclusionKind.USER, [row.user_id for row in answer.abilities], "abilities", "user_id"),
    ):
        excluded = [row.id for row in answer.exclusions if row.kind is kind]
        _require_ids(kind, part, _ids(listed), _ids(excluded), request.answers[sent].unique())


def invalid(fault: str) -> CallError:
    """Return the error of an answer that another call would not better."""
    return CallError(f"invalid answer: {fault}", is_transient=False)


def _require_model(answer: Answer, request: FitRequest) -> None:
    told = answer.fit_meta.model_spec.model
    if told != request.model:
        raise invalid(f"fit_meta.model_spec.model is {told!r}, where {request.model!r} was asked for")
    for row in answer.item_params:
        if row.model not in {None, request.model}:
            raise invalid(f"model of item {row.item_id!r} is {row.model!r}, not {request.model!r}")
        if row.params.a == 0:
            raise invalid(f"params.a of item {row.item_id!r} is 0: such an item measures nothing")
        if row.params.c is None and request.model == "3PL":
            raise invalid(f"params.c of item {row.item_id!r} is missing")


def _require_ids(kind: str, part: str, listed: pl.Series, excluded: pl.Series, sent: pl.Series) -> None:
    named = pl.concat([listed, excluded])
    _refuse_any(kind, listed.filter(listed.is_duplicated()), f"stands twice in {part}")
    _refuse_any(kind, named.filter(named.is_duplicated()), f"stands twice in {part} and exclusions")
    _refuse_any(kind, _without(named, sent), f"stands in {part} or exclusions, but was not sent")
    _refuse_any(kind, _without(sent, named), f"is missing: neither in {part} nor among the exclusions")


def _refuse_any(kind: str, ids: pl.Series, fault: str) -> None:
    if ids.len():
        raise invalid(f"{kind} {ids.min()!r} {fault} ({ids.n_unique()} of that kind)")


def _without(ids: pl.Series, others: pl.Series) -> pl.Series:
    return ids.filter(~ids.is_in(others.implode()))


def _ids(ids: Sequence[str]) -> pl.Series:
    return pl.Series(ids, dtype=pl.String)
