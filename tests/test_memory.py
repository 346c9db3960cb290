import pytest

from seedtest.memory import (
    BASE_MB,
    BYTES_PER_ANSWER,
    FEWEST,
    MOST,
    answers_at_a_time,
    batches_at_a_time,
    memory_limit_mb,
)
from seedtest.settings import Settings


def test_the_limit_is_the_setting_or_no_more_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_limit_mb(Settings(memory_limit_mb=700)) == 700
    monkeypatch.setattr("seedtest.memory.CGROUP_LIMITS", ())
    assert memory_limit_mb(Settings()) > 500


def test_a_container_s_limit_counts_where_it_is_below_the_machine_s(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("cgroup")
    limited, unlimited = folder / "memory.max", folder / "other.max"
    limited.write_text(f"{512 * 2**20}\n")
    unlimited.write_text("max\n")
    monkeypatch.setattr("seedtest.memory.CGROUP_LIMITS", (limited, unlimited, folder / "none"))
    assert memory_limit_mb(Settings()) == 512


@pytest.mark.parametrize(("limit_mb", "at_a_time"), [(100, 3), (512, 3), (1024, 4), (64_000, 4)])
def test_more_batches_are_worked_on_where_there_is_room(limit_mb: int, at_a_time: int) -> None:
    assert batches_at_a_time(Settings(memory_limit_mb=limit_mb)) == at_a_time
    assert batches_at_a_time(Settings(memory_limit_mb=limit_mb, batch_connections=1)) == 1


@pytest.mark.parametrize("connections", [1, 4, 6, 32])
@pytest.mark.parametrize("limit_mb", range(512, 2048, 256))
def test_all_batches_together_fit(limit_mb: int, connections: int) -> None:
    settings = Settings(memory_limit_mb=limit_mb, batch_connections=connections)
    held_mb = answers_at_a_time(settings) * batches_at_a_time(settings) * BYTES_PER_ANSWER / 2**20
    assert BASE_MB + held_mb <= limit_mb


def test_a_batch_is_as_set_and_else_neither_tiny_nor_huge() -> None:
    assert answers_at_a_time(Settings(batch_answers=7)) == 7
    assert answers_at_a_time(Settings(memory_limit_mb=100)) == FEWEST
    assert answers_at_a_time(Settings(memory_limit_mb=64_000)) == MOST
