"""What importing the flows sets for their process."""

import os
import subprocess
import sys

import pytest

SAY = "import os, flows, polars; print(os.environ['_RJEM_MALLOC_CONF'], polars.thread_pool_size())"


@pytest.mark.parametrize("inherited", [None, "dirty_decay_ms:500,muzzy_decay_ms:1000"])
def test_polars_keeps_little_back_even_in_the_child_of_a_process_that_has_imported_it(
    inherited: str | None,
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("_RJEM", "POLARS"))
    }
    if inherited is not None:
        environment["_RJEM_MALLOC_CONF"] = inherited
    said = subprocess.run(
        [sys.executable, "-c", SAY], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    # The last word counts.
    last = dict(option.split(":") for option in said[0].split(","))
    assert (last["narenas"], last["dirty_decay_ms"], said[1]) == ("1", "100", "2")
