"""Weak prior knowledge about items whose answers do not speak for themselves."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln

from seedtest.errors import CalibrationError
from seedtest.irt.parameters import BoolArray, FloatArray, IntArray, Prior

LOG_SQRT_2PI = 0.5 * float(np.log(2 * np.pi))


@dataclass(frozen=True, slots=True)
class Beta:
    """A beta distribution of a probability, density ∝ c^(alpha − 1)·(1 − c)^(beta − 1)."""

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        if not (self.alpha > 0 and self.beta > 0 and np.isfinite(self.alpha + self.beta)):
            raise CalibrationError(
                f"Beta({self.alpha}, {self.beta}) is no distribution: both numbers must be above 0."
            )


@dataclass(frozen=True, slots=True)
class ItemPriors:
    """Priors on item parameters: lognormal a, normal b, logit-normal or beta c; the mode is taken in a, b.

    The likelihood of ten answers is nearly flat in a: left alone, a third of such items run off to
    a = ±∞ and take b with them. `THIN_ITEM_PRIORS` holds them near what items are usually like
    and gives way as answers come in: the mode of its lognormal density is a = 1, 95 % of a within
    [0.48, 3.4] and of b within ±3.9. It still pays at 200 answers an item: there, with 60 answers a
    learner, it takes the root mean squared error of b from 0.37 to 0.23 and of a from 0.28 to 0.23
    (simulated, 500 learners).

    From `below_n` answers on a and b have no prior, and estimates are those of marginal maximum
    likelihood. 250 is the sample size from which Harwell & Janosky (1991) found the parameters of a
    2PL recovered well.

    The lower asymptote of a 3PL is known from the few learners far below an item's difficulty, and
    discrimination can make up for much of it. So a and c of a 3PL item have their priors however many
    answers it has: by default logit c ~ N(logit 0.2, 0.7²), 95 % of c within [0.06, 0.50].

    Attributes
    ----------
    log_a
        Normal distribution of log a, that is a lognormal density of a; None: no prior. It does not
        apply to items whose discrimination is held.
    b
        Of the difficulty (logits); None: no prior. It does not apply either where discrimination is held.
    below_n
        log_a and b apply to items with fewer answers than this; None: to all. log_a applies to 3PL items
        in any case.
    c
        Normal distribution of logit c, or a beta distribution of c, of 3PL items; None: no prior.
    """

    log_a: Prior | None
    b: Prior | None
    below_n: int | None = None
    c: Prior | Beta | None = None


THIN_ITEM_PRIORS = ItemPriors(
    log_a=Prior(0.25, 0.5), b=Prior(0.0, 2.0), below_n=250, c=Prior(float(np.log(0.2 / 0.8)), 0.7)
)


@dataclass(frozen=True, eq=False)
class PriorTable:
    """Priors of each item as the kernels read them.

    Attributes
    ----------
    rows
        Mean and precision of log a, of b, of logit c; α − 1 and β − 1 of c; 0 where there is none,
        (n_items, 8).
    log_constants
        What the kernels leave out of the log densities, (n_items,).
    """

    rows: FloatArray
    log_constants: FloatArray

    @classmethod
    def none(cls, n_items: int) -> "PriorTable":
        """No prior at all."""
        return cls(np.zeros((n_items, 8)), np.zeros(n_items))

    @classmethod
    def of(cls, priors: ItemPriors | None, n: IntArray, is_free: BoolArray) -> "PriorTable":
        """Priors of items with n answers each, (n_items,), on the parameters estimated, (n_items, 3)."""
        table = cls.none(n.size)
        if priors is None:
            return table
        few = np.ones(n.size, dtype=np.bool_) if priors.below_n is None else n < priors.below_n
        thin = is_free[:, 0] & few
        table._normal(0, priors.log_a, thin | is_free[:, 2])
        table._normal(2, priors.b, thin)
        if isinstance(priors.c, Beta):
            table._beta(priors.c, is_free[:, 2])
        else:
            table._normal(4, priors.c, is_free[:, 2])
        return table

    @property
    def applies(self) -> BoolArray:
        """Whether there is a prior on the discrimination, (n_items,)."""
        return np.asarray(self.rows[:, 1] > 0)

    def select(self, keep: BoolArray) -> "PriorTable":
        """Only the items where `keep`, (n_items,), is true."""
        return PriorTable(self.rows[keep], self.log_constants[keep])

    def _normal(self, column: int, prior: Prior | None, where: BoolArray) -> None:
        if prior is not None:
            self.rows[where, column] = prior.mean
            self.rows[where, column + 1] = prior.sd**-2
            self.log_constants[where] -= LOG_SQRT_2PI + np.log(prior.sd)

    def _beta(self, prior: Beta, where: BoolArray) -> None:
        self.rows[where, 6:] = prior.alpha - 1, prior.beta - 1
        self.log_constants[where] -= betaln(prior.alpha, prior.beta)
