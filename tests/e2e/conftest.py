"""The whole of it: this project's own deployments on an embedded stack, with a simulated cohort."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from seedtest.db.engine import create_engine
from seedtest.local import stack, stopping
from seedtest.local.addresses import database_url
from seedtest.local.runs import FinalState, run_deployment
from seedtest.local.simulate import SimulationPlan, load_cohort, simulate
from seedtest.settings import Settings
from tests.local.conftest import free_port
from tests.local.homes import open_folder

LAST_DAY = dt.date(2026, 3, 1)
PLAN = SimulationPlan(users=60, items=40, topics=4, seed=7, end=LAST_DAY, answers=30)


@dataclass
class Running:
    """A stack that runs, and what its deployments said."""

    settings: Settings
    prefect_api_url: str
    database_url: str
    said: list[str] = field(default_factory=list)

    @property
    def ui(self) -> str:
        return self.prefect_api_url.removesuffix("/api")

    def run(self, name: str, **parameters: str) -> FinalState:
        self.said.clear()
        return run_deployment(self.prefect_api_url, name, parameters, say=self.said.append)


@pytest.fixture(scope="session")
def night() -> Iterator[Running]:
    """A stack on which `nightly` has run."""
    with open_folder() as folder:
        settings = Settings(seedtest_home=folder / "home", seedtest_prefect_port=free_port())
        try:
            state = stack.up(settings, say=lambda _: None)
            running = Running(settings, state.prefect_api_url, database_url(settings))
            engine = create_engine(running.database_url)
            load_cohort(engine, simulate(PLAN))
            engine.dispose()
            assert running.run("nightly", date=str(LAST_DAY)).completed, "\n".join(running.said)
            yield running
        finally:
            stopping.clean(settings, say=lambda _: None)
