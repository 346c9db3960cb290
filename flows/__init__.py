"""The Prefect flows: each resolves settings, reads, calls the core, writes and reports."""

import os

# Read by polars when it is first imported, after this package. The flows that work in batches compute two or
# three at a time, each a few milliseconds' work in many steps: with more threads these wait for each other,
# and memory that is kept back for every thread is what a small pod does not have.
os.environ.setdefault("POLARS_MAX_THREADS", "2")
# Set whatever is there: polars leaves its own choice to all children of a process that has imported it.
os.environ["_RJEM_MALLOC_CONF"] = "narenas:1,dirty_decay_ms:100,muzzy_decay_ms:0"
