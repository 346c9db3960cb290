"""Which answers the client takes, and what it makes of them; a fault is named with its field and id."""

import copy
import gzip
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedtest.errors import IrtServiceError
from seedtest.irt import ErrorKind, Exclusion, ExclusionKind, ItemParameters, LinkingConstants, Prior
from tests.irt_client.cohort import ITEMS, USERS, answer, request
from tests.irt_client.conftest import MakeEngine
from tests.irt_client.service import Service, http, says, sends

Spoil = Callable[[dict[str, Any]], object]


def item(said: dict[str, Any], at: int = 2) -> dict[str, Any]:
    row: dict[str, Any] = said["item_params"][at]
    return row


def ability(said: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = said["abilities"][1]
    return row


def spec(said: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = said["fit_meta"]["model_spec"]
    return told


def excluded(kind: str, id: str) -> dict[str, Any]:
    return {"kind": kind, "id": id, "reason": "all answers are right", "n": 3}


# -- refused at once ---------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Spoil, str]] = {
    "status": (lambda s: s.update(status="error"), "status is 'error'"),
    "no status": (lambda s: s.pop("status"), "status: Field required"),
    "no items": (lambda s: s.pop("item_params"), "item_params: Field required"),
    "items no list": (lambda s: s.update(item_params={}), "item_params"),
    "a row no object": (lambda s: s["item_params"].append(7), "item_params of row 4 is 7"),
    "NaN": (
        lambda s: item(s)["params"].update(a=math.nan),
        "item_params.params.a of item 'Q3' is NaN: Input should be a finite number",
    ),
    "infinite": (
        lambda s: item(s)["params"].update(b=math.inf),
        "item_params.params.b of item 'Q3' is inf",
    ),
    "null": (lambda s: item(s)["params"].update(b=None), "item_params.params.b of item 'Q3' is null"),
    "text": (lambda s: item(s)["params"].update(b="0.5"), "item_params.params.b of item 'Q3' is '0.5'"),
    "NA of R": (lambda s: item(s)["se"].update(b="NA"), "item_params.se.b of item 'Q3' is 'NA'"),
    "truth": (lambda s: item(s)["params"].update(a=True), "item_params.params.a of item 'Q3' is True"),
    "a is 0": (lambda s: item(s)["params"].update(a=0), "params.a of item 'Q3' is 0"),
    "c is 1": (lambda s: item(s)["params"].update(c=1.0), "item_params.params.c of item 'Q3' is 1.0"),
    "c below 0": (lambda s: item(s)["params"].update(c=-0.1), "item_params.params.c of item 'Q3' is -0.1"),
    "se below 0": (lambda s: item(s)["se"].update(a=-0.1), "item_params.se.a of item 'Q3' is -0.1"),
    "se NaN": (lambda s: item(s)["se"].update(a=math.nan), "item_params.se.a of item 'Q3' is NaN"),
    "n broken": (lambda s: item(s).update(n=2.5), "item_params.n of item 'Q3' is 2.5"),
    "n below 0": (lambda s: item(s).update(n=-1), "item_params.n of item 'Q3' is -1"),
    "another model's item": (lambda s: item(s).update(model="3PL"), "model of item 'Q3' is '3PL', not '2PL'"),
    "id a number": (lambda s: item(s).update(item_id=3), "item_params.item_id of row 2 is 3"),
    "item missing": (
        lambda s: s["item_params"].pop(2),
        "item 'Q3' is missing: neither in item_params nor among the exclusions",
    ),
    "one item too many": (
        lambda s: s["item_params"].append(copy.deepcopy(item(s)) | {"item_id": "Q9"}),
        "item 'Q9' stands in item_params or exclusions, but was not sent",
    ),
    "item twice": (
        lambda s: s["item_params"].append(copy.deepcopy(item(s))),
        "item 'Q3' stands twice in item_params",
    ),
    "item in and out": (
        lambda s: s.update(exclusions=[excluded("item", "Q3")]),
        "item 'Q3' stands twice in item_params and exclusions",
    ),
    "exclusion not sent": (
        lambda s: s.update(exclusions=[excluded("item", "Q9")]),
        "item 'Q9' stands in item_params or exclusions, but was not sent",
    ),
    "exclusion of what": (
        lambda s: s.update(exclusions=[excluded("topic", "algebra")]),
        "exclusions.kind of exclusion 'algebra' is 'topic'",
    ),
    "theta NaN": (lambda s: ability(s).update(theta=math.nan), "abilities.theta of learner 'bob' is NaN"),
    "theta null": (lambda s: ability(s).update(theta=None), "abilities.theta of learner 'bob' is null"),
    "theta missing": (lambda s: ability(s).pop("theta"), "abilities.theta of learner 'bob': Field required"),
    "ability se below 0": (lambda s: ability(s).update(se=-1), "abilities.se of learner 'bob' is -1"),
    "learner missing": (
        lambda s: s["abilities"].pop(1),
        "user 'bob' is missing: neither in abilities nor among the exclusions",
    ),
    "one learner too many": (
        lambda s: s["abilities"].append(ability(s) | {"user_id": "eve"}),
        "user 'eve' stands in abilities or exclusions, but was not sent",
    ),
    "learner twice": (
        lambda s: s["abilities"].append(dict(ability(s))),
        "user 'bob' stands twice in abilities",
    ),
    "nothing estimated": (
        lambda s: s.update(
            item_params=[], abilities=[], exclusions=[excluded("item", item) for item in ITEMS]
        ),
        "it holds no item or no learner",
    ),
    "no fit_meta": (lambda s: s.pop("fit_meta"), "fit_meta: Field required"),
    "another model": (
        lambda s: spec(s).update(model="Rasch"),
        "fit_meta.model_spec.model is 'Rasch', where '2PL' was asked for",
    ),
    "loglik null": (
        lambda s: s["fit_meta"]["metrics"].update(loglik=None),
        "fit_meta.metrics.loglik is null",
    ),
    "no spread": (lambda s: spec(s).update(theta_sd=0), "fit_meta.model_spec.theta_sd is 0"),
    "slope 0": (
        lambda s: s["fit_meta"].update(linking_constants={"slope": 0, "intercept": 1}),
        "fit_meta.linking_constants.slope is 0",
    ),
    "half of the constants": (
        lambda s: s["fit_meta"].update(linking_constants={"A": 1.0}),
        "fit_meta.linking_constants.intercept: Field required",
    ),
    "constants NaN": (
        lambda s: s["fit_meta"].update(linking_constants={"A": 1.0, "B": math.nan}),
        "fit_meta.linking_constants.B is NaN",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_contract_is_refused_at_once_and_named(
    service: Service, make_engine: MakeEngine, core_log: list[str], fault: str
) -> None:
    spoil, reason = FAULTS[fault]
    said = answer()
    spoil(said)
    service.behaviours = [says(200, said)]
    with pytest.raises(IrtServiceError) as caught:
        make_engine().fit(request())
    assert str(caught.value).startswith(
        f"R IRT service call failed after 1 attempts: invalid answer: {reason}"
    )
    assert service.n_connections == 1
    assert f"R IRT service call failed (attempt 1/3): invalid answer: {reason}" in "\n".join(core_log)


@pytest.mark.parametrize("content", [[], "ok", None, 7])
def test_json_that_is_no_answer_is_refused(service: Service, make_engine: MakeEngine, content: Any) -> None:
    service.behaviours = [says(200, content)]
    with pytest.raises(IrtServiceError, match="invalid answer: the answer"):
        make_engine().fit(request())


def test_a_guessing_parameter_must_be_told_where_the_model_has_one(
    service: Service, make_engine: MakeEngine
) -> None:
    said = answer("3PL")
    item(said)["params"]["c"] = None
    service.behaviours = [says(200, said)]
    with pytest.raises(IrtServiceError, match=r"params\.c of item 'Q3' is missing"):
        make_engine().fit(request("3PL"))


@pytest.mark.parametrize(
    "asked",
    [request("Rasch"), request(anchors=ItemParameters.from_values(["Q1"], 1.0, [0.0]), hold_anchors=True)],
)
def test_an_ability_distribution_that_follows_from_nothing_must_be_told(
    service: Service, make_engine: MakeEngine, asked: Any
) -> None:
    said = answer(asked.model)
    del spec(said)["theta_sd"]
    service.behaviours = [says(200, said)]
    with pytest.raises(IrtServiceError, match="theta_mean or theta_sd is missing"):
        make_engine().fit(asked)


# -- taken -------------------------------------------------------------------------------------------


def test_a_bare_answer_of_the_contract_makes_a_calibration(service: Service, make_engine: MakeEngine) -> None:
    said = answer()
    said["fit_meta"]["model_spec"] = {"model": "2PL"}
    service.behaviours = [says(200, said)]
    engine_fit = make_engine().fit(request())
    fit = engine_fit.calibration
    assert engine_fit.constants is None
    assert (fit.items.item_ids, fit.abilities.user_ids) == (ITEMS, USERS)
    np.testing.assert_array_equal(fit.items.b, [-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_array_equal(fit.items.se_b, [0.2] * 4)
    assert np.isnan(fit.items.se_c).all()
    np.testing.assert_array_equal(fit.abilities.theta, [-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(fit.abilities.n, [4, 4, 4])
    assert (fit.n_observations, fit.n_blocks) == (12, 1)
    assert fit.n_parameters == 8
    assert (fit.prior, fit.error_kind, fit.converged) == (Prior(0.0, 1.0), ErrorKind.UNKNOWN, False)
    assert math.isnan(fit.criterion)


def test_what_a_service_tells_beyond_the_contract_is_used(service: Service, make_engine: MakeEngine) -> None:
    said = answer()
    spec(said).update(theta_mean=0.5, theta_sd=1.5, n_blocks=2, error_kind="full")
    said["fit_meta"]["metrics"].update(
        n_parameters=9, n_iterations=17, converged=True, criterion=1e-7, log_prior=-0.5
    )
    service.behaviours = [says(200, said)]
    fit = make_engine().fit(request()).calibration
    assert (fit.prior, fit.n_blocks, fit.error_kind) == (Prior(0.5, 1.5), 2, ErrorKind.FULL)
    assert (fit.n_parameters, fit.n_iterations, fit.converged) == (9, 17, True)
    assert (fit.criterion, fit.log_prior) == (1e-7, -0.5)


def test_items_and_learners_left_out_with_a_reason_are_no_fault(
    service: Service, make_engine: MakeEngine
) -> None:
    said = answer()
    said["item_params"].pop(1)
    said["abilities"].pop(1)
    said["exclusions"] = [excluded("item", "Q2"), excluded("user", "bob")]
    service.behaviours = [says(200, said)]
    fit = make_engine().fit(request()).calibration
    assert fit.exclusions == (
        Exclusion(ExclusionKind.ITEM, "Q2", "all answers are right", 3),
        Exclusion(ExclusionKind.USER, "bob", "all answers are right", 3),
    )
    assert fit.n_observations == 9
    np.testing.assert_array_equal(fit.abilities.n, [3, 3])


@pytest.mark.parametrize("names", [("slope", "intercept"), ("A", "B")])
def test_constants_of_the_service_are_kept_under_either_name(
    service: Service, make_engine: MakeEngine, names: tuple[str, str]
) -> None:
    said = answer()
    said["fit_meta"]["model_spec"] = {"model": "2PL"}
    said["fit_meta"]["linking_constants"] = dict(zip(names, (1.25, -0.5), strict=True))
    service.behaviours = [says(200, said)]
    fit = make_engine().fit(request())
    assert fit.constants == LinkingConstants(1.25, -0.5)
    assert fit.calibration.prior == Prior(-0.5, 1.25)
    np.testing.assert_array_equal(fit.calibration.items.b, [-1.5, -0.5, 0.5, 1.5])


@pytest.mark.parametrize(
    "headers",
    [["Content-Type: text/plain"], [], ["Content-Type: application/json", "Content-Encoding: gzip"]],
)
def test_the_answer_counts_and_not_how_it_is_labelled_or_packed(
    service: Service, make_engine: MakeEngine, headers: list[str]
) -> None:
    text = json.dumps(answer()).encode()
    body = gzip.compress(text) if "Content-Encoding: gzip" in headers else text
    service.behaviours = [sends(http(200, body, *headers))]
    assert make_engine().fit(request()).calibration.items.item_ids == ITEMS
