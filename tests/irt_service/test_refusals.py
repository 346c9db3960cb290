"""Malformed bodies: 400, and the message names the field."""

import gzip
import json
from typing import Any

import pytest

from tests.irt_service.answers import anchor, observation
from tests.irt_service.services import Service, error_of

GOOD = observation("u1", "Q1", is_correct=True)
SCORE: dict[str, Any] = {
    "item_params": {"Q1": {"a": 1.0, "b": 0.0, "c": 0.0}},
    "responses": [{"item_id": "Q1", "is_correct": True}],
}


def calibration(**fields: object) -> dict[str, object]:
    return {"observations": [GOOD], "model": "2PL"} | fields


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def bad_anchor(**fields: object) -> dict[str, object]:
    return calibration(anchors=[anchor("Q1", 1.0, 0.0, fixed=True) | fields])


BODIES = [
    pytest.param(calibration(observations=None), "observations", id="observations null"),
    pytest.param(calibration(observations={}), "observations", id="observations an object"),
    pytest.param(calibration(observations="all"), "observations", id="observations text"),
    pytest.param({"model": "2PL"}, "observations", id="no observations"),
    pytest.param(calibration(observations=[GOOD, 7]), "observations", id="an observation a number"),
    pytest.param(calibration(observations=[[GOOD]]), "observations", id="an observation a list"),
    pytest.param(calibration(observations=[without(GOOD, "user_id")]), "user_id", id="no user_id"),
    pytest.param(calibration(observations=[without(GOOD, "item_id")]), "item_id", id="no item_id"),
    pytest.param(calibration(observations=[without(GOOD, "is_correct")]), "is_correct", id="no is_correct"),
    pytest.param(calibration(observations=[GOOD | {"user_id": 7}]), "user_id", id="user_id a number"),
    pytest.param(calibration(observations=[GOOD | {"user_id": None}]), "user_id", id="user_id null"),
    pytest.param(calibration(observations=[GOOD | {"item_id": ["Q1"]}]), "item_id", id="item_id a list"),
    pytest.param(
        calibration(observations=[GOOD | {"is_correct": "yes"}]), "is_correct", id="is_correct text"
    ),
    pytest.param(calibration(observations=[GOOD | {"is_correct": None}]), "is_correct", id="is_correct null"),
    pytest.param(calibration(observations=[GOOD | {"is_correct": 0.5}]), "is_correct", id="is_correct half"),
    pytest.param({"observations": [GOOD]}, "model", id="no model"),
    pytest.param(calibration(model="4PL"), "model", id="unknown model"),
    pytest.param(calibration(model=2), "model", id="model a number"),
    pytest.param(calibration(anchors={}), "anchors", id="anchors an object"),
    pytest.param(calibration(anchors=[1]), "anchors", id="an anchor a number"),
    pytest.param(
        calibration(anchors=[without(anchor("Q1", 1, 0, fixed=True), "params")]), "params", id="no params"
    ),
    pytest.param(bad_anchor(params={"a": 1.0}), "b", id="an anchor without b"),
    pytest.param(bad_anchor(params={"a": "1", "b": 0}), "a", id="a is text"),
    pytest.param(bad_anchor(params={"a": 1, "b": 0, "c": 1.5}), "c", id="c is 1.5"),
    pytest.param(bad_anchor(fixed="yes"), "fixed", id="fixed text"),
    pytest.param(calibration(anchors=[anchor("Q1", 1, 0, fixed=True)] * 2), "Q1", id="an anchor given twice"),
    pytest.param(calibration(linking="guess"), "linking", id="unknown linking"),
]

