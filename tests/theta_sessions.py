"""Learners with calibrated items and ended sessions, for the tests of the θ queue."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from seedtest.settings import Settings
from seedtest.theta_queue import Accepted, RequestStatus, SessionCompleted, accept
from tests.db.exam_results import add_results, result

N_ITEMS = 10
# Whoever has this name cannot get a θ: the database refuses it.
BAD = "bad"


def moments_ago(minutes: float = 5) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes)


def add_items(connection: Connection) -> None:
    """Add calibrated items Q0, Q1, …, and the fit that they are of."""
    spec = {"model": "2PL", "version": "v1", "theta_mean": 0.0, "theta_sd": 1.0}
    fit = (
        "INSERT INTO mirt_fit_meta (run_id, model_spec, metrics) VALUES ('fit-1', CAST(:spec AS jsonb), '{}')"
    )
    connection.execute(sa.text(fit), {"spec": json.dumps(spec)})
    rows = [
        {"item_id": f"Q{i}", "params": json.dumps({"a": 1.0 + 0.1 * i, "b": (i - 5) / 2, "c": None})}
        for i in range(N_ITEMS)
    ]
    insert = (
        "INSERT INTO mirt_item_params (item_id, model, params, version)"
        " VALUES (:item_id, '2PL', CAST(:params AS jsonb), 'v1')"
    )
    connection.execute(sa.text(insert), rows)


def answered(user_id: str, session_id: str, completed_at: dt.datetime) -> dict[str, Any]:
    """A session's result: every item answered, more of them right the longer the learner's name is."""
    questions = [
        {"question_id": f"Q{i}", "is_correct": i < 3 + len(user_id) % 5, "time_spent_sec": 10}
        for i in range(N_ITEMS)
    ]
    return result(*questions, user_id=user_id, session_id=session_id, completed_at=completed_at)


def add_sessions(engine: Engine, user_ids: Sequence[str], completed_at: dt.datetime | None = None) -> None:
    """Add calibrated items, and a session `s-<user>` of each learner."""
    at = completed_at or moments_ago()
    with engine.begin() as connection:
        add_items(connection)
        add_results(connection, *(answered(user_id, f"s-{user_id}", at) for user_id in user_ids))


def report(
    engine: Engine, user_id: str, session_id: str | None = None, completed_at: dt.datetime | None = None
) -> Accepted:
    """Report a session as ended, and commit."""
    completed = SessionCompleted(session_id or f"s-{user_id}", user_id, completed_at or moments_ago())
    with engine.begin() as connection:
        return accept(connection, completed)


def refuse_bad(engine: Engine) -> None:
    """Let the database refuse every θ of the learner `bad`."""
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'the answers of this learner are odd'; END $$"
            )
        )
        connection.execute(
            sa.text(
                "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON mirt_ability FOR EACH ROW"
                f" WHEN (NEW.user_id = '{BAD}') EXECUTE FUNCTION refuse()"
            )
        )


def relent(engine: Engine) -> None:
    """Let the database take every θ again."""
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TRIGGER refuse ON mirt_ability"))


def let_waits_end(engine: Engine) -> None:
    """Set what failed back by a day, so that its next try is due."""
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE theta_request SET updated_at = updated_at - interval '1 day'"))


def statuses(engine: Engine) -> dict[RequestStatus, int]:
    """Return how many requests there are in each state."""
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT status, count(*) FROM theta_request GROUP BY status"))
        return {RequestStatus(status): count for status, count in rows}


def done_without_theta(engine: Engine) -> int:
    """Return how many requests are done and point at no row of mirt_ability."""
    query = """
        SELECT count(*) FROM theta_request AS r WHERE status = 'done' AND NOT EXISTS (
            SELECT FROM mirt_ability AS a
            WHERE a.user_id = r.user_id AND a.as_of = r.ability_as_of AND a.source = 'online')
    """
    with engine.connect() as connection:
        return int(connection.scalar(sa.text(query)) or 0)


def settings(**given: Any) -> Settings:
    return Settings(**given)
