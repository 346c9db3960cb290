"""What errors of others mean: pure, so each kind is tried without making it happen."""

from collections.abc import Callable

import httpx
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)
from google.api_core import exceptions as google
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from blocks.diagnosis import Category, Level, Target
from blocks.faults import TOUCHING_FAILS, explain
from seedtest.errors import StackNotRunningError
from seedtest.irt_client.transport import CallError

TARGET = Target("type/block", "a-name", "a-project")


def made(kind: Callable[..., Exception], *arguments: object) -> Exception:
    """Make an error of Google's, whose classes are not typed."""
    return kind(*arguments)


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "so it is"}}, "AnOperation")


CASES: dict[str, tuple[Exception, Category, str]] = {
    "no Google identity": (made(DefaultCredentialsError, "none"), Category.NO_IDENTITY, "gcloud auth"),
    "account not bound": (made(RefreshError, "403"), Category.NO_IDENTITY, "k8s/bootstrap-gcp.sh"),
    "not bound, as gRPC tells it": (
        made(google.ServiceUnavailable, "Getting metadata from plugin failed with error: 403"),
        Category.NO_IDENTITY,
        "k8s/bootstrap-gcp.sh",
    ),
    "token unknown": (made(google.Unauthenticated, "no"), Category.NO_IDENTITY, "k8s/bootstrap-gcp.sh"),
    "secret missing": (
        made(google.NotFound, "no"),
        Category.MISSING,
        "add a-name --project=a-project",
    ),
    "version disabled": (made(google.FailedPrecondition, "no"), Category.MISSING, "versions add a-name"),
    "secret refused": (
        made(google.PermissionDenied, "no"),
        Category.REFUSED,
        "policy-binding a-name",
    ),
    "Google is down": (made(google.ServiceUnavailable, "no"), Category.UNREACHABLE, "NetworkPolicy"),
    "Google is slow": (made(google.RetryError, "no", None), Category.UNREACHABLE, "NetworkPolicy"),
    "no Amazon identity": (NoCredentialsError(), Category.NO_IDENTITY, "aws-s3-credentials"),
    "wrong key": (refused("SignatureDoesNotMatch"), Category.NO_IDENTITY, "aws-s3-credentials"),
    "expired token": (refused("ExpiredToken"), Category.NO_IDENTITY, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "bucket refused": (refused("AccessDenied"), Category.REFUSED, "s3:PutObject"),
    "bucket refused, no words": (refused("403"), Category.REFUSED, "s3:PutObject"),
    "bucket missing": (refused("404"), Category.MISSING, "aws s3 mb s3://a-name"),
    "Amazon's secret missing": (
        refused("ResourceNotFoundException"),
        Category.MISSING,
        "create-secret --name a-name",
    ),
    "other region": (refused("PermanentRedirect"), Category.UNUSABLE, "aws_region"),
    "Amazon's other answers": (refused("SlowDown"), Category.UNUSABLE, "aws_region"),
    "Amazon is down": (
        EndpointConnectionError(endpoint_url="http://x"),
        Category.UNREACHABLE,
        "aws_endpoint_url",
    ),
    "Amazon is slow": (ReadTimeoutError(endpoint_url="http://x"), Category.UNREACHABLE, "aws_endpoint_url"),
    "no region": (NoRegionError(), Category.UNUSABLE, "blocks register"),
    "other faults of Amazon's client": (BotoCoreError(), Category.UNUSABLE, "blocks register"),
    "service down": (httpx.ConnectError("refused"), Category.UNREACHABLE, "kubectl get pods"),
    "service hangs": (CallError("timed out", is_transient=True), Category.UNREACHABLE, "kubectl get pods"),
    "service fails": (
        CallError("HTTP 500", is_transient=True, status=500),
        Category.UNUSABLE,
        "kubectl logs",
    ),
    "token refused": (
        CallError("HTTP 401", is_transient=False, status=401),
        Category.REFUSED,
        "secret a-name must hold the same one",
    ),
    "our own": (StackNotRunningError("Set it."), Category.UNUSABLE, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_is_explained_with_what_to_do(case: str) -> None:
    error, category, advice = CASES[case]
    assert isinstance(error, TOUCHING_FAILS)
    found = explain(TARGET, error)
    assert (found.level, found.category, found.subject) == (Level.ERROR, category, "type/block")
    assert found.summary.endswith(".")
    assert advice in found.resolution
