"""kubectl on one namespace of one cluster."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
Resource = dict[str, Any]
RUN_LABEL = "prefect.io/flow-run-id"


@dataclass(frozen=True)
class Cluster:
    """A namespace of the tests' own."""

    context: str
    namespace: str

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        done = self.attempt(*arguments, text=text)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def attempt(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "--context", self.context, "--namespace", self.namespace, *arguments]
        return subprocess.run(command, input=text or "", capture_output=True, text=True, check=False)

    def apply(self, *resources: Resource) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": resources}
        self.kubectl("apply", "--filename", "-", text=json.dumps(items))

    def listed(self, kind: str, *arguments: str) -> list[Resource]:
        found: list[Resource] = json.loads(self.kubectl("get", kind, "--output", "json", *arguments))["items"]
        return found

    def one(self, kind: str, name: str) -> Resource:
        found: Resource = json.loads(self.kubectl("get", kind, name, "--output", "json"))
        return found

    def rolled_out(self, deployment: str, patience: str) -> None:
        """Wait until a Deployment's pods are ready; a failure tells what they do instead."""
        done = self.attempt("rollout", "status", f"deployment/{deployment}", f"--timeout={patience}")
        if done.returncode != 0:
            described = self.kubectl("describe", "pods", "--selector", f"app={deployment}")
            logs = self.attempt("logs", f"deployment/{deployment}", "--tail=30").stdout
            pytest.fail(f"{deployment} does not get ready: {done.stderr}\n{described}\n{logs}")

    def secret(self, name: str, **values: str) -> None:
        """Make a Secret; its values go through standard input, never through arguments."""
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values})

    def allows(self, account: str, verb: str, resource: str, *, namespace: str | None = None) -> bool:
        """Whether a service account of the namespace may do something, here or in another namespace."""
        subject = f"system:serviceaccount:{self.namespace}:{account}"
        where = ["--namespace", namespace] if namespace else []
        answer = self.attempt("auth", "can-i", verb, resource, "--as", subject, *where)
        return answer.stdout.strip().startswith("yes")

    def pods_of(self, run_id: str) -> list[Resource]:
        return self.listed("pods", "--selector", f"{RUN_LABEL}={run_id}")

    def live_pods_of(self, run_id: str) -> list[Resource]:
        """The pods of a run that have not ended."""
        return [pod for pod in self.pods_of(run_id) if pod["status"]["phase"] in ("Pending", "Running")]

    def evict(self, pod: str) -> None:
        """Ask for what a drained node does: SIGTERM, and the grace period."""
        served = self.kubectl("api-versions").split()
        eviction = {
            "apiVersion": "policy/v1" if "policy/v1" in served else "policy/v1beta1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self.kubectl("create", "--raw", path, "--filename", "-", text=json.dumps(eviction))


def eventually(look: Callable[[], T], secs: float, what: str) -> T:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + secs
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: not within {secs:g} s"
        time.sleep(0.5)
    return seen
