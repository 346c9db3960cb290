"""Answers as a full table, for statistics that need every learner's answer to every item."""

import numpy as np

from seedtest.errors import DataError
from seedtest.irt.parameters import FloatArray
from seedtest.irt.responses import Responses
from seedtest.irt.results import Calibration


def complete_table(responses: Responses, calibration: Calibration, statistic: str) -> FloatArray:
    """Right (1) and wrong (0) answers to the calibrated items, (n_users, n_items).

    Raises
    ------
    DataError
        When answers are missing or repeated: the reason names how many.
    """
    at = calibration.items.index_of(responses.item_ids)
    kept = responses.select_items(at >= 0)
    column = calibration.items.index_of(kept.item_ids)[kept.item]
    shape = (kept.n_users, len(calibration.items))
    counts, right = np.zeros(shape), np.zeros(shape)
    np.add.at(counts, (kept.user, column), 1.0)
    np.add.at(right, (kept.user, column), kept.correct)
    missing, repeated = int((counts == 0).sum()), int((counts > 1).sum())
    if missing or repeated:
        raise DataError(
            f"{statistic} needs one answer of every learner to every item; of {counts.size} pairs {missing} "
            f"have none and {repeated} have several. Where answers are missing by design, use infit and "
            "outfit."
        )
    return right
