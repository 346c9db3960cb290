"""The tree of errors that the pipeline raises on purpose.

::

    SeedtestError
    ├── ConfigurationError      a setting is missing or contradicts another
    ├── DataError               answers, files or rows that cannot be used
    │   ├── ImportFileError     a file that cannot be imported at all
    │   └── DataQualityError    a data check found what nothing should be written from
    ├── CalibrationError        no model can be fitted to the data given
    ├── IrtServiceError         the IRT service gives no usable answer
    ├── ReportError             a report cannot be rendered
    ├── StorageError            the object store cannot be used
    ├── RequestError            an API refuses a request, with the HTTP status
    ├── StageError              a stage finished, but not for every user
    ├── LockTimeoutError        another run holds the stage's lock
    ├── DatabaseError           the database broke a stage off
    └── StackError              the embedded stack cannot do what was asked
        └── StackNotRunningError

A message says what happened, to which id, why, and what to do. The command line prints it alone;
a stack trace is for errors outside this tree.
"""

from collections.abc import Mapping


class SeedtestError(Exception):
    """Base of every error raised on purpose; its message is meant for a person."""


class ConfigurationError(SeedtestError):
    """A setting is missing, malformed or contradicts another one."""


class DataError(SeedtestError):
    """Answers, files or rows that cannot be used as they are."""


class ImportFileError(DataError):
    """A file that cannot be imported at all: unreadable, or without a needed column."""


class DataQualityError(DataError):
    """A data check found what nothing should be written from; the message names the check and what to do."""


class CalibrationError(SeedtestError):
    """No model can be fitted to the responses given."""


class IrtServiceError(SeedtestError):
    """The IRT service cannot be reached, refuses, or answers with what cannot be used."""


class ReportError(SeedtestError):
    """A report cannot be rendered from its document."""


class StorageError(SeedtestError):
    """The object store is away, refuses, or holds something else than expected."""


class RequestError(SeedtestError):
    """A request that an API refuses; the message names the field, `status` is the HTTP status."""

    def __init__(self, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class StageError(SeedtestError):
    """A stage wrote what it could, but failed for some users; the message names them."""


class LockTimeoutError(SeedtestError):
    """Another run holds the stage's lock; the message names the holder."""


class DatabaseError(SeedtestError):
    """The database broke a stage off from outside: a lock, a full disk, a restart."""


class StackError(SeedtestError):
    """The embedded stack cannot do what was asked."""


class StackNotRunningError(StackError):
    """No database is running and none was named."""
