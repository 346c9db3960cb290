"""The calls of Prefect's REST API that the stack needs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self
from urllib.parse import quote

from pydantic import TypeAdapter

from seedtest.errors import StackError
from seedtest.prefect_client.http import PrefectHttp, detail
from seedtest.prefect_client.models import Deployment, FlowRun, LogLine, StateType, Worker, WorkPool
from seedtest.say import Say, silent

PATIENCE_SECS = 120.0


class PrefectApi:
    """One Prefect server. A server that is away for a while is waited for."""

    def __init__(self, url: str, *, patience_secs: float = PATIENCE_SECS, say: Say = silent) -> None:
        self._http = PrefectHttp(url, patience_secs=patience_secs, say=say)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def url(self) -> str:
        """Address of the API."""
        return self._http.url

    @property
    def ui_url(self) -> str:
        """Address of the server's user interface."""
        return self.url.removesuffix("/api")

    def run_url(self, run_id: str) -> str:
        """Address of a run's page in the user interface."""
        return f"{self.ui_url}/runs/flow-run/{run_id}"

    def is_healthy(self) -> bool:
        """Whether the server answers now; asked once."""
        return self._http.is_healthy()

    def version(self) -> str:
        """Return the server's version of Prefect."""
        return TypeAdapter(str).validate_json(self._http.request("GET", "admin/version").content)

    def deployments(self, names: Sequence[str] | None = None) -> list[Deployment]:
        """Return the deployments with these names; None: all."""
        wanted = {} if names is None else {"deployments": {"name": {"any_": list(names)}}}
        return self._http.pages("deployments/filter", TypeAdapter(list[Deployment]), wanted)

    def flow_names(self, flow_ids: Sequence[str]) -> dict[str, str]:
        """Return the names of flows by their ids."""
        answer = self._http.request(
            "POST", "flows/filter", {"flows": {"id": {"any_": sorted(set(flow_ids))}}}
        )
        return {str(flow["id"]): str(flow["name"]) for flow in _OBJECTS.validate_json(answer.content)}

    def create_flow_run(
        self, deployment: Deployment, parameters: Mapping[str, object], *, key: str
    ) -> FlowRun:
        """Ask for a run; the same key twice is one run. StackError when a parameter is refused."""
        body = {"parameters": dict(parameters), "idempotency_key": key, "state": {"type": "SCHEDULED"}}
        answer = self._http.request(
            "POST", f"deployments/{deployment.id}/create_flow_run", body, refused_by={400, 404, 409, 422}
        )
        if answer.is_error:
            raise StackError(
                f"Prefect refuses to run {deployment.name} with these parameters: {detail(answer)}. "
                f"It takes {_signature(deployment)}."
            )
        return FlowRun.model_validate_json(answer.content)

    def flow_run(self, run_id: str) -> FlowRun:
        """Return a run as it stands."""
        return FlowRun.model_validate_json(self._http.request("GET", f"flow_runs/{run_id}").content)

    def last_runs(self, n: int) -> list[FlowRun]:
        """Return the runs that started last, newest first."""
        body = {
            "sort": "START_TIME_DESC",
            "limit": n,
            "flow_runs": {"start_time": {"is_null_": False}},
        }
        return _RUNS.validate_json(self._http.request("POST", "flow_runs/filter", body).content)

    def runs(
        self,
        *,
        states: Sequence[StateType] | None = None,
        pool: str | None = None,
        parents: Sequence[str] | None = None,
        expected_before: datetime | None = None,
    ) -> list[FlowRun]:
        """Return runs that fit every filter given."""
        wanted: dict[str, object] = {}
        if states is not None:
            wanted["state"] = {"type": {"any_": list(states)}}
        if parents is not None:
            wanted["parent_flow_run_id"] = {"any_": list(parents)}
        if expected_before is not None:
            wanted["expected_start_time"] = {"before_": expected_before.isoformat()}
        body: dict[str, object] = {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_DESC"}
        if pool is not None:
            body["work_pools"] = {"name": {"any_": [pool]}}
        return self._http.pages("flow_runs/filter", _RUNS, body)

    def count_runs(
        self,
        *,
        states: Sequence[StateType] | None = None,
        state_names: Sequence[str] | None = None,
        deployment: Deployment | None = None,
        ended_after: datetime | None = None,
    ) -> int:
        """Return how many runs fit every filter given."""
        state: dict[str, object] = {}
        wanted: dict[str, object] = {}
        if states is not None:
            state["type"] = {"any_": list(states)}
        if state_names is not None:
            state["name"] = {"any_": list(state_names)}
        if state:
            wanted["state"] = state
        if deployment is not None:
            wanted["deployment_id"] = {"any_": [deployment.id]}
        if ended_after is not None:
            wanted["end_time"] = {"after_": ended_after.isoformat()}
        body = {"flow_runs": wanted}
        return TypeAdapter(int).validate_json(self._http.request("POST", "flow_runs/count", body).content)

    def last_ended(self, deployment: Deployment, states: Sequence[StateType]) -> FlowRun | None:
        """Return the deployment's run that ended last in one of the states."""
        body = {
            "sort": "END_TIME_DESC",
            "limit": 1,
            "flow_runs": {
                "deployment_id": {"any_": [deployment.id]},
                "state": {"type": {"any_": list(states)}},
                "end_time": {"is_null_": False},
            },
        }
        found = _RUNS.validate_json(self._http.request("POST", "flow_runs/filter", body).content)
        return found[0] if found else None

    def set_state(self, run_id: str, state: StateType, message: str, *, force: bool = False) -> None:
        """Ask for a state of a run; with `force` whatever Prefect's rules say."""
        body = {"state": {"type": state, "message": message}, "force": force}
        self._http.request("POST", f"flow_runs/{run_id}/set_state", body)

    def logs(self, run_ids: Sequence[str], *, after: datetime | None) -> list[LogLine]:
        """Return the lines of runs by time; `after` excludes what is not newer."""
        wanted: dict[str, object] = {"flow_run_id": {"any_": list(run_ids)}}
        if after is not None:
            wanted["timestamp"] = {"after_": after.isoformat()}
        return self._http.pages(
            "logs/filter", TypeAdapter(list[LogLine]), {"logs": wanted, "sort": "TIMESTAMP_ASC"}
        )

    def work_pool(self, name: str) -> WorkPool | None:
        """Return a work pool, or None where there is none of this name."""
        answer = self._http.request("GET", f"work_pools/{quote(name)}", refused_by={404})
        return None if answer.is_error else WorkPool.model_validate_json(answer.content)

    def create_work_pool(self, name: str, kind: str) -> None:
        """Create a work pool unless it exists; its first worker fills in the job template."""
        body = {"name": name, "type": kind, "base_job_template": {}}
        self._http.request("POST", "work_pools/", body, refused_by={409})

    def workers(self, pool: str) -> list[Worker]:
        """Return the workers that have ever polled a pool."""
        answer = self._http.request("POST", f"work_pools/{quote(pool)}/workers/filter", {}, refused_by={404})
        return [] if answer.is_error else TypeAdapter(list[Worker]).validate_json(answer.content)


_RUNS = TypeAdapter(list[FlowRun])
_OBJECTS = TypeAdapter(list[dict[str, object]])


def _signature(deployment: Deployment) -> str:
    """Name the parameters that a deployment takes."""
    schema = deployment.parameter_openapi_schema
    names = sorted(schema.properties) if schema else []
    return f"the parameters {', '.join(names)}" if names else "no parameters"
