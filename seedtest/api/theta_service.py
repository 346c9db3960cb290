"""The θ API: θ after a session, webhooks, and reads of a learner's data (domain §7)."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from seedtest.api import learner_reads, refusals, session_webhooks, theta_probes, theta_updates
from seedtest.api.guarding import Guarding
from seedtest.api.observing import Observing
from seedtest.api.openapi import describe_bodies
from seedtest.api.theta_parts import PREFIX, Parts, ThetaServiceConfig
from seedtest.api.theta_requests import SessionCompletedBody, UpdateThetaBody
from seedtest.errors import RequestError
from seedtest.theta_queue import queue_state
from seedtest.version import PACKAGE_VERSION

logger = logging.getLogger(__name__)

QUEUE_LOOK_SECS: Final = 5.0


def create_app(config: ThetaServiceConfig) -> FastAPI:
    """Return the service."""
    parts = Parts.of(config)

    @asynccontextmanager
    async def working(_app: FastAPI) -> AsyncIterator[None]:
        parts.start()
        tasks = [asyncio.create_task(parts.inbox.work()), asyncio.create_task(_watch_queue(parts))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(parts.close)

    # FastAPI's documentation pages load their scripts from another host; /openapi.json stays.
    app = FastAPI(
        title="seedtest θ API", version=PACKAGE_VERSION, docs_url=None, redoc_url=None, lifespan=working
    )
    app.include_router(theta_probes.router(parts))
    for module in (theta_updates, session_webhooks, learner_reads):
        app.include_router(module.router(parts), prefix=PREFIX)
    refusals.install(app)
    describe_bodies(app, (UpdateThetaBody, SessionCompletedBody))
    app.add_middleware(Guarding, timeout_secs=config.settings.api_timeout_secs)
    app.add_middleware(Observing, metrics=parts.metrics)
    return app


async def _watch_queue(parts: Parts) -> None:
    """Look at the queue every few seconds, however often the metrics are asked for."""
    while True:
        try:
            parts.metrics.queue_is(await parts.requests.run(queue_state))
        except (RequestError, SQLAlchemyError) as error:
            logger.warning("Nobody knows what waits: %s", type(error).__name__)
            parts.metrics.queue_unknown()
        await asyncio.sleep(QUEUE_LOOK_SECS)
