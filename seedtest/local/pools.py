"""The work pools of the embedded stack, each with a worker of its own."""

from seedtest.local.supervision.programs import THETA_WORKER, WORKER

POOL = "seedtest-local"
# Not that of the other environments: with a Prefect server of theirs, this worker would take up their runs.
THETA_POOL = "seedtest-local-theta"
POOL_TYPE = "process"

WORKERS = {WORKER: POOL, THETA_WORKER: THETA_POOL}
"""Each worker's program and its pool: a night's long runs do not keep θ waiting."""
