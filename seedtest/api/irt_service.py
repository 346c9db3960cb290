"""The IRT service: calibrate and score over HTTP (domain §6)."""

import datetime as dt
import time
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import anyio
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, SecretStr

from seedtest.api import refusals
from seedtest.api.bodies import MB, BodyLimits, read_pieces
from seedtest.api.fits import FitRoom
from seedtest.api.irt_answers import CalibrationAnswer, Health, ScoreAnswer, calibration_pieces
from seedtest.api.irt_calibration import ServedFit, serve_fit
from seedtest.api.irt_requests import CalibrationBody, CalibrationOptions, ScoreBody, checked
from seedtest.api.json_events import ObjectReader
from seedtest.api.metrics import IrtMetrics
from seedtest.api.observations import Observations
from seedtest.api.observing import Observing
from seedtest.api.openapi import describe_bodies, request_body
from seedtest.api.refusals import ErrorAnswer
from seedtest.api.tokens import BearerToken
from seedtest.errors import CalibrationError, DataError, RequestError
from seedtest.irt import AbilityEstimate, score
from seedtest.irt.em import Progress
from seedtest.settings import Settings
from seedtest.version import PACKAGE_VERSION

Body = TypeVar("Body", bound=BaseModel)
SERVICE: Final = "seedtest-irt"
OBSERVATIONS: Final = "observations"
REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorAnswer, "description": why}
    for status, why in {
        400: "The body is malformed; the error names the field",
        401: "The token is missing or wrong",
        408: "The body stopped coming",
        413: "The body is too large",
        415: "The body's encoding is not understood",
        422: "No model can be fitted to the data, or no answer counts",
    }.items()
}
BUSY: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": ErrorAnswer, "description": "Too many calibrations at once"}
}
EXAMPLE_CALIBRATION: Final = {
    "model": "2PL",
    "observations": [{"user_id": "u1", "item_id": "Q1", "is_correct": True}],
    "anchors": [{"item_id": "Q1", "params": {"a": 1.1, "b": -0.4, "c": 0.0}, "fixed": False}],
}
EXAMPLE_SCORE: Final = {
    "item_params": {"Q1": {"a": 1.1, "b": -0.4, "c": 0.0}},
    "responses": [{"item_id": "Q1", "is_correct": True}],
}


@dataclass(frozen=True)
class IrtServiceConfig:
    """What decides how the service behaves."""

    token: SecretStr | None
    limits: BodyLimits
    max_fits: int
    max_calibrations: int

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return what the settings say."""
        return cls(
            token=settings.r_irt_internal_token,
            limits=BodyLimits(settings.irt_service_max_body_mb * MB, settings.irt_service_idle_secs),
            max_fits=settings.irt_service_max_fits,
            max_calibrations=settings.irt_service_max_calibrations,
        )


def create_app(config: IrtServiceConfig) -> FastAPI:
    """Return the service."""
    # FastAPI's documentation pages load their scripts from another host; /openapi.json stays.
    app = FastAPI(title="seedtest IRT service", version=PACKAGE_VERSION, docs_url=None, redoc_url=None)
    service = _Service(config)
    app.include_router(service.probes())
    app.include_router(service.irt(), dependencies=[Depends(BearerToken(config.token))])
    refusals.install(app)
    describe_bodies(app, (CalibrationBody, ScoreBody))
    app.add_middleware(Observing, metrics=service.metrics)
    return app


class _Service:
    """The endpoints and what they share."""

    def __init__(self, config: IrtServiceConfig) -> None:
        self.metrics = IrtMetrics()
        self._limits = config.limits
        self._room = FitRoom(config.max_calibrations, config.max_fits, self.metrics)

    def probes(self) -> APIRouter:
        router = APIRouter()
        for path in ("/healthz", "/health"):
            router.get(path, response_model=Health, operation_id=path[1:])(self.health)
        router.get("/metrics", response_class=Response)(self.metrics.exposition)
        return router

    def irt(self) -> APIRouter:
        router = APIRouter(prefix="/irt", default_response_class=JSONResponse)
        router.post(
            "/calibrate",
            responses={200: {"model": CalibrationAnswer}} | REFUSALS | BUSY,
            openapi_extra=request_body(CalibrationBody, EXAMPLE_CALIBRATION),
        )(self.calibrate)
        router.post(
            "/score",
            response_model=ScoreAnswer,
            responses=REFUSALS,
            openapi_extra=request_body(ScoreBody, EXAMPLE_SCORE),
        )(self.score)
        return router

    def health(self) -> Health:
        """Say that the service is up."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        return Health(status="ok", service=SERVICE, version=PACKAGE_VERSION, time=now)

    async def calibrate(self, request: Request) -> StreamingResponse:
        """Estimate items and abilities."""
        with self._room.admitted():
            observations = Observations()
            options = await self._read(request, CalibrationOptions, observations)
            self.metrics.observations.inc(len(observations))
            begun, fitted_at = time.monotonic(), dt.datetime.now(dt.UTC)
            served = await self._fit(request, observations, options)
            pieces = calibration_pieces(served, fitted_at, time.monotonic() - begun)
            return StreamingResponse(pieces, media_type="application/json")

    async def score(self, request: Request) -> ScoreAnswer:
        """Estimate one learner's ability with known items."""
        body = await self._read(request, ScoreBody)
        # In a thread, since the parameters may be those of a whole bank.
        found = await anyio.to_thread.run_sync(_scored, body)
        if found.n == 0:
            raise RequestError(
                "responses: none is to an item of item_params; nothing can be scored.", status=422
            )
        self.metrics.scores.inc()
        return ScoreAnswer(status="ok", theta=found.theta, standard_error=found.se, n_items=found.n)

    async def _read(
        self, request: Request, kind: type[Body], observations: Observations | None = None
    ) -> Body:
        """Read a body: its fields are returned as the kind asked for, the observations keep theirs."""
        if observations is None:
            reader = ObjectReader(kind.model_fields.keys())
        else:
            streamed = {OBSERVATIONS: observations.read}
            reader = ObjectReader(kind.model_fields.keys(), streamed, observations.__len__)
        with self.metrics.counting_refusals():
            async for piece in read_pieces(request, self._limits):
                reader.feed(piece)
            reader.close()
            if observations is not None and OBSERVATIONS not in reader.seen:
                raise RequestError(f"{OBSERVATIONS}: is missing.")
            return checked(kind, reader.values)

    async def _fit(
        self, request: Request, observations: Observations, options: CalibrationOptions
    ) -> ServedFit:
        def work(progress: Progress) -> ServedFit:
            return serve_fit(observations.responses(), options, progress)

        with self.metrics.timing_fit():
            try:
                return await self._room.run(request, work)
            except (CalibrationError, DataError) as error:
                raise RequestError(str(error), status=422) from None


def _scored(body: ScoreBody) -> AbilityEstimate:
    item_ids = [answer.item_id for answer in body.responses]
    verdicts = [answer.is_correct for answer in body.responses]
    return score(body.items, item_ids, verdicts, prior=body.ability)
