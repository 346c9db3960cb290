"""The disk is full: told as such, and what is written are whole batches."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from flows.aggregate_features_daily import aggregate_features_daily
from seedtest.batches.features import STAGE as FEATURES
from seedtest.batches.kpis import STAGE as KPIS
from seedtest.errors import DatabaseError
from seedtest.local.postgres.account import server_account
from tests.drills.conftest import WRITTEN, Snapshot
from tests.drills.sessions import ROWS, alone, n_digests, n_half_written, run_both
from tests.flows.conftest import LAST_DAY
from tests.flows.snapshots import RESULTS, scalar, snapshot

NO_SPACE = """
CREATE FUNCTION no_space() RETURNS {kind} LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file "base/16384/24587": No space left on device'
        USING ERRCODE = 'disk_full', HINT = 'Check free disk space.';
END $$
"""
TOLD = (
    r"No space left on device\)\. The database's disk is full\. Free or add space .* nothing is half written"
)
# Learners in the order of the batches; this one is in none of the first.
LATE_LEARNER = f"""
SELECT user_id FROM attempt WHERE completed_at >= date '{LAST_DAY}' - 6
GROUP BY user_id ORDER BY substr(md5(user_id), 1, 3) DESC LIMIT 1
"""


def execute(engine: Engine, *statements: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


@pytest.mark.parametrize("stage", [pytest.param(FEATURES, marks=pytest.mark.heavy), KPIS])
def test_full_at_a_later_batch(stage: str, undisturbed: Snapshot, engine: Engine) -> None:
    learner = scalar(engine, LATE_LEARNER)
    execute(
        engine,
        NO_SPACE.format(kind="trigger"),
        f"CREATE TRIGGER no_space BEFORE INSERT ON {ROWS[stage][0]} FOR EACH ROW"
        f" WHEN (NEW.user_id = '{learner}') EXECUTE FUNCTION no_space()",
    )
    with pytest.raises(DatabaseError, match=TOLD):
        alone(stage)(date=LAST_DAY)
    assert n_digests(engine, stage) > 0
    assert n_half_written(engine, stage) == 0
    assert scalar(engine, f"SELECT count(*) FROM input_digest WHERE user_id = '{learner}'") == 0
    execute(engine, "DROP FUNCTION no_space CASCADE")
    run_both()
    assert snapshot(engine, WRITTEN) == undisturbed


@pytest.mark.heavy
def test_full_at_a_staging_table(undisturbed: Snapshot, engine: Engine) -> None:
    """Where no file system can be made: the error alone is PostgreSQL's."""
    execute(
        engine,
        NO_SPACE.format(kind="event_trigger"),
        "CREATE EVENT TRIGGER no_space ON ddl_command_end WHEN TAG IN ('CREATE TABLE AS')"
        " EXECUTE FUNCTION no_space()",
    )
    for stage in (FEATURES, KPIS):
        with pytest.raises(DatabaseError, match=TOLD):
            alone(stage)(date=LAST_DAY)
    assert {rows for rows, _ in snapshot(engine, WRITTEN).values()} == {0}
    execute(engine, "DROP EVENT TRIGGER no_space")
    run_both()
    assert snapshot(engine, WRITTEN) == undisturbed


@contextmanager
def tiny_disk() -> Iterator[Path]:
    """Mount a file system of a megabyte that PostgreSQL may write to; only root can."""
    folder = Path(tempfile.mkdtemp(prefix="seedtest-tiny-"))
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        if made.returncode != 0:
            pytest.skip(f"no small file system can be mounted here: {made.stderr.strip()}")
        tablespace = folder / "space"
        tablespace.mkdir()
        server_account().own(tablespace)
        yield tablespace
    finally:
        if made.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def fill(folder: Path) -> Path:
    """Write a file until there is no space left."""
    filler = folder.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        file.write(b"\0" * shutil.disk_usage(folder).free)
    return filler


@pytest.fixture
def staging_disk(engine: Engine) -> Iterator[Path]:
    """A tiny disk that holds nothing but temporary tables, which staging tables are."""
    with tiny_disk() as folder:
        execute(engine, f"CREATE TABLESPACE tiny LOCATION '{folder}'")
        execute(engine, f"ALTER DATABASE {engine.url.database} SET temp_tablespaces = 'tiny'")
        yield folder
        execute(
            engine, f"ALTER DATABASE {engine.url.database} RESET temp_tablespaces", "DROP TABLESPACE tiny"
        )


def test_full_in_fact(staging_disk: Path, undisturbed: Snapshot, engine: Engine) -> None:
    aggregate_features_daily(date=LAST_DAY)
    features = snapshot(engine, RESULTS)
    filler = fill(staging_disk)
    with pytest.raises(DatabaseError, match=TOLD):
        alone(KPIS)(date=LAST_DAY)
    assert snapshot(engine, RESULTS) == features
    assert features["weekly_kpi"][0] == n_digests(engine, KPIS) == 0
    filler.unlink()
    run_both()
    assert snapshot(engine, WRITTEN) == undisturbed
