"""Settings: the environment's names, the defaults of the contract, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from seedtest.errors import ConfigurationError
from seedtest.settings import Settings, load_settings

DEFAULTS = {
    "MIRT_MODEL": "2PL",
    "MIRT_LOOKBACK_DAYS": 60,
    "MIRT_REPEATS": "first",
    "MIRT_LINKING": "mean-sigma",
    "IRT_UPDATE_QUESTION_META": False,
    "IRT_ENGINE": "embedded",
    "R_IRT_BASE_URL": "http://r-irt-plumber.seedtest.svc.cluster.local:80",
    "R_IRT_INTERNAL_TOKEN": None,
    "R_IRT_TIMEOUT_SECS": 60.0,
    "MIRT_MAX_RETRIES": 3,
    "MIRT_RETRY_DELAY_SECS": 5.0,
    "METRICS_DEFAULT_TARGET": 0.0,
    "METRICS_CHURN_HORIZON_DAYS": 14,
    "KPI_LOOKBACK_DAYS": 56,
    "AGG_LOOKBACK_DAYS": 7,
    "ABILITY_RETENTION_DAYS": 400,
    "DATABASE_URL": None,
    "PREFECT_API_URL": None,
    "SEEDTEST_HOME": Path(".seedtest"),
}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def value(name: str) -> Any:
    return getattr(Settings(), name.lower())


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_are_the_contracts(name: str) -> None:
    assert value(name) == DEFAULTS[name]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("MIRT_LOOKBACK_DAYS", "30", 30),
        ("MIRT_MAX_OBS", "1000", 1000),
        ("MIRT_REPEATS", "latest", "latest"),
        ("IRT_UPDATE_QUESTION_META", "true", True),
        ("MIRT_MODEL", "Rasch", "Rasch"),
        ("MIRT_MODEL", "3PL", "3PL"),
        ("MIRT_LINKING", "fixed", "fixed"),
        ("IRT_ENGINE", "http", "http"),
        ("R_IRT_TIMEOUT_SECS", "2.5", 2.5),
        ("METRICS_DEFAULT_TARGET", "-0.5", -0.5),
        ("LOCK_WAIT_SECS", "0", 0.0),
        # Set to nothing, as in a template left blank: not set.
        ("MIRT_LOOKBACK_DAYS", "", 60),
        ("DATABASE_URL", "", None),
    ],
)
def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: object
) -> None:
    monkeypatch.setenv(name, text)
    assert value(name) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MIRT_MODEL", "4PL"),
        ("MIRT_LOOKBACK_DAYS", "0"),
        ("MIRT_MAX_OBS", "many"),
        ("MIRT_REPEATS", "second"),
        ("MIRT_MIN_RESPONSES", "1"),
        ("MIRT_LINKING", "by-eye"),
        ("IRT_ENGINE", "r"),
        ("R_IRT_TIMEOUT_SECS", "0"),
        ("MIRT_MAX_RETRIES", "0"),
        ("MIRT_RETRY_DELAY_SECS", "-1"),
        ("KPI_LOOKBACK_DAYS", "-1"),
        ("STATEMENT_TIMEOUT_SECS", "2147484"),
        ("SEEDTEST_PREFECT_PORT", "70000"),
        ("DATABASE_URL", "mysql://ann:hush@db/x"),
    ],
)
def test_a_senseless_value_is_refused_by_name_and_no_password_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ValidationError, match=name.lower()) as raised:
        Settings()
    assert "hush" not in str(raised.value)


def test_every_setting_is_described_for_the_operator() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_do_not_change_and_do_not_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:hush@db/x")
    monkeypatch.setenv("R_IRT_INTERNAL_TOKEN", "hush-hush")
    settings = Settings()
    assert "hush" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    assert settings.require_database_url() == "postgresql://ann:hush@db/x"
    with pytest.raises(ValidationError, match="frozen"):
        settings.mirt_lookback_days = 3  # type: ignore[misc]  # the mistake under test


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_name_of_postgresql_is_taken(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://db/x")
    assert Settings().require_database_url() == f"{scheme}://db/x"


def test_without_a_database_the_message_says_how_to_get_one() -> None:
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL is not set.*seedtest up"):
        Settings().require_database_url()


def test_home_is_absolute_and_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings().home == tmp_path.resolve() / ".seedtest"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEEDTEST_HOME", "~/stack")
    assert Settings().home == tmp_path.resolve() / "stack"


def test_a_run_s_own_parameters_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRT_LOOKBACK_DAYS", "30")
    monkeypatch.setenv("MIRT_REPEATS", "latest")
    settings = load_settings(mirt_lookback_days=90, mirt_repeats=None)
    assert (settings.mirt_lookback_days, settings.mirt_repeats) == (90, "latest")


def test_every_variable_that_cannot_be_used_is_named_but_not_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MIRT_LOOKBACK_DAYS", "soon")
    monkeypatch.setenv("DATABASE_URL", "mysql://ann:hush@db/x")
    with pytest.raises(ConfigurationError) as raised:
        load_settings(mirt_min_responses=1)
    for name in ("MIRT_LOOKBACK_DAYS: ", "DATABASE_URL: ", "MIRT_MIN_RESPONSES: "):
        assert name in str(raised.value)
    assert "hush" not in str(raised.value)


def test_an_override_of_no_setting_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="MIRT_LOOKBACK: "):
        load_settings(mirt_lookback=30)


def test_a_1pl_cannot_hold_anchors_and_the_message_says_what_can() -> None:
    with pytest.raises(ConfigurationError, match=r"MIRT_LINKING: .*fixed does not go with MIRT_MODEL=1PL"):
        load_settings(mirt_model="1PL", mirt_linking="fixed")
    assert load_settings(mirt_model="Rasch", mirt_linking="fixed").mirt_linking == "fixed"
