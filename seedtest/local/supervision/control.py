"""Remote control of supervisord, which keeps the stack's processes alive."""

import http.client
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import psutil
from pydantic import TypeAdapter

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.postgres.placement import socket_folder
from seedtest.local.supervision.logs import tail
from seedtest.local.supervision.processes import wait_until_gone
from seedtest.local.supervision.unix_rpc import UnixTransport

_LAUNCH_PATIENCE_SECS = 20.0
_RPC_TIMEOUT_SECS = 120.0
_SHUTDOWN_PATIENCE_SECS = 150.0
# Codes of supervisor.xmlrpc.Faults.
_ALREADY_STARTED = 60
_NOT_RUNNING = 70


@dataclass(frozen=True)
class ProcessInfo:
    """What supervisord knows of one process; the names are its own."""

    name: str
    statename: str
    pid: int
    start: int
    now: int
    spawnerr: str

    @property
    def runs(self) -> bool:
        """Whether the process exists at this moment."""
        return self.statename in {"STARTING", "RUNNING", "STOPPING"}

    @property
    def given_up(self) -> bool:
        """Whether it ended too often right after its start."""
        return self.statename == "FATAL"

    @property
    def uptime(self) -> timedelta | None:
        """How long it has run."""
        return timedelta(seconds=self.now - self.start) if self.runs else None


_PROCESS_INFOS = TypeAdapter(list[ProcessInfo])
_PID = TypeAdapter(int)


class Supervisor:
    """The supervisord of one home."""

    def __init__(self, folder: StackFolder) -> None:
        self._folder = folder

    def launch(self, configuration: str, environment: Mapping[str, str]) -> None:
        """Start supervisord and wait until it takes orders."""
        self._folder.supervisor_config.write_text(configuration, encoding="utf-8")
        # It goes into the background by itself, into a session of its own: a Ctrl-C meant for the
        # command line does not reach the stack's processes.
        started = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._folder.supervisor_config)],
            cwd=self._folder.home,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        deadline = time.monotonic() + _LAUNCH_PATIENCE_SECS
        while not self.answers():
            if started.returncode != 0 or time.monotonic() > deadline:
                log = tail(self._folder.log("supervisord"))
                raise StackError(f"supervisord did not start. {started.stdout.strip()}{log}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether this home's supervisord runs and takes orders."""
        try:
            return self.pid() > 0
        except (OSError, http.client.HTTPException):
            return False

    def pid(self) -> int:
        """Return supervisord's own pid."""
        return _PID.validate_python(self._call("getPID"))

    def processes(self) -> tuple[ProcessInfo, ...]:
        """Return the state of every program."""
        return tuple(_PROCESS_INFOS.validate_python(self._call("getAllProcessInfo")))

    def process(self, name: str) -> ProcessInfo:
        """Return the state of one program."""
        return _PROCESS_INFOS.validate_python([self._call("getProcessInfo", name)])[0]

    def start(self, name: str) -> None:
        """Start a program unless it runs, without waiting for it."""
        self._call_unless(_ALREADY_STARTED, "startProcess", name, wait=False)

    def stop(self, name: str) -> None:
        """Stop a program if it runs, and wait for its end."""
        self._call_unless(_NOT_RUNNING, "stopProcess", name, wait=True)

    def shutdown(self) -> None:
        """Stop every program in order, then supervisord itself."""
        process = psutil.Process(self.pid())
        self._call("shutdown")
        if wait_until_gone([process], _SHUTDOWN_PATIENCE_SECS):
            raise StackError(
                f"supervisord (pid {process.pid}) has not stopped within {_SHUTDOWN_PATIENCE_SECS:.0f} s. "
                f"Run `seedtest down` again.{tail(self._folder.log('supervisord'))}"
            )

    def _call_unless(self, accepted_fault: int, method: str, name: str, *, wait: bool) -> None:
        """Call, taking one fault for success."""
        try:
            self._call(method, name, wait)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != accepted_fault:
                raise StackError(
                    f"{name} cannot be started or stopped: {fault.faultString}.{tail(self._folder.log(name))}"
                ) from fault

    def _call(self, method: str, *arguments: str | bool) -> object:
        """Call one of supervisord's methods."""
        path = socket_folder(self._folder) / "supervisor.sock"
        transport = UnixTransport(path, timeout_secs=_RPC_TIMEOUT_SECS)
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            result: object = getattr(proxy.supervisor, method)(*arguments)
        return result
