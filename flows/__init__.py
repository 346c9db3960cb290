"""The Prefect flows: each resolves settings, reads, calls the core, writes and reports."""

import os

# Read by polars when it is first imported, after this package. The flows that work in batches compute two at
# a time, each a few milliseconds' work in many steps: with more threads these wait for each other.
os.environ.setdefault("POLARS_MAX_THREADS", "2")
