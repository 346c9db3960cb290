"""`python -m seedtest.irt.warm`: compile all kernels into the cache, so that nobody waits for it later."""

import logging
import sys
import time

import numpy as np

from seedtest.irt.calibration import calibrate
from seedtest.irt.compiled import kernels
from seedtest.irt.parameters import ItemParameters
from seedtest.irt.responses import Responses
from seedtest.irt.scoring import Scorer, ScoringMethod
from seedtest.irt.standard_errors import ErrorKind

logger = logging.getLogger(__name__)


def warm() -> float:
    """Use every kernel once and return the seconds it took; milliseconds where they are compiled already."""
    before = time.monotonic()
    rng = np.random.default_rng(0)
    n_users, n_items = 80, 6
    user, item = np.divmod(np.arange(n_users * n_items), n_items)
    correct = rng.random(user.size) < 1 / (1 + np.exp(item - 2.5 - 2 * rng.standard_normal(n_users)[user]))
    ids = tuple(f"u{number:02}" for number in range(n_users))
    item_ids = tuple(f"i{number}" for number in range(n_items))
    fit = calibrate(Responses.from_arrays(ids, item_ids, user, item, correct))
    some = rng.random(user.size) < 0.6
    sparse = Responses.from_arrays(ids, item_ids, user[some], item[some], correct[some])
    calibrate(sparse, model="1PL", errors=ErrorKind.BLOCK)
    calibrate(sparse, anchors=fit.items.take(np.array([0, 1])))
    for method in ScoringMethod:
        Scorer(fit.items, fit.prior, method).one(item_ids, [True, False, True, True, False, True])
    sharp = ItemParameters.from_values(item_ids, np.full(n_items, 9.0), np.zeros(n_items))
    Scorer(sharp).one(item_ids, [True, False, True, True, False, True])
    return time.monotonic() - before


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    seconds = warm()
    logger.info("Kernels are ready after %.1f s, kept in %s", seconds, kernels("cache").cache_folder())
