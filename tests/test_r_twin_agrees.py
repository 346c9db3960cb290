"""R's mirt and the embedded engine, asked the same over HTTP, give the same."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.irt_service.answers import Observations, anchor, simulated, sparse
from tests.irt_service.services import Service, missing_for_r, running

CLOSE = 0.002


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Service]]:
    if reason := missing_for_r():
        pytest.skip(f"the R service cannot run here: {reason}")
    folder = tmp_path_factory.mktemp("services")
    with running("embedded", folder, None) as embedded, running("r_twin", folder, None) as r:
        yield embedded, r


def ragged() -> Observations:
    """Learners with few and with many answers to items, among them thin ones; some answers are repeats."""
    observations = sparse(9, 800, 20, 10)
    return observations[:4000] + observations[4000::3] + observations[:4000:9]


def anchors(*, fixed: bool) -> list[dict[str, Any]]:
    """Every third item, on a scale of its own."""
    _, truth = simulated(21, 1000, 40)
    return [
        anchor(truth.item_ids[at], float(truth.a[at]) / 1.3, 1.3 * float(truth.b[at]) + 0.4, fixed=fixed)
        for at in range(0, 40, 3)
    ]


def cohort() -> Observations:
    return simulated(21, 1000, 40)[0]


REQUESTS = [
    pytest.param(lambda: {"model": "2PL", "observations": cohort()}, id="2PL"),
    pytest.param(lambda: {"model": "3PL", "observations": simulated(7, 1000, 20, c=0.2)[0]}, id="3PL"),
    *(
        pytest.param(lambda model=model: {"model": model, "observations": ragged()}, id=f"{model}, ragged")
        for model in ("Rasch", "1PL", "2PL")
    ),
    pytest.param(
        lambda: {"model": "2PL", "observations": cohort(), "anchors": anchors(fixed=True)}, id="held anchors"
    ),
    *(
        pytest.param(
            lambda method=method: {
                "model": "2PL",
                "observations": cohort(),
                "anchors": anchors(fixed=False),
                "linking": method,
            },
            id=method,
        )
        for method in ("mean-sigma", "mean-mean", "haebara", "stocking-lord")
    ),
]


@pytest.mark.parametrize("request_of", REQUESTS)
def test_both_engines_give_the_same(
    both: tuple[Service, Service], request_of: Callable[[], dict[str, Any]]
) -> None:
    body = request_of()
    embedded, r = (service.answer("/irt/calibrate", body) for service in both)
    assert flattened(r) == pytest.approx(flattened(embedded), abs=CLOSE)
    for number in ("loglik", "log_prior", "aic", "bic"):
        found, expected = (answer["fit_meta"]["metrics"][number] for answer in (r, embedded))
        assert found == pytest.approx(expected, abs=0.01), number
    assert r["fit_meta"]["model_spec"]["error_kind"] == embedded["fit_meta"]["model_spec"]["error_kind"]
    assert r["exclusions"] == embedded["exclusions"]


def flattened(answer: dict[str, Any]) -> dict[str, float | None]:
    """Every number of an answer's items, abilities and scale, by name."""
    spec = answer["fit_meta"]["model_spec"]
    numbers: dict[str, float | None] = {
        f"{item['item_id']}.{part}.{name}": item[part][name]
        for item in answer["item_params"]
        for part in ("params", "se")
        for name in "abc"
    }
    for ability in answer["abilities"]:
        numbers |= {f"{ability['user_id']}.{name}": ability[name] for name in ("theta", "se")}
    constants = answer["fit_meta"]["linking_constants"] or {}
    return numbers | constants | {name: spec[name] for name in ("theta_mean", "theta_sd", "n_anchors")}
