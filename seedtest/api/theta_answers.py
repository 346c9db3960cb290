"""What the θ API answers."""

import datetime as dt
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from seedtest.db.learner_reads import StoredAbility, StoredWeek
from seedtest.errors import DataError
from seedtest.online import ThetaUpdate
from seedtest.theta_queue import SessionRequest

NOOP_MESSAGE: Final = "theta_update_failed: no attempts found or R IRT service unavailable"
"""The contract's, whatever the reason: clients compare it."""

UPDATED_EXAMPLE: Final = {
    "status": "ok",
    "user_id": "test-user-123",
    "theta": 0.42,
    "se": 0.31,
    "model": "2PL",
    "version": "v1",
    "updated_at": "2026-11-05T09:30:02.123456Z",
}
NOOP_EXAMPLE: Final = {"status": "noop", "user_id": "test-user-123", "message": NOOP_MESSAGE}


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Updated(_Answer):
    """A learner's new θ, with the model and the scale of the fit in force."""

    status: Literal["ok"] = "ok"
    user_id: str
    theta: float = Field(description="Ability, in logits")
    se: float | None = Field(description="Its standard error, in logits")
    model: str
    version: str = Field(description="Name of the scale")
    updated_at: dt.datetime


class NotUpdated(_Answer):
    """No new θ: no attempt that counts, or the engine is down."""

    status: Literal["noop"] = "noop"
    user_id: str
    message: str = NOOP_MESSAGE


class WebhookAnswer(_Answer):
    """A report that is kept, and where to ask what becomes of it."""

    status: Literal["pending", "done", "noop", "parked"]
    session_id: str
    status_url: str


class AbilityAnswer(_Answer):
    """A θ of a learner's history."""

    theta: float
    se: float | None
    model: str
    version: str
    source: Literal["calibration", "online"]
    as_of: dt.datetime = Field(description="When the newest answer that it used was given")
    fitted_at: dt.datetime

    @classmethod
    def of(cls, stored: StoredAbility) -> Self:
        """Return a stored ability as it is told."""
        return cls.model_validate(stored, from_attributes=True)


class SessionStatus(_Answer):
    """What became of a session's report."""

    session_id: str
    user_id: str
    status: Literal["pending", "done", "noop", "parked"]
    attempts: int = Field(description="Tries so far")
    reason: str | None = Field(description="Why there is no θ (yet)")
    requested_at: dt.datetime
    updated_at: dt.datetime
    ability_as_of: dt.datetime | None = Field(
        description="When done: the time of the newest answer that θ used"
    )
    ability: AbilityAnswer | None = Field(description="When done: the θ, unless retention has taken it")

    @classmethod
    def of(cls, request: SessionRequest, ability: StoredAbility | None) -> Self:
        """Return a request and its θ as they are told."""
        told = {name: getattr(request, name) for name in cls.model_fields if name != "ability"}
        return cls(**told, ability=None if ability is None else AbilityAnswer.of(ability))


class ThetaHistory(_Answer):
    """A learner's θ over time, the oldest first."""

    user_id: str
    abilities: list[AbilityAnswer]


class WeekAnswer(_Answer):
    """A week's KPIs: I_t, E_t, R_t, A_t, P and S, null without data, and what other jobs added."""

    week_start: dt.date
    kpis: dict[str, Any]
    updated_at: dt.datetime

    @classmethod
    def of(cls, stored: StoredWeek) -> Self:
        """Return a stored week as it is told."""
        return cls.model_validate(stored, from_attributes=True)


class WeeklyMetrics(_Answer):
    """A learner's weeks, the oldest first."""

    user_id: str
    weeks: list[WeekAnswer]


class Health(_Answer):
    """That the service is up."""

    status: Literal["ok"] = "ok"
    service: str
    version: str
    time: dt.datetime


def updated(update: ThetaUpdate) -> Updated | NotUpdated:
    """Return an update as it is told."""
    if update.status == "noop":
        return NotUpdated(user_id=update.user_id)
    if update.theta is None or update.model is None or update.version is None or update.updated_at is None:
        raise DataError("An update that is ok has no θ, model, version or time.")
    return Updated(
        user_id=update.user_id,
        theta=update.theta,
        se=update.se,
        model=update.model,
        version=update.version,
        updated_at=update.updated_at,
    )
