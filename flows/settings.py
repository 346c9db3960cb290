"""The settings of a run: its environment first, then the blocks of the Prefect server."""

from typing import Any

from flows.stage import run_logger
from seedtest.errors import ConfigurationError
from seedtest.settings import Settings, load_settings

IRT_IDENTITY = ("r_irt_base_url", "r_irt_internal_token")
IRT_TIMES = ("r_irt_timeout_secs", "mirt_max_retries", "mirt_retry_delay_secs")


def run_settings(**overrides: Any) -> Settings:  # noqa: ANN401 (any field's type)
    """Return the settings of this run: `overrides`, else the environment, else blocks, else defaults.

    Secrets are read when the run needs them, so that none is in a parameter, a job variable or a block.

    Raises
    ------
    ConfigurationError
        A setting cannot be used, or a block's secret cannot be read.
    """
    settings = load_settings(**overrides)
    missing = _missing(settings)
    if not missing:
        return settings
    # Here and not above: the clients of Google and Amazon cost seconds, and most runs need neither.
    from blocks.run_time import values_for  # noqa: PLC0415

    values = values_for(missing)
    if values:
        run_logger().info("Read from blocks: %s", ", ".join(name.upper() for name in sorted(values)))
    if "database_url" in missing.difference(values):
        raise ConfigurationError(
            "No database: DATABASE_URL is not in this run's environment, and the Prefect server has no block "
            "gcpsecret/seedtest-database-url or aws-secret/seedtest-database-url. Give the pod the variable "
            "from the Secret seedtest-db-credentials, or register the block: "
            "python -m blocks register --env ENV."
        )
    return load_settings(**overrides | values)


def _missing(settings: Settings) -> frozenset[str]:
    """Return the settings that the environment leaves to blocks.

    The IRT service counts where the run uses it, and its times only along with its address or token: a
    run that has both asks no block.
    """
    given = settings.model_fields_set
    wanted = ["database_url"]
    if settings.irt_engine == "http" and not given.issuperset(IRT_IDENTITY):
        wanted += [*IRT_IDENTITY, *IRT_TIMES]
    return frozenset(name for name in wanted if name not in given)
