"""θ after a session: the one computation behind the endpoint, the flow and the hook (domain §7).

A learner's θ is the EAP from the answers of the last days, with the item parameters and the prior of the
fit in force: what `seedtest.theta.window_theta` gives for the same answers, to the last bit.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from sqlalchemy.engine import Connection

from seedtest.db.online import (
    AbilityRow,
    Basis,
    OnlineAnswer,
    StoredTheta,
    TopicRow,
    read_basis,
    write_thetas,
)
from seedtest.irt import AbilityEstimate, Scorer
from seedtest.settings import Repeats, Settings
from seedtest.theta import TOPIC_THETA_DAYS
from seedtest.windows import first_day

CLOCK_TOLERANCE: Final = dt.timedelta(minutes=5)
"""By how much the platform's clock may be ahead: at midnight its answers of the new day count already."""


class NoopReason(StrEnum):
    """Why there is no new θ."""

    NO_FIT = "no fit is in force: nothing has been calibrated yet"
    NO_ATTEMPTS = "no attempts found"
    NOT_CALIBRATED = "no attempt on a calibrated item"
    ENGINE_DOWN = "R IRT service unavailable"


@dataclass(frozen=True, slots=True)
class ThetaUpdate:
    """What became of a learner's θ.

    Attributes
    ----------
    status
        "ok": the θ given is that of a row of `mirt_ability`; "noop": nothing was written, see `reason`.
    theta, se
        Ability and standard error, in logits.
    model, version
        Model of the fit in force, and the name of its scale.
    updated_at
        When that row was written; earlier than now where the same answers gave the same θ.
    as_of
        completed_at of the newest answer used: with user_id, version and the source 'online' the row's key.
    reason
        Why there is no new θ. With ENGINE_DOWN another try may succeed; with the others only new answers or
        a calibration change anything.
    """

    user_id: str
    status: Literal["ok", "noop"]
    theta: float | None = None
    se: float | None = None
    model: str | None = None
    version: str | None = None
    updated_at: dt.datetime | None = None
    as_of: dt.datetime | None = None
    reason: NoopReason | None = None


def update_theta(
    connection: Connection,
    user_id: str,
    *,
    settings: Settings,
    lookback_days: int,
    now: dt.datetime | None = None,
) -> ThetaUpdate:
    """Update the θ of one learner: see `update_thetas`."""
    (update,) = update_thetas(connection, [user_id], settings=settings, lookback_days=lookback_days, now=now)
    return update


def update_thetas(
    connection: Connection,
    user_ids: Sequence[str],
    *,
    settings: Settings,
    lookback_days: int,
    now: dt.datetime | None = None,
) -> list[ThetaUpdate]:
    """Estimate learners' θ from their answers of the last days and write it, in the caller's transaction.

    Two statements, however many learners. An update sees every answer that was committed before it began,
    and what it writes gives way to one that began later, so that updates may run side by side. While a
    calibration writes its θs, updates wait for it, and it waits for those under way.

    Parameters
    ----------
    user_ids
        The learners; a result depends on a learner's own answers alone, to the last bit.
    settings
        MIRT_REPEATS, applied within the window; IRT_ENGINE with its R_IRT_* and MIRT_* retries.
    lookback_days
        Whole UTC days of answers behind θ, today's included. A topic's θ rests on those of the last 60,
        computed by the embedded engine always, as in a calibration. Where a calibration saw the same newest
        answer, the later estimate of both is the learner's latest, though it may rest on fewer days.
    now
        Ends the window; the clock's time unless given.

    Returns
    -------
    list[ThetaUpdate]
        One for each of `user_ids`, in their order.

    Raises
    ------
    DataError
        When an item that was answered has parameters that no answer can be scored by; it names the item.
        Nothing is written then, of no learner.
    CalibrationError
        When the IRT service finds that a learner's answers give no θ (status 422); likewise.
    ConfigurationError
        When the IRT service's address or token cannot be used.
    """
    window = _Window.ending(now or dt.datetime.now(dt.UTC), lookback_days)
    learners = sorted(set(user_ids))
    basis = read_basis(connection, learners, window.first_read, window.end)
    if basis is None:
        return [_noop(user_id, NoopReason.NO_FIT) for user_id in user_ids]
    updates = _updates(connection, basis, window, settings)
    return [updates.get(user_id) or _noop(user_id, NoopReason.NO_ATTEMPTS) for user_id in user_ids]


@dataclass(frozen=True)
class _Window:
    """The first moments of the days behind θ and behind a topic's θ, and the first one after both."""

    start: dt.datetime
    topic_start: dt.datetime
    end: dt.datetime

    @classmethod
    def ending(cls, now: dt.datetime, lookback_days: int) -> "_Window":
        today = (now.astimezone(dt.UTC) + CLOCK_TOLERANCE).date()
        days = first_day(today, lookback_days), first_day(today, TOPIC_THETA_DAYS), today + dt.timedelta(1)
        return cls(*(dt.datetime.combine(day, dt.time(), dt.UTC) for day in days))

    @property
    def first_read(self) -> dt.datetime:
        return min(self.start, self.topic_start)


