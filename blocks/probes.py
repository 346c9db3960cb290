"""Touch what a block points at, as a run would."""

import gzip
import json
from dataclasses import replace
from functools import singledispatch
from http import HTTPStatus
from uuid import uuid4

import httpx
from prefect.blocks.core import Block
from prefect_aws import AwsCredentials, AwsSecret, S3Bucket
from prefect_gcp import GcpCredentials, GcpSecret
from pydantic import SecretStr

from blocks.irt_service import IrtService
from blocks.run_time import service_settings
from blocks.secret_text import secret_text
from seedtest.db.engine import create_engine, reachable
from seedtest.db.revision import require_schema
from seedtest.irt_client import HttpEngine
from seedtest.irt_client.transport import CallError, Endpoint
from seedtest.settings import Settings, load_settings

PATIENCE_SECS = 5
LONGEST_ANSWER_BYTES = 10_000
SCORE = {
    "item_params": {"check": {"a": 1.0, "b": 0.0, "c": 0.0}},
    "responses": [{"item_id": "check", "is_correct": True}],
}


@singledispatch
def touch(block: Block) -> str:
    """Use what a block points at and say in a few words what was found; raise what went wrong."""
    raise TypeError(f"Nothing is known of blocks of type {type(block).__name__}.")


@touch.register
def _(block: GcpCredentials) -> str:
    block.get_access_token()
    return f"Google gives this identity tokens; project {block.project}"


@touch.register(GcpSecret)
@touch.register(AwsSecret)
def _(block: GcpSecret | AwsSecret) -> str:
    secret_text(block)
    return f"the secret {block.secret_name} can be read"


@touch.register
def _(block: AwsCredentials) -> str:
    identity = block.get_client("sts").get_caller_identity()
    return f"Amazon knows this identity as {identity['Arn']}"


@touch.register
def _(block: S3Bucket) -> str:
    client, bucket = block.credentials.get_s3_client(), block.bucket_name
    key = f"{block.bucket_folder.rstrip('/')}/.check-{uuid4()}".removeprefix("/")
    client.head_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key=key, Body=b"")
    client.get_object(Bucket=bucket, Key=key)
    client.delete_object(Bucket=bucket, Key=key)
    return f"an object was written to, read from and deleted in s3://{bucket}/{block.bucket_folder}"


@touch.register
def _(block: IrtService) -> str:
    settings = load_settings(irt_engine="http", **service_settings(block))
    version = _health(settings)
    _score(HttpEngine.from_settings(settings).endpoint)
    return f"the IRT service at {block.url} scores and takes the token, version {version}"


def _health(settings: Settings) -> str:
    with httpx.Client(timeout=PATIENCE_SECS, trust_env=False) as client:
        answer = client.get(settings.r_irt_base_url.rstrip("/") + "/healthz")
    if answer.status_code != HTTPStatus.OK:
        status = answer.status_code
        raise CallError(f"HTTP {status} from /healthz", is_transient=False, status=status)
    return str(answer.json().get("version", "unknown"))


def _score(calibrate: Endpoint) -> None:
    """Score one answer: the smallest request that the token guards."""
    url = calibrate.url.copy_with(path=calibrate.url.path.replace("/irt/calibrate", "/irt/score"))
    body = gzip.compress(json.dumps(SCORE).encode())
    replace(calibrate, url=url, timeout_secs=PATIENCE_SECS).post(lambda: [body], LONGEST_ANSWER_BYTES)


def touch_database(database_url: SecretStr) -> str:
    """Ask a database for its schema and say which one it is."""
    engine = create_engine(database_url.get_secret_value(), application_name="seedtest check")
    with reachable(engine, patience_secs=PATIENCE_SECS):
        require_schema(engine)
    return f"the database {engine.url.database} answers and has the newest schema"
