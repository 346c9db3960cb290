import polars as pl
import pytest

from seedtest.failures import isolate


def rows(user_ids: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"user_id": user_ids})


@pytest.mark.parametrize("culprits", [set(), {"u0"}, {"u12"}, {"u3", "u4", "u9"}])
def test_whose_data_raises_is_found_and_the_rest_comes_out(culprits: set[str]) -> None:
    def compute(user_ids: pl.Series) -> pl.DataFrame:
        bad = sorted(culprits & set(user_ids))
        if bad:
            raise pl.exceptions.ComputeError(f"cannot use {bad[0]}")
        return rows(user_ids)

    user_ids = pl.Series("user_id", [f"u{k}" for k in range(13)])
    found, failures = isolate(user_ids, compute)
    assert {failure.user_id for failure in failures} == culprits
    assert all(f"ComputeError: cannot use {failure.user_id}" in failure.reason for failure in failures)
    assert set(found["user_id"]) == set(user_ids) - culprits
    assert found.height == 13 - len(culprits)


def test_a_single_learner_whose_data_raises_leaves_an_empty_frame() -> None:
    def compute(user_ids: pl.Series) -> pl.DataFrame:
        return rows(user_ids.str.to_integer().cast(pl.String))

    found, failures = isolate(pl.Series("user_id", ["seven"]), compute)
    assert found.is_empty()
    assert [failure.user_id for failure in failures] == ["seven"]


def test_an_error_that_is_no_learner_s_is_raised() -> None:
    def compute(user_ids: pl.Series) -> pl.DataFrame:
        return rows(user_ids).select("missing")

    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        isolate(pl.Series("user_id", ["a", "b"]), compute)


def test_an_outage_is_not_taken_for_bad_data() -> None:
    def compute(user_ids: pl.Series) -> pl.DataFrame:
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        isolate(pl.Series("user_id", ["a", "b"]), compute)
