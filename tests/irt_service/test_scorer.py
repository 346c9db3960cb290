"""The client's scorer and the services understand each other, and agree with the embedded engine."""

import numpy as np
import pytest

from seedtest.irt import ItemParameters, Prior, Scorer
from seedtest.irt_client import HttpScorer
from seedtest.settings import load_settings
from tests.irt_service.services import TOKEN, Service

ITEMS = ItemParameters.from_values(
    [f"Q{n}" for n in range(20)], a=np.linspace(0.5, 2, 20), b=np.linspace(-2, 2, 20), c=[0, 0.2] * 10
)
PRIOR = Prior(0.3, 1.2)


def test_a_service_gives_the_theta_of_the_embedded_engine(service: Service) -> None:
    settings = load_settings(r_irt_base_url=str(service.client.base_url), r_irt_internal_token=TOKEN)
    over_http = HttpScorer.from_settings(settings, ITEMS, PRIOR)
    embedded = Scorer(ITEMS, PRIOR)
    rng = np.random.default_rng(3)
    sheets = []
    for n in range(1, 20, 3):
        item_ids = rng.choice(np.array(ITEMS.item_ids), size=n, replace=False).tolist()
        sheets.append((item_ids, (rng.random(n) < 0.6).tolist()))
    for found, sheet in zip(over_http.many(sheets), sheets, strict=True):
        expected = embedded.one(*sheet)
        assert found is not None
        assert found.theta == pytest.approx(expected.theta, abs=1e-3)
        assert found.se == pytest.approx(expected.se, abs=1e-3)
        assert found.n == expected.n
