"""The Prefect flows: each resolves settings, reads, calls the core, writes and reports."""

import os

# Read by polars when it is first imported, after this package. The flows that work in batches compute two or
# three at a time, each a few milliseconds' work in many steps: with more threads these wait for each other,
# and memory that is kept back for every thread is what a small pod does not have.
os.environ.setdefault("POLARS_MAX_THREADS", "2")
# Behind what is there, as the last word counts: polars leaves its own choice to all children of a process.
_KEPT_BACK = "narenas:1,dirty_decay_ms:100,muzzy_decay_ms:0"
os.environ["_RJEM_MALLOC_CONF"] = ",".join(filter(None, [os.environ.get("_RJEM_MALLOC_CONF"), _KEPT_BACK]))
