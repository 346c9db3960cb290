"""Parts of items and learners that nothing connects."""

from pathlib import Path

import polars as pl

from seedtest.irt import Responses, connectivity
from seedtest.irt.stored import StoredResponses
from tests.irt.simulation import simulate


def two_islands() -> pl.DataFrame:
    one, other = simulate(1, 60, 8, answers_each=5).frame, simulate(2, 30, 4).frame
    return pl.concat([one, other.with_columns(pl.format("X{}", c).alias(c) for c in ("user_id", "item_id"))])


def test_connected_items_are_one_part() -> None:
    found = connectivity(simulate(1, 60, 8, answers_each=5).responses)
    assert found.is_connected
    assert found.message == "All items are connected by common learners: one scale."


def test_islands_are_named_the_largest_first() -> None:
    found = connectivity(Responses.from_frame(two_islands()))
    assert [(len(part.item_ids), part.n_users, part.n_answers) for part in found.components] == [
        (8, 60, 300),
        (4, 30, 120),
    ]
    assert found.components[1].item_ids == ("Xi000", "Xi001", "Xi002", "Xi003")
    assert "fall into 2 parts" in found.message
    assert "4 items (Xi000, Xi001, Xi002, …) with 30 learners" in found.message


def test_a_single_learner_joins_the_parts() -> None:
    bridge = pl.DataFrame({"user_id": ["b", "b"], "item_id": ["i000", "Xi000"], "correct": [True, False]})
    assert connectivity(Responses.from_frame(pl.concat([two_islands(), bridge]))).is_connected


def test_parts_are_the_same_block_by_block(tmp_path: Path) -> None:
    frame = two_islands()
    path = tmp_path / "answers.parquet"
    frame.write_parquet(path)
    with StoredResponses.read(path, memory_mb=0, folder=tmp_path) as stored:
        assert connectivity(stored) == connectivity(Responses.from_frame(frame))


def test_no_answers_are_no_parts() -> None:
    empty = pl.DataFrame(schema={"user_id": pl.String, "item_id": pl.String, "correct": pl.Boolean})
    assert connectivity(Responses.from_frame(empty)).components == ()
