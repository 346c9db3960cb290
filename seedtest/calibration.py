"""A calibration from the database's answers to the database's tables; flows and commands call it alike."""

import datetime as dt
import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import polars as pl
from sqlalchemy.engine import Connection

from seedtest.db.attempts import Scope, count_attempts, count_left_out, last_days, load_attempts
from seedtest.db.calibrations import Seeds, load_fit, load_seeds
from seedtest.db.fits import (
    FitRecord,
    Reach,
    new_run_id,
    next_moment,
    write_fit,
    write_question_parameters,
)
from seedtest.db.frames import Written
from seedtest.engine import Engine, FitRequest, OnStep, Step
from seedtest.fitting import fit_to_scale
from seedtest.irt import Connectivity, ExclusionKind, ItemParameters, Responses, connectivity
from seedtest.irt.rows import item_counts
from seedtest.scale import Fit, Published
from seedtest.settings import LinkingName, Model, Repeats, Settings
from seedtest.theta import TOPIC_THETA_DAYS, counted, topic_abilities
from seedtest.version import code_version
from seedtest.windows import first_day


@dataclass(frozen=True)
class CalibrationPlan:
    """Which answers to fit, and how."""

    scope: Scope
    model: Model
    repeats: Repeats
    linking: LinkingName
    max_observations: int
    min_responses: int
    update_questions: bool

    @classmethod
    def from_settings(
        cls, settings: Settings, last_day: dt.date, *, topic_id: str | None = None, exam_id: int | None = None
    ) -> Self:
        """Return the plan for the days up to `last_day` that the settings describe."""
        days = last_days(last_day, settings.mirt_lookback_days)
        return cls(
            scope=Scope(days.first_day, days.last_day, topic_id, exam_id),
            model=settings.mirt_model,
            repeats=settings.mirt_repeats,
            linking=settings.mirt_linking,
            max_observations=settings.mirt_max_obs,
            min_responses=settings.mirt_min_responses,
            update_questions=settings.irt_update_question_meta,
        )


@dataclass(frozen=True)
class Answers:
    """What a calibration has to work with; `counted` is `loaded` after the rule on repeats."""

    plan: CalibrationPlan
    loaded: pl.DataFrame
    counted: pl.DataFrame
    n_in_scope: int
    left_out: Mapping[str, int]
    seeds: Seeds
    last: Fit

    def counts(self) -> dict[str, int]:
        """Return how many answers there were at each step."""
        return {
            "answers in scope": self.n_in_scope,
            "answers loaded": self.loaded.height,
            "answers counted": self.counted.height,
            "learners": self.counted["user_id"].n_unique(),
            "items": self.counted["item_id"].n_unique(),
            "anchors with parameters": len(self.seeds.anchors),
        }

    def dropped(self) -> dict[str, int]:
        """Return what was left out so far, by reason."""
        older = self.n_in_scope - self.loaded.height
        repeats = self.loaded.height - self.counted.height
        ours = {
            f"older answers beyond MIRT_MAX_OBS={self.plan.max_observations}": older,
            f"repeated answers (MIRT_REPEATS={self.plan.repeats})": repeats,
            f"questions whose meta.irt holds no usable parameters{_such_as(self.seeds.unusable)}": len(
                self.seeds.unusable
            ),
        }
        return dict(self.left_out) | {why: n for why, n in ours.items() if n}

    @cached_property
    def connectivity(self) -> Connectivity:
        """The parts that the answers fall into, of the items with answers enough to be calibrated."""
        enough = item_counts(self.responses).sum(axis=1) >= self.plan.min_responses
        return connectivity(self.responses.select_items(enough))

    @cached_property
    def responses(self) -> Responses:
        """The answers that count, as arrays: four bytes an answer."""
        return Responses.from_frame(self.counted)

    @property
    def since(self) -> dt.datetime:
        """The first moment whose answers are all here: a later one when MIRT_MAX_OBS cut old ones off."""
        if self.loaded.height == self.n_in_scope:
            return self.plan.scope.start
        oldest: dt.datetime = self.loaded.select(pl.col("completed_at").min()).item()
        return oldest

    def starts(self) -> ItemParameters:
        """Return starting values; what an earlier fit wrote there is none, or a rerun would differ."""
        seeds, last = self.seeds.starts, self.last.items
        at = last.index_of(seeds.item_ids)
        written = (at >= 0) & (seeds.a == last.a[at]) & (seeds.b == last.b[at]) if len(last) else at >= 0
        return seeds.select(~written)


