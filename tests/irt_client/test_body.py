"""What the client sends."""

import json
import zlib
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from seedtest.engine import FitRequest
from seedtest.irt import ItemParameters
from seedtest.irt_client.body import ROWS_A_PIECE, SMALLEST_PACKED_BYTES, gzipped, request_body
from tests.irt_client.cohort import request

KNOWN = ItemParameters.from_values(
    ["Q1", "Q4", "elsewhere"], [1.25, 0.5, 1.0], [0.1, -2.0, 0.0], [0.0, 0.2, 0.0]
)


def sent(asked: FitRequest) -> Any:
    return json.loads(b"".join(request_body(asked)))


def test_the_body_holds_every_answer_and_the_options() -> None:
    asked = request("3PL", min_responses=7)
    body = sent(asked)
    assert (body["model"], body["min_responses"]) == ("3PL", 7)
    rows = asked.answers.rename({"correct": "is_correct"}).to_dicts()
    assert body["observations"] == rows


def test_anchors_go_along_only_to_be_held_and_only_those_with_answers() -> None:
    assert sent(request(anchors=KNOWN))["anchors"] == []
    assert sent(request(anchors=KNOWN, hold_anchors=True))["anchors"] == [
        {"item_id": "Q1", "params": {"a": 1.25, "b": 0.1, "c": 0.0}, "fixed": True},
        {"item_id": "Q4", "params": {"a": 0.5, "b": -2.0, "c": 0.2}, "fixed": True},
    ]


def test_starting_values_that_no_fit_would_reach_stay_at_home() -> None:
    starts = ItemParameters.from_values(
        ["Q1", "Q2", "Q3", "Q4"], [1.5, float("nan"), -1.0, 1.0], [0, 0, 0, 5000]
    )
    assert sent(request(starts=starts))["starts"] == [{"item_id": "Q1", "params": {"a": 1.5, "b": 0, "c": 0}}]


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1), st.booleans()), min_size=1))
def test_any_id_survives_the_way(rows: list[tuple[str, str, bool]]) -> None:
    answers = pl.DataFrame(rows, schema=["user_id", "item_id", "correct"], orient="row")
    observations = sent(request(answers=answers))["observations"]
    assert [(row["user_id"], row["item_id"], row["is_correct"]) for row in observations] == rows


def test_many_answers_come_in_pieces_that_make_one_gzip_stream() -> None:
    n = 2 * ROWS_A_PIECE + 1
    answers = pl.DataFrame(
        {"user_id": pl.int_range(n, eager=True).cast(pl.String), "item_id": "Q1", "correct": True}
    )
    asked = request(answers=answers)
    pieces = list(request_body(asked))
    assert len(pieces) == 5
    packed_pieces = list(gzipped(request_body(asked)))
    assert all(len(piece) >= SMALLEST_PACKED_BYTES for piece in packed_pieces[:-1])
    packed = b"".join(packed_pieces)
    assert zlib.decompress(packed, wbits=zlib.MAX_WBITS | 16) == b"".join(pieces)
    assert len(json.loads(b"".join(pieces))["observations"]) == n
