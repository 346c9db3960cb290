"""What is wrong with a Job that runs a flow, found in its manifest, before a cluster finds it at night."""

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]

PROXY = "cloud-sql-proxy"
SECRETS = frozenset(
    {
        "DATABASE_URL",
        "R_IRT_INTERNAL_TOKEN",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "WEBHOOK_SECRET",
        "PREFECT_API_KEY",
        "PREFECT_API_AUTH_STRING",
    }
)
PASSWORD_IN_ADDRESS = re.compile(r"\w://[^/\s:@]*:[^/\s@]+@")


class Level(enum.StrEnum):
    """How bad it is: an error keeps the Job from doing its work, or from doing it safely."""

    ERROR = "error"
    WARNING = "warning"


class Category(enum.StrEnum):
    """What is wrong, by a name that stays: tests and alerts compare it."""

    NO_PROXY = "NoProxy"
    PROXY_KEEPS_JOB_ALIVE = "ProxyKeepsJobAlive"
    PROXY_BLOCKS_START = "ProxyBlocksStart"
    PROXY_NOT_AWAITED = "ProxyNotAwaited"
    PLAIN_TEXT = "PlainText"
    NO_DEADLINE = "NoDeadline"
    KEPT_FOR_EVER = "KeptForEver"
    RETRIED_TWICE = "RetriedTwice"
    UNBOUNDED = "Unbounded"
    TOO_MIGHTY = "TooMighty"
    UNNAMED = "Unnamed"


@dataclass(frozen=True)
class Diagnosis:
    """One thing that is wrong with a Job, and how to mend it."""

    level: Level
    category: Category
    summary: str
    detail: str
    resolution: str


def diagnose_job(manifest: Manifest) -> tuple[Diagnosis, ...]:
    """Return what is wrong with a flow's Job, worst first; nothing for a sound one."""
    pod = manifest["spec"]["template"]["spec"]
    found = [
        *_proxy(pod),
        *_job(manifest),
        *(fault for container in _containers(pod) for fault in _container(container, pod)),
    ]
    return tuple(sorted(found, key=lambda diagnosis: diagnosis.level is not Level.ERROR))


def _containers(pod: Manifest) -> list[Manifest]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def _proxy(pod: Manifest) -> Iterator[Diagnosis]:
    if any(container["name"] == PROXY for container in pod["containers"]):
        yield Diagnosis(
            Level.ERROR,
            Category.PROXY_KEEPS_JOB_ALIVE,
            "The Cloud SQL proxy is a plain container",
            "It never ends, so the Job goes on after its flow has ended, until its deadline fails it.",
            "Move it to initContainers with restartPolicy: Always (a native sidecar, Kubernetes ≥ 1.29).",
        )
        return
    proxy = next((c for c in pod.get("initContainers", ()) if c["name"] == PROXY), None)
    if proxy is None:
        yield Diagnosis(
            Level.WARNING,
            Category.NO_PROXY,
            "There is no Cloud SQL proxy",
            "DATABASE_URL must name a database that the pod reaches directly.",
            "Use an overlay with the proxy wherever the database is a Cloud SQL instance.",
        )
    elif proxy.get("restartPolicy") != "Always":
        yield Diagnosis(
            Level.ERROR,
            Category.PROXY_BLOCKS_START,
            "The Cloud SQL proxy is an ordinary init container",
            "The flow's container starts when the proxy has ended, which it never does.",
            "Give it restartPolicy: Always.",
        )
    elif "startupProbe" not in proxy:
        yield Diagnosis(
            Level.ERROR,
            Category.PROXY_NOT_AWAITED,
            "The Cloud SQL proxy has no startup probe",
            "The flow starts before the proxy listens, and its first connection is refused.",
            "Give it a startupProbe on /startup.",
        )


def _job(manifest: Manifest) -> Iterator[Diagnosis]:
    spec, labels = manifest["spec"], manifest["metadata"].get("labels", {})
    if not spec.get("activeDeadlineSeconds"):
        yield Diagnosis(
            Level.ERROR,
            Category.NO_DEADLINE,
            "The Job has no deadline",
            "A flow that hangs in blocking work holds its lock for ever: Prefect's timeout cannot end it.",
            "Set activeDeadlineSeconds.",
        )
    if spec.get("ttlSecondsAfterFinished") is None:
        yield Diagnosis(
            Level.WARNING,
            Category.KEPT_FOR_EVER,
            "The finished Job is never deleted",
            "Finished Jobs and their pods pile up in the namespace.",
            "Set ttlSecondsAfterFinished (the variable finished_job_ttl).",
        )
    if spec.get("backoffLimit") != 0:
        yield Diagnosis(
            Level.ERROR,
            Category.RETRIED_TWICE,
            "Kubernetes retries the Job",
            "Retries are Prefect's: a pod started anew runs a flow that Prefect has ended, or retries too.",
            "Set backoffLimit: 0.",
        )
    if not labels.get("app") or labels.get("app") != labels.get("cronjob"):
        yield Diagnosis(
            Level.WARNING,
            Category.UNNAMED,
            "The Job is not labelled with its deployment",
            "Operators look for Jobs and logs by the labels cronjob and app.",
            "Give the deployment the job variable `name`: its own.",
        )


def _container(container: Manifest, pod: Manifest) -> Iterator[Diagnosis]:
    name = container["name"]
    for variable in container.get("env", ()):
        if _is_plain_secret(variable):
            yield Diagnosis(
                Level.ERROR,
                Category.PLAIN_TEXT,
                f"{variable['name']} of the container {name} stands in the manifest",
                "Everybody reads it who may read Jobs in the cluster, or deployments in Prefect.",
                "Take it out of the job variable env; the template takes secrets from Kubernetes Secrets.",
            )
    if not _is_bounded(container):
        yield Diagnosis(
            Level.ERROR,
            Category.UNBOUNDED,
            f"The container {name} has no requests or limits of CPU and memory",
            "It can starve its node, and is the first to be evicted.",
            "Set resources.requests and resources.limits.",
        )
    mighty = _too_mighty(container, pod)
    if mighty:
        yield Diagnosis(
            Level.ERROR,
            Category.TOO_MIGHTY,
            f"The container {name} may do more than it needs",
            f"Not as it should be: {', '.join(mighty)}. The namespace refuses such pods.",
            "Set its securityContext as k8s/work-pool/kubernetes.json has it.",
        )


def _is_plain_secret(variable: Manifest) -> bool:
    value = variable.get("value")
    return bool(value) and (variable["name"] in SECRETS or bool(PASSWORD_IN_ADDRESS.search(str(value))))


def _is_bounded(container: Manifest) -> bool:
    resources = container.get("resources", {})
    return all(
        resources.get(kind, {}).get(what) for kind in ("requests", "limits") for what in ("cpu", "memory")
    )


def _too_mighty(container: Manifest, pod: Manifest) -> list[str]:
    # What a container says goes before what its pod says.
    context = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    wanted = {
        "runAsNonRoot": context.get("runAsNonRoot") is True,
        "runAsUser": context.get("runAsUser") != 0,
        "readOnlyRootFilesystem": context.get("readOnlyRootFilesystem") is True,
        "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
        "capabilities": context.get("capabilities") == {"drop": ["ALL"]},
        "seccompProfile": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "privileged": not context.get("privileged"),
    }
    return [field for field, sound in wanted.items() if not sound]
