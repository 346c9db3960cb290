"""Whatever is sent, the embedded service answers with a status of the contract, and never with a trace."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis.specs.openapi.checks import positive_data_acceptance

from seedtest.api.bodies import BodyLimits
from seedtest.api.irt_service import IrtServiceConfig, create_app
from tests.irt_service.services import TOKEN, Service, error_of, running

EXPECTED = {200, 400, 401, 408, 413, 415, 422}
FUZZ = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
DOCUMENT = create_app(IrtServiceConfig(SecretStr(TOKEN), BodyLimits(1_000_000, 5.0), 1, 4)).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running("embedded", tmp_path_factory.mktemp("fuzzed"), TOKEN) as found:
        yield found


@SCHEMA.parametrize()
@FUZZ
def test_the_service_keeps_its_own_description(fuzzed: Service, case: "schemathesis.Case[Any]") -> None:
    case.call_and_validate(
        base_url=str(fuzzed.client.base_url),
        headers={"Authorization": f"Bearer {TOKEN}"},
        # Two rows of one anchor are a body that no schema can forbid and that means nothing.
        excluded_checks=[positive_data_acceptance],
    )


GOOD: dict[str, Any] = {
    "model": "2PL",
    "observations": [
        {"user_id": f"u{user}", "item_id": f"Q{item}", "is_correct": (user * item) % 3 == 0}
        for user in range(8)
        for item in range(4)
    ],
    "anchors": [{"item_id": "Q1", "params": {"a": 1.0, "b": 0.0, "c": None}, "fixed": True}],
    "item_params": {"Q1": {"a": 1.0, "b": 0.5, "c": 0.1}},
    "responses": [{"item_id": "Q1", "is_correct": True}],
    "prior": {"mean": 0.0, "sd": 1.0},
}
TEXT = json.dumps(GOOD).encode()
PATHS = st.sampled_from(["/irt/calibrate", "/irt/score"])


def judged(response: httpx.Response) -> None:
    assert response.status_code in EXPECTED, response.text
    if response.status_code != 200:
        error_of(response)


@FUZZ
@given(path=PATHS, cut=st.integers(0, len(TEXT) - 1), packed=st.booleans())
def test_truncated_bodies(fuzzed: Service, path: str, cut: int, packed: bool) -> None:
    headers = {"content_encoding": "gzip"} if packed else {}
    body = gzip.compress(TEXT)[: cut // 8] if packed else TEXT[:cut]
    response = fuzzed.post_bytes(path, body, **headers)
    assert response.status_code == 400
    error_of(response)


@FUZZ
@given(path=PATHS, at=st.integers(0, len(TEXT) - 1), junk=st.binary(min_size=1, max_size=8))
def test_bodies_with_bytes_overwritten(fuzzed: Service, path: str, at: int, junk: bytes) -> None:
    judged(fuzzed.post_bytes(path, TEXT[:at] + junk + TEXT[at + len(junk) :]))


@FUZZ
@given(
    path=PATHS, body=st.binary(max_size=300), encoding=st.sampled_from(["", "gzip", "identity", "br", "ÿ"])
)
def test_arbitrary_bytes_and_encodings(fuzzed: Service, path: str, body: bytes, encoding: str) -> None:
    headers = {b"content-encoding": encoding.encode("latin-1")} if encoding else {}
    response = fuzzed.client.post(path, content=body, headers=headers)
    assert response.status_code in {400, 415}
    error_of(response)


@FUZZ
@given(path=PATHS, codec=st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "cp500", "utf-7"]))
def test_bodies_in_other_codecs(fuzzed: Service, path: str, codec: str) -> None:
    assert fuzzed.refusal(path, '{"model": "2PL", "é": [+1]}'.encode(codec))[0] == 400


TEXTS = [
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf5\x80\x80\x80",
    b"\xff",
    b"\xe9",
    b"\x80",
    b"\\ude00",
    b"\\u12",
    b"\\x41",
    b"\n",
    b"\x00",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "template",
    [
        b'{"model": "2PL", "observations": [{"user_id": "HOLE", "item_id": "i", "is_correct": true}]}',
        b'{"model": "2PL", "observations": [{"user_id": "u", "HOLE": 1}]}',
        b'{"model": "2PL", "HOLE": 1, "observations": []}',
        b'{"model": "HOLE", "observations": []}',
    ],
)
def test_texts_that_are_no_text(fuzzed: Service, template: bytes, text: bytes) -> None:
    assert fuzzed.refusal("/irt/calibrate", template.replace(b"HOLE", text))[0] == 400


NUMBERS = [
    "1e400",
    "-1e400",
    "1e308",
    "-1e308",
    "5e-324",
    "9" * 5000,
    "-" + "9" * 40,
    "1" + "0" * 400 + ".5",
    "NaN",
    "-Infinity",
    "Infinity",
    "0x10",
    "1e",
    "01",
    "+1",
    "-0",
    "true",
    '"1"',
    "null",
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", ["a", "b", "c"])
@pytest.mark.parametrize("path", ["/irt/calibrate", "/irt/score"])
def test_numbers_that_are_none_or_too_large(fuzzed: Service, path: str, field: str, number: str) -> None:
    holed = json.dumps({**GOOD["item_params"]["Q1"], field: "HOLE"}).replace('"HOLE"', number)
    anchors = f'[{{"item_id": "Q1", "fixed": true, "params": {holed}}}]'
    text = json.dumps(GOOD | {"anchors": "ANCHORS", "item_params": {"Q1": "PARAMS"}})
    body = text.replace('"ANCHORS"', anchors).replace('"PARAMS"', holed)
    judged(fuzzed.post_bytes(path, body.encode()))


@pytest.mark.parametrize("opening", [b"[", b'{"x":', b'[{"x":'])
@pytest.mark.parametrize("field", ["observations", "anchors", "item_params", "unknown"])
@pytest.mark.parametrize("path", ["/irt/calibrate", "/irt/score"])
def test_deep_nesting(fuzzed: Service, path: str, field: str, opening: bytes) -> None:
    body = b'{"model": "2PL", "' + field.encode() + b'": ' + opening * 200_000
    status, _ = fuzzed.refusal(path, body)
    assert status == 400


def test_an_answer_with_a_nest_in_it(fuzzed: Service) -> None:
    nest = b"[" * 100_000 + b"]" * 100_000
    body = b'{"model": "2PL", "observations": [{"user_id": "u", "x": ' + nest + b"}]}"
    assert "nested deeper" in fuzzed.refusal("/irt/calibrate", body)[1]


@pytest.mark.parametrize("name", ["observations", "model", "anchors"])
def test_a_field_given_twice_is_named(fuzzed: Service, name: str) -> None:
    text = json.dumps(GOOD)
    body = f'{{"{name}": {json.dumps(GOOD[name])}, {text[1:]}'
    status, message = fuzzed.refusal("/irt/calibrate", body.encode())
    assert (status, message) == (400, f"{name}: the body gives it twice.")


def test_of_keys_given_twice_within_an_answer_the_last_counts(fuzzed: Service) -> None:
    body = (
        b'{"item_params": {"Q1": {"a": 9, "a": 1, "b": 0}}, "responses": [{"item_id": "x", "item_id": "Q1", '
    )
    response = fuzzed.post_bytes("/irt/score", body + b'"is_correct": true}]}')
    assert response.json()["n_items"] == 1


PARAMS = st.fixed_dictionaries(
    {"a": st.floats(-100, 100), "b": st.floats(-1000, 1000), "c": st.floats(0, 1, exclude_max=True)}
)
PRIOR = st.fixed_dictionaries({"mean": st.floats(-1000, 1000), "sd": st.floats(0.001, 1000)})


@FUZZ
@given(
    items=st.lists(PARAMS, min_size=1, max_size=5), prior=PRIOR, verdicts=st.lists(st.booleans(), min_size=5)
)
def test_whatever_is_within_bounds_has_a_finite_score(
    fuzzed: Service, items: list[dict[str, float]], prior: dict[str, float], verdicts: list[bool]
) -> None:
    answer = fuzzed.answer(
        "/irt/score",
        {
            "item_params": {f"Q{at}": params for at, params in enumerate(items)},
            "responses": [
                {"item_id": f"Q{at}", "is_correct": right}
                for at, (right, _) in enumerate(zip(verdicts, items, strict=False))
            ],
            "prior": prior,
        },
    )
    assert abs(answer["theta"] - prior["mean"]) <= 7 * prior["sd"]
    # A posterior of two humps may be wider than the prior, but no wider than the grid.
    assert 0 <= answer["standard_error"] <= 7 * prior["sd"]


@settings(FUZZ, max_examples=8)
@given(held=st.lists(PARAMS, max_size=4), loose=st.lists(PARAMS, max_size=4))
def test_whatever_anchors_are_within_bounds_have_an_outcome(
    fuzzed: Service, held: list[dict[str, float]], loose: list[dict[str, float]]
) -> None:
    anchors = [
        {"item_id": f"Q{at}", "params": params, "fixed": at < len(held)}
        for at, params in enumerate(held + loose)
    ]
    body = {"model": "2PL", "observations": fuzzed_observations(), "anchors": anchors}
    response = fuzzed.post("/irt/calibrate", body)
    judged(response)
    if response.status_code == 200:
        numbers = response.json()["fit_meta"]["metrics"]
        assert all(numbers[name] is not None for name in ("aic", "bic", "loglik", "criterion"))


def fuzzed_observations() -> list[dict[str, Any]]:
    return [
        {"user_id": f"u{user}", "item_id": f"Q{item}", "is_correct": (user * 7 + item * 5) % 11 > item}
        for user in range(40)
        for item in range(8)
    ]


def test_after_all_that_no_trace_was_logged(fuzzed: Service) -> None:
    assert fuzzed.client.get("/healthz").status_code == 200
    assert "Traceback" not in fuzzed.log.read_text()
    assert 'status="500"' not in fuzzed.client.get("/metrics").text
