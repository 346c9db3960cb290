"""Answers as arrays."""

import numpy as np
import polars as pl
import pytest

from seedtest.errors import DataError
from seedtest.irt import Responses

FRAME = pl.DataFrame(
    {
        "user_id": ["b", "a", "b", "a"],
        "item_id": ["Q2", "Q10", "Q10", "Q10"],
        "correct": [True, True, False, False],
    }
)


def test_ids_are_sorted_and_answers_ordered() -> None:
    responses = Responses.from_frame(FRAME)
    assert responses.user_ids == ("a", "b")
    assert responses.item_ids == ("Q10", "Q2")
    assert responses.user.tolist() == [0, 0, 1, 1]
    assert responses.item.tolist() == [0, 0, 0, 1]
    assert responses.correct.tolist() == [False, True, False, True]
    assert responses.user.dtype == np.dtype(np.int32)
    assert responses.item.dtype == np.dtype(np.int32)
    assert len(responses) == 4


def test_a_selection_keeps_only_learners_who_answered() -> None:
    chosen = Responses.from_frame(FRAME).select_items(np.array([False, True]))
    assert (chosen.user_ids, chosen.item_ids) == (("b",), ("Q2",))
    assert (chosen.user.tolist(), chosen.item.tolist(), chosen.correct.tolist()) == ([0], [0], [True])


def test_an_empty_frame_has_no_responses() -> None:
    empty = Responses.from_frame(FRAME.clear())
    assert (len(empty), empty.user_ids, empty.item_ids) == (0, (), ())


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (FRAME.drop("correct"), "need a column correct"),
        (FRAME.with_columns(pl.lit(1).alias("user_id")), "user_id of the responses is Int32"),
        (FRAME.with_columns(pl.lit(1).alias("correct")), "correct of the responses is Int32"),
        (FRAME.with_columns(item_id=pl.lit(None, pl.String)), "item_id of the responses is null in 4 rows"),
    ],
)
def test_unusable_columns_are_named(frame: pl.DataFrame, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        Responses.from_frame(frame)


def test_arrays_must_fit_together() -> None:
    ones, none = np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.int32)
    with pytest.raises(DataError, match="one of each"):
        Responses.from_arrays(("a",), ("Q",), ones, none, np.ones(1, dtype=np.bool_))
    with pytest.raises(DataError, match=r"outside 0…0"):
        Responses.from_arrays(("a",), ("Q",), ones, ones + 1, np.ones(1, dtype=np.bool_))
