"""Starting the embedded stack: PostgreSQL, Prefect's server and workers, the θ API and the object store."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from seedtest.db import migrate
from seedtest.db.engine import create_engine, reachable
from seedtest.errors import StackError
from seedtest.local.addresses import external_addresses
from seedtest.local.attachment import attach, interruptible
from seedtest.local.choosing import chosen_servers, wanted_servers
from seedtest.local.deployments import Registrar, declared_deployments
from seedtest.local.folder import StackFolder, make_empty_folder
from seedtest.local.lock import stack_lock
from seedtest.local.plan import Plan, make_plan
from seedtest.local.pools import POOL_TYPE, WORKERS
from seedtest.local.ports import PREFECT, require_free
from seedtest.local.repair import close_dead_runs, skip_overdue_runs
from seedtest.local.servers import Servers
from seedtest.local.state import StackState, load_state, save_state
from seedtest.local.stopping import GRACE_SECS, shut_down
from seedtest.local.supervision.control import Supervisor
from seedtest.local.supervision.orphans import stop_orphans
from seedtest.local.supervision.programs import API, OBJECT_STORE, POSTGRES, REPORTS, SERVER
from seedtest.local.supervision.waiting import (
    PortTakenError,
    wait_for_listener,
    wait_for_postgres,
    wait_for_server,
    wait_for_worker,
)
from seedtest.prefect_client.api import PrefectApi
from seedtest.say import Say
from seedtest.settings import Settings

logger = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parents[2]
# Two stacks that start at once may choose the same free port; the loser chooses again.
_PORT_ATTEMPTS = 5
_EXTERNAL_PATIENCE_SECS = 2.0


def up(settings: Settings, *, say: Say = logger.info, project: Path = PROJECT) -> StackState:
    """Start the stack, or what is missing of it, and return once every part is healthy."""
    folder = StackFolder(settings.home)
    folder.create()
    with stack_lock(folder, say):
        return _Start(settings, folder, project, say).run()


def attached(settings: Settings, *, say: Say = logger.info, project: Path = PROJECT) -> None:
    """Start the stack and stay with it until Ctrl-C or SIGTERM, then stop it."""
    with interruptible():
        state = up(settings, say=say, project=project)
    for line in where_to_look(state):
        say(line)
    attach(settings, say=say)


def where_to_look(state: StackState) -> list[str]:
    """Return what a person does with a stack that has just started, a line each."""
    servers = state.servers
    lines = [
        f"Prefect's UI: {servers.prefect.api_url.removesuffix('/api')}",
        f"θ API: {servers.theta_api_url}",
    ]
    if servers.store is not None:
        lines.append(f"Object store: {servers.store.url}, its reports: {servers.store.links_url}")
    return [*lines, f"To use the prefect command: export PREFECT_API_URL={servers.prefect.api_url}"]


class _Start:
    """One start of one stack, under its lock."""

    def __init__(self, settings: Settings, folder: StackFolder, project: Path, say: Say) -> None:
        self._settings = settings
        self._folder = folder
        self._project = project
        self._say = say
        self._supervisor = Supervisor(folder)
        self._state = self._remembered()
        self._external = external_addresses(settings, self._state)

    def run(self) -> StackState:
        """Launch unless it runs already, and see every part healthy."""
        declared_deployments(self._project)
        self._require_external_server()
        if not self._supervisor.answers():
            stop_orphans(self._folder, self._say)
            return self._launch()
        plan = self._running_plan()
        if plan is not None and self._state is not None and plan.fingerprint == self._state.configuration:
            self._say(f"The stack in {self._folder.home} runs already: looking at each part")
            self._bring_up(plan)
            return self._register(plan, self._state)
        self._say(f"The stack in {self._folder.home} runs with other settings: restarting it")
        shut_down(self._folder, grace_secs=GRACE_SECS, say=self._say)
        return self._launch()

    def _remembered(self) -> StackState | None:
        """Return the state of the last start; a spoilt file is replaced, as it holds no data."""
        try:
            return load_state(self._folder)
        except StackError as error:
            self._say(str(error))
            return None

    def _require_external_server(self) -> None:
        url = self._external.prefect_api_url
        if url is not None:
            with PrefectApi(url, patience_secs=_EXTERNAL_PATIENCE_SECS, say=self._say) as api:
                api.version()

    def _plan(self, servers: Servers) -> Plan:
        return make_plan(self._settings, self._external, servers, project=self._project, say=self._say)

    def _running_plan(self) -> Plan | None:
        """Return what should be running; None where it needs ports, or those of what does run are unknown."""
        if self._state is None:
            return None
        wanted = wanted_servers(self._settings, self._external, self._state.servers)
        return self._plan(wanted) if wanted else None

    def _launch(self) -> StackState:
        """Start everything anew; unless all becomes healthy, leave nothing running."""
        self._say(f"Starting the stack in {self._folder.home}")
        last = self._state.servers if self._state else None
        for _ in range(_PORT_ATTEMPTS):
            try:
                with chosen_servers(self._settings, self._external, last) as servers:
                    return self._launch_once(self._plan(servers))
            except PortTakenError as error:
                fixed = self._settings.seedtest_prefect_port
                if fixed is not None:
                    require_free(PREFECT, fixed)
                self._say(f"{error} Taking the next free one")
        raise StackError(
            "The ports chosen for the stack's servers did not stay free. Stop what takes them, and run "
            "`seedtest up` again."
        )

    def _launch_once(self, plan: Plan) -> StackState:
        make_empty_folder(plan.temporary)
        try:
            self._supervisor.launch(plan.configuration, plan.environment)
            state = self._save(plan)
            self._bring_up(plan, is_new=True)
        except BaseException:
            self._shut_down()
            raise
        return self._register(plan, state, is_new=True)

    def _bring_up(self, plan: Plan, *, is_new: bool = False) -> None:
        """Start what does not run, in the order of dependence, the slow server first."""
        if plan.servers.prefect.is_own:
            self._supervisor.start(SERVER)
        if plan.servers.store is not None:
            self._supervisor.start(OBJECT_STORE)
            self._supervisor.start(REPORTS)
        if plan.postgres is not None:
            self._supervisor.start(POSTGRES)
            wait_for_postgres(self._folder, plan.postgres)
            plan.postgres.ensure_database()
        self._migrate(plan)
        self._supervisor.start(API)
        with self._api(plan) as api:
            if plan.servers.prefect.port is not None:
                wait_for_server(self._folder, api, plan.servers.prefect.port)
                if is_new:
                    self._set_right(api)
            for program, pool in WORKERS.items():
                api.create_work_pool(pool, POOL_TYPE)
                self._supervisor.start(program)
        self._wait_for_listeners(plan)

    def _set_right(self, api: PrefectApi) -> None:
        """Mend what the server believes of runs that died or fell due while it was down."""
        for pool in WORKERS.values():
            close_dead_runs(api, pool, self._say)
            skip_overdue_runs(api, pool, self._say)

    def _wait_for_listeners(self, plan: Plan) -> None:
        wait_for_listener(self._folder, API, plan.servers.api_port)
        if plan.servers.store is not None:
            wait_for_listener(self._folder, OBJECT_STORE, plan.servers.store.port)
            wait_for_listener(self._folder, REPORTS, plan.servers.store.links_port)

    def _migrate(self, plan: Plan) -> None:
        with reachable(create_engine(plan.database_url)):
            migrate.upgrade(plan.database_url)

    def _register(self, plan: Plan, state: StackState, *, is_new: bool = False) -> StackState:
        """Register the deployments and wait for the workers; the stack keeps running if that fails."""
        with self._api(plan) as api:
            registrar = Registrar(api, self._folder, plan.project, own_server=plan.servers.prefect.is_own)
            digest = registrar.register(state.deployments, plan.environment, self._say)
            registered = state.model_copy(update={"deployments": digest})
            save_state(self._folder, registered)
            if digest != state.deployments and not is_new:
                self._restart_api(plan)
            for program, pool in WORKERS.items():
                wait_for_worker(self._folder, api, program, pool)
        self._warn_of_old_address(plan)
        return registered

    def _restart_api(self, plan: Plan) -> None:
        """Have the API run the code that is there now; flow runs load it each time."""
        self._supervisor.stop(API)
        self._supervisor.start(API)
        wait_for_listener(self._folder, API, plan.servers.api_port)

    def _warn_of_old_address(self, plan: Plan) -> None:
        """Say that the environment names a port that our own server had once."""
        exported = self._settings.prefect_api_url
        if exported is not None and exported.rstrip("/") != plan.servers.prefect.api_url.rstrip("/"):
            self._say(
                f"PREFECT_API_URL is out of date: export PREFECT_API_URL={plan.servers.prefect.api_url}"
            )

    def _shut_down(self) -> None:
        shut_down(self._folder, grace_secs=0, say=self._say)

    def _api(self, plan: Plan) -> PrefectApi:
        return PrefectApi(plan.servers.prefect.api_url, say=self._say)

    def _save(self, plan: Plan) -> StackState:
        """Remember what has been launched."""
        remembered = self._state.deployments if self._state else None
        state = StackState(
            home=self._folder.home,
            started_at=datetime.now(UTC),
            servers=plan.servers,
            database_url=plan.database_url if plan.postgres else None,
            postgres_version=plan.postgres_version,
            configuration=plan.fingerprint,
            deployments=remembered,
        )
        save_state(self._folder, state)
        return state
