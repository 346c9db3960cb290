"""What a calibration gives."""

from dataclasses import dataclass, replace

from seedtest.irt.exclusions import Exclusion
from seedtest.irt.linking import LinkingConstants
from seedtest.irt.parameters import Abilities, ItemParameters, Prior
from seedtest.irt.standard_errors import ErrorKind


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fitted model, on the scale of the fit until it is linked.

    Attributes
    ----------
    model
        Name of the item response model, such as 2PL.
    item_models
        Model of each of the items.
    items, abilities
        Estimates of every item and learner that was not excluded.
    exclusions
        Items and learners left out, with the reason.
    prior
        Ability distribution on the scale of `items` and `abilities`.
    loglik
        Marginal log-likelihood at the estimates, without the terms of any prior on items.
    log_prior
        Log density of the item priors at the estimates, 0 without priors; EM maximises loglik + log_prior.
    aic, bic
        −2·loglik + 2k and −2·loglik + k·ln(n_users), with k = n_parameters (mirt's convention).
    n_parameters
        Free parameters of the items and of the ability distribution.
    n_iterations
        Steps of the EM algorithm, over all refits.
    converged
        Whether `criterion` ended at or below the tolerance.
    criterion
        Largest change of a parameter in the last EM step (logits).
    n_observations
        Answers that the estimates rest on.
    n_blocks
        Groups of items that no chain of common learners connects: 1, unless the data fall apart.
    error_kind
        Where the items' standard errors come from: the whole observed information or each item's block.
    """

    model: str
    item_models: tuple[str, ...]
    items: ItemParameters
    abilities: Abilities
    exclusions: tuple[Exclusion, ...]
    prior: Prior
    loglik: float
    log_prior: float
    aic: float
    bic: float
    n_parameters: int
    n_iterations: int
    converged: bool
    criterion: float
    n_observations: int
    n_blocks: int
    error_kind: ErrorKind

    def linked(self, constants: LinkingConstants) -> "Calibration":
        """Return the same fit on the scale that the constants lead to; likelihood and fit are unchanged."""
        return replace(
            self,
            items=constants.apply_items(self.items),
            abilities=constants.apply_abilities(self.abilities),
            prior=constants.apply_prior(self.prior),
        )
