"""What `up` remembers in home/run/stack.json for the other commands and for the next `up`."""

import os
import tempfile
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from seedtest.errors import StackError
from seedtest.local.folder import StackFolder
from seedtest.local.servers import Servers


class StackState(BaseModel):
    """Facts about the stack of one home.

    The address of a database of somebody else's is not among them: it may hold a password.
    """

    model_config = ConfigDict(frozen=True)

    home: Path
    started_at: datetime
    servers: Servers
    # Address of our own PostgreSQL; None: DATABASE_URL named another one.
    database_url: str | None
    postgres_version: str | None
    # Digest of everything the processes were started with.
    configuration: str
    # Digest of the deployments registered last; None: none yet.
    deployments: str | None = None

    @property
    def prefect_api_url(self) -> str:
        """Address of the Prefect server's API, our own or another's."""
        return self.servers.prefect.api_url


def load_state(folder: StackFolder) -> StackState | None:
    """Return the remembered state; None when there is none, StackError when it cannot be read.

    That of a home which has been moved or copied speaks of another one.
    """
    try:
        state = StackState.model_validate_json(folder.state_file.read_bytes())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise folder.not_ours() from error
    except (ValidationError, OSError) as error:
        raise StackError(
            f"The state file {folder.state_file} cannot be read: {_first_line(error)}. "
            "`seedtest up` writes it anew; no data are in it."
        ) from error
    return state if state.home == folder.home else None


def save_state(folder: StackFolder, state: StackState) -> None:
    """Replace the state file in one step, readable by this user only."""
    handle, name = tempfile.mkstemp(dir=folder.run, prefix="stack-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(state.model_dump_json(indent=2))
    Path(name).replace(folder.state_file)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
