"""A few answers, and what an honest service says of them; the numbers need fit nothing."""

import copy
from typing import Any

import polars as pl

from seedtest.engine import FitRequest
from seedtest.irt import ItemParameters

ITEMS = ("Q1", "Q2", "Q3", "Q4")
USERS = ("ann", "bob", "cem")
NO_ITEMS = ItemParameters.from_values((), [], [])


def request(model: str = "2PL", **changes: Any) -> FitRequest:
    pairs = [(user, item) for user in USERS for item in ITEMS]
    answers = pl.DataFrame(
        {
            "user_id": [user for user, _ in pairs],
            "item_id": [item for _, item in pairs],
            "correct": [len(user + item) % 2 == 0 or item == "Q2" for user, item in pairs],
        }
    )
    given: dict[str, Any] = {
        "answers": answers,
        "model": model,
        "anchors": NO_ITEMS,
        "hold_anchors": False,
        "starts": NO_ITEMS,
        "min_responses": 2,
    }
    return FitRequest(**(given | changes))


def answer(model: str = "2PL") -> dict[str, Any]:
    """An honest answer, the caller's own to spoil."""
    said: dict[str, Any] = {
        "status": "ok",
        "item_params": [
            {
                "item_id": item,
                "params": {"a": 1.0 + at / 10, "b": at - 1.5, "c": 0.0},
                "se": {"a": 0.1, "b": 0.2, "c": None},
                "n": len(USERS),
                "model": model,
                "version": "v1",
            }
            for at, item in enumerate(ITEMS)
        ],
        "abilities": [
            {"user_id": user, "theta": at - 1.0, "se": 0.4, "model": model, "version": "v1"}
            for at, user in enumerate(USERS)
        ],
        "fit_meta": {
            "run_id": "fit-2026-11-02T03:00:00Z",
            "model_spec": {"model": model, "theta_mean": 0.0, "theta_sd": 1.0},
            "metrics": {"loglik": -10.0, "aic": 36.0, "bic": 40.0},
            "linking_constants": None,
        },
    }
    return copy.deepcopy(said)
