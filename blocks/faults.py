"""What an error of Google's, Amazon's, the IRT service's or our own code means, and how to mend it."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import httpx
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from google.api_core import exceptions as google
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from blocks.diagnosis import BlockFaultError, Category, Diagnosis, Target
from seedtest.errors import SeedtestError
from seedtest.irt_client.transport import CallError

TOUCHING_FAILS: Final = (
    google.GoogleAPIError,
    GoogleAuthError,
    BotoCoreError,
    ClientError,
    httpx.HTTPError,
    SeedtestError,
)
"""What touching may raise; anything else is a fault of our own."""

ACCOUNT_OF_RUNS: Final = "seedtest-api"
NO_TOKEN: Final = "Getting metadata from plugin failed"  # noqa: S105 (gRPC's words)
"""How gRPC tells that the caller's identity gave it no token, under a status that means something else."""

NO_GOOGLE_IDENTITY: Final = (
    f"In a pod: run it as the account {ACCOUNT_OF_RUNS}, annotated iam.gke.io/gcp-service-account, and bind "
    "that to Google's account (k8s/bootstrap-gcp.sh). Elsewhere: gcloud auth application-default login."
)
NO_AMAZON_IDENTITY: Final = (
    "In a pod: the Secret aws-s3-credentials gives AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or without "
    "keys AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE name a role and the pod's token (docs/blocks.md)."
)

WRONG_KEYS: Final = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
FORBIDDEN: Final = {"403", "AccessDenied", "AccessDeniedException", "AllAccessDisabled"}
ABSENT: Final = {"404", "NoSuchBucket", "ResourceNotFoundException"}
ELSEWHERE: Final = {
    "301",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}


def explain(target: Target, error: Exception) -> Diagnosis:
    """Return what an error of TOUCHING_FAILS means for what was touched."""
    families: tuple[tuple[tuple[type[Exception], ...], Callable[[Target, Exception], Diagnosis]], ...] = (
        ((google.GoogleAPIError, GoogleAuthError), _google),
        ((BotoCoreError, ClientError), _amazon),
        ((httpx.HTTPError, CallError), _irt_service),
    )
    if isinstance(error, BlockFaultError):
        return error.diagnosis
    for kinds, explained in families:
        if isinstance(error, kinds):
            return explained(target, error)
    return target.error(Category.UNUSABLE, "cannot be used.", str(error), "")


def _google(target: Target, error: Exception) -> Diagnosis:
    secret = f"--project={target.project}"
    match error:
        case DefaultCredentialsError():
            return target.error(
                Category.NO_IDENTITY, "there is no Google identity here.", "", NO_GOOGLE_IDENTITY
            )
        case google.NotFound() | google.FailedPrecondition():
            return target.error(
                Category.MISSING,
                f"the secret {target.name} of project {target.project} has no usable version.",
                str(error),
                "Make it with k8s/bootstrap-gcp.sh and give it a value: "
                f"gcloud secrets versions add {target.name} {secret} --data-file=-",
            )
        case google.Forbidden():
            return target.error(
                Category.REFUSED,
                f"this identity may not read the secret {target.name}.",
                str(error),
                "If runs are to read it through the block: "
                f"gcloud secrets add-iam-policy-binding {target.name} {secret} "
                f"--role=roles/secretmanager.secretAccessor "
                f"--member=serviceAccount:{ACCOUNT_OF_RUNS}@{target.project}.iam.gserviceaccount.com",
            )
    if isinstance(error, GoogleAuthError | google.Unauthenticated) or NO_TOKEN in str(error):
        return target.error(
            Category.NO_IDENTITY, "Google gives this identity no token.", str(error), NO_GOOGLE_IDENTITY
        )
    return target.error(
        Category.UNREACHABLE,
        "Google's Secret Manager gives no answer.",
        str(error),
        "Try again; if it lasts, look for a firewall, a NetworkPolicy or a missing route to Google's APIs.",
    )


def _amazon(target: Target, error: Exception) -> Diagnosis:
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            return target.error(
                Category.NO_IDENTITY, "there is no Amazon identity here.", str(error), NO_AMAZON_IDENTITY
            )
        case NoConnectionError() | HTTPClientError():
            return target.error(
                Category.UNREACHABLE,
                "Amazon gives no answer.",
                str(error),
                "Check aws_region and aws_endpoint_url of the environment, then the way out of the cluster.",
            )
        case ClientError():
            return _amazon_refusal(target, error)
    return target.error(
        Category.UNUSABLE,
        "Amazon's client cannot work with these settings.",
        str(error),
        "Correct the environment's blocks and register them: python -m blocks register --env ENV.",
    )


def _amazon_refusal(target: Target, error: ClientError) -> Diagnosis:
    code, said = error.response.get("Error", {}).get("Code", ""), str(error)
    if code in WRONG_KEYS:
        return target.error(
            Category.NO_IDENTITY,
            "Amazon does not take these keys.",
            said,
            "Give the Secret aws-s3-credentials keys that are valid, then start the run again. "
            + NO_AMAZON_IDENTITY,
        )
    if code in FORBIDDEN:
        return target.error(
            Category.REFUSED,
            f"this identity may not use {target.name}.",
            said,
            "Allow it s3:ListBucket on a bucket with s3:GetObject, s3:PutObject and s3:DeleteObject below "
            "it; on a secret secretsmanager:GetSecretValue.",
        )
    if code in ABSENT:
        return target.error(
            Category.MISSING,
            f"there is no {target.name}.",
            said,
            f"Make it: aws s3 mb s3://{target.name} for a bucket, aws secretsmanager create-secret --name "
            f"{target.name} for a secret; or correct the environment's name or region of it.",
        )
    summary = f"{target.name} lies in another region." if code in ELSEWHERE else "Amazon refuses."
    return target.error(
        Category.UNUSABLE, summary, said, "Correct aws_region and s3_bucket of the environment's blocks."
    )


def _irt_service(target: Target, error: Exception) -> Diagnosis:
    if isinstance(error, CallError) and error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return target.error(
            Category.REFUSED,
            "the IRT service refuses the token.",
            str(error),
            f"Service and secret {target.name} must hold the same one; after a rotation restart the service: "
            "kubectl rollout restart deployment/r-irt-plumber.",
        )
    if isinstance(error, CallError) and error.status is not None:
        return target.error(
            Category.UNUSABLE,
            "the IRT service answers with an error.",
            str(error),
            "Read its log: kubectl logs deployment/r-irt-plumber. Check that the address is the service's.",
        )
    return target.error(
        Category.UNREACHABLE,
        "the IRT service gives no answer.",
        str(error),
        "See whether it runs: kubectl get pods -l app=r-irt-plumber. Only pods labelled irt-client=true may "
        "reach it.",
    )
