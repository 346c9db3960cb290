"""A calibration from the database's answers to the database's tables; flows and commands call it alike."""

import datetime as dt
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl
from sqlalchemy.engine import Connection

from seedtest.db.attempts import Scope, count_attempts, count_left_out, last_days, load_attempts
from seedtest.db.calibrations import (
    FitRecord,
    Seeds,
    load_fit,
    load_seeds,
    new_run_id,
    next_moment,
    write_fit,
    write_question_parameters,
)
from seedtest.db.frames import Written
from seedtest.irt import ExclusionKind, Responses, calibrate
from seedtest.scale import Fit, Published, displacement, publish
from seedtest.settings import LinkingMethod, Model, Repeats, Settings
from seedtest.theta import TOPIC_THETA_DAYS, counted, topic_abilities
from seedtest.version import code_version
from seedtest.windows import first_day

OnStep = Callable[[int, float, float], None]


@dataclass(frozen=True)
class CalibrationPlan:
    """Which answers to fit, and how."""

    scope: Scope
    model: Model
    repeats: Repeats
    linking: LinkingMethod
    max_observations: int
    min_responses: int
    update_questions: bool
    retention_days: int

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
            retention_days=settings.ability_retention_days,
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
        }
        return dict(self.left_out) | {why: n for why, n in ours.items() if n}


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


@dataclass(frozen=True)
class Outcome:
    """A fit on its published scale, with what it rests on."""

    answers: Answers
    published: Published
    seconds: float

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
        verdict = "converged" if fit.converged else "did not converge"
        return f"{verdict} in {fit.n_iterations} iterations, last change {fit.criterion:.2g}"

    def counts(self) -> dict[str, int]:
        """Return what the fit holds and leaves out."""
        fit = self.published.calibration
        excluded = Counter(exclusion.kind for exclusion in fit.exclusions)
        return {
            "items calibrated": len(fit.items),
            "items excluded": excluded[ExclusionKind.ITEM],
            "abilities": len(fit.abilities),
            "learners excluded": excluded[ExclusionKind.USER],
            "anchors used": self.published.n_anchors,
        }

    def dropped(self) -> dict[str, int]:
        """Return the exclusions by kind and reason."""
        reasons = Counter(f"{e.kind}s: {e.reason}" for e in self.published.calibration.exclusions)
        return dict(sorted(reasons.items()))

    def facts(self) -> dict[str, str]:
        """Return everything else worth reading."""
        fit = self.published.calibration
        quartiles = (0.0, 0.25, 0.5, 0.75, 1.0)
        spread = {
            name: " · ".join(f"{value:.2f}" for value in np.quantile(values, quartiles))
            for name, values in (
                ("discrimination a (min, quartiles, max)", fit.items.a),
                ("difficulty b (min, quartiles, max)", fit.items.b),
                ("ability θ (min, quartiles, max)", fit.abilities.theta),
            )
            if len(values)
        }
        return {
            "version of the scale": f"{self.published.version}, by {self.published.scale}",
            "linking constants": self.constants_text,
            "reason": self.published.reason or "none",
            "convergence": self.convergence_text,
            "log-likelihood": f"{fit.loglik:.3f}",
            "mean θ of the learners": f"{fit.abilities.theta.mean():.3f}",
            "ability distribution": f"N({fit.prior.mean:.3f}, {fit.prior.sd:.3f}²)",
            "fit": f"{self.seconds:.2f} s",
        } | spread

    def item_table(self) -> pl.DataFrame:
        """Return a row an item: parameters, standard errors and answers."""
        items = self.published.calibration.items
        columns = {name: getattr(items, name) for name in ("a", "b", "c", "se_a", "se_b", "n")}
        return pl.DataFrame({"item_id": list(items.item_ids), **columns}).fill_nan(None)

    def exclusion_table(self) -> pl.DataFrame:
        """Return a row an item or learner that the fit left out."""
        rows = [
            {"kind": str(e.kind), "id": e.id, "reason": e.reason, "answers": e.n}
            for e in self.published.calibration.exclusions
        ]
        schema = {"kind": pl.String, "id": pl.String, "reason": pl.String, "answers": pl.Int64}
        return pl.DataFrame(rows, schema=schema)

    def linking_table(self) -> pl.DataFrame:
        """Return the items that carried the linking: difficulty before and now, displacement in logits."""
        used, reference = self.published.linking.used_ids, self.published.reference
        now = self.published.calibration.items
        return pl.DataFrame(
            {
                "item_id": list(used),
                "b_reference": reference.b[reference.index_of(used)],
                "b_now": now.b[now.index_of(used)],
                "displacement": displacement(self.published),
            },
            schema_overrides={"item_id": pl.String},
        )


def fit_and_publish(answers: Answers, plan: CalibrationPlan, progress: OnStep | None = None) -> Outcome:
    """Fit the model to the answers that count and put it on its published scale."""
    start = time.monotonic()
    free = calibrate(
        Responses.from_frame(answers.counted),
        model=plan.model,
        start=answers.seeds.starts,
        min_responses=plan.min_responses,
        progress=progress,
    )
    published = publish(free, answers.seeds.anchors, answers.last, plan.linking)
    return Outcome(answers, published, time.monotonic() - start)


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
        ability_as_of=used.group_by("user_id").agg(as_of=pl.col("completed_at").max()),
        topic_abilities=topic_abilities(
            _topic_answers(connection, answers), plan.scope.last_day, fit.items, fit.prior, plan.repeats
        ),
        retention_days=plan.retention_days,
        min_responses=plan.min_responses,
    )
    if plan.update_questions:
        changed = write_question_parameters(connection, fit.items, plan.model, published.version)
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
        "linking_method": published.linking.method,
        "theta_mean": fit.prior.mean,
        "theta_sd": fit.prior.sd,
        "version": published.version,
        "scale": published.scale,
        "on_anchors": published.on_anchors,
        "reason": published.reason,
        "repeats": answers.plan.repeats,
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
        "criterion": fit.criterion,
        "seconds": round(outcome.seconds, 3),
    }
