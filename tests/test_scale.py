"""On which scale a fit is published, and what the version says of it."""

import numpy as np
import pytest

from seedtest.irt import Calibration, ItemParameters, LinkingConstants, Prior
from seedtest.irt.parameters import FloatArray
from seedtest.scale import Fit, Published, Scale, next_version, publish, publish_held, publish_linked
from tests.fits import NO_ITEMS, NOTHING_FITTED, calibration, items_at

FREE = {"A1": -1.0, "A2": 0.0, "A3": 1.0, "Q1": -0.5, "Q2": 0.5}
ON_ANCHORS = {name: 2 * b + 1 for name, b in FREE.items()}
"""The same items where slope 2 and intercept 1 lead."""
ANCHORS = items_at({name: b for name, b in ON_ANCHORS.items() if name.startswith("A")}, a=0.6)


def fit_in_force(
    difficulties: dict[str, float], version: str = "v3", *, on_anchors: bool = False, a: float = 1.2
) -> Fit:
    return Fit(items_at(difficulties, a=a), Prior(0.3, 0.9), version, "fit-1", on_anchors=on_anchors)


def shifted(by: float) -> dict[str, float]:
    return {name: b + by for name, b in FREE.items()}


def free_fit() -> Calibration:
    return calibration(FREE, {"ann": 0.5, "bob": -1.0})


def displacement(published: Published, reference: ItemParameters) -> FloatArray:
    items = published.calibration.items
    return np.asarray(items.b[items.index_of(reference.item_ids)] - reference.b)


def assert_unlinked(published: Published) -> None:
    assert published.constants is None
    assert published.scale is Scale.OWN
    assert not published.on_anchors
    np.testing.assert_array_equal(published.calibration.items.b, list(FREE.values()))
    assert published.calibration.prior == Prior(0.0, 1.0)


# -- the anchors' scale ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["mean-sigma", "mean-mean"])
def test_anchors_carry_everything_to_their_scale(method: str) -> None:
    published = publish(free_fit(), ANCHORS, NOTHING_FITTED, method)
    fit = published.calibration
    assert published.constants is not None
    assert (published.constants.slope, published.constants.intercept) == pytest.approx((2, 1))
    np.testing.assert_allclose(fit.items.b, list(ON_ANCHORS.values()))
    np.testing.assert_allclose(fit.items.a, 0.6)
    np.testing.assert_allclose(fit.items.se_b, 0.4)
    np.testing.assert_allclose(fit.items.se_a, 0.05)
    np.testing.assert_allclose(fit.abilities.theta, [2.0, -1.0])
    np.testing.assert_allclose(fit.abilities.se, 0.8)
    assert (fit.prior.mean, fit.prior.sd) == pytest.approx((1, 2))
    assert (published.scale, published.on_anchors) == (Scale.ANCHORS, True)
    assert (published.version, published.n_anchors, published.reason) == ("v1", 3, None)
    np.testing.assert_allclose(displacement(published, ANCHORS), 0, atol=1e-12)


def test_the_version_stays_while_fits_are_on_the_anchors_scale() -> None:
    last = fit_in_force(ON_ANCHORS, on_anchors=True)
    assert publish(free_fit(), ANCHORS, last, "mean-sigma").version == "v3"


def test_anchors_that_come_after_a_free_fit_make_one_new_version() -> None:
    last = fit_in_force(FREE, "v1")
    first = publish(free_fit(), ANCHORS, last, "mean-sigma")
    assert (first.version, first.scale) == ("v2", Scale.ANCHORS)
    then = Fit(first.calibration.items, first.calibration.prior, "v2", "fit-2", on_anchors=first.on_anchors)
    assert publish(free_fit(), ANCHORS, then, "mean-sigma").version == "v2"


def test_anchors_count_only_when_they_are_in_the_data_and_usable() -> None:
    broken = items_at({"A1": -1.0, "A2": 1.0, "A3": 3.0, "unused": 0.0}, a=0.6)
    broken.a[2] = -0.6
    published = publish(free_fit(), broken, NOTHING_FITTED, "mean-sigma")
    assert published.n_anchors == 2
    assert published.linking.used_ids == ("A1", "A2")
    assert [(e.id, e.n) for e in published.linking.dropped] == [("A3", 40)]


def test_displacement_shows_the_anchor_that_drifted() -> None:
    drifted = items_at({"A1": -1.0, "A2": 1.0, "A3": 3.0, "Q1": 0.0, "Q2": 2.4})
    moved = displacement(publish(free_fit(), drifted, NOTHING_FITTED, "mean-sigma"), drifted)
    assert abs(moved).argmax() == 4
    assert moved[4] < -0.2


# -- linked by the engine, or held --------------------------------------------------------------------


