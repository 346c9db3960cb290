"""A Service of the cluster on a port of this machine."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.k8s_cluster.cluster import Cluster

_TOLD = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")


@contextmanager
def forwarded(cluster: Cluster, service: str, port: int) -> Iterator[str]:
    """Forward a Service's port as the runbook does; give its address here."""
    arguments = ["port-forward", f"service/{service}", f":{port}", "--address", "127.0.0.1"]
    command = ["kubectl", "--context", cluster.context, "--namespace", cluster.namespace, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = _TOLD.search(process.stdout.readline())
            assert found, f"kubectl forwards nothing to {service}"
            # It tells each connection, and stops when nobody reads.
            reader = threading.Thread(target=process.stdout.read, daemon=True)
            reader.start()
            yield f"http://{found[1]}"
        finally:
            process.terminate()
