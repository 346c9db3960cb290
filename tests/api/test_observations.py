"""Answers read as they arrive: however the bytes are cut, the same answers as from a table."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtest.api.json_events import ObjectReader
from seedtest.api.observations import Observations
from seedtest.errors import RequestError
from seedtest.irt import Responses

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
ANSWERS = st.lists(st.tuples(IDS, IDS, st.booleans()), max_size=20)


def read(text: bytes, size: int) -> tuple[dict[str, Any], Observations]:
    observations = Observations()
    reader = ObjectReader({"model"}, {"observations": observations.read}, observations.__len__)
    for start in range(0, len(text), size):
        reader.feed(text[start : start + size])
    reader.close()
    return reader.values, observations


def body(answers: list[tuple[str, str, bool]], *, escaped: bool) -> bytes:
    rows: list[dict[str, Any]] = [
        {"item_id": item, "more": [{"x": {}}], "is_correct": right, "user_id": user, "responded_at": None}
        for user, item, right in answers
    ]
    return json.dumps({"observations": rows, "model": "2PL"}, ensure_ascii=escaped).encode()


@settings(deadline=None)
@given(answers=ANSWERS, size=st.integers(1, 400), escaped=st.booleans())
def test_however_a_body_is_cut_it_holds_the_same_answers(
    answers: list[tuple[str, str, bool]], size: int, escaped: bool
) -> None:
    values, observations = read(body(answers, escaped=escaped), size)
    assert values == {"model": "2PL"}
    assert len(observations) == len(answers)
    found = observations.responses()
    schema = {"user_id": pl.String, "item_id": pl.String, "correct": pl.Boolean}
    expected = Responses.from_frame(pl.DataFrame(answers, schema=schema, orient="row"))
    assert (found.user_ids, found.item_ids) == (expected.user_ids, expected.item_ids)
    np.testing.assert_array_equal(found.start, expected.start)
    np.testing.assert_array_equal(found.code, expected.code)


@settings(deadline=None)
@given(answers=ANSWERS, seed=st.randoms())
def test_the_order_of_answers_leaves_no_trace(answers: list[tuple[str, str, bool]], seed: Any) -> None:
    shuffled = seed.sample(answers, len(answers))
    one, other = (read(body(rows, escaped=True), 4096)[1].responses() for rows in (answers, shuffled))
    assert (one.user_ids, one.item_ids) == (other.user_ids, other.item_ids)
    np.testing.assert_array_equal(one.code, other.code)


def test_an_answer_that_is_wrong_is_named_by_its_place() -> None:
    rows = [{"user_id": "u", "item_id": "i", "is_correct": True}] * 3 + [{"user_id": "u", "item_id": 4}]
    with pytest.raises(RequestError, match=r"^observations\[3\]\.item_id: must be text, not a number\.$"):
        read(json.dumps({"observations": rows}).encode(), 50)


def test_an_empty_id_is_refused() -> None:
    rows = [{"user_id": "", "item_id": "i", "is_correct": True}]
    with pytest.raises(RequestError, match="a user_id is empty"):
        read(json.dumps({"observations": rows}).encode(), 50)[1].responses()
