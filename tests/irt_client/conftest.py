"""A scripted service, and engines that call it without long waits."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seedtest.irt_client import HttpEngine
from seedtest.settings import load_settings
from tests.irt_client.service import Service, listening_service

TOKEN = "a-token-that-stays-secret"

MakeEngine = Callable[..., HttpEngine]


@pytest.fixture
def service() -> Iterator[Service]:
    with listening_service() as listening:
        yield listening


def engine_at(address: str, **settings: Any) -> HttpEngine:
    quick: dict[str, Any] = {
        "r_irt_base_url": address,
        "r_irt_internal_token": TOKEN,
        "r_irt_timeout_secs": 10.0,
        "mirt_retry_delay_secs": 0.01,
    }
    return HttpEngine.from_settings(load_settings(**(quick | settings)))


@pytest.fixture
def make_engine(service: Service) -> MakeEngine:
    def make(**settings: Any) -> HttpEngine:
        return engine_at(service.address, **settings)

    return make
