"""What the stack reads from Prefect's REST API; fields that it does not use are left out."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class StateType(StrEnum):
    """Prefect's types of run states."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CRASHED = "CRASHED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether a run in this state will do nothing more."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED})
# States of a run that a process works on, or is about to.
ACTIVE_STATES = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
UNFINISHED_STATES = (*ACTIVE_STATES, StateType.SCHEDULED, StateType.PAUSED)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class State(_Answer):
    """State of a flow run."""

    type: StateType
    name: str
    message: str | None = None
    timestamp: datetime | None = None


class ParameterSchema(_Answer):
    """JSON schema of a deployment's parameters."""

    properties: dict[str, dict[str, object]] = Field(default_factory=dict)
    required: list[str] = Field(default_factory=list)


class Deployment(_Answer):
    """A registered flow with its pool."""

    id: str
    name: str
    flow_id: str
    work_pool_name: str | None = None
    paused: bool = False
    parameter_openapi_schema: ParameterSchema | None = None


class FlowRun(_Answer):
    """One run of a flow."""

    id: str
    name: str
    flow_id: str
    deployment_id: str | None = None
    work_pool_name: str | None = None
    state: State | None = None
    auto_scheduled: bool = False
    start_time: datetime | None = None
    end_time: datetime | None = None
    expected_start_time: datetime | None = None
    total_run_time: float = 0.0

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self.state is not None and self.state.type.is_final


class LogLine(_Answer):
    """One line of a run's log."""

    id: str
    flow_run_id: str | None
    name: str
    level: int
    timestamp: datetime
    message: str


class Worker(_Answer):
    """A worker that has polled a pool."""

    name: str
    status: str
    last_heartbeat_time: datetime | None = None

    @property
    def online(self) -> bool:
        """Whether it has polled lately."""
        return self.status == "ONLINE"


class WorkPool(_Answer):
    """Where workers look for runs."""

    name: str
    type: str
    is_paused: bool = False
