"""Following the log of a run and of its subflows as it is written."""

import logging
import time
from datetime import datetime, timedelta

from seedtest.prefect_client.api import PrefectApi
from seedtest.prefect_client.models import LogLine, StateType
from seedtest.say import Say

# Lines come in batches from several processes: older ones may arrive after newer ones.
_LATENESS = timedelta(seconds=30)
_LAST_LINES_PATIENCE_SECS = 10.0
_PAUSE_SECS = 0.25
# What Prefect's engine logs last, unless the run's process was ended from outside.
_LAST_MESSAGE = "Finished in state"
_ENDS_TOLD = {StateType.COMPLETED, StateType.FAILED}


class LogFollower:
    """Says every line of a run's log once."""

    def __init__(self, api: PrefectApi, run_id: str, say: Say) -> None:
        self._api = api
        self._run_id = run_id
        self._say = say
        # What stands before the lines of each run: nothing, and for a subflow its flow's name.
        self._labels = {run_id: ""}
        self._seen: dict[str, datetime] = {}
        self._newest: datetime | None = None
        self._ended = False

    def poll(self) -> None:
        """Say the lines that have come since the last call."""
        self._find_subflows()
        after = self._newest - _LATENESS if self._newest else None
        for line in self._api.logs(list(self._labels), after=after):
            if line.id not in self._seen:
                self._say(self._text(line))
                self._take(line)
        self._forget()

    def finish(self, end: StateType) -> None:
        """Say what is still on its way when the run's state is final already."""
        patience = _LAST_LINES_PATIENCE_SECS if end in _ENDS_TOLD else 2 * _PAUSE_SECS
        deadline = time.monotonic() + patience
        self.poll()
        while not self._ended and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECS)
            self.poll()

    def _take(self, line: LogLine) -> None:
        self._seen[line.id] = line.timestamp
        self._newest = max(line.timestamp, self._newest or line.timestamp)
        if line.flow_run_id == self._run_id and line.message.startswith(_LAST_MESSAGE):
            self._ended = True

    def _forget(self) -> None:
        """Drop lines too old to be asked for again."""
        if self._newest is not None:
            oldest = self._newest - 2 * _LATENESS
            self._seen = {line: at for line, at in self._seen.items() if at >= oldest}

    def _find_subflows(self) -> None:
        """Add the runs that the known runs have started since."""
        children = self._api.runs(parents=list(self._labels))
        new = [run for run in children if run.id not in self._labels]
        if new:
            flows = self._api.flow_names([run.flow_id for run in new])
            self._labels |= {run.id: f"{flows[run.flow_id]}: " for run in new}

    def _text(self, line: LogLine) -> str:
        """Return a line as it is shown."""
        label = self._labels.get(line.flow_run_id or "", "")
        return f"{line.timestamp:%H:%M:%S} {logging.getLevelName(line.level):<7} {label}{line.message}"
