"""All settings, read from the environment in one place."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from seedtest.errors import ConfigurationError

Model = Literal["Rasch", "1PL", "2PL", "3PL"]
Repeats = Literal["first", "latest", "all"]
LinkingName = Literal["mean-sigma", "mean-mean", "haebara", "stocking-lord", "fixed"]
EngineName = Literal["embedded", "http"]
QualityErrors = Literal["stop", "warn"]
ReportFormat = Literal["html", "pdf", "html,pdf"]
ReportRenderer = Literal["embedded", "quarto"]
Language = Literal["ko", "en"]


class Settings(BaseSettings):
    """What the environment decides; every field's name in upper case is its variable."""

    # An error that showed the value it refuses could show a password.
    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, hide_input_in_errors=True)

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL to work on; unset: the embedded stack's own"
    )
    prefect_api_url: str | None = Field(
        None, description="Prefect server to use; unset: the embedded stack's own"
    )
    prefect_api_auth_string: SecretStr | None = Field(
        None, description="What that server asks for, as user:password; unset: nothing"
    )
    seedtest_home: Path = Field(
        Path(".seedtest"), description="Folder of the embedded stack: data, logs, results"
    )
    seedtest_prefect_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of the embedded Prefect server; unset: 4200 or the next free",
    )
    lock_wait_secs: float = Field(
        60.0, ge=0, description="Seconds a stage waits for another run of it before it gives up"
    )
    lock_timeout_secs: float = Field(
        60.0,
        gt=0,
        le=2_147_483,
        description="Longest time in seconds that one SQL statement waits for a lock",
    )
    statement_timeout_secs: int = Field(
        3600, ge=1, le=2_147_483, description="Longest time in seconds that one SQL statement may take"
    )
    quality_errors: QualityErrors = Field(
        "stop",
        description="What an error of the data checks does: stop ends the run before it writes, warn goes on",
    )

    memory_limit_mb: int | None = Field(
        None, ge=1, description="Memory in MB that a run may take; unset: the container's limit"
    )
    batch_answers: int | None = Field(
        None, ge=1, description="Answers that features and KPIs hold at a time; unset: as memory allows"
    )
    batch_connections: int = Field(
        8,
        ge=1,
        le=32,
        description="Connections that unpack results at a time; at most half as many work on batches",
    )
    batch_shards: int = Field(
        1, ge=1, le=64, description="Runs that the learners of features and KPIs are dealt out to"
    )

    mirt_model: Model = Field(
        "2PL", description="Item response model of the calibration: Rasch, 1PL, 2PL or 3PL"
    )
    mirt_lookback_days: int = Field(60, ge=1, description="Days of answers a calibration uses")
    mirt_max_obs: int = Field(
        5_000_000, ge=1, description="Most answers a calibration uses; the newest are kept"
    )
    mirt_repeats: Repeats = Field(
        "first", description="Which answers of a learner to one item count for θ and the calibration"
    )
    mirt_min_responses: int = Field(5, ge=2, description="Answers an item needs to be calibrated")
    mirt_max_iterations: int = Field(
        2000,
        ge=1,
        description="Most EM steps of one fit by the embedded engine; one cut off there has not converged",
    )
    mirt_linking: LinkingName = Field(
        "mean-sigma",
        description="How a fit is put on the anchors' scale: mean-sigma, mean-mean, haebara, stocking-lord; "
        "fixed: by holding their parameters in the fit",
    )
    irt_update_question_meta: bool = Field(
        default=False, description="Write fitted parameters to question.meta.irt as well (never an anchor's)"
    )

    irt_engine: EngineName = Field(
        "embedded",
        description="Who fits: the embedded engine, or with `http` the IRT service at R_IRT_BASE_URL",
    )
    r_irt_base_url: str = Field(
        "http://r-irt-plumber.seedtest.svc.cluster.local:80", description="Address of the IRT service"
    )
    r_irt_internal_token: SecretStr | None = Field(
        None, description="Bearer token of the IRT service; unset: none is sent"
    )
    r_irt_timeout_secs: float = Field(
        60.0, gt=0, description="Seconds that one call of the IRT service may take, upload, fit and download"
    )
    irt_service_max_body_mb: int = Field(
        1024, ge=1, description="Largest body in MB that the IRT service takes, packed or unpacked"
    )
    irt_service_max_fits: int = Field(1, ge=1, description="Fits that the IRT service runs at a time")
    irt_service_max_calibrations: int = Field(
        4, ge=1, description="Calibrations in upload, waiting and in work, beyond which it answers 503"
    )
    irt_service_idle_secs: float = Field(
        30.0, gt=0, description="Seconds without a byte of a body after which the IRT service gives up on it"
    )
    mirt_max_retries: int = Field(3, ge=1, description="Calls of the IRT service before it counts as down")
    mirt_retry_delay_secs: float = Field(
        5.0,
        ge=0,
        description="Seconds between the first two calls of the IRT service; each wait doubles the last",
    )

    metrics_default_target: float = Field(0.0, description="Target θ of learners without a goal, for P")
    metrics_churn_horizon_days: int = Field(
        14, ge=1, description="Days without an attempt at which S's first term is full"
    )
    kpi_lookback_days: int = Field(
        56, ge=1, description="Learners with an attempt in these last days get KPIs"
    )
    agg_lookback_days: int = Field(
        7, ge=1, description="Days up to yesterday for which topic features are recomputed"
    )
    ability_retention_days: int = Field(400, ge=1, description="Days that the history of abilities is kept")
    pack_retention_days: int = Field(
        180, ge=70, description="Days that unpacked answers are kept; features and KPIs read the last 67"
    )
    request_retention_days: int = Field(
        90, ge=1, description="Days that settled requests of sessions for a θ are kept"
    )

    enable_irt_online_update: bool = Field(
        default=False, description="Whether the session hook asks for a new θ after a session"
    )
    theta_api_url: str = Field(
        "http://seedtest-api.seedtest.svc.cluster.local:80",
        description="Address of the θ API, as the session hook and the commands reach it",
    )
    theta_hook_timeout_secs: float = Field(
        2.0, gt=0, description="Seconds after which the session hook gives up"
    )
    theta_lookback_days: int = Field(30, ge=1, description="Days of answers behind a θ after a session")
    theta_max_attempts: int = Field(
        5, ge=1, description="Tries of a session's θ before its request is parked with the reason"
    )
    theta_batch_size: int = Field(
        500, ge=1, description="Requests that the θ flow works on in one transaction"
    )
    jwks_url: str | None = Field(None, description="Key set of the tokens' issuer, asked for by key id")
    jwt_public_key: str | None = Field(
        None, description="RSA public key (PEM) of the tokens, where there is no key set"
    )
    jwt_aud: str = Field("seedtest-api", description="Audience that a token must be for")
    jwt_iss: str | None = Field(
        None, description="Issuer that a token must come from; unset: all are refused"
    )
    jwt_leeway_secs: float = Field(
        30.0, ge=0, le=300, description="Seconds by which an issuer's clock may be off"
    )
    jwks_cache_secs: float = Field(300.0, gt=0, description="Seconds that a key set counts as fresh")
    webhook_secret: SecretStr | None = Field(
        None, description="Secret of the webhooks' signatures; two, split by a comma, while it is rotated"
    )
    webhook_tolerance_secs: float = Field(
        300.0, gt=0, description="Seconds that a webhook's signature is valid, before and after its timestamp"
    )
    api_max_body_kb: int = Field(64, ge=1, description="Largest body in kB that the θ API takes")
    api_timeout_secs: float = Field(10.0, gt=0, description="Seconds that the θ API works on one request")
    api_rate_limit: str = Field(
        "12000/minute", description="Requests of one caller that the θ API serves, webhooks apart"
    )
    api_webhook_rate_limit: str = Field(
        "60000/minute", description="Webhooks of one caller that the θ API accepts"
    )
    api_db_connections: int = Field(
        10, ge=1, description="Connections to PostgreSQL that one process of the θ API keeps"
    )

    s3_bucket: str = Field("seedtest-reports", description="Bucket of the reports")
    aws_region: str = Field("ap-northeast-2", description="Region of the bucket")
    s3_endpoint_url: str | None = Field(
        None, description="Address of the object store; unset: Amazon's, or the embedded stack's own"
    )
    report_format: ReportFormat = Field("html,pdf", description="Formats of a report: html, pdf or html,pdf")
    report_language: Language = Field(
        "ko", description="Language of the reports of learners who chose none: ko or en"
    )
    report_renderer: ReportRenderer = Field(
        "embedded",
        description="What renders reports: embedded (pandoc and typst), or quarto where it is installed",
    )
    report_link_base: str | None = Field(
        None, description="What links to reports start with; unset: the S3 console's address of the bucket"
    )
    report_chunk_size: int = Field(50, ge=1, description="Learners that one task of the report flow renders")
    report_learners_per_run: int = Field(
        20_000, ge=1, description="Learners whose reports one run makes; more are dealt out to several runs"
    )
    report_processes: int | None = Field(
        None, ge=1, description="Processes that render reports; unset: as many as there are processors"
    )

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql", "postgres:")):
            raise ValueError("DATABASE_URL must start with postgresql://")
        return value

    @field_validator("mirt_linking")
    @classmethod
    def _goes_with_the_model(cls, value: LinkingName, others: ValidationInfo) -> LinkingName:
        if value == "fixed" and others.data.get("mirt_model") == "1PL":
            raise ValueError(
                "fixed does not go with MIRT_MODEL=1PL, whose one discrimination is not the anchors'; "
                "choose the model Rasch, or another linking"
            )
        return value

    @cached_property
    def home(self) -> Path:
        """The embedded stack's folder as an absolute path."""
        return self.seedtest_home.expanduser().resolve()

    def require_database_url(self) -> str:
        """Return the database's address, or say how to name one."""
        if self.database_url is None:
            raise ConfigurationError(
                "No database: DATABASE_URL is not set. Set it, or start the embedded stack: `seedtest up`."
            )
        return self.database_url.get_secret_value()


def load_settings(**overrides: Any) -> Settings:  # noqa: ANN401 (any field's type)
    """Return the environment's settings with `overrides` in place of theirs; one that is None does not count.

    Raises
    ------
    ConfigurationError
        Names every variable that cannot be used and its fault, never its value.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        faults = "; ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(
            f"These settings cannot be used: {faults}. README.md lists what each may be."
        ) from None
