"""The OpenAPI document, and a service that keeps it whatever it is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import SecretStr
from schemathesis.specs.openapi.checks import positive_data_acceptance
from sqlalchemy.engine import Engine

from seedtest.api.auth.key_sources import KeyServer
from seedtest.api.auth.tokens import JwtConfig
from seedtest.api.auth.webhooks import SignatureConfig
from seedtest.api.report_links import ReportStore
from seedtest.api.theta_parts import ThetaServiceConfig
from seedtest.api.theta_service import create_app
from seedtest.settings import Settings
from tests.api.auth.issuing import AUDIENCE, ISSUER, token
from tests.api.auth.key_servers import Served
from tests.db.exam_results import add_results
from tests.theta_api.services import NO_PREFECT, PREFIX, SECRET, Service, running
from tests.theta_sessions import answered, moments_ago

pytestmark = pytest.mark.heavy

CONFIG = ThetaServiceConfig(
    Settings(),
    SecretStr("postgresql://nowhere/x"),
    NO_PREFECT,
    JwtConfig(ISSUER, AUDIENCE, 30.0, KeyServer("http://127.0.0.1:9/", 300), None),
    SignatureConfig((SECRET,), 300.0),
    ReportStore("seedtest-reports", "ap-northeast-2", None),
)
DOCUMENT: dict[str, Any] = create_app(CONFIG).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
# The token is ours: one that was made up would be overwritten, and the request be right after all.
SCHEMA.config.generation.with_security_parameters = False
FUZZ = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


@pytest.fixture(scope="module")
def fuzzed(learners: Engine, learners_url: str, keys: Served, folder: Path) -> Iterator[Service]:
    with learners.begin() as connection:
        add_results(connection, answered("ann", "s-ann", moments_ago()))
    aws = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    with running(folder, learners_url, keys.url, **aws) as found:
        yield found
        assert not [line for line in found.lines() if line["level"] == "ERROR"]


@SCHEMA.parametrize()
@FUZZ
def test_the_service_keeps_its_own_description(fuzzed: Service, case: "schemathesis.Case[Any]") -> None:
    case.call_and_validate(
        base_url=str(fuzzed.client.base_url),
        headers={"Authorization": f"Bearer {token()}"},
        allow_redirects=False,
        # What is right may still be unknown, or a session of another learner: 404 and 409.
        excluded_checks=[positive_data_acceptance],
    )


def test_every_endpoint_is_described() -> None:
    assert set(DOCUMENT["paths"]) == {
        "/healthz",
        "/readyz",
        "/metrics",
        f"{PREFIX}/analysis/irt/update-theta",
        f"{PREFIX}/analysis/irt/theta",
        f"{PREFIX}/analysis/metrics/weekly",
        f"{PREFIX}/webhooks/session-completed",
        f"{PREFIX}/webhooks/session-completed/{{session_id}}",
        f"{PREFIX}/reports/{{user_id}}/{{week_start}}.{{format}}",
    }


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_says_what_it_does_wants_and_refuses(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation["operationId"]
    assert operation["description"]
    assert "422" not in operation["responses"]
    if not path.startswith(PREFIX):
        return
    assert {"jwt": []} in operation["security"]
    for status in ("400", "401", "403", "429", "500", "503", "504"):
        answer = operation["responses"][status]
        model = answer["content"]["application/json"]["schema"]["$ref"]
        assert model == "#/components/schemas/ErrorAnswer"
    for status in ("429", "503", "504"):
        assert "Retry-After" in operation["responses"][status]["headers"]
    if method == "post":
        assert operation["requestBody"]["content"]["application/json"]["example"]
