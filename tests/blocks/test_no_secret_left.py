"""Distinct secrets wherever one can enter, then the night: afterwards none may be found anywhere."""

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import boto3
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import get_current_settings
from sqlalchemy.engine import URL, Engine, make_url

from blocks.environment import BlockEnvironment, SecretStore
from blocks.registration import register
from seedtest.local.simulate import SimulationPlan, load_cohort, simulate
from tests.amazon import REGION
from tests.blocks.google_cloud import PROJECT, TOKEN, GoogleCloud
from tests.blocks.planted_runs import LAST_DAY
from tests.conftest import ROOT
from tests.irt_service.services import running

PLAN = SimulationPlan(users=40, items=30, topics=3, days=60, seed=7, end=LAST_DAY, answers=25)
SECRETS = {
    "password in DATABASE_URL": "planted/database+password",
    "token of the IRT service": "planted-irt-token-5f1c",
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDACCESSKEY",
    "AWS_SECRET_ACCESS_KEY": "planted-aws-secret+key/77",
    "token of the pod's Google identity": TOKEN,
    "wrong token": "planted-wrong-token-9a2e",
    "password of no database": "planted-password-of-none",
    "password in no address": "planted-password-in-mysql",
}


def shapes(secret: str) -> set[bytes]:
    """Return the shapes in which a secret could have been written down."""
    # Base64 of a text inside another one depends on where it begins; the ends of each shape are cut off.
    shifted = (base64.b64encode(b"x" * shift + secret.encode())[4:-4] for shift in range(3))
    return {secret.encode(), quote(secret, safe="").encode(), *shifted}


def found_in(places: dict[str, bytes]) -> set[tuple[str, str]]:
    """Return which secret stands in which place."""
    return {
        (name, place)
        for name, secret in SECRETS.items()
        for place, content in places.items()
        if any(shape in content for shape in shapes(secret))
    }


def files(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@contextmanager
def watching_arguments() -> Iterator[set[str]]:
    """Collect the arguments of our own processes and of all that they start."""
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            for process in psutil.Process().children(recursive=True):
                try:
                    seen.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield seen
    done.set()
    watcher.join()


def prefect_database() -> bytes:
    """Return what the Prefect server has written, the journal included."""
    url = get_current_settings().server.database.connection_url
    assert url is not None
    file = Path(make_url(url.get_secret_value()).database or "")
    return b"".join(part.read_bytes() for part in file.parent.glob(f"{file.name}*"))


def objects(amazon: str, bucket: str) -> bytes:
    """Return the results in the bucket, with their keys."""
    s3 = boto3.client("s3", endpoint_url=amazon, region_name=REGION)
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    s3.close()
    return "\n".join(keys).encode() + b"\n".join(bodies)


def with_password(url: URL, password: str) -> str:
    return url.set(password=password).render_as_string(hide_password=False)


def variables(database: URL, folder: Path) -> dict[str, str]:
    """Return the environment of the runs, but for what the secret store of a test may hold instead."""
    api_url = get_current_settings().api.url
    assert api_url is not None
    return {
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(folder),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": "s3-bucket/seedtest-results",
        "IRT_ENGINE": "http",
        "MIRT_RETRY_DELAY_SECS": "0.1",
        "AWS_ACCESS_KEY_ID": SECRETS["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": SECRETS["AWS_SECRET_ACCESS_KEY"],
        "WRONG_TOKEN": SECRETS["wrong token"],
        "WRONG_DATABASE_URL": with_password(
            database.set(database="none"), SECRETS["password of no database"]
        ),
        "NO_DATABASE_URL": f"mysql://seedtest:{SECRETS['password in no address']}@db/seedtest",
    }


def run(environment: dict[str, str]) -> bytes:
    """Run the night and the failing runs, and return what their process wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.blocks.planted_runs"],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout + done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize("store", [SecretStore.NONE, SecretStore.GCP], ids=["environment", "blocks"])
def test_the_night_leaves_no_secret_anywhere(
    store: SecretStore,
    client: SyncPrefectClient,
    google: GoogleCloud,
    amazon: str,
    bucket: str,
    engine: Engine,
    tmp_path: Path,
) -> None:
    load_cohort(engine, simulate(PLAN))
    secrets = {
        "DATABASE_URL": with_password(engine.url, SECRETS["password in DATABASE_URL"]),
        "R_IRT_INTERNAL_TOKEN": SECRETS["token of the IRT service"],
    }
    google.read.clear()
    google.secrets = {
        "seedtest-database-url": secrets["DATABASE_URL"].encode(),
        "r-irt-plumber-token": secrets["R_IRT_INTERNAL_TOKEN"].encode(),
    }
    environment = google.environment | variables(engine.url, tmp_path / "prefect")
    if store is SecretStore.NONE:
        environment |= secrets
    with running("embedded", tmp_path, secrets["R_IRT_INTERNAL_TOKEN"]) as service:
        blocks = BlockEnvironment(
            secret_store=store,
            gcp_project=PROJECT,
            aws_region=REGION,
            aws_endpoint_url=amazon,
            s3_bucket=bucket,
            irt_service_url=str(service.client.base_url),
        )
        register(blocks, client)
        with watching_arguments() as arguments:
            said = run(environment)
    places = {
        "Prefect's database": prefect_database(),
        "results": objects(amazon, bucket),
        "the process's own output": said,
        "the service's log": service.log.read_bytes(),
        "process arguments": "\n".join(arguments).encode(),
        "Prefect's home": files(tmp_path / "prefect"),
    }
    # The places are the right ones: what is no secret is found in them.
    assert b"mirt-calibrate-summary" in places["Prefect's database"]
    assert b"IRT calibration completed successfully" in places["Prefect's database"]
    assert b"learners processed" in places["results"]
    assert b"tests.blocks.planted_runs" in places["process arguments"]
    assert b"/irt/calibrate" in places["the service's log"]
    assert set(google.read) == (set(google.secrets) if store is SecretStore.GCP else set())
    assert found_in(places) == set()
