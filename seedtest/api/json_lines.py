"""Log lines as JSON, one object a line."""

import datetime as dt
import logging
from contextvars import ContextVar
from typing import Final

import orjson

current_request: Final[ContextVar[str | None]] = ContextVar("current_request", default=None)
"""The id of the request that is being answered, for the lines of whatever works for it."""


class JsonLines(logging.Formatter):
    """Writes time, level, logger and message, and the record's own `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := current_request.get():
            line["request_id"] = request_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()
