"""What a θ after a session rests on, read in one snapshot, and its rows, written in one statement."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from seedtest.db.locks import SHARE_FIT
from seedtest.errors import DataError
from seedtest.irt import ItemParameters, Prior

COLUMNS: Final = {
    "item_ids": "answer.item_id",
    "topic_ids": "answer.topic_id",
    "correct": "answer.correct",
    "completed_at": "answer.completed_at",
    "is_calibrated": "item.item_id IS NOT NULL",
    "a": "item.params ->> 'a'",
    "b": "item.params ->> 'b'",
    "c": "item.params ->> 'c'",
}
"""What is read of each answer, as arrays in `ANSWER_ORDER`: a row a learner costs less than one an answer."""

_ORDER = "ORDER BY answer.completed_at, answer.result_id, answer.ordinal"
_ARRAYS = ",\n        ".join(f"array_agg({value} {_ORDER}) AS {name}" for name, value in COLUMNS.items())

# One string of three statements is one round trip, and PostgreSQL takes a new snapshot for each: what a
# calibration committed while the lock was waited for is seen. A batch's plan looks costly enough to be
# compiled, which takes longer than to run it.
READ: Final = sa.text(f"""
SET LOCAL jit = off;
{SHARE_FIT};
WITH fit AS (
    SELECT
        model_spec ->> 'model' AS model,
        model_spec ->> 'version' AS version,
        CAST(model_spec ->> 'theta_mean' AS double precision) AS theta_mean,
        CAST(model_spec ->> 'theta_sd' AS double precision) AS theta_sd
    FROM mirt_fit_meta
    WHERE coalesce(CAST(model_spec ->> 'in_force' AS boolean), true)
    ORDER BY fitted_at DESC
    LIMIT 1
)
SELECT fit.*, statement_timestamp() AS read_at, learner.*
FROM fit LEFT JOIN (
    SELECT
        answer.user_id,
        {_ARRAYS}
    FROM attempt_base AS answer LEFT JOIN mirt_item_params AS item USING (item_id)
    WHERE answer.user_id = ANY(:user_ids) AND answer.completed_at >= :since AND answer.completed_at < :until
    GROUP BY answer.user_id
) AS learner ON true
""")

GIVEN: Final = """
given AS (
    SELECT * FROM unnest(
        CAST(:user_ids AS text[]),
        CAST(:as_ofs AS timestamptz[]),
        CAST(:thetas AS double precision[]),
        CAST(:ses AS double precision[])
    ) AS given (user_id, as_of, theta, se)
)
"""

KEPT: Final = """
SELECT user_id, kept.theta, kept.se, kept.fitted_at
FROM given JOIN mirt_ability AS kept USING (user_id, as_of)
WHERE kept.version = :version AND kept.source = 'online'
"""

# Rows are written in the order of their keys, so that two batches never wait for each other. What another
# update wrote from a later reading stays; a row that says the same is not touched.
WRITE: Final = sa.text(f"""
WITH {GIVEN}, written AS (
    INSERT INTO mirt_ability AS kept (user_id, version, source, as_of, theta, se, model, fitted_at)
    SELECT user_id, :version, 'online', as_of, theta, se, :model, :read_at FROM given ORDER BY user_id
    ON CONFLICT (user_id, version, source, as_of) DO UPDATE
    SET theta = excluded.theta, se = excluded.se, model = excluded.model, fitted_at = excluded.fitted_at
    WHERE kept.fitted_at <= excluded.fitted_at
        AND (kept.theta, kept.se, kept.model) IS DISTINCT FROM (excluded.theta, excluded.se, excluded.model)
    RETURNING user_id, theta, se, fitted_at
), topics AS (
    INSERT INTO student_topic_theta AS kept
        (user_id, topic_id, theta, se, n, model, version, as_of, fitted_at)
    SELECT user_id, topic_id, theta, se, n, :model, :version, as_of, :read_at
    FROM unnest(
        CAST(:topic_user_ids AS text[]),
        CAST(:topic_ids AS text[]),
        CAST(:topic_as_ofs AS timestamptz[]),
        CAST(:topic_thetas AS double precision[]),
        CAST(:topic_ses AS double precision[]),
        CAST(:topic_ns AS integer[])
    ) AS given (user_id, topic_id, as_of, theta, se, n)
    ORDER BY user_id, topic_id
    ON CONFLICT (user_id, topic_id) DO UPDATE
    SET theta = excluded.theta, se = excluded.se, n = excluded.n, model = excluded.model,
        version = excluded.version, as_of = excluded.as_of, fitted_at = excluded.fitted_at
    WHERE (kept.as_of, kept.fitted_at) <= (excluded.as_of, excluded.fitted_at)
        AND (kept.theta, kept.se, kept.n, kept.model, kept.version, kept.as_of) IS DISTINCT FROM
            (excluded.theta, excluded.se, excluded.n, excluded.model, excluded.version, excluded.as_of)
)
SELECT user_id, theta, se, fitted_at FROM written
UNION ALL
{KEPT} AND NOT EXISTS (SELECT FROM written WHERE written.user_id = given.user_id)
""")

READ_KEPT: Final = sa.text(f"WITH {GIVEN} {KEPT}")

LARGEST: Final = 1e15
"""Of what is larger, `load_fit` says that it is unusable, and no likelihood can be computed from it."""


@dataclass(frozen=True)
class FitInForce:
    """What the fit in force says of ability: model, name of the scale (version), distribution."""

    model: str
    version: str
    prior: Prior


@dataclass(frozen=True, slots=True)
class OnlineAnswer:
    """One answer, as far as a θ needs it."""

    item_id: str
    topic_id: str | None
    correct: bool
    completed_at: dt.datetime


@dataclass(frozen=True)
class Basis:
    """What θs rest on, all of one snapshot.

    Attributes
    ----------
    fit
        The fit in force.
    items
        The calibrated items among those answered, sorted by id.
    answers
        Each learner's answers, to calibrated items or not, in `ANSWER_ORDER`; learners without are missing.
    read_at
        A moment before the snapshot: everything committed by then is in it.
    """

    fit: FitInForce
    items: ItemParameters
    answers: Mapping[str, Sequence[OnlineAnswer]]
    read_at: dt.datetime


@dataclass(frozen=True, slots=True)
class AbilityRow:
    """A learner's θ and standard error (logits) from the answers up to `as_of`."""

    user_id: str
    theta: float
    se: float
    as_of: dt.datetime


