"""What the endpoints of the θ API share."""

import math
from dataclasses import dataclass
from typing import Any, Final, Self

from pydantic import SecretStr
from sqlalchemy.engine import Engine

from seedtest.api.auth.caller import Caller
from seedtest.api.auth.metrics import AuthMetrics
from seedtest.api.auth.tokens import JwtConfig, JwtVerifier
from seedtest.api.auth.webhooks import SignatureConfig, WebhookVerifier
from seedtest.api.bodies import KB, BodyLimits
from seedtest.api.database import Database
from seedtest.api.flow_metrics import FlowMetrics
from seedtest.api.inbox import Inbox
from seedtest.api.limits import Limits
from seedtest.api.readiness import Readiness
from seedtest.api.refusals import ErrorAnswer
from seedtest.api.report_links import ReportLinks, ReportStore
from seedtest.api.theta_metrics import ThetaMetrics
from seedtest.db.engine import create_engine
from seedtest.prefect_client.api import PrefectApi
from seedtest.settings import Settings
from seedtest.theta_trigger import ThetaTrigger

PREFIX: Final = "/api/seedtest"
# Beside the threads that serve requests, the inbox and the trigger hold a connection each.
OTHER_CONNECTIONS: Final = 2

RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}
}
CHALLENGE: Final = {
    "WWW-Authenticate": {"description": "What is missing (RFC 6750)", "schema": {"type": "string"}}
}
REFUSALS: Final[dict[int, tuple[str, dict[str, Any]]]] = {
    400: ("What was sent is wrong; the error names the field", {}),
    401: ("Missing Authorization, or a token or signature that does not hold", CHALLENGE),
    403: ("insufficient_scope: the token does not allow this", CHALLENGE),
    404: ("There is none", {}),
    408: ("The body did not come in time", {}),
    409: ("The session was reported before, for another learner", {}),
    413: ("The body is larger than API_MAX_BODY_KB", {}),
    415: ("The body's encoding is not understood", {}),
    429: ("The caller asks more often than the limit allows", RETRY_AFTER),
    500: ("The service failed; the error names the request's id in its log", {}),
    503: ("The database, or the tokens' key server, does not answer", RETRY_AFTER),
    504: ("The work took longer than API_TIMEOUT_SECS; what was begun may still be done", RETRY_AFTER),
}
ALWAYS: Final = (400, 401, 403, 429, 500, 503, 504)
WITH_A_BODY: Final = (408, 413, 415)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of the refusals that every route has, and of those given."""
    return {
        status: {"model": ErrorAnswer, "description": REFUSALS[status][0], "headers": REFUSALS[status][1]}
        for status in sorted({*ALWAYS, *statuses})
    }


@dataclass(frozen=True)
class ThetaServiceConfig:
    """What decides how the service behaves.

    `settings` are those of scoring and of the limits; addresses stand beside, since the embedded stack has
    its own.
    """

    settings: Settings
    database_url: SecretStr
    prefect_api_url: str
    jwt: JwtConfig
    signatures: SignatureConfig
    reports: ReportStore

    @classmethod
    def from_settings(cls, settings: Settings, *, database_url: str, prefect_api_url: str) -> Self:
        """Return what the settings say.

        Raises
        ------
        ConfigurationError
            Names the setting that cannot be used.
        """
        return cls(
            settings=settings,
            database_url=SecretStr(database_url),
            prefect_api_url=prefect_api_url,
            jwt=JwtConfig.from_settings(settings),
            signatures=SignatureConfig.from_settings(settings),
            reports=ReportStore.from_settings(settings),
        )

    @property
    def accepts_tokens(self) -> bool:
        """Whether there is an issuer, and a source of its keys."""
        has_keys = self.jwt.key_server is not None or self.jwt.public_key is not None
        return self.jwt.issuer is not None and has_keys

    @property
    def scoring(self) -> Settings:
        """The settings of an update: an IRT service is asked once, and answers while the caller waits."""
        patience_secs = min(self.settings.r_irt_timeout_secs, 0.8 * self.settings.api_timeout_secs)
        return self.settings.model_copy(update={"mirt_max_retries": 1, "r_irt_timeout_secs": patience_secs})


@dataclass(frozen=True)
class Parts:
    """The parts of a running service."""

    config: ThetaServiceConfig
    metrics: ThetaMetrics
    tokens: JwtVerifier
    webhooks: WebhookVerifier
    body_limits: BodyLimits
    limits: Limits
    engine: Engine
    requests: Database
    for_inbox: Database
    trigger: ThetaTrigger
    flows: FlowMetrics
    inbox: Inbox
    links: ReportLinks
    readiness: Readiness

    @classmethod
    def of(cls, config: ThetaServiceConfig) -> Self:
        """Make the parts; nothing connects or starts yet."""
        settings, metrics = config.settings, ThetaMetrics()
        tokens = JwtVerifier(config.jwt, AuthMetrics(metrics.registry))
        body_limits = BodyLimits(settings.api_max_body_kb * KB, settings.api_timeout_secs)
        engine = _engine(config)
        trigger = ThetaTrigger(engine, config.prefect_api_url, told=metrics.triggered)
        flows = FlowMetrics(lambda: PrefectApi(config.prefect_api_url, patience_secs=0))
        metrics.registry.register(flows)
        n_threads = max(1, settings.api_db_connections - OTHER_CONNECTIONS)
        for_inbox = Database(engine, 1, name="inbox")
        return cls(
            config=config,
            metrics=metrics,
            tokens=tokens,
            webhooks=WebhookVerifier(config.signatures, tokens, body_limits),
            body_limits=body_limits,
            limits=Limits.from_settings(settings),
            engine=engine,
            requests=Database(engine, n_threads, name="requests"),
            for_inbox=for_inbox,
            trigger=trigger,
            flows=flows,
            inbox=Inbox(for_inbox, trigger.wake),
            links=ReportLinks(config.reports),
            readiness=Readiness(engine, config.prefect_api_url, tokens, accepts_tokens=config.accepts_tokens),
        )

    async def admit_reader(self, caller: Caller, user_id: str) -> None:
        """Raise unless the caller may read a learner's data now."""
        await self.limits.requests.admit(caller)
        caller.require_reader(user_id)

    def start(self) -> None:
        """Start what runs in threads of its own."""
        self.trigger.start()
        self.flows.start()

    def close(self) -> None:
        """End what runs in threads; what was begun is finished."""
        self.trigger.stop()
        self.flows.stop()
        self.requests.close()
        self.for_inbox.close()
        self.readiness.close()
        self.engine.dispose()


def _engine(config: ThetaServiceConfig) -> Engine:
    """Return an engine none of whose statements outlasts a request."""
    return create_engine(
        config.database_url.get_secret_value(),
        application_name="seedtest api",
        statement_timeout_secs=math.ceil(config.settings.api_timeout_secs),
        pool_size=config.settings.api_db_connections,
    )
