"""Marginal maximum likelihood by EM (Bock & Aitkin, 1981), with parameter expansion and acceleration."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from seedtest.irt.acceleration import Anderson
from seedtest.irt.compiled import kernels
from seedtest.irt.design import Design, Role
from seedtest.irt.parameters import FloatArray
from seedtest.irt.priors import PriorTable
from seedtest.irt.quadrature import Quadrature
from seedtest.irt.sweep import Expectation, Sweep

Progress = Callable[[int, float, float], None]
"""Called after every EM step with the iteration, the log-likelihood and the largest change (logits)."""

SLACK = 1e-10
"""Share of the objective that an accelerated step may lose: rounding, not ground."""

NEWTON_LIMITS = np.array([50.0, 1e-8])
"""Most scoring steps of an M-step, and the step (logits) at which an item is done."""

INFORMATION_AN_ANSWER = np.array([1.0, 1.0, 0.1])
"""How much an answer tells of slope, intercept and logit c, relative to a learner on mean and spread."""

SMALLEST_SD, LARGEST_SD = 0.02, 50.0
"""Bounds of a free standard deviation of ability (logits)."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """When EM ends: a step changes nothing by more than `tolerance`, or enough is enough."""

    max_iterations: int
    tolerance: float
    progress: Progress | None = None


@dataclass(frozen=True, eq=False)
class State:
    """A point of the iteration.

    Attributes
    ----------
    params
        Slope a, intercept d and logit c, (n_items, 3).
    mean, sd
        Of the ability distribution (logits).
    """

    params: FloatArray
    mean: float = 0.0
    sd: float = 1.0

    def on_grid(self) -> FloatArray:
        """Parameters for abilities standardised to N(0, 1), where the grid lies, (n_items, 3)."""
        a, d, logit_c = self.params.T
        return np.stack([a * self.sd, d + a * self.mean, logit_c], axis=1)

    def distance(self, other: "State") -> float:
        """Largest difference of any coordinate (logits)."""
        finite = np.isfinite(self.params)
        change = np.abs(self.params[finite] - other.params[finite]).max(initial=0.0)
        return float(max(change, abs(self.mean - other.mean), abs(np.log(self.sd / other.sd))))


@dataclass(frozen=True, eq=False)
class EmFit:
    """Where EM ended: parameters, the E-step there, and how it ended.

    `log_prior` is the log density of the item priors there, 0 without priors. `expectation` is valid
    until the next E-step of the same sweep.
    """

    design: Design
    state: State
    grid: Quadrature
    expectation: Expectation
    log_prior: float
    n_iterations: int
    converged: bool
    criterion: float

    @property
    def nodes(self) -> FloatArray:
        """Abilities at the nodes (logits), (n_nodes,)."""
        return self.state.mean + self.state.sd * self.grid.nodes


def fit(sweep: Sweep, design: Design, stopping: Stopping, iterations_before: int = 0) -> EmFit:
    """Maximise marginal log-likelihood plus log prior over the free parameters.

    Every iteration is one full EM step; the acceleration only chooses where the next one starts, so
    the size of the step is an honest measure of what is left. In an M-step ability's mean and
    standard deviation are estimated along with the items, as parameters of their own or as an expansion that
    the items absorb at once (see `Role`).

    Parameters
    ----------
    sweep
        The answers, and a grid for the standard normal distribution: it moves and stretches with ability's.
    design
        What is estimated, and from where on.
    stopping
        Tolerance, limit and progress callback.
    iterations_before
        Iterations of earlier fits, for the numbers that the callback is given.
    """
    return _Iteration(sweep, design, stopping, iterations_before).run(State(design.start))


class _Iteration:
    """One run of EM: the steps, their acceleration and the verdict."""

    def __init__(self, sweep: Sweep, design: Design, stopping: Stopping, iterations_before: int) -> None:
        self._sweep, self._design, self._stopping = sweep, design, stopping
        self._before = iterations_before
        self._accelerator = Anderson()

    def run(self, state: State) -> EmFit:
        iteration, change, converged, done, rejected = 0, np.inf, False, False, False
        while not done:
            iteration += 1
            expectation = self._sweep.expect(state.on_grid())
            proposal = maximise(self._sweep, self._design, state, expectation)
            change = state.distance(proposal)
            objective = expectation.loglik + log_prior(state.params, self._design.priors)
            if self._stopping.progress is not None:
                self._stopping.progress(self._before + iteration, expectation.loglik, change)
            rejected = self._accelerator.rejects(objective, SLACK * abs(objective))
            converged = change <= self._stopping.tolerance and not rejected
            done = converged or iteration == self._stopping.max_iterations
            # The result has proved its likelihood: its tables are those of this E-step.
            if not done or rejected:
                state = self._next(state, proposal, expectation, objective, rejected=rejected)
        if rejected:
            expectation = self._sweep.expect(state.on_grid())
        return self._result(state, expectation, iteration, change, converged=converged)

    def _next(
        self, state: State, proposal: State, expectation: Expectation, objective: float, *, rejected: bool
    ) -> State:
        if rejected:
            return self._unpacked(self._accelerator.retreat(), proposal)
        point = self._accelerator.next_point(
            self._packed(state), self._packed(proposal), objective, self._weights(expectation)
        )
        return self._unpacked(point, proposal)

    def _packed(self, state: State) -> FloatArray:
        return np.concatenate([state.params[self._design.is_free], [state.mean, np.log(state.sd)]])

    def _weights(self, expectation: Expectation) -> FloatArray:
        """Return about the square root of the information on each coordinate: of its answers or learners."""
        n = expectation.sums.sum(axis=1).reshape(-1, 2).sum(axis=1)
        about_items = (n[:, None] * INFORMATION_AN_ANSWER)[self._design.is_free]
        n_users = expectation.mass.sum()
        return np.asarray(np.sqrt(np.concatenate([about_items, [n_users, n_users]])))

    def _unpacked(self, point: FloatArray, sound: State) -> State:
        """Take a point apart, within bounds; items it throws out of them fall back on the sound state."""
        estimation = kernels("estimation")
        params = sound.params.copy()
        params[self._design.is_free] = point[:-2]
        params[:, 0] = np.clip(params[:, 0], -estimation.LARGEST_SLOPE, estimation.LARGEST_SLOPE)
        guessed = self._design.is_free[:, 2]
        params[guessed, 2] = np.clip(
            params[guessed, 2], estimation.LOWEST_LOGIT_C, estimation.HIGHEST_LOGIT_C
        )
        outside = self._design.priors.applies & (params[:, 0] <= 0)
        params[outside] = sound.params[outside]
        sd = float(np.clip(np.exp(point[-1]), SMALLEST_SD, LARGEST_SD))
        return State(params, float(point[-2]), sd)

    def _result(
        self, state: State, expectation: Expectation, iteration: int, change: float, *, converged: bool
    ) -> EmFit:
        return EmFit(
            design=self._design,
            state=state,
            grid=self._sweep.grid,
            expectation=expectation,
            log_prior=log_prior(state.params, self._design.priors)
            + float(self._design.priors.log_constants.sum()),
            n_iterations=iteration,
            converged=converged,
            criterion=change,
        )


def maximise(sweep: Sweep, design: Design, state: State, expectation: Expectation) -> State:
    """M-step: every item's parameters given the expected answers, and the ability distribution."""
    params = maximise_items(sweep, design, state, expectation, design.priors)
    n_users = expectation.mass.sum()
    mean = float(expectation.mass @ sweep.grid.nodes / n_users)
    square = float(expectation.mass @ sweep.grid.nodes**2 / n_users)
    if design.mean is Role.EXPANDED and design.sd is not Role.FREE:
        return _reduced(design, state, params, np.array([n_users, mean, square]))
    sd = float(np.clip(state.sd * np.sqrt(square - mean**2), SMALLEST_SD, LARGEST_SD))
    shift = state.sd * mean
    if design.mean is Role.FREE:
        return _tied(sweep, design, State(params, state.mean, state.sd), expectation, mean, square)
    return State(params + params[:, :1] * [0.0, shift, 0.0], 0.0, sd)