@dataclass(frozen=True, slots=True)
class TopicRow:
    """A learner's θ and standard error (logits) in a topic, from `n` answers up to `as_of`."""

    user_id: str
    topic_id: str
    theta: float
    se: float
    n: int
    as_of: dt.datetime


@dataclass(frozen=True, slots=True)
class StoredTheta:
    """The row that the table holds after a write."""

    theta: float
    se: float
    fitted_at: dt.datetime


def read_basis(
    connection: Connection, user_ids: Sequence[str], since: dt.datetime, until: dt.datetime
) -> Basis | None:
    """Return the answers of learners from `since` to before `until`, with the fit; None without one.

    Until the transaction ends, no calibration comes into force. It must be READ COMMITTED, the default.

    Raises
    ------
    DataError
        When an item that was answered has parameters that no answer can be scored by.
    """
    window = {"user_ids": list(user_ids), "since": since, "until": until}
    rows = connection.execute(READ, window).all()
    if not rows:
        return None
    fit = FitInForce(rows[0].model, rows[0].version, Prior(rows[0].theta_mean, rows[0].theta_sd))
    # Without any answer there is one row, of the fit alone.
    learners = [row for row in rows if row.user_id is not None]
    answers = {
        row.user_id: tuple(map(OnlineAnswer, row.item_ids, row.topic_ids, row.correct, row.completed_at))
        for row in learners
    }
    return Basis(fit, _item_parameters(learners), answers, rows[0].read_at)


def write_thetas(
    connection: Connection, basis: Basis, abilities: Iterable[AbilityRow], topics: Iterable[TopicRow]
) -> Mapping[str, StoredTheta]:
    """Append abilities of source 'online' and set the topics' θ; return what is stored of each learner.

    One row a learner, version and `as_of`: the same answers change nothing, and late ones, older than the
    newest, replace the row. Neither a row that rests on a later reading nor a topic's θ with newer answers
    is overwritten.
    """
    by_learner, by_topic = list(abilities), list(topics)
    values = {
        "version": basis.fit.version,
        "model": basis.fit.model,
        "read_at": basis.read_at,
        "user_ids": [row.user_id for row in by_learner],
        "as_ofs": [row.as_of for row in by_learner],
        "thetas": [row.theta for row in by_learner],
        "ses": [row.se for row in by_learner],
        "topic_user_ids": [row.user_id for row in by_topic],
        "topic_ids": [row.topic_id for row in by_topic],
        "topic_as_ofs": [row.as_of for row in by_topic],
        "topic_thetas": [row.theta for row in by_topic],
        "topic_ses": [row.se for row in by_topic],
        "topic_ns": [row.n for row in by_topic],
    }
    stored = connection.execute(WRITE, values).all()
    if len(stored) < len(by_learner):
        # Another update was waited for and is newer: a statement does not see what was committed meanwhile.
        stored = connection.execute(READ_KEPT, values).all()
    return {row.user_id: StoredTheta(row.theta, row.se, row.fitted_at) for row in stored}


def _item_parameters(learners: Iterable[Row[Any]]) -> ItemParameters:
    """Build the parameters of the items answered, sorted by id as those of a whole bank are."""
    texts: dict[str, tuple[str | None, ...]] = {}
    for row in learners:
        known = zip(row.a, row.b, row.c, strict=True)
        texts.update(compress(zip(row.item_ids, known, strict=True), row.is_calibrated))
    item_ids = sorted(texts)
    numbers = [_numbers(item_id, *texts[item_id]) for item_id in item_ids]
    a, b, c = zip(*numbers, strict=True) if numbers else ((), (), ())
    return ItemParameters.from_values(item_ids, a, b, c)


def _numbers(item_id: str, a: str | None, b: str | None, c: str | None) -> tuple[float, float, float]:
    numbers = _number(a), _number(b), 0.0 if c is None else _number(c)
    if not (0 < numbers[0] <= LARGEST and abs(numbers[1]) <= LARGEST and 0 <= numbers[2] < 1):
        raise DataError(
            f"Item {item_id!r} cannot be scored: mirt_item_params holds a={a}, b={b}, c={c}, and needed are "
            "finite numbers, a > 0 and 0 <= c < 1. Mend or delete the row, or calibrate again."
        )
    return numbers


def _number(text: str | None) -> float:
    try:
        return math.nan if text is None else float(text)
    except ValueError:
        return math.nan
