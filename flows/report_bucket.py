"""The bucket of the reports, through the block that names it."""

from botocore.config import Config
from prefect_aws import AwsCredentials, S3Bucket
from prefect_aws.client_parameters import AwsClientParameters

from blocks.run_time import load
from blocks.table import REPORTS
from reports.bucket import ReportBucket
from seedtest.errors import ConfigurationError
from seedtest.settings import Settings

# A store that hangs costs a chunk of learners so long, three times at most; then the chunk is tried again.
TIMES = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})


def report_bucket(settings: Settings) -> ReportBucket:
    """Return the bucket that the block s3-bucket/seedtest-reports names, else the one that the settings name.

    Raises
    ------
    BlockFaultError
        There is a block that cannot be used.
    ConfigurationError
        Its credentials are not Amazon's.
    """
    block = load(S3Bucket, REPORTS) or _of_settings(settings)
    credentials = block.credentials
    if not isinstance(credentials, AwsCredentials):
        raise ConfigurationError(
            f"The block s3-bucket/{REPORTS} has credentials of another kind than aws-credentials. Register "
            "it anew: python -m blocks register --env ENV."
        )
    parameters = credentials.aws_client_parameters.get_params_override()
    config = parameters.pop("config", Config()).merge(TIMES)
    client = credentials.get_boto3_session().client("s3", config=config, **parameters)
    return ReportBucket(client, block.bucket_name, credentials.region_name or settings.aws_region)


def _of_settings(settings: Settings) -> S3Bucket:
    return S3Bucket(
        bucket_name=settings.s3_bucket,
        credentials=AwsCredentials(
            region_name=settings.aws_region,
            aws_client_parameters=AwsClientParameters(
                endpoint_url=settings.s3_endpoint_url,
                # A store of one's own is rarely found under a name for each bucket.
                config={"s3": {"addressing_style": "path"}} if settings.s3_endpoint_url else None,
            ),
        ),
    )
