"""Files of answers into the database: `seedtest import`."""

from seedtest.local.importer.load import import_file
from seedtest.local.importer.model import ImportPhase, ImportProgress, ImportSummary

__all__ = ["ImportPhase", "ImportProgress", "ImportSummary", "import_file"]
