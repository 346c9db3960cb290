"""Four million answers through the embedded service: memory far below a pod's, packed or not."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seedtest.irt import ItemParameters, probability
from tests.irt_service.services import TOKEN, Service, running

MIB = 1 << 20
N_USERS, N_ITEMS, EACH = 100_000, 2_000, 40
VERDICTS = ("false", "true")
MOST_MIB = 700
"""A third of the pod's limit of 2 GiB (domain §9)."""


def pieces() -> Iterator[bytes]:
    rng = np.random.default_rng(4)
    items = ItemParameters.from_values(
        [f"Q{number:04}" for number in range(N_ITEMS)],
        rng.lognormal(0, 0.3, N_ITEMS),
        rng.standard_normal(N_ITEMS),
    )
    yield b'{"observations": ['
    for first in range(0, N_USERS, 1000):
        theta = rng.standard_normal(1000)
        drawn = rng.random((1000, N_ITEMS)).argpartition(EACH, axis=1)[:, :EACH]
        user = np.repeat(np.arange(1000), EACH)
        right = rng.random(drawn.size) < probability(items, theta)[drawn.ravel(), user]
        rows = [
            f'{{"user_id": "user-{first + u:06}", "item_id": "Q{i:04}", "is_correct": {VERDICTS[r]}}}'
            for u, i, r in zip(user.tolist(), drawn.ravel().tolist(), right.tolist(), strict=True)
        ]
        yield (("," if first else "") + ",".join(rows)).encode()
    yield b'], "model": "2PL"}'


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running("embedded", tmp_path_factory.mktemp("large"), TOKEN) as found:
        yield found


def peak_mib(service: Service) -> float:
    status = Path(f"/proc/{service.process.pid}/status")
    if not status.exists():
        pytest.skip("the peak of a process's memory is read from /proc, which is not here")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@pytest.mark.heavy
@pytest.mark.parametrize("packed", [False, True])
def test_four_million_answers_stay_within_the_pods_memory(
    large: Service, tmp_path: Path, packed: bool
) -> None:
    file = tmp_path / "body"
    with gzip.open(file, "wb", 1) if packed else file.open("wb") as body:
        for piece in pieces():
            body.write(piece)
    headers = {"content-encoding": "gzip"} if packed else {}
    with file.open("rb") as body:
        response = large.client.post("/irt/calibrate", content=body, headers=headers)
    assert response.status_code == 200, response.text[:500]
    spec = response.json()["fit_meta"]["model_spec"]
    assert (spec["n_observations"], spec["n_users"], spec["n_items"]) == (4_000_000, N_USERS, N_ITEMS)
    assert peak_mib(large) < MOST_MIB
