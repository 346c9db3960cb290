"""Whatever stands in headers and tokens, it is never an error of the service."""

from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.auth.issuing import KEY_ID, claims, forged
from tests.api.auth.test_tokens import signed_by

# What HTTP lets stand in a header: no control characters, no blanks at its ends.
VALUES = st.lists(st.sampled_from([9, *range(32, 127), *range(128, 256)]), max_size=200).map(
    lambda codes: bytes(codes).strip(b" \t")
)
AUTHORIZATIONS = VALUES | VALUES.map(lambda value: (b"Bearer " + value).strip())
# Of a signature's own characters, so that some come close.
SIGNATURES = VALUES | st.text("v1=, 0aF", max_size=140).map(lambda text: text.strip().encode())
TIMESTAMPS = VALUES | st.integers().map(lambda number: str(number).encode())
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
HEADER_NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku", "jwk", "zip", "cty"])
CLAIM_NAMES = st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "sub", "scope", "jti"])
OVER_HTTP = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
REFUSED = {400, 401, 403}


@OVER_HTTP
@given(authorization=AUTHORIZATIONS)
def test_any_authorization_is_refused_in_order(service: httpx.Client, authorization: bytes) -> None:
    response = service.post("/update", headers=[(b"Authorization", authorization)])
    assert response.status_code in REFUSED
    assert response.json().keys() == {"error"}


@OVER_HTTP
@given(timestamp=TIMESTAMPS, signature=SIGNATURES, body=st.binary(max_size=50))
def test_any_signature_is_refused_in_order(
    service: httpx.Client, timestamp: bytes, signature: bytes, body: bytes
) -> None:
    headers = [(b"X-Seedtest-Timestamp", timestamp), (b"X-Seedtest-Signature", signature)]
    response = service.post("/webhook", headers=headers, content=body)
    assert response.status_code in REFUSED
    assert response.json().keys() == {"error"}


@OVER_HTTP
@given(
    header=JSON | st.dictionaries(HEADER_NAMES, JSON).map(lambda some: {"alg": "RS256", "kid": KEY_ID} | some)
)
def test_any_header_of_a_token_is_answered_in_order(service: httpx.Client, header: Any) -> None:
    given_token = forged(header, claims(), signed_by("trusted"))
    response = service.post("/update", headers={"Authorization": f"Bearer {given_token}"})
    assert response.status_code in REFUSED | {200}


@OVER_HTTP
@given(payload=JSON | st.dictionaries(CLAIM_NAMES, JSON).map(lambda some: claims() | some))
def test_any_claims_that_are_rightly_signed_are_answered_in_order(
    service: httpx.Client, payload: Any
) -> None:
    given_token = forged({"alg": "RS256", "kid": KEY_ID}, payload, signed_by("trusted"))
    headers = {"Authorization": f"Bearer {given_token}"}
    for response in (
        service.post("/update", headers=headers),
        service.get("/learners/anna", headers=headers),
        service.post("/webhook", headers=headers),
    ):
        assert response.status_code in REFUSED | {200}
