"""IRT_ENGINE=http: θ from an IRT service, and what is told while it is down or hangs."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from tests.api.auth.key_servers import Served
from tests.db.exam_results import add_results
from tests.irt_service.services import TOKEN
from tests.irt_service.services import running as irt_service
from tests.theta_api.services import UPDATE, Service, running
from tests.theta_sessions import answered, moments_ago

pytestmark = pytest.mark.heavy

NOOP = "theta_update_failed: no attempts found or R IRT service unavailable"


@pytest.fixture(scope="module", autouse=True)
def _session(learners: Engine) -> None:
    with learners.begin() as connection:
        add_results(connection, answered("ann", "s-ann", moments_ago()))


def test_the_service_gives_the_same_ability(
    service: Service, learners_url: str, keys: Served, folder: Path
) -> None:
    expected = service.post(UPDATE, {"user_id": "ann"}).json()
    with irt_service("embedded", folder, TOKEN) as engine:
        environment = {
            "IRT_ENGINE": "http",
            "R_IRT_BASE_URL": str(engine.client.base_url),
            "R_IRT_INTERNAL_TOKEN": TOKEN,
        }
        with running(folder, learners_url, keys.url, **environment) as remote:
            told = remote.post(UPDATE, {"user_id": "ann"}).json()
    assert told["status"] == "ok"
    assert (told["theta"], told["se"]) == pytest.approx((expected["theta"], expected["se"]), abs=1e-9)


@pytest.fixture
def hanging() -> Iterator[str]:
    """A service that takes a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["down", "hanging"])
def test_without_the_service_it_is_noop_in_time(
    learners_url: str, keys: Served, folder: Path, hanging: str, kind: str
) -> None:
    address = hanging if kind == "hanging" else "http://127.0.0.1:9"
    environment = {"IRT_ENGINE": "http", "R_IRT_BASE_URL": address, "API_TIMEOUT_SECS": "3"}
    with running(folder, learners_url, keys.url, **environment) as service:
        begun = time.monotonic()
        response = service.post(UPDATE, {"user_id": "ann"})
        assert response.status_code == 200
        assert response.json() == {"status": "noop", "user_id": "ann", "message": NOOP}
        assert time.monotonic() - begun < 3
        assert service.metric("theta_engine_errors_total ") == 1
        assert service.metric('theta_update_total{status="noop"}') == 1