def test_a_fit_that_its_engine_linked_is_published_as_it_is() -> None:
    constants = LinkingConstants(2.0, 1.0)
    linked = free_fit().linked(constants)
    published = publish_linked(linked, constants, ANCHORS, fit_in_force(FREE), "mean-sigma")
    assert published.calibration is linked
    assert (published.constants, published.method) == (constants, "engine")
    assert (published.scale, published.version, published.n_anchors) == (Scale.ANCHORS, "v4", 3)
    np.testing.assert_allclose(published.free.b, list(FREE.values()), atol=1e-12)
    assert [anchor.displacement for anchor in published.linking.stability] == pytest.approx([0.0] * 3)


def test_constants_without_anchors_behind_them_are_taken_back() -> None:
    constants = LinkingConstants(2.0, 1.0)
    linked = free_fit().linked(constants)
    published = publish_linked(linked, constants, NO_ITEMS, NOTHING_FITTED, "mean-sigma")
    assert (published.scale, published.constants) == (Scale.OWN, None)
    np.testing.assert_allclose(published.calibration.items.b, list(FREE.values()), atol=1e-12)


def test_held_anchors_are_a_scale_without_constants() -> None:
    last = fit_in_force(ON_ANCHORS, on_anchors=True)
    checked = publish(free_fit(), ANCHORS, last, "haebara")
    held = calibration(ON_ANCHORS)
    published = publish_held(held, checked)
    assert published.calibration is held
    assert (published.constants, published.method, published.reason) == (None, "fixed", None)
    assert (published.scale, published.version, published.n_anchors) == (Scale.ANCHORS, "v3", 3)
    np.testing.assert_allclose(published.compared.b, list(ON_ANCHORS.values()), atol=1e-6)


# -- no usable anchors -----------------------------------------------------------------------------


def test_the_first_fit_without_anchors_defines_v1() -> None:
    published = publish(free_fit(), NO_ITEMS, NOTHING_FITTED, "mean-sigma")
    assert_unlinked(published)
    assert (published.version, published.n_anchors) == ("v1", 0)
    assert published.reason == "anchors: 0 usable common items; 2 are needed"


@pytest.mark.parametrize("on_anchors", [True, False])
def test_without_anchors_the_items_of_the_last_fit_keep_scale_and_version(on_anchors: bool) -> None:
    last = fit_in_force(shifted(0.7), on_anchors=on_anchors)
    one_anchor = items_at({"A1": 5.0})
    published = publish(free_fit(), one_anchor, last, "mean-sigma")
    assert published.constants is not None
    assert (published.constants.slope, published.constants.intercept) == pytest.approx((1, 0.7))
    assert (published.version, published.scale) == ("v3", Scale.LAST_FIT)
    assert published.on_anchors is on_anchors
    assert (published.n_anchors, published.reason) == (1, "anchors: 1 usable common items; 2 are needed")
    np.testing.assert_allclose(published.calibration.items.b, list(shifted(0.7).values()))
    np.testing.assert_allclose(displacement(published, last.items), 0, atol=1e-12)


def test_a_fit_that_shares_too_little_with_the_last_starts_a_new_version() -> None:
    last = fit_in_force({"Q1": 0.0, "other": 1.0})
    published = publish(free_fit(), NO_ITEMS, last, "mean-sigma")
    assert_unlinked(published)
    assert published.version == "v4"
    assert published.reason == (
        "anchors: 0 usable common items; 2 are needed; "
        "items of the last fit: 1 usable common items; 2 are needed"
    )


# -- contradictions --------------------------------------------------------------------------------

CONTRADICTORY = items_at({"A1": 1.0, "A2": 0.0, "A3": -1.0})


def test_contradictory_anchors_of_a_first_fit_are_not_used() -> None:
    published = publish(free_fit(), CONTRADICTORY, NOTHING_FITTED, "mean-sigma")
    assert_unlinked(published)
    assert (published.version, published.n_anchors) == ("v1", 3)
    assert published.reason is not None
    assert "anchors: contradictory common items" in published.reason


def test_contradictory_anchors_start_a_new_version_though_the_last_fits_items_agree() -> None:
    last = fit_in_force(ON_ANCHORS, on_anchors=True)
    published = publish(free_fit(), CONTRADICTORY, last, "mean-sigma")
    assert_unlinked(published)
    assert published.version == "v4"
    mended = Fit(published.calibration.items, Prior(), published.version, "fit-2", on_anchors=False)
    assert publish(free_fit(), ANCHORS, mended, "mean-sigma").version == "v5"


def test_a_last_fit_that_contradicts_this_one_starts_a_new_version() -> None:
    last = fit_in_force({name: -b for name, b in FREE.items()})
    published = publish(free_fit(), NO_ITEMS, last, "mean-sigma")
    assert_unlinked(published)
    assert published.version == "v4"
    assert published.reason is not None
    assert "items of the last fit: contradictory" in published.reason


@pytest.mark.parametrize(
    ("version", "following"),
    [
        ("v1", "v2"),
        ("v9", "v10"),
        ("2026-07", "2026-8"),
        ("pilot", "pilot-2"),
        ("pilot-2", "pilot-3"),
        ("", "-2"),
    ],
)
def test_a_version_is_followed_by_the_next_number(version: str, following: str) -> None:
    assert next_version(version) == following
