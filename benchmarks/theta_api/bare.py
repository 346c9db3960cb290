"""A bare FastAPI endpoint that makes the database round trips of an update, and nothing else.

`python -m benchmarks.theta_api.bare PORT`; DATABASE_URL names the database.
"""

import datetime as dt
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from seedtest.db.engine import create_engine
from seedtest.db.online import READ, WRITE
from seedtest.settings import load_settings

LOOKBACK = dt.timedelta(days=60)


class Body(BaseModel):
    """Whose rows."""

    user_id: str


class Answer(BaseModel):
    """What came back."""

    user_id: str
    n: int


def round_trips(connection: Connection, user_id: str) -> int:
    """Read a learner's answers and write as many rows as an update, with numbers that mean nothing."""
    now = dt.datetime.now(dt.UTC)
    window = {"user_ids": [user_id], "since": now - LOOKBACK, "until": now + dt.timedelta(days=1)}
    row = connection.execute(READ, window).one()
    newest_at, topics = row.completed_at[-1], sorted({topic for topic in row.topic_ids if topic is not None})
    values = {
        "version": row.version,
        "model": row.model,
        "read_at": row.read_at,
        "user_ids": [user_id],
        "as_ofs": [newest_at],
        "thetas": [0.5],
        "ses": [0.3],
        "topic_user_ids": [user_id] * len(topics),
        "topic_ids": topics,
        "topic_as_ofs": [newest_at] * len(topics),
        "topic_thetas": [0.5] * len(topics),
        "topic_ses": [0.3] * len(topics),
        "topic_ns": [4] * len(topics),
    }
    connection.execute(WRITE, values).all()
    return len(row.item_ids)


def create_app() -> FastAPI:
    """Return the endpoint as one writes it without a thought."""
    settings = load_settings()
    engine = create_engine(settings.require_database_url(), pool_size=settings.api_db_connections)
    app = FastAPI()

    @app.post("/update")
    def update(body: Body) -> Answer:
        with engine.begin() as connection:
            return Answer(user_id=body.user_id, n=round_trips(connection, body.user_id))

    @app.get("/healthz")
    def healthz() -> None: ...

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(), port=int(sys.argv[1]), log_config=None, access_log=False)
