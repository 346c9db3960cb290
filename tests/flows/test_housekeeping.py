"""The housekeeping flow: counts first, deletes, and finds nothing the second time."""

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from flows.housekeeping import housekeeping
from seedtest.db.locks import stage_lock
from tests.flows.snapshots import scalar

OLD = """
INSERT INTO theta_request (session_id, user_id, status, updated_at)
VALUES ('old', 'ann', 'done', now() - interval '91 days'),
    ('parked', 'ann', 'parked', now() - interval '91 days'),
    ('young', 'ann', 'done', now());
INSERT INTO mirt_ability (user_id, version, source, as_of, theta, model)
SELECT 'ann', 'v1', 'online', now() - make_interval(days => age), 0, '2PL'
FROM unnest(ARRAY[500, 450, 1]) AS age;
"""


def n_rows(engine: Engine) -> tuple[int, int]:
    return scalar(engine, "SELECT count(*) FROM theta_request"), scalar(
        engine, "SELECT count(*) FROM mirt_ability"
    )


def test_what_is_old_goes_and_a_dry_run_only_counts_it(environment: None, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(OLD))
    counted = housekeeping(dry_run=True).counts
    assert counted["theta_request rows to delete"] == 1
    assert counted["mirt_ability rows to delete"] == 1
    assert n_rows(engine) == (3, 3)
    deleted = housekeeping().counts
    assert deleted["theta_request rows deleted"] == 1
    assert deleted["mirt_ability rows deleted"] == 1
    assert n_rows(engine) == (2, 2)
    assert set(housekeeping().counts.values()) == {0}


def test_it_says_what_it_left_for_another_night(environment: None, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO input_digest (stage, bucket, user_id, date, digest)"
                " VALUES ('compute-daily-kpis', 1, 'ann', current_date - 181, 7)"
            )
        )
    with stage_lock(engine, "compute-daily-kpis", wait_secs=0):
        summary = housekeeping()
    assert "compute-daily-kpis is already running" in summary.facts["input_digest postponed"]
    assert scalar(engine, "SELECT count(*) FROM input_digest") == 1