def _tied(
    sweep: Sweep, design: Design, state: State, expectation: Expectation, mean: float, square: float
) -> State:
    """Find the distribution of ability from anchors and posteriors; free items move along with it.

    To a learner's standardised ability the free items' lines are a'θ + d' as in a fit without anchors, and
    the anchors' are known up to the mean and sd of ability. The M-step fits these two to the
    anchors' expected answers, with a' and d' held; then the posteriors' own mean and sd are absorbed
    (parameter expansion).
    """
    found = np.array([state.mean, np.log(state.sd)])
    bounds = np.log([SMALLEST_SD, LARGEST_SD])
    standard = state.on_grid()
    kernels("ability").tie(
        expectation.sums,
        sweep.grid.nodes,
        state.params,
        standard,
        design.is_anchor,
        design.is_free,
        design.priors.rows,
        bounds,
        found,
    )
    tied_mean, tied_sd = float(found[0]), float(np.exp(found[1]))
    a = np.where(design.is_free[:, 0], standard[:, 0] / tied_sd, state.params[:, 0])
    moved = np.stack([a, standard[:, 1] - a * tied_mean, state.params[:, 2]], axis=1)
    params = np.where(design.is_free, moved, state.params)
    sd = float(np.clip(tied_sd * np.sqrt(square - mean**2), SMALLEST_SD, LARGEST_SD))
    return State(params, tied_mean + tied_sd * mean, sd)


def maximise_items(
    sweep: Sweep, design: Design, state: State, expectation: Expectation, priors: PriorTable
) -> FloatArray:
    """Every item's parameters given the expected answers, (n_items, 3)."""
    params, step = np.empty_like(state.params), kernels("estimation").maximise
    nodes = state.mean + state.sd * sweep.grid.nodes
    sweep.by_items(
        lambda first, last: step(
            expectation.sums,
            nodes,
            state.params,
            design.is_free,
            priors.rows,
            NEWTON_LIMITS,
            params,
            first,
            last,
        )
    )
    return params


def log_prior(params: FloatArray, priors: PriorTable) -> float:
    """Log density of the items' priors, without its constants."""
    if not priors.rows.any():
        return 0.0
    values = np.empty(len(params))
    kernels("priors").log_priors(params, priors.rows, values)
    return float(values.sum())


def _reduced(design: Design, state: State, params: FloatArray, moments: FloatArray) -> State:
    """Absorb the mean, and with an expanded scale the standard deviation, into the items."""
    found = np.empty(2)
    scale_too = design.sd is Role.EXPANDED
    kernels("ability").expand(params, design.priors.rows, moments, scale_too, found)
    shift, stretch = found[0], np.exp(found[1])
    a, d, logit_c = params.T
    bound = kernels("estimation").LARGEST_SLOPE
    return replace(
        state, params=np.stack([np.clip(a * stretch, -bound, bound), d + a * shift, logit_c], axis=1)
    )
