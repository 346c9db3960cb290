"""Each fault that a Job can have is planted in a sound one and found."""

import copy
from typing import Any

import pytest

from k8s.job_checks import Category, Level, diagnose_job
from tests.k8s.deployments import TABLE
from tests.k8s.jobs import job, pod


@pytest.fixture(scope="module")
def sound() -> dict[str, Any]:
    return job(TABLE[2])


@pytest.fixture
def manifest(sound: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(sound)


def found(manifest: dict[str, Any]) -> list[Category]:
    return [diagnosis.category for diagnosis in diagnose_job(manifest)]


def test_a_sound_job_has_no_fault(manifest: dict[str, Any]) -> None:
    assert found(manifest) == []


def test_a_proxy_as_a_plain_container_would_keep_the_job_alive(manifest: dict[str, Any]) -> None:
    proxy = pod(manifest)["initContainers"].pop()
    del proxy["restartPolicy"]
    pod(manifest)["containers"].append(proxy)
    (diagnosis,) = diagnose_job(manifest)
    assert (diagnosis.level, diagnosis.category) == (Level.ERROR, Category.PROXY_KEEPS_JOB_ALIVE)
    assert "restartPolicy: Always" in diagnosis.resolution


def test_a_proxy_as_an_ordinary_init_container_would_block_the_flow(manifest: dict[str, Any]) -> None:
    del pod(manifest)["initContainers"][0]["restartPolicy"]
    assert found(manifest) == [Category.PROXY_BLOCKS_START]


def test_a_proxy_that_nobody_waits_for(manifest: dict[str, Any]) -> None:
    del pod(manifest)["initContainers"][0]["startupProbe"]
    assert found(manifest) == [Category.PROXY_NOT_AWAITED]


def test_no_proxy_is_a_warning_only(manifest: dict[str, Any]) -> None:
    del pod(manifest)["initContainers"]
    (diagnosis,) = diagnose_job(manifest)
    assert (diagnosis.level, diagnosis.category) == (Level.WARNING, Category.NO_PROXY)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgresql://localhost/seedtest"),
        ("R_IRT_INTERNAL_TOKEN", "token"),
        ("PREFECT_API_AUTH_STRING", "admin:password"),
        ("REPORT_MIRROR", "https://writer:password@mirror.example/reports"),
    ],
)
def test_a_secret_in_plain_text(manifest: dict[str, Any], variable: str, value: str) -> None:
    pod(manifest)["containers"][0]["env"].append({"name": variable, "value": value})
    (diagnosis,) = diagnose_job(manifest)
    assert diagnosis.category is Category.PLAIN_TEXT
    assert variable in diagnosis.summary
    assert value not in repr(diagnosis)


def test_a_secret_given_as_a_job_variable_is_found_too() -> None:
    manifest = job(TABLE[2], env={"DATABASE_URL": "postgresql://u:password@db/seedtest"})
    assert found(manifest) == [Category.PLAIN_TEXT]


@pytest.mark.parametrize(
    ("field", "value", "category"),
    [
        ("activeDeadlineSeconds", None, Category.NO_DEADLINE),
        ("ttlSecondsAfterFinished", None, Category.KEPT_FOR_EVER),
        ("backoffLimit", 6, Category.RETRIED_TWICE),
    ],
)
def test_a_job_without_an_end(
    manifest: dict[str, Any], field: str, value: object, category: Category
) -> None:
    manifest["spec"][field] = value
    assert found(manifest) == [category]


@pytest.mark.parametrize(("kind", "what"), [("requests", "memory"), ("limits", "cpu")])
def test_a_container_without_bounds(manifest: dict[str, Any], kind: str, what: str) -> None:
    del pod(manifest)["containers"][0]["resources"][kind][what]
    assert found(manifest) == [Category.UNBOUNDED]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("runAsUser", 0),
        ("runAsNonRoot", False),
        ("readOnlyRootFilesystem", False),
        ("allowPrivilegeEscalation", True),
        ("capabilities", {"drop": ["ALL"], "add": ["NET_ADMIN"]}),
        ("seccompProfile", {"type": "Unconfined"}),
        ("privileged", True),
    ],
)
def test_a_container_that_may_do_more_than_it_needs(
    manifest: dict[str, Any], field: str, value: object
) -> None:
    pod(manifest)["containers"][0]["securityContext"][field] = value
    (diagnosis,) = diagnose_job(manifest)
    assert diagnosis.category is Category.TOO_MIGHTY
    assert field in diagnosis.detail


def test_a_job_without_its_deployments_labels(manifest: dict[str, Any]) -> None:
    del manifest["metadata"]["labels"]["cronjob"]
    assert found(manifest) == [Category.UNNAMED]


def test_errors_come_before_warnings(manifest: dict[str, Any]) -> None:
    del manifest["metadata"]["labels"]["cronjob"], pod(manifest)["initContainers"]
    manifest["spec"]["backoffLimit"] = 1
    levels = [diagnosis.level for diagnosis in diagnose_job(manifest)]
    assert levels == [Level.ERROR, Level.WARNING, Level.WARNING]