SCORES = [
    pytest.param(without(SCORE, "item_params"), "item_params", id="no item_params"),
    pytest.param(SCORE | {"item_params": []}, "item_params", id="item_params a list"),
    pytest.param(SCORE | {"item_params": {"Q1": {"a": 1}}}, "b", id="no b"),
    pytest.param(SCORE | {"item_params": {"Q1": {"a": "x", "b": 0}}}, "a", id="a is text"),
    pytest.param(SCORE | {"item_params": {"Q1": {"a": 1, "b": 0, "c": -0.1}}}, "c", id="c below 0"),
    pytest.param(without(SCORE, "responses"), "responses", id="no responses"),
    pytest.param(SCORE | {"responses": {}}, "responses", id="responses an object"),
    pytest.param(SCORE | {"responses": [{"item_id": "Q1"}]}, "is_correct", id="no is_correct"),
    pytest.param(SCORE | {"responses": [{"is_correct": True}]}, "item_id", id="no item_id"),
    pytest.param(SCORE | {"responses": [{"item_id": 1, "is_correct": True}]}, "item_id", id="item_id 1"),
    pytest.param(SCORE | {"prior": {"mean": 0, "sd": 0}}, "sd", id="sd is 0"),
    pytest.param(SCORE | {"prior": {"mean": "x", "sd": 1}}, "mean", id="mean is text"),
    pytest.param(SCORE | {"prior": 3}, "prior", id="prior a number"),
]


@pytest.mark.parametrize(("body", "field"), BODIES)
def test_a_malformed_calibration_is_400_and_names_the_field(
    service: Service, body: object, field: str
) -> None:
    response = service.post("/irt/calibrate", body)
    assert response.status_code == 400, response.text
    assert field in error_of(response)


@pytest.mark.parametrize(("body", "field"), SCORES)
def test_a_malformed_score_is_400_and_names_the_field(service: Service, body: object, field: str) -> None:
    response = service.post("/irt/score", body)
    assert response.status_code == 400, response.text
    assert field in error_of(response)


TEXTS = [
    pytest.param(b"", id="empty"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b'"text"', id="text"),
    pytest.param(b"{", id="cut off at once"),
    pytest.param(b'{"model": "2PL", "observations": [{"user_id": "u1", "item_', id="cut off within"),
    pytest.param(b'{"model": "2PL", "observations": []} trailing', id="something after it"),
    pytest.param(b'{"model": "2PL", "observations": [,]}', id="a stray comma"),
    pytest.param(b"{'model': '2PL', 'observations': []}", id="single quotes"),
    pytest.param(
        b'{"observations": [{"user_id": "u", "item_id": "i", "is_correct": NaN}], "model": "2PL"}', id="NaN"
    ),
    pytest.param(
        b'{"observations": [], "model": "2PL", "anchors": [{"item_id": "i", "params": {"a": NaN, "b": 0}}]}',
        id="an anchor NaN",
    ),
    pytest.param(b'{"item_params": {"i": {"a": Infinity, "b": 0}}, "responses": []}', id="Infinity"),
    pytest.param('{"model": "2PL", "observations": [{"user_id": "é"}]}'.encode("latin-1"), id="latin-1"),
    pytest.param('{"model": "2PL", "observations": []}'.encode("utf-16"), id="utf-16"),
    pytest.param(b"model=2PL&observations=", id="a form"),
    pytest.param(b"\x00\x01\x02\xff", id="bytes"),
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("path", ["/irt/calibrate", "/irt/score"])
def test_a_body_that_is_no_json_object_is_400(service: Service, path: str, text: bytes) -> None:
    status, message = service.refusal(path, text)
    assert status == 400, message


def test_a_body_that_is_no_gzip_though_it_says_so_is_400(service: Service) -> None:
    body = json.dumps(calibration()).encode()
    for bad in (body, gzip.compress(body)[:-12], b""):
        status, _ = service.refusal("/irt/calibrate", bad, content_encoding="gzip")
        assert status == 400


def test_an_unknown_encoding_is_415(service: Service) -> None:
    status, message = service.refusal("/irt/score", json.dumps(SCORE).encode(), content_encoding="br")
    assert status == 415
    assert "gzip" in message


def test_after_all_that_the_service_answers(service: Service) -> None:
    assert service.answer("/irt/score", SCORE)["n_items"] == 1
