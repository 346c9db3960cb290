"""Links to reports: signed on demand, and valid for minutes."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Any, Final, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from seedtest.errors import RequestError
from seedtest.settings import Settings

LINK_SECS: Final = 300


@dataclass(frozen=True)
class ReportStore:
    """Where reports lie; the credentials are those of the environment, as Amazon's client finds them."""

    bucket: str
    region: str
    endpoint_url: str | None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return what the settings say."""
        return cls(settings.s3_bucket, settings.aws_region, settings.s3_endpoint_url)


class ReportLinks:
    """Signs links; in a thread, since the credentials may have to be fetched first."""

    def __init__(self, store: ReportStore) -> None:
        self._store = store
        self._made: Any = None
        self._making = threading.Lock()

    async def sign(self, key: str) -> str:
        """Return a link to an object that is valid for LINK_SECS.

        Raises
        ------
        RequestError
            503 when there are no credentials to sign with.
        """
        try:
            return await asyncio.to_thread(self._sign, key)
        except BotoCoreError as error:
            raise RequestError(
                f"The link to the report cannot be signed: {type(error).__name__}. "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set for the service.",
                status=503,
                headers={"Retry-After": "60"},
            ) from None

    def _sign(self, key: str) -> str:
        link: str = self._client().generate_presigned_url(
            "get_object", Params={"Bucket": self._store.bucket, "Key": key}, ExpiresIn=LINK_SECS
        )
        return link

    def _client(self) -> Any:  # noqa: ANN401 (Amazon's clients have no types)
        """Return the client, made when the first link is wanted: that takes a tenth of a second."""
        with self._making:
            if self._made is None:
                # A store of one's own is rarely found under a name for each bucket.
                style = "virtual" if self._store.endpoint_url is None else "path"
                self._made = boto3.session.Session().client(
                    "s3",
                    region_name=self._store.region,
                    endpoint_url=self._store.endpoint_url,
                    config=Config(signature_version="s3v4", s3={"addressing_style": style}),
                )
            return self._made
