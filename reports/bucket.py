"""The bucket that reports lie in: objects are written whole, once, and never over somebody else's."""

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError

from seedtest.errors import StorageError

logger = logging.getLogger(__name__)

# A browser that comes back asks whether there is a newer one: a report may be rendered again.
CACHE_CONTROL: Final = "private, no-cache"
ENCRYPTION: Final = "AES256"
HASH: Final = "content-hash"
MOST_TRIES: Final = 3
_CHANGED_MEANWHILE: Final = {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT}


@dataclass(frozen=True, eq=False)
class ReportBucket:
    """Objects by key, through an S3 client.

    Attributes
    ----------
    client
        Of boto3, with its own timeouts and retries.
    name, region
        Of the bucket; they make the addresses that are recorded.
    """

    client: Any
    name: str
    region: str

    def url(self, key: str) -> str:
        """Return the stable address of an object, which opens for who may read the bucket."""
        # A key is text: what stands in an address for a percent sign in it is %25.
        return f"https://{self.name}.s3.{self.region}.amazonaws.com/{quote(key)}"

    def put(
        self, key: str, content: bytes, content_type: str, content_hash: str, *, force: bool = False
    ) -> bool:
        """Store an object unless this very content lies there; return whether anything was sent.

        With `force` it is sent whatever lies there.

        The write is on condition that the object is still as it was when looked at, so of two runs
        that store the same object at once neither undoes what it has not seen.

        Raises
        ------
        StorageError
            The store is away, refuses, or the object goes on changing.
        """
        for _ in range(MOST_TRIES):
            present = self._head(key)
            is_there = present is not None and present["Metadata"].get(HASH) == content_hash
            if is_there and not force:
                return False
            condition = {"IfNoneMatch": "*"} if present is None else {"IfMatch": present["ETag"]}
            if self._put(key, content, content_type, content_hash, condition):
                return True
            logger.info("An object changed while it was written; looking again")
        raise StorageError(
            f"s3://{self.name}/{key} changed {MOST_TRIES} times while it was to be written: another run "
            "writes the same reports. Let one of them finish."
        )

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.client.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if _status(error) == HTTPStatus.NOT_FOUND:
                return None
            raise self._refused(key, error) from error
        except BotoCoreError as error:
            raise self._away(error) from error
        return found

    def _put(
        self, key: str, content: bytes, content_type: str, content_hash: str, condition: dict[str, str]
    ) -> bool:
        try:
            self.client.put_object(
                Bucket=self.name,
                Key=key,
                Body=content,
                ContentType=content_type,
                CacheControl=CACHE_CONTROL,
                ServerSideEncryption=ENCRYPTION,
                Metadata={HASH: content_hash},
                **condition,
            )
        except ClientError as error:
            if _status(error) in _CHANGED_MEANWHILE:
                return False
            raise self._refused(key, error) from error
        except BotoCoreError as error:
            raise self._away(error) from error
        return True

    def _refused(self, key: str, error: ClientError) -> StorageError:
        code = error.response.get("Error", {}).get("Code", "an error")
        return StorageError(
            f"The object store refuses s3://{self.name}/{key}: {code} ({_status(error)}). Check that the "
            f"bucket exists in {self.region} and that the run's identity may read and write it; the runbook "
            "says how."
        )

    def _away(self, error: BotoCoreError) -> StorageError:
        return StorageError(
            f"The object store of the bucket {self.name} cannot be used: {type(error).__name__}. Check that "
            "it is reachable and that the run has credentials; a rerun stores what is missing."
        )


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