@dataclass(frozen=True, slots=True)
class _Counted:
    """The answers of a window that count: on calibrated items, chosen by MIRT_REPEATS."""

    item_ids: Sequence[str]
    correct: Sequence[bool]
    newest_at: dt.datetime


def _updates(
    connection: Connection, basis: Basis, window: _Window, settings: Settings
) -> Mapping[str, ThetaUpdate]:
    """Score the learners of the basis, write, and return what became of each."""
    repeats, scorer = settings.mirt_repeats, Scorer(basis.items, basis.fit.prior)
    calibrated = _on_calibrated(basis)
    counted = {
        user_id: chosen
        for user_id, answers in calibrated.items()
        if (chosen := _count(answers, window.start, repeats))
    }
    estimates = _estimate(counted, scorer, settings)
    abilities = [
        AbilityRow(user_id, estimate.theta, estimate.se, counted[user_id].newest_at)
        for user_id, estimate in estimates.items()
    ]
    topics = [
        row
        for user_id in estimates
        for row in _topic_rows(user_id, calibrated[user_id], window.topic_start, repeats, scorer)
    ]
    stored = write_thetas(connection, basis, abilities, topics) if abilities else {}
    done = {row.user_id: _ok(row, stored, basis) for row in abilities}
    return done | {
        user_id: _noop(user_id, _why_none(answers, window.start, is_counted=user_id in counted))
        for user_id, answers in basis.answers.items()
        if user_id not in done
    }


def _on_calibrated(basis: Basis) -> dict[str, list[OnlineAnswer]]:
    known = frozenset(basis.items.item_ids)
    return {
        user_id: [answer for answer in answers if answer.item_id in known]
        for user_id, answers in basis.answers.items()
    }


def _count(answers: Sequence[OnlineAnswer], start: dt.datetime, repeats: Repeats) -> _Counted | None:
    """Choose the answers that count from `start` on, by the rule of `seedtest.theta.counted`."""
    inside = [answer for answer in answers if answer.completed_at >= start]
    if repeats != "all":
        # The last one of an item that is put in stays, so the first ones are put in last.
        ordered = reversed(inside) if repeats == "first" else inside
        inside = list({answer.item_id: answer for answer in ordered}.values())
    if not inside:
        return None
    return _Counted(
        [answer.item_id for answer in inside],
        [answer.correct for answer in inside],
        max(answer.completed_at for answer in inside),
    )


def _estimate(
    counted: Mapping[str, _Counted], scorer: Scorer, settings: Settings
) -> Mapping[str, AbilityEstimate]:
    """Have the engine of IRT_ENGINE score; learners for whom it gave no answer are missing."""
    if settings.irt_engine == "embedded":
        return {user_id: scorer.one(one.item_ids, one.correct) for user_id, one in counted.items()}
    # Loaded here: where the embedded engine scores, no run waits 0.2 s for an HTTP client.
    from seedtest.irt_client import HttpScorer  # noqa: PLC0415 - see above

    client = HttpScorer.from_settings(settings, scorer.items, scorer.prior)
    sheets = [(one.item_ids, one.correct) for one in counted.values()]
    answers = zip(counted, client.many(sheets), strict=True)
    return {user_id: estimate for user_id, estimate in answers if estimate is not None}


def _topic_rows(
    user_id: str, answers: Sequence[OnlineAnswer], start: dt.datetime, repeats: Repeats, scorer: Scorer
) -> Iterator[TopicRow]:
    by_topic: defaultdict[str, list[OnlineAnswer]] = defaultdict(list)
    for answer in answers:
        if answer.topic_id is not None:
            by_topic[answer.topic_id].append(answer)
    for topic_id, answered in by_topic.items():
        if counted := _count(answered, start, repeats):
            estimate = scorer.one(counted.item_ids, counted.correct)
            yield TopicRow(user_id, topic_id, estimate.theta, estimate.se, estimate.n, counted.newest_at)


def _ok(row: AbilityRow, stored: Mapping[str, StoredTheta], basis: Basis) -> ThetaUpdate:
    kept = stored[row.user_id]
    return ThetaUpdate(
        row.user_id,
        "ok",
        theta=kept.theta,
        se=kept.se,
        model=basis.fit.model,
        version=basis.fit.version,
        updated_at=kept.fitted_at,
        as_of=row.as_of,
    )


def _why_none(answers: Sequence[OnlineAnswer], start: dt.datetime, *, is_counted: bool) -> NoopReason:
    if is_counted:
        return NoopReason.ENGINE_DOWN
    is_any = any(answer.completed_at >= start for answer in answers)
    return NoopReason.NOT_CALIBRATED if is_any else NoopReason.NO_ATTEMPTS


def _noop(user_id: str, reason: NoopReason) -> ThetaUpdate:
    return ThetaUpdate(user_id, "noop", reason=reason)
