"""The services that keep the contract: the embedded one, and R's where R, plumber and mirt are."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.irt_service.answers import Observations, lsat7
from tests.irt_service.services import TOKEN, Service, missing_for_r, running

KINDS = ("embedded", "r_twin")


@cache
def _reason_to_skip(kind: str) -> str | None:
    return missing_for_r() if kind == "r_twin" else None


def _require(kind: str) -> str:
    if reason := _reason_to_skip(kind):
        pytest.skip(f"the R service cannot run here: {reason}")
    return kind


@pytest.fixture(scope="session", params=KINDS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that wants a token; its client gives it."""
    kind = _require(request.param)
    with running(kind, tmp_path_factory.mktemp("service"), TOKEN) as found:
        yield found


@pytest.fixture(scope="module", params=KINDS)
def open_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service without a token."""
    kind = _require(request.param)
    with running(kind, tmp_path_factory.mktemp("service"), None) as found:
        yield found


@pytest.fixture(scope="session")
def lsat7_observations(shared: Path) -> Observations:
    """1,000 answers to five items of the Law School Admission Test (Bock & Lieberman, 1970)."""
    return lsat7(shared / "reference" / "irt" / "lsat7" / "responses.csv")
