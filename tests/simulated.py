"""A simulated cohort in the platform's own form, small enough for a calibration in each test."""

import datetime as dt
from functools import cache
from typing import Any

import numpy as np
from scipy.special import expit

from tests.db.exam_results import NOON, result

N_USERS, N_ITEMS, N_ANCHORS = 240, 16, 6
THETA_MEAN, THETA_SD = 0.4, 1.3
"""Of the learners on the anchors' scale."""
ITEM_IDS = [f"Q{n:02}" for n in range(N_ITEMS)]
A = np.linspace(0.8, 1.8, N_ITEMS)[np.random.default_rng(1).permutation(N_ITEMS)]
B = np.linspace(-1.5, 2.0, N_ITEMS)


@cache
def cohort() -> tuple[dict[str, Any], ...]:
    """Each learner answers all items on one of ten days, an even one's first three items again later.

    Beside them stand an item that everybody gets right, one that two learners answer, and a learner
    who answered nothing else.
    """
    rng = np.random.default_rng(11)
    theta = rng.normal(THETA_MEAN, THETA_SD, N_USERS)
    correct = rng.random((N_USERS, N_ITEMS)) < expit(A * (theta[:, None] - B))
    results = []
    for user in range(N_USERS):
        at = NOON - dt.timedelta(days=user % 10, seconds=user)
        answers = [
            {"question_id": item_id, "is_correct": bool(right), "topic": f"topic{n % 2}"}
            for n, (item_id, right) in enumerate(zip(ITEM_IDS, correct[user], strict=True))
        ]
        first = [*answers, {"question_id": "easy", "is_correct": True}]
        user_id, exam_id = f"u{user:03}", 1 + user % 2
        results.append(result(*first, user_id=user_id, completed_at=at, exam_id=exam_id))
        if user % 2 == 0:
            again = [answer | {"is_correct": True} for answer in answers[:3]]
            later = at + dt.timedelta(hours=1)
            results.append(result(*again, user_id=user_id, completed_at=later, exam_id=exam_id))
    rare = {"question_id": "rare", "is_correct": False}
    results += [result(rare, user_id=user_id, exam_id=1) for user_id in ("u001", "stranger")]
    return tuple(results)


def anchor_metas() -> list[dict[str, Any]]:
    chosen = range(0, N_ITEMS, 3)
    return [
        {"id": ITEM_IDS[n], "meta": {"tags": ["anchor"], "irt": {"a": A[n], "b": B[n], "c": None}}}
        for n in chosen
    ]
