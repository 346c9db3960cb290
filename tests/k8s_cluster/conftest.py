"""A namespace of the tests' own on the cluster that KUBECONFIG names, with everything running in it."""

import datetime as dt
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from sqlalchemy.engine import Engine

from deploy.steps import Release
from seedtest.db import migrate
from seedtest.db.engine import create_engine
from seedtest.local.simulate import SimulationPlan, load_cohort, simulate
from seedtest.windows import monday_of
from tests.api.auth.issuing import ISSUER, public_pem
from tests.conftest import ROOT, _administer
from tests.k8s_cluster.cluster import Cluster
from tests.k8s_cluster.installation import environment, manifests, register
from tests.k8s_cluster.options import Options, Target, find_target
from tests.k8s_cluster.runs import Operator
from tests.k8s_cluster.servers import (
    AlertReceiver,
    PrefectServer,
    ReachablePostgres,
    address_facing,
    alert_receiver,
    prefect_server,
)
from tests.k8s_cluster.storage import Bucket, object_store

HERE = Path(__file__).parent
LAST_DAY = dt.date(2026, 3, 1)
WEEK = monday_of(LAST_DAY)
PLAN = SimulationPlan(users=60, items=40, topics=4, seed=7, end=LAST_DAY, answers=30)
NEEDED = ("prefect-worker", "theta-worker", "r-irt-plumber", "seedtest-api")
READY = "10m"
# A run waits for its stage's lock, which a test holds, for longer than the test does.
LOCK_WAIT_SECS = 900
NOBODY = "postgresql://seedtest:seedtest@{host}:9/seedtest"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder: pods take their time to start."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def options() -> Options:
    """What the environment says of the images and of this machine."""
    return Options()


@pytest.fixture(scope="session")
def target() -> Target:
    """The cluster."""
    return find_target()


@pytest.fixture(scope="session")
def cluster(target: Target) -> Iterator[Cluster]:
    """A namespace that is deleted with everything in it."""
    made = Cluster(target.context, f"seedtest-test-{secrets.token_hex(3)}")
    made.kubectl("create", "namespace", made.namespace)
    try:
        yield made
    finally:
        made.kubectl("delete", "namespace", made.namespace, "--timeout=5m")


@pytest.fixture(scope="session")
def host(options: Options, target: Target) -> str:
    """The address of this machine that pods reach."""
    return options.host or address_facing(target.node_address)


@pytest.fixture(scope="session")
def postgres(host: str) -> Iterator[ReachablePostgres]:
    """A database server for the flows and for Prefect."""
    if not ReachablePostgres.installed():
        pytest.skip("Debian's PostgreSQL is not installed (apt-get install postgresql)")
    with ReachablePostgres(host) as server:
        _administer(server.url, "CREATE DATABASE seedtest", "CREATE DATABASE prefect")
        yield server


@pytest.fixture(scope="session")
def answers(postgres: ReachablePostgres) -> Iterator[Engine]:
    """The platform's database, with a simulated cohort."""
    migrate.upgrade(postgres.url("seedtest"))
    engine = create_engine(postgres.url("seedtest"), application_name="the tests")
    load_cohort(engine, simulate(PLAN))
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def server(host: str, postgres: ReachablePostgres) -> Iterator[PrefectServer]:
    """Prefect's server."""
    with (
        tempfile.TemporaryDirectory(prefix="seedtest-prefect-") as folder,
        prefect_server(host, postgres.url("prefect"), Path(folder)) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def client(server: PrefectServer) -> Iterator[SyncPrefectClient]:
    """A client of it; the commands that tests call find it too."""
    settings = {PREFECT_API_URL: server.api_url, PREFECT_API_AUTH_STRING: server.auth}
    with pytest.MonkeyPatch.context() as patch, temporary_settings(settings):
        patch.setenv("PREFECT_API_URL", server.api_url)
        patch.setenv("PREFECT_API_AUTH_STRING", server.auth)
        with get_client(sync_client=True) as made:
            yield made


@pytest.fixture(scope="session")
def alerts() -> Iterator[AlertReceiver]:
    """Who is alerted."""
    with alert_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def bucket(host: str) -> Iterator[Bucket]:
    """Where reports are stored."""
    with (
        tempfile.TemporaryDirectory(prefix="seedtest-objects-") as folder,
        object_store(host, Path(folder)) as made,
    ):
        yield made


@pytest.fixture(scope="session")
def webhook_secret() -> str:
    """What the platform signs its webhooks with."""
    return secrets.token_urlsafe(16)


@pytest.fixture(scope="session")
def credentials(
    cluster: Cluster,
    host: str,
    postgres: ReachablePostgres,
    server: PrefectServer,
    bucket: Bucket,
    webhook_secret: str,
) -> None:
    """The Secrets that an operator makes where External Secrets is not at hand."""
    cluster.secret("seedtest-db-credentials", DATABASE_URL=postgres.url("seedtest"))
    cluster.secret("nobody-at-home", DATABASE_URL=NOBODY.format(host=host))
    cluster.secret("r-irt-credentials", token=secrets.token_urlsafe(16))
    cluster.secret("prefect-api-auth", **{"auth-string": server.auth})
    cluster.secret("seedtest-api-credentials", WEBHOOK_SECRET=webhook_secret)
    cluster.secret("aws-s3-credentials", **bucket.credentials)


@pytest.fixture(scope="session")
def settings(server: PrefectServer, bucket: Bucket) -> dict[str, str]:
    """What the overlay's settings are here."""
    return {
        "PREFECT_API_URL": server.api_url,
        "LOCK_WAIT_SECS": str(LOCK_WAIT_SECS),
        "JWT_ISS": ISSUER,
        "JWT_PUBLIC_KEY": public_pem(),
        **bucket.settings,
    }


@pytest.fixture(scope="session")
def operator(
    cluster: Cluster,
    options: Options,
    answers: Engine,
    server: PrefectServer,
    client: SyncPrefectClient,
    alerts: AlertReceiver,
    credentials: None,
    settings: dict[str, str],
) -> Operator:
    """An operator of the whole system, deployed and ready."""
    described = environment(cluster, options)
    release = Release(described, ROOT, options.version, server.api_url)
    register(release, client, alerts.url, cluster.namespace)
    cluster.kubectl("apply", "--filename", "-", text=manifests(cluster, options, settings))
    for name in NEEDED:
        cluster.rolled_out(name, READY)
    return Operator(client, cluster)


@pytest.fixture(scope="session")
def calibrated(operator: Operator) -> Operator:
    """An operator of a system that has calibrated its items and knows its learners' KPIs."""
    operator.start("nightly", date=str(LAST_DAY)).reaches("Completed")
    return operator