def load_answers(connection: Connection, plan: CalibrationPlan) -> Answers:
    """Read the answers in scope, the seeds of the questions and the fit in force."""
    loaded = load_attempts(connection, plan.scope, newest=plan.max_observations)
    is_all = loaded.height < plan.max_observations
    return Answers(
        plan=plan,
        loaded=loaded,
        counted=counted(loaded, plan.repeats, by=["user_id"]),
        n_in_scope=loaded.height if is_all else count_attempts(connection, plan.scope),
        left_out=count_left_out(connection, plan.scope),
        seeds=load_seeds(connection),
        last=load_fit(connection),
    )


def _such_as(ids: Sequence[str]) -> str:
    return f", such as {ids[0]}" if ids else ""


@dataclass(frozen=True)
class Outcome:
    """A fit on its published scale, with what it rests on; `steps` is empty where the engine tells none."""

    answers: Answers
    published: Published
    seconds: float
    steps: tuple[Step, ...] = ()

    @property
    def constants_text(self) -> str:
        """The linking constants as JSON, {} where there are none."""
        return json.dumps(self.constants or {})

    @property
    def constants(self) -> dict[str, float] | None:
        """The linking constants as they are stored."""
        constants = self.published.constants
        return {"slope": constants.slope, "intercept": constants.intercept} if constants else None

    @property
    def convergence_text(self) -> str:
        """The verdict on convergence."""
        fit = self.published.calibration
        if fit.n_iterations == 0:
            return "converged" if fit.converged else "the engine does not say that it converged"
        verdict = "converged" if fit.converged else "did not converge"
        change = "" if math.isnan(fit.criterion) else f", last change {fit.criterion:.2g}"
        return f"{verdict} in {fit.n_iterations} iterations{change}"

    def counts(self) -> dict[str, int]:
        """Return what the fit holds and leaves out."""
        fit = self.published.calibration
        excluded = Counter(exclusion.kind for exclusion in fit.exclusions)
        return {
            "answers used": fit.n_observations,
            "items calibrated": len(fit.items),
            "items excluded": excluded[ExclusionKind.ITEM],
            "abilities": len(fit.abilities),
            "learners excluded": excluded[ExclusionKind.USER],
            "anchors used": self.published.n_anchors,
        }

    def dropped(self) -> dict[str, int]:
        """Return the exclusions by kind and reason, and the answers and anchors lost with them."""
        fit = self.published.calibration
        reasons = Counter(f"{e.kind}s: {e.reason}" for e in fit.exclusions)
        anchors = self.answers.seeds.anchors.item_ids
        lost = {
            "answers: to items left out": self.answers.counted.height - fit.n_observations,
            "anchors: not among the calibrated items": len(set(anchors) - set(fit.items.item_ids)),
        }
        unlinked = {
            f"{e.kind} {e.id}, for the linking: {e.reason}": 1 for e in self.published.linking.dropped
        }
        return dict(sorted(reasons.items())) | {why: n for why, n in lost.items() if n} | unlinked

    def reach(self) -> Reach:
        """Return what of the current state this fit may touch.

        A fit on a topic or an exam sets its items' parameters and nothing else: a learner's θ in one
        topic is not the learner's θ. A fit on days before the last one's adds items and abilities that
        are missing, and takes no newer one's place. Neither can change the scale.
        """
        scope, published, last = self.answers.plan.scope, self.published, self.answers.last
        items = published.calibration.items
        is_older = last.last_day is not None and scope.last_day < last.last_day
        in_force = not (scope.is_partial or is_older)
        on_scale = in_force or published.version == last.version
        wanted = last.items.index_of(items.item_ids) < 0 if is_older else np.full(len(items), on_scale)
        return Reach(
            in_force=in_force,
            items=items.select(wanted & on_scale),
            abilities=on_scale and not scope.is_partial,
            since=self.answers.since,
            until=scope.end,
        )


