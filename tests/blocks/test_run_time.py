"""Where a run finds its secrets: in its environment, else through blocks, read anew by every run."""

from datetime import date

import pytest
from prefect.client.orchestration import SyncPrefectClient
from sqlalchemy.engine import Engine

from blocks.environment import BlockEnvironment, SecretStore
from blocks.registration import register
from flows.compute_daily_kpis import compute_daily_kpis
from flows.mirt_calibrate import mirt_calibrate
from seedtest.errors import ConfigurationError
from seedtest.local.simulate import SimulationPlan, load_cohort, simulate
from tests.amazon import REGION
from tests.blocks.conftest import AmazonSecrets
from tests.conftest import listening
from tests.irt_service.services import TOKEN, Service

LAST_DAY = date(2026, 3, 1)
PLAN = SimulationPlan(users=40, items=30, topics=3, days=60, seed=7, end=LAST_DAY, answers=25)

kpis = compute_daily_kpis.with_options(retries=0)
calibrate = mirt_calibrate.with_options(retries=0)


@pytest.fixture
def store(
    client: SyncPrefectClient,
    amazon: str,
    amazon_keys: None,
    irt_service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> BlockEnvironment:
    """The blocks of an environment whose secrets lie in Amazon's store; nothing of them in the variables."""
    for name in ("DATABASE_URL", "R_IRT_BASE_URL", "R_IRT_INTERNAL_TOKEN", "IRT_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    environment = BlockEnvironment(
        secret_store=SecretStore.AWS,
        aws_region=REGION,
        aws_endpoint_url=amazon,
        irt_service_url=str(irt_service.client.base_url),
    )
    register(environment, client)
    return environment


def test_a_run_reads_its_database_through_the_block(
    store: BlockEnvironment, amazon_secrets: AmazonSecrets, database_url: str
) -> None:
    amazon_secrets["seedtest-database-url"] = database_url
    with listening("prefect.flow_runs") as lines:
        assert kpis(date=LAST_DAY, dry_run=True).counts["answers loaded"] == 0
    assert "Read from blocks: DATABASE_URL" in lines


def test_the_environment_comes_first(
    store: BlockEnvironment,
    amazon_secrets: AmazonSecrets,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    amazon_secrets["seedtest-database-url"] = "postgresql://127.0.0.1:9/of-the-block"
    monkeypatch.setenv("DATABASE_URL", database_url)
    with listening("prefect.flow_runs") as lines:
        kpis(date=LAST_DAY, dry_run=True)
    assert not any("Read from blocks" in line for line in lines)


def test_a_calibration_reads_address_and_token_of_the_service(
    store: BlockEnvironment,
    amazon_secrets: AmazonSecrets,
    engine: Engine,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load_cohort(engine, simulate(PLAN))
    amazon_secrets["seedtest-database-url"] = database_url
    amazon_secrets["r-irt-plumber-token"] = TOKEN
    monkeypatch.setenv("IRT_ENGINE", "http")
    with listening("prefect.flow_runs") as lines:
        summary = calibrate(date=LAST_DAY)
    assert summary.facts["engine"] == "http"
    assert summary.counts["items calibrated"] > 0
    read = next(line for line in lines if line.startswith("Read from blocks: "))
    assert "R_IRT_INTERNAL_TOKEN" in read
    assert TOKEN not in "".join(lines)


def test_a_token_of_the_environment_is_not_read_from_the_block(
    store: BlockEnvironment, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Amazon's store has no secret at all: reading one would fail.
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("IRT_ENGINE", "http")
    monkeypatch.setenv("R_IRT_INTERNAL_TOKEN", TOKEN)
    with listening("prefect.flow_runs") as lines:
        calibrate(date=LAST_DAY)
    read = next(line for line in lines if line.startswith("Read from blocks: "))
    assert "R_IRT_BASE_URL" in read
    assert "R_IRT_INTERNAL_TOKEN" not in read


def test_a_run_that_finds_neither_names_both_ways(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(ConfigurationError) as error:
        kpis(date=LAST_DAY)
    assert "DATABASE_URL is not in this run's environment" in str(error.value)
    assert "the Secret seedtest-db-credentials" in str(error.value)
    assert "gcpsecret/seedtest-database-url" in str(error.value)
    assert "python -m blocks register" in str(error.value)


def test_a_secret_that_is_missing_fails_the_run_with_advice(store: BlockEnvironment) -> None:
    with pytest.raises(ConfigurationError, match="create-secret --name seedtest-database-url"):
        kpis(date=LAST_DAY)


def test_a_secret_that_is_no_address_is_refused_without_being_shown(
    store: BlockEnvironment, amazon_secrets: AmazonSecrets
) -> None:
    amazon_secrets["seedtest-database-url"] = "mysql://seedtest:planted-password@db/seedtest"
    with (
        listening("prefect.flow_runs") as lines,
        pytest.raises(ConfigurationError, match="must start with postgresql") as error,
    ):
        kpis(date=LAST_DAY)
    assert "planted-password" not in str(error.value) + "".join(lines)


@pytest.mark.parametrize(("stored", "fault"), [("  \n", "is empty"), (b"\xff\xfe", "holds no text in UTF-8")])
def test_an_unusable_secret_is_refused_by_name(
    store: BlockEnvironment, amazon_secrets: AmazonSecrets, stored: str | bytes, fault: str
) -> None:
    amazon_secrets["seedtest-database-url"] = stored
    with pytest.raises(ConfigurationError, match=f"The secret seedtest-database-url {fault}"):
        kpis(date=LAST_DAY)
