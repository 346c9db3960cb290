"""What the runbook names is there: commands, options, deployments, settings, secrets, alerts, SQL."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from string import Template
from typing import Any

import polars as pl
import pytest
import typer
from prefect.cli._app import _app as prefect_app  # prefect.cli.app reads sys.argv and exits
from prefect.events.actions import DoNothing
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from ruamel.yaml import YAML
from sqlalchemy.engine import Engine

from blocks.__main__ import app as blocks_app
from deploy.__main__ import app as deploy_app
from deploy.alerts import PREFIX, automations
from deploy.environment import load_environment
from deploy.registry import read_registry, registry_variables
from seedtest.api.theta_parts import ThetaServiceConfig
from seedtest.api.theta_service import create_app
from seedtest.cli import app as seedtest_app
from seedtest.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
SPANS = re.findall(r"`([^`\n]+)`", PROSE)
ENVIRONMENT = load_environment("staging")
REGISTRY = read_registry(ROOT / "prefect.yaml", registry_variables(ENVIRONMENT, "4f1c9e2", ROOT))
DEPLOYMENTS = {deployment.name: deployment for deployment in REGISTRY.deployments}
POOLS = {pool.name for pool in ENVIRONMENT.work_pools}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TYPER_APPS = {"seedtest": seedtest_app, "blocks": blocks_app, "deploy": deploy_app}
# What is asked of programs that are not ours, beside kubectl.
OTHERS = {"cd", "curl", "cut", "date", "gcloud", "git", "grep", "openssl", "printf", "sql"}
# Google's and Polars' own.
FOREIGN_NAMES = {"GKE_METADATA", "POLARS_FMT_MAX_ROWS", "POLARS_FMT_MAX_COLS"}
SHELL = re.compile(r"^(\w+\(\) \{|\}|done)$")
ASSIGNMENT = re.compile(r"^[A-Z][A-Z_]*=")
SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")
# What issue trackers, alerts and operators call the things that the page has to cover.
OPERATIONS = (
    "Run now",
    "Run for a past date",
    "Make reports again",
    "Watch",
    "Logs",
    "Failed runs",
    "Retry",
    "Cancel",
    "Pause and resume",
    "Change a schedule",
    "Roll back",
    "Change resources",
    "Change a setting",
    "Rotate a secret",
    "Rotate the webhooks' secret",
    "Switch θ updates off",
    "Verify",
)
TROUBLES = (
    "SecretSyncedError",
    "Secret or operator missing",
    "ImagePullBackOff",
    "CrashLoopBackOff",
    "IRT service refused or slow",
    "JWT refused",
    "Webhook refused",
    "S3 upload refused",
    "Proxy or Workload Identity failing",
    "Sessions parked",
    "API not ready",
    "Report link does not open",
)

Words = tuple[str, ...]


def _documents(file: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(file))


def _lines() -> Iterator[str]:
    """The lines of the shell blocks and the commands that the prose quotes."""
    for language, text in BLOCKS:
        if language == "sh":
            yield from text.replace("\\\n", " ").splitlines()
    programs = ("prefect ", "seedtest ", "make ", "kubectl ", "python ", "gcloud ", "k8s/bootstrap-gcp.sh")
    yield from (span for span in SPANS if span.startswith(programs))


def _variables() -> dict[str, str]:
    """What the shell blocks set; each is set before a command uses it."""
    shell = "\n".join(text for language, text in BLOCKS if language == "sh")
    found = dict(re.findall(r"(?:^|; |export )([A-Z_]+)=(\S+?)(?=;|\s|$)", shell, re.MULTILINE))
    loops = dict(re.findall(r"^for ([A-Z]+) in (\S+)", shell, re.MULTILINE))
    return {**found, **loops, "PATH": "/bin", "PWD": "."}


def _commands(line: str) -> Iterator[Words]:
    """The commands of a line of shell, each with those that it hands to a container or takes the words of."""
    for inner in SUBSTITUTION.findall(line):
        yield from _commands(inner)
    line = SUBSTITUTION.sub("1", line)
    # Variables stand in others' values, as in addresses.
    for _ in range(2):
        line = Template(line).substitute(_variables())
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for is_operator, group in groupby(lexer, lambda word: set(word) <= set("();<>|&")):
        words = tuple(group)
        if not is_operator:
            yield from _unwrapped(words)


def _unwrapped(words: Words) -> Iterator[Words]:
    while words and (words[0] in {"env", "export", "do"} or ASSIGNMENT.match(words[0])):
        words = words[1:]
    if not words or words[0] == "for":
        return
    if words[:2] == ("sh", "-c"):
        yield from _commands(words[2])
        return
    if words[0] == "kubectl" and "--" in words:
        at = words.index("--")
        yield from _unwrapped(words[at + 1 :])
        words = words[:at]
    yield words


COMMANDS = sorted({words for line in _lines() if not SHELL.match(line.strip()) for words in _commands(line)})


def _of(*program: str) -> list[Any]:
    chosen = [words for words in COMMANDS if words[: len(program)] == program and "-c" not in words]
    return [pytest.param(words[len(program) :], id=" ".join(words)) for words in chosen]


def _given(words: Words, *options: str) -> list[str]:
    """The values of an option that is given with its value as the next word."""
    return [value for option, value in pairwise(words) if option in options]


@cache
def _parameters(entrypoint: str) -> set[str]:
    return set(parameter_schema(load_flow_from_entrypoint(str(ROOT / entrypoint))).properties)


def test_the_test_knows_every_program_that_is_named() -> None:
    known = {"prefect", "seedtest", "make", "kubectl", "python", "k8s/bootstrap-gcp.sh"} | OTHERS
    assert {words[0] for words in COMMANDS} <= known
    assert len(COMMANDS) > 80


@pytest.mark.parametrize("words", _of("prefect"))
def test_prefect_takes_the_command(words: Words) -> None:
    taken = prefect_app.parse_args(
        [word for word in words if word != "--no-prompt"], exit_on_error=False, print_error=False
    )[0]
    # A group of commands alone is answered by its help.
    assert taken.__name__ != "help_print"


@pytest.mark.parametrize("words", _of("prefect"))
def test_what_a_prefect_command_names_is_there(words: Words) -> None:
    for first, second in re.findall(r"(?:^| )([a-z-]+)/([a-z-]+)(?= |$)", " ".join(words[:4])):
        assert first == second
        assert second in DEPLOYMENTS
    assert set(_given(words, "--flow-name")) <= DEPLOYMENTS.keys()
    if words[0] == "work-pool" and words[1] != "ls":
        assert words[2] in POOLS
    if words[0] == "automation" and words[1] != "ls":
        assert words[2].removeprefix(PREFIX) in _automation_names()
    for pool in re.findall("/work_pools/([^/]+)", " ".join(words)):
        assert pool in POOLS


@pytest.mark.parametrize("words", _of("prefect", "deployment", "run"))
def test_a_run_is_given_what_its_flow_and_its_job_take(words: Words) -> None:
    deployment = DEPLOYMENTS[words[0].split("/")[0]]
    parameters = {pair.partition("=")[0] for pair in _given(words, "-p", "--param")}
    variables = dict(pair.split("=", 1) for pair in _given(words, "--job-variable"))
    template = json.loads((ROOT / "k8s/work-pool/kubernetes.json").read_text(encoding="utf-8"))
    assert parameters <= _parameters(deployment.entrypoint)
    assert variables.keys() <= template["variables"]["properties"].keys()
    assert {name.lower() for name in json.loads(variables.get("env", "{}"))} <= Settings.model_fields.keys()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param(name, param.values[0], id=param.id)
        for name in TYPER_APPS
        for param in (_of("seedtest") if name == "seedtest" else _of("python", "-m", name))
    ],
)
def test_our_own_command_line_takes_the_command(name: str, words: Words) -> None:
    if name == "deploy" and words[0] not in {"deploy", "undeploy"}:
        words = ("deploy", *words)
    group = typer.main.get_group(TYPER_APPS[name])
    found, command, rest = group.resolve_command(typer.Context(group), list(words))
    assert command is not None
    # It refuses options and arguments that the command does not have.
    command.make_context(found, rest)


@pytest.mark.parametrize("words", _of("make"))
def test_make_has_the_word_and_its_variables(words: Words) -> None:
    assert re.search(rf"^{words[0]}:", MAKEFILE, re.MULTILINE)
    for pair in words[1:]:
        assert f"$({pair.partition('=')[0]})" in MAKEFILE


@pytest.mark.parametrize(
    "code", [words[words.index("-c") + 1] for words in COMMANDS if words[0] == "python" and "-c" in words]
)
def test_python_can_read_what_it_is_given(code: str) -> None:
    compile(code, "runbook", "exec")


def test_the_api_has_what_curl_asks_for() -> None:
    settings = Settings()
    config = ThetaServiceConfig.from_settings(
        settings, database_url="postgresql://nowhere/none", prefect_api_url="http://nowhere/api"
    )
    described = set(create_app(config).openapi()["paths"])
    asked = {word for words in COMMANDS if words[0] == "curl" for word in words if "/" in word}
    assert len(asked) > 2
    assert {url.removeprefix("localhost:8000") for url in asked} <= described


@pytest.mark.parametrize("words", _of("kubectl"))
def test_kubectl_takes_the_options(words: Words) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    # It parses what stands before --help, and refuses options that it does not know.
    done = subprocess.run([kubectl, *words, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_clusters_objects_that_kubectl_is_given_are_in_the_manifests() -> None:
    manifests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "k8s").rglob("*.yaml"))
    kinds = "deployment|service|endpoints|configmap|externalsecret|serviceaccount|servicemonitor"
    kinds += "|clustersecretstore|secret generic|delete secret"
    line = "\n".join(" ".join(words) for words in COMMANDS if words[0] == "kubectl")
    named = set(re.findall(rf"(?:{kinds})[/ ]([a-z][-a-z0-9]*)", line))
    named |= set(re.findall(r"-l app=([-a-z]+)", line))
    assert len(named) > 7
    assert {
        name for name in named if not re.search(rf"\b(name|fullnameOverride): {name}\b", manifests)
    } == set()


def test_the_containers_that_kubectl_is_given_are_in_the_pods() -> None:
    files = [*(ROOT / "k8s/base").glob("*.yaml"), ROOT / "k8s/work-pool/kubernetes.json"]
    pods = "".join(file.read_text(encoding="utf-8") for file in files)
    named = {name for words in COMMANDS for name in _given(words, "--container")}
    assert len(named) > 2
    assert {name for name in named if not re.search(rf'"?name"?: "?{name}\b', pods)} == set()


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_the_shell_is_set_up_for_the_environments_cluster_and_server(name: str) -> None:
    environment = load_environment(name)
    assert environment.cluster is not None
    assert environment.prefect_api_url is not None
    context = re.findall(r"use-context (\S+)", TEXT)[0]
    (port,) = re.findall(rf"ENV={name}`?[^\n]*?PORT=(\d+)", TEXT)
    assert context.replace("$ENV", name) == environment.cluster.context
    assert f"http://localhost:{port}/api" == environment.prefect_api_url


def test_every_setting_that_is_named_exists() -> None:
    files = [*(ROOT / "k8s").rglob("*.env"), *(ROOT / "k8s").rglob("*.yaml"), *(ROOT / "k8s").rglob("*.sh")]
    known = MAKEFILE + "".join(file.read_text(encoding="utf-8") for file in files)
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", TEXT)) - FOREIGN_NAMES
    ours = {name.upper() for name in Settings.model_fields}
    assert len(named) > 15
    assert {name for name in named - ours if not re.search(rf"\b{name}\b", known)} == set()


def test_every_file_that_is_named_exists() -> None:
    named = {span for span in SPANS if re.match(r"^(k8s|deploy|docs|environments|flows)/[-\w./]+$", span)}
    named |= {f"docs/{page}" for page in re.findall(r"\]\(([^#)]+\.md)\)", TEXT)}
    assert len(named) > 8
    assert {name for name in named if not (ROOT / name).exists()} == set()


def _anchors() -> set[str]:
    headings = re.findall(r"^#+ (.+)$", PROSE, re.MULTILINE)
    return {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_link_within_the_page_leads_somewhere() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= _anchors()


def test_every_alert_has_its_heading() -> None:
    (rule,) = _documents(ROOT / "k8s/components/monitoring/alerts.yaml")
    alerts = [alert for group in rule["spec"]["groups"] for alert in group["rules"]]
    assert {alert["annotations"]["runbook_url"].partition("#")[2] for alert in alerts} <= _anchors()
    assert {alert["alert"] for alert in alerts} <= set(re.findall(r"^### (\w+)$", TEXT, re.MULTILINE))


def _section(heading: str) -> str:
    return re.split(r"^##+ ", TEXT.partition(f"\n### {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("heading", [*OPERATIONS, *TROUBLES])
def test_every_operation_and_trouble_has_its_section(heading: str) -> None:
    section = _section(heading)
    assert "```sh\n" in section or "| mend |" in section
    assert f"](#{_anchor(heading)})" in TEXT


@cache
def _source() -> str:
    """What the code says, with the texts that are written in several pieces put together."""
    files = (
        file
        for folder in ("seedtest", "flows", "reports", "blocks")
        for file in (ROOT / folder).rglob("*.py")
    )
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    return re.sub(r'"\s+f?"', "", text)


@pytest.mark.parametrize(
    "heading",
    ["JWT refused", "Webhook refused", "API not ready", "ThetaTriggerFailing", "WeeklyReportFailed"],
)
def test_the_messages_that_are_explained_are_the_codes(heading: str) -> None:
    rows = re.findall(r"^\| (`.*?) \|", _section(heading), re.MULTILINE)
    quoted = {message for row in rows for message in re.findall(r"`([^`]+)`", row)}
    assert len(quoted) > 1
    # The executor's own.
    assert {message for message in quoted if message not in _source()} <= {
        "BrokenProcessPool",
        "OperationalError",
    }


def _automation_names() -> set[str]:
    found = automations(REGISTRY, tuple(POOLS), DoNothing())
    return {automation.name.removeprefix(PREFIX) for automation in found}


def test_every_automation_stands_in_the_table() -> None:
    def general(name: str) -> str:
        name = re.sub(r"\d+ s$", "<n> s", name)
        return re.sub(f"^({'|'.join(DEPLOYMENTS)}) ", "<deployment> ", name)

    section = TEXT.partition("\n## Automations\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)) == set(
        map(general, _automation_names())
    )


def _rotation() -> dict[str, tuple[set[str], set[str]]]:
    """What the table says: entry of Secret Manager → Kubernetes Secrets, Deployments to restart."""
    section = TEXT.partition("\n### Rotate a secret\n")[2].partition("\n### ")[0]
    found = {}
    for row in re.findall(r"^\| (`.+) \|$", section, re.MULTILINE):
        entries, secrets, pods = (re.findall(r"`([^`]+)`", cell) for cell in row.split(" | "))
        found.update({entry: (set(secrets), set(pods)) for entry in entries})
    return found


def test_rotating_a_secret_reaches_all_that_is_made_of_it_and_all_that_read_it() -> None:
    secrets, readers = defaultdict(set), defaultdict(set)
    for document in _documents(ROOT / "k8s/components/external-secrets/external-secrets.yaml"):
        for item in document["spec"]["data"]:
            secrets[item["remoteRef"]["key"]].add(document["metadata"]["name"])
    for file in (ROOT / "k8s/base").glob("*.yaml"):
        for document in _documents(file):
            if document["kind"] == "Deployment":
                for name in re.findall(r"'secretKeyRef': {'name': '([^']+)'", str(document)):
                    readers[name].add(document["metadata"]["name"])
    (values,) = _documents(ROOT / "k8s/prefect-server/values.yaml")
    readers[values["externalDatabase"]["existingSecret"]].add(values["fullnameOverride"])
    assert _rotation() == {
        entry: (names, set().union(*(readers[name] for name in names))) for entry, names in secrets.items()
    }


def test_every_secret_that_gcloud_is_given_is_made_by_the_bootstrap_script() -> None:
    script = (ROOT / "k8s/bootstrap-gcp.sh").read_text(encoding="utf-8")
    line = "\n".join(" ".join(words) for words in COMMANDS if words[:2] == ("gcloud", "secrets"))
    named = set(re.findall(r"(?:add|list|--secret=) ?([a-z][-a-z]+)", line))
    assert named
    assert named <= set(re.findall(r"^    ([-a-z]+)$", script, re.MULTILINE))


@pytest.mark.parametrize("sql", [text for language, text in BLOCKS if language == "sql"])
def test_the_sql_runs_on_the_migrated_database(sql: str, engine: Engine) -> None:
    with engine.connect() as connection:
        assert pl.read_database(sql, connection).width > 0


def test_the_shell_function_sql_prints_what_a_statement_gives(database_url: str) -> None:
    (function,) = re.findall(r"^sql\(\) \{\n(.*?)^\}", TEXT, re.MULTILINE | re.DOTALL)
    words = shlex.split(function.replace("\\\n", " "))
    inner = words[words.index("python") + 1 :]
    done = subprocess.run(
        [sys.executable, *inner],
        input="SELECT 6 * 7 AS answer;",
        env={**os.environ, "DATABASE_URL": database_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "answer" in done.stdout
    assert "42" in done.stdout
