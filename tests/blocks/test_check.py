"""`python -m blocks check`: what is wrong is told, with how to mend it, and so is that all is well."""

import json
from pathlib import Path

import boto3
import grpc
import pytest
from prefect.client.orchestration import SyncPrefectClient

from blocks.check import check
from blocks.diagnosis import Category, Diagnosis, Level
from blocks.environment import BlockEnvironment, SecretStore
from blocks.registration import register
from deploy.environment import load_environment
from tests.amazon import REGION
from tests.blocks.conftest import AmazonSecrets, Command, WriteEnvironment
from tests.blocks.google_cloud import PROJECT, GoogleCloud
from tests.irt_service.services import TOKEN, Service, free_port


def findings(environment: BlockEnvironment) -> dict[str, Diagnosis]:
    return {finding.subject: finding for finding in check(environment)}


@pytest.fixture
def amazon_environment(amazon: str, amazon_keys: None, irt_service: Service) -> BlockEnvironment:
    return BlockEnvironment(
        secret_store=SecretStore.AWS,
        aws_region=REGION,
        aws_endpoint_url=amazon,
        irt_service_url=str(irt_service.client.base_url),
    )


def test_all_is_well_with_googles_store(
    client: SyncPrefectClient,
    command: Command,
    write_environment: WriteEnvironment,
    google: GoogleCloud,
    amazon: str,
    bucket: str,
    irt_service: Service,
    database_url: str,
) -> None:
    google.secrets = {
        # The shell's line end comes along with many a secret.
        "seedtest-database-url": f"{database_url}\n".encode(),
        "r-irt-plumber-token": TOKEN.encode(),
    }
    options = write_environment(
        secret_store="gcp",
        gcp_project=PROJECT,
        aws_region=REGION,
        aws_endpoint_url=amazon,
        s3_bucket=bucket,
        irt_service_url=str(irt_service.client.base_url),
    )
    register(load_environment("tests", Path(options[-1])).blocks, client)
    said = command("check", *options)
    assert said.returncode == 0, said.stdout + said.stderr
    lines = said.stdout.splitlines()
    assert len(lines) == 8
    assert all(line.startswith("ok ") for line in lines)
    assert (
        "ok      gcp-credentials/seedtest: Google gives this identity tokens; project seedtest-tests" in lines
    )
    assert "database: the database test_" in lines[-1]
    assert TOKEN not in said.stdout + said.stderr
    s3 = boto3.client("s3", endpoint_url=amazon, region_name=REGION)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.close()


def test_what_google_refuses_is_told_with_the_command_that_mends_it(
    client: SyncPrefectClient, command: Command, write_environment: WriteEnvironment, google: GoogleCloud
) -> None:
    google.secrets = {"r-irt-plumber-token": grpc.StatusCode.PERMISSION_DENIED}
    options = write_environment(secret_store="gcp", gcp_project=PROJECT, irt_service_url="http://127.0.0.1:9")
    register(load_environment("tests", Path(options[-1])).blocks, client)
    said = command("check", *options)
    assert said.returncode == 1
    assert "ok      gcp-credentials/seedtest: " in said.stdout
    assert (
        "error   gcpsecret/seedtest-database-url: the secret seedtest-database-url of project seedtest-tests "
        "has no usable version." in said.stdout
    )
    assert (
        "gcloud secrets versions add seedtest-database-url --project=seedtest-tests --data-file=-"
        in said.stdout
    )
    assert (
        "gcloud secrets add-iam-policy-binding r-irt-plumber-token --project=seedtest-tests "
        "--role=roles/secretmanager.secretAccessor "
        "--member=serviceAccount:seedtest-api@seedtest-tests.iam.gserviceaccount.com" in said.stdout
    )
    assert "not checked, since it uses gcpsecret/r-irt-plumber-token." in said.stdout
    assert "error   database: not checked, since it uses gcpsecret/seedtest-database-url." in said.stdout


def test_an_account_that_is_not_bound_is_told_once(
    client: SyncPrefectClient, command: Command, write_environment: WriteEnvironment, google: GoogleCloud
) -> None:
    google.gives_tokens = False
    options = write_environment(secret_store="gcp", gcp_project=PROJECT)
    register(load_environment("tests", Path(options[-1])).blocks, client)
    said = command("check", *options)
    google.gives_tokens = True
    assert said.returncode == 1
    assert "error   gcp-credentials/seedtest: Google gives this identity no token." in said.stdout
    assert "k8s/bootstrap-gcp.sh" in said.stdout
    assert said.stdout.count("not checked") == 3


