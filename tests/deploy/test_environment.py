"""The environments' files: typed, complete, and refused in one sentence when they are not."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from deploy.environment import FOLDER, Environment, load_environment
from deploy.registry import read_registry
from seedtest.errors import ConfigurationError

STAGING: dict[str, Any] = YAML(typ="safe", pure=True).load(FOLDER / "staging.yaml")


def write(folder: Path, **changed: Any) -> None:
    contents = {key: value for key, value in {**STAGING, **changed}.items() if value is not None}
    YAML(typ="safe", pure=True).dump(contents, folder / "trial.yaml")


@pytest.mark.parametrize("name", ["local", "staging", "prod"])
def test_every_environment_can_be_used(name: str) -> None:
    assert load_environment(name).name == name


def sections(model: type[BaseModel]) -> set[type[BaseModel]]:
    inner = {part for field in model.model_fields.values() for part in _models(field.annotation)}
    return {model}.union(*(sections(part) for part in inner))


def _models(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return set().union(*(_models(part) for part in getattr(annotation, "__args__", ())), set())


def test_every_field_is_described() -> None:
    assert len(sections(Environment)) == 5
    for section in sections(Environment):
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name} has no description"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pool": "x"}, "pool: Extra inputs are not permitted"),
        ({"batch_pool": "elsewhere"}, "batch_pool elsewhere is none of work_pools"),
        ({"flows_folder": None}, "images and flows_folder go together"),
        ({"images": None, "flows_folder": None}, "cluster needs images"),
        ({"prefect_api_url": "http://user:password@server/api"}, "prefect_api_url: String should match"),
        (
            {"notification_block": "https://hooks.example/T0/secret"},
            "notification_block: String should match",
        ),
        ({"cluster": {"overlay": "prod"}}, "cluster.context: Field required"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_its_key(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    write(tmp_path, **changed)
    with pytest.raises(ConfigurationError) as refused:
        load_environment("trial", tmp_path)
    assert message in str(refused.value)
    assert "password" not in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_environment_is_refused_by_naming_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="There are: local, prod, staging"):
        load_environment("production")


def test_a_variable_that_nobody_fills_in_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text("name: x\nprefect-version: '{{ $SEEDTEST_NEW }}'\n")
    with pytest.raises(ConfigurationError, match=r"\$SEEDTEST_NEW, which no environment fills in"):
        read_registry(file, {"SEEDTEST_IMAGE": "none"})


def test_a_key_that_prefect_would_ignore_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text("name: x\nprefect-version: '3'\npull: []\ndefinitions: {}\ndeployment: []\n")
    with pytest.raises(ConfigurationError, match=r"deployments: Field required; deployment: Extra inputs"):
        read_registry(file, {})