def fit_and_publish(
    answers: Answers, plan: CalibrationPlan, engine: Engine, progress: OnStep | None = None
) -> Outcome:
    """Fit the model to the answers that count and put it on its published scale."""
    start = time.monotonic()
    steps: list[Step] = []

    def on_step(iteration: int, loglik: float, change: float) -> None:
        steps.append(Step(iteration, loglik, change))
        if progress is not None:
            progress(iteration, loglik, change)

    request = FitRequest(
        answers=answers.counted.select("user_id", "item_id", "correct"),
        model=plan.model,
        anchors=answers.seeds.anchors,
        hold_anchors=False,
        starts=answers.starts(),
        min_responses=plan.min_responses,
    )
    published = fit_to_scale(request, answers.last, plan.linking, engine, on_step)
    return Outcome(answers, published, time.monotonic() - start, tuple(steps))


def write_outcome(
    connection: Connection, outcome: Outcome, plan: CalibrationPlan, now: dt.datetime
) -> dict[str, Written]:
    """Write a fit with all that follows from it, within the caller's transaction."""
    published, answers = outcome.published, outcome.answers
    fit, fitted_at = published.calibration, next_moment(connection, now)
    used = answers.counted.filter(pl.col("item_id").is_in(list(fit.items.item_ids)))
    written = write_fit(
        connection,
        fit,
        FitRecord(
            new_run_id(fitted_at), published.version, fitted_at, _model_spec(outcome), _metrics(outcome)
        ),
        outcome.reach(),
        ability_as_of=used.group_by("user_id").agg(as_of=pl.col("completed_at").max()),
        topic_abilities=topic_abilities(
            _topic_answers(connection, answers), plan.scope.last_day, fit.items, fit.prior, plan.repeats
        ),
        min_responses=plan.min_responses,
    )
    if plan.update_questions and outcome.reach().in_force:
        changed = write_question_parameters(connection, fit, published.version)
        written["question.meta"] = Written(changed=changed, unchanged=len(fit.items) - changed)
    return written


def _topic_answers(connection: Connection, answers: Answers) -> pl.DataFrame:
    """Return the answers behind topic θ: always of its own 60 days, however few days were fitted."""
    scope = answers.plan.scope
    start = first_day(scope.last_day, TOPIC_THETA_DAYS)
    if scope.first_day <= start and answers.loaded.height == answers.n_in_scope:
        return answers.loaded
    return load_attempts(connection, replace(scope, first_day=start))


def _model_spec(outcome: Outcome) -> dict[str, Any]:
    published, answers = outcome.published, outcome.answers
    fit, scope = published.calibration, answers.plan.scope
    return {
        "model": fit.model,
        "n_items": len(fit.items),
        "n_users": len(fit.abilities),
        "n_observations": fit.n_observations,
        "n_anchors": published.n_anchors,
        "linking_constants": outcome.constants,
        "linking_method": published.method,
        "theta_mean": fit.prior.mean,
        "theta_sd": fit.prior.sd,
        "version": published.version,
        "scale": published.scale,
        "on_anchors": published.on_anchors,
        "reason": published.reason,
        "repeats": answers.plan.repeats,
        "n_parts": len(answers.connectivity.components),
        "first_day": str(scope.first_day),
        "last_day": str(scope.last_day),
        "topic_id": scope.topic_id,
        "exam_id": scope.exam_id,
        "counts": answers.counts() | outcome.counts(),
        "dropped": answers.dropped() | outcome.dropped(),
        "code_version": code_version(),
    }


def _metrics(outcome: Outcome) -> dict[str, Any]:
    fit = outcome.published.calibration
    return {
        "aic": fit.aic,
        "bic": fit.bic,
        "loglik": fit.loglik,
        "n_iterations": fit.n_iterations,
        "converged": fit.converged,
        "criterion": _known(fit.criterion),
        "log_prior": _known(fit.log_prior),
        "n_parameters": fit.n_parameters,
        "error_kind": fit.error_kind,
        "seconds": round(outcome.seconds, 3),
    }


def _known(value: float) -> float | None:
    """Return a number as JSON can hold it."""
    return None if math.isnan(value) else value