def test_all_is_well_with_amazons_store(
    client: SyncPrefectClient,
    amazon_environment: BlockEnvironment,
    amazon_secrets: AmazonSecrets,
    bucket: str,
    database_url: str,
) -> None:
    amazon_secrets["seedtest-database-url"] = database_url
    amazon_secrets["r-irt-plumber-token"] = TOKEN
    environment = amazon_environment.model_copy(update={"s3_bucket": bucket})
    register(environment, client)
    found = findings(environment)
    assert {finding.level for finding in found.values()} == {Level.OK}, found
    assert "arn:aws:" in found["aws-credentials/seedtest"].summary
    assert f"s3://{bucket}/results" in found["s3-bucket/seedtest-results"].summary


def test_nothing_registered_is_told_for_every_block(
    client: SyncPrefectClient, amazon_environment: BlockEnvironment
) -> None:
    found = findings(amazon_environment)
    first = found["aws-credentials/seedtest"]
    assert (first.level, first.category) == (Level.ERROR, Category.NOT_REGISTERED)
    assert "python -m blocks register" in first.resolution
    others = {finding.category for subject, finding in found.items() if subject != first.subject}
    assert others == {Category.NOT_CHECKED}


def test_a_missing_bucket_and_missing_secrets_are_told(
    client: SyncPrefectClient, amazon_environment: BlockEnvironment
) -> None:
    environment = amazon_environment.model_copy(update={"s3_bucket": "not-made-yet"})
    register(environment, client)
    found = findings(environment)
    assert found["s3-bucket/seedtest-reports"].category is Category.MISSING
    assert "aws s3 mb s3://not-made-yet" in found["s3-bucket/seedtest-reports"].resolution
    assert found["aws-secret/seedtest-database-url"].category is Category.MISSING
    assert (
        "create-secret --name seedtest-database-url" in found["aws-secret/seedtest-database-url"].resolution
    )


def test_a_bucket_that_may_not_be_written_is_told(
    client: SyncPrefectClient, amazon_environment: BlockEnvironment, amazon: str, bucket: str
) -> None:
    s3 = boto3.client("s3", endpoint_url=amazon, region_name=REGION)
    denied = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [denied]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    s3.close()
    environment = amazon_environment.model_copy(update={"s3_bucket": bucket})
    register(environment, client)
    found = findings(environment)["s3-bucket/seedtest-reports"]
    assert found.category is Category.REFUSED
    assert "s3:PutObject" in found.resolution


def test_a_service_that_is_down_and_a_token_that_it_refuses_are_told(
    client: SyncPrefectClient, amazon_environment: BlockEnvironment, amazon_secrets: AmazonSecrets
) -> None:
    amazon_secrets["r-irt-plumber-token"] = "the-token-before-the-rotation"
    register(amazon_environment, client)
    refused = findings(amazon_environment)["irt-service/r-irt-plumber"]
    assert refused.category is Category.REFUSED
    assert "kubectl rollout restart deployment/r-irt-plumber" in refused.resolution
    assert "the-token-before-the-rotation" not in str(refused)

    down = amazon_environment.model_copy(update={"irt_service_url": f"http://127.0.0.1:{free_port()}"})
    register(down, client)
    unreachable = findings(down)["irt-service/r-irt-plumber"]
    assert unreachable.category is Category.UNREACHABLE
    assert "kubectl get pods -l app=r-irt-plumber" in unreachable.resolution


@pytest.mark.heavy
def test_an_address_that_is_none_is_told_without_its_password(
    client: SyncPrefectClient, amazon_environment: BlockEnvironment, amazon_secrets: AmazonSecrets
) -> None:
    amazon_secrets["seedtest-database-url"] = "postgresql://seedtest:planted-password@127.0.0.1:9/seedtest"
    register(amazon_environment, client)
    found = findings(amazon_environment)["database"]
    assert found.level is Level.ERROR
    assert "127.0.0.1:9" in found.detail
    assert "planted-password" not in str(found)


def test_a_document_that_does_not_fit_is_told_without_its_values(
    client: SyncPrefectClient, amazon_environment: BlockEnvironment
) -> None:
    file = amazon_environment.model_copy(update={"secret_store": SecretStore.NONE})
    wrong = file.model_copy(update={"irt_service_url": "http://user:planted-password@irt.example"})
    register(wrong, client)
    found = findings(wrong)["irt-service/r-irt-plumber"]
    assert found.category is Category.CANNOT_LOAD
    assert "planted-password" not in str(found)


def test_without_store_and_variable_the_database_is_a_warning(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert findings(BlockEnvironment())["database"].level is Level.WARNING


def test_a_pod_without_keys_is_who_its_token_says(
    client: SyncPrefectClient, amazon: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("the-projected-token-of-a-pod")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/seedtest-reports")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", amazon)
    environment = BlockEnvironment(
        secret_store=SecretStore.AWS, aws_region="eu-west-1", aws_endpoint_url=amazon
    )
    register(environment, client)
    found = findings(environment)["aws-credentials/seedtest"]
    assert found.level is Level.OK, found
    assert ":assumed-role/seedtest-reports/" in found.summary
