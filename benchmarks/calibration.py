"""The calibration's time, beside R's mirt as measured elsewhere for the reference results."""

from functools import partial

import numpy as np
import polars as pl

from benchmarks.timing import median_seconds
from seedtest.irt import Responses, calibrate

# Seconds of R's mirt, one thread, TOL 1e-4, by size (see the reference results' README).
R_MIRT_SECONDS = {(500, 150, 150): 1.9, (20_000, 500, 40): 41.9}


def responses(users: int, items: int, answers: int) -> Responses:
    """Return 2PL answers: a ~ lognormal(0, 0.3), b and θ ~ N(0, 1), every user the same number of items."""
    rng = np.random.default_rng(1)
    a, b, theta = rng.lognormal(0, 0.3, items), rng.normal(size=items), rng.normal(size=users)
    user = np.repeat(np.arange(users), answers)
    item = np.argsort(rng.random((users, items)), axis=1)[:, :answers].ravel()
    correct = rng.random(len(user)) < 1 / (1 + np.exp(-a[item] * (theta[user] - b[item])))
    frame = pl.DataFrame({"user_id": user, "item_id": item, "correct": correct})
    return Responses.from_frame(frame.with_columns(pl.col("user_id", "item_id").cast(pl.String)))


def main() -> None:
    """Fit each size and compare with mirt's published seconds."""
    for (users, items, answers), r_seconds in R_MIRT_SECONDS.items():
        data = responses(users, items, answers)
        seconds = median_seconds(partial(calibrate, data, item_priors=None), runs=3)
        size = f"{users:,} × {items:,}, {answers} answers each"
        print(f"  {size:<60}{seconds:9.3f} s   {r_seconds / seconds:6.1f} × faster than mirt's {r_seconds} s")
