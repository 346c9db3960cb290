"""A small service that lets callers in as the θ API does, on a real port."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import httpx
import uvicorn
from fastapi import Depends, FastAPI

from seedtest.api import refusals
from seedtest.api.auth.caller import Caller, Scope
from seedtest.api.auth.key_sources import KeyServer
from seedtest.api.auth.metrics import AuthMetrics
from seedtest.api.auth.tokens import JwtConfig, JwtVerifier, require_scopes
from seedtest.api.auth.webhooks import ReceivedWebhook, SignatureConfig, WebhookVerifier
from seedtest.api.bodies import BodyLimits
from seedtest.api.metrics import HttpMetrics
from seedtest.api.observing import Observing
from tests.api.auth.issuing import AUDIENCE, ISSUER

LEEWAY_SECS = 30.0
TOLERANCE_SECS = 300.0
MAX_BODY_BYTES = 10_000
SECRETS = ("the-new-secret-of-webhooks", "the-old-secret-of-webhooks")
START_SECS = 30


def jwt_config(key_server: KeyServer | None) -> JwtConfig:
    return JwtConfig(ISSUER, AUDIENCE, LEEWAY_SECS, key_server, public_key=None)


def create_app(config: JwtConfig, secrets: tuple[str, ...] = SECRETS) -> FastAPI:
    app, metrics = FastAPI(), HttpMetrics()
    verifier = JwtVerifier(config, AuthMetrics(metrics.registry))
    signatures = SignatureConfig(secrets, TOLERANCE_SECS)
    webhooks = WebhookVerifier(signatures, verifier, BodyLimits(MAX_BODY_BYTES, idle_secs=5))
    may_update = require_scopes(verifier, Scope.ANALYSIS_RUN, Scope.EXAM_WRITE)
    refusals.install(app)
    app.add_middleware(Observing, metrics=metrics)
    app.get("/metrics")(metrics.exposition)

    @app.get("/healthz")
    async def healthz() -> None: ...

    @app.get("/readyz")
    async def readyz() -> str | None:
        return await verifier.fault()

    @app.post("/update")
    async def update(caller: Annotated[Caller, Depends(may_update)]) -> str | None:
        return caller.subject

    @app.get("/learners/{user_id}")
    async def learner(user_id: str, caller: Annotated[Caller, Depends(verifier)]) -> str:
        caller.require_reader(user_id)
        return user_id

    @app.post("/webhook")
    async def webhook(received: Annotated[ReceivedWebhook, Depends(webhooks)]) -> list[str | None]:
        return [received.caller.subject, received.body.decode("latin-1")]

    return app


@contextmanager
def running(app: FastAPI) -> Iterator[httpx.Client]:
    """Serve an application until the context ends; give a client of it."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="off"))
    # asyncio sends answers without delay only where the protocol is named.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            end = time.monotonic() + START_SECS
            while not server.started:
                assert thread.is_alive()
                assert time.monotonic() < end
                time.sleep(0.01)
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
