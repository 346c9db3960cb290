"""Putting a fit on a reference scale, or saying why not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest.errors import CalibrationError, DataError
from seedtest.irt import Abilities, ItemParameters, LinkingConstants, LinkingMethod, Prior, link
from seedtest.irt.parameters import FloatArray

FREE = ItemParameters.from_values(
    ["q1", "q2", "q3", "q4"], a=[0.8, 1.2, 1.0, 1.5], b=[-1.0, 0.0, 0.5, 1.5], n=100
)


def reference(b: FloatArray | list[float], a: float | list[float] = 1.0) -> ItemParameters:
    return ItemParameters.from_values(FREE.item_ids, a, b)


def test_constants_transform_everything_as_the_contract_says() -> None:
    errors = {"se_a": np.array([0.2]), "se_b": np.array([0.3]), "se_c": np.array([0.05])}
    items = ItemParameters(
        ("q1",), np.array([1.2]), np.array([0.5]), np.array([0.1]), **errors, n=np.array([9])
    )
    abilities = Abilities(("u",), np.array([0.4]), np.array([0.3]), np.array([9]))
    constants = LinkingConstants(slope=2.0, intercept=-1.0)
    linked = constants.apply_items(items)
    assert (linked.a[0], linked.b[0], linked.c[0]) == (0.6, 0.0, 0.1)
    assert (linked.se_a[0], linked.se_b[0], linked.se_c[0]) == (0.1, 0.6, 0.05)
    moved = constants.apply_abilities(abilities)
    assert (moved.theta[0], moved.se[0], moved.n[0]) == (pytest.approx(-0.2), 0.6, 9)
    assert constants.apply_prior(Prior(0.5, 1.5)) == Prior(0.0, 3.0)


def test_errors_stay_positive_on_a_reversed_scale() -> None:
    constants = LinkingConstants(slope=-2.0, intercept=0.0)
    abilities = Abilities(("u",), np.array([0.4]), np.array([0.3]), np.array([9]))
    assert constants.apply_abilities(abilities).se[0] == 0.6
    assert constants.apply_prior(Prior()).sd == 2.0


@pytest.mark.parametrize("method", list(LinkingMethod))
@given(slope=st.floats(0.25, 4.0), intercept=st.floats(-3.0, 3.0))
def test_a_known_transformation_is_found_again(method: LinkingMethod, slope: float, intercept: float) -> None:
    constants = LinkingConstants(slope, intercept)
    linking = link(FREE, constants.apply_items(FREE), method)
    assert linking.constants is not None
    assert linking.constants.slope == pytest.approx(slope)
    assert linking.constants.intercept == pytest.approx(intercept, abs=1e-9)
    assert (linking.used_ids, linking.dropped, linking.reason) == (FREE.item_ids, (), None)


@given(slope=st.floats(0.25, 4.0), intercept=st.floats(-3.0, 3.0))
def test_linking_there_and_back_is_the_identity(slope: float, intercept: float) -> None:
    there = LinkingConstants(slope, intercept).apply_items(FREE)
    back = link(there, FREE).constants
    assert back is not None
    np.testing.assert_allclose(back.apply_items(there).b, FREE.b, atol=1e-9)
    np.testing.assert_allclose(back.apply_items(there).a, FREE.a, rtol=1e-9)


@given(shift=st.floats(-3.0, 3.0))
def test_a_constant_added_to_the_anchors_moves_the_scale_by_it(shift: float) -> None:
    anchors = reference([-0.9, 0.2, 0.4, 1.6])
    moved = reference(anchors.b + shift)
    before, after = link(FREE, anchors).constants, link(FREE, moved).constants
    assert before is not None
    assert after is not None
    assert after.slope == pytest.approx(before.slope)
    assert after.intercept == pytest.approx(before.intercept + shift, abs=1e-9)


def test_mean_sigma_and_mean_mean_take_their_slope_from_different_parameters() -> None:
    anchors = reference([-2.0, 0.0, 1.0, 3.0], a=0.75)
    by_b, by_a = link(FREE, anchors, "mean-sigma").constants, link(FREE, anchors, "mean-mean").constants
    assert by_b is not None
    assert by_a is not None
    assert by_b.slope == pytest.approx(2.0)
    assert by_a.slope == pytest.approx(1.125 / 0.75)


def test_only_common_usable_items_count() -> None:
    anchors = ItemParameters.from_values(
        ["q1", "q2", "q3", "q4", "elsewhere"], [1.0, np.nan, 1.0, -0.5, 1.0], [-1.0, 0.0, 0.5, 1.5, 9.0]
    )
    linking = link(FREE, anchors)
    assert linking.used_ids == ("q1", "q3")
    assert linking.constants == LinkingConstants(1.0, 0.0)
    assert {(e.id, e.reason) for e in linking.dropped} == {
        ("q2", "its reference parameters are not finite with a > 0"),
        ("q4", "its reference parameters are not finite with a > 0"),
    }


@pytest.mark.parametrize("n_common", [0, 1])
def test_one_common_item_is_too_few(n_common: int) -> None:
    linking = link(FREE, FREE.select(np.arange(4) < n_common))
    assert linking.constants is None
    assert linking.reason == f"{n_common} usable common items; 2 are needed"


def test_anchors_in_another_order_contradict_the_fit() -> None:
    linking = link(FREE, reference([1.5, 0.5, 0.0, -1.0]))
    assert linking.constants is None
    assert linking.reason is not None
    assert "correlate -" in linking.reason


def test_two_anchors_in_opposite_order_contradict_the_fit() -> None:
    linking = link(FREE, reference([0.5, -0.5, 0.0, 0.0]).select(np.array([True, True, False, False])))
    assert linking.constants is None
    assert linking.reason is not None
    assert "contradictory" in linking.reason


def test_a_slope_beyond_reason_is_refused() -> None:
    linking = link(FREE, reference(10 * FREE.b))
    assert linking.constants is None
    assert linking.reason == "slope 10 lies outside [1/5, 5]"


def test_equal_difficulties_carry_mean_mean_but_not_mean_sigma() -> None:
    anchors = reference([0.5, 0.5, 0.5, 0.5])
    refused = link(FREE, anchors, "mean-sigma")
    assert (refused.constants, refused.reason) == (None, "the common items have no spread of difficulty")
    assert link(FREE, anchors, "mean-mean").constants is not None


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(CalibrationError, match="'haebara'; choose one of mean-sigma, mean-mean"):
        link(FREE, FREE, "haebara")


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 0.0), (np.nan, 0.0), (1.0, np.inf)])
def test_constants_must_make_a_scale(slope: float, intercept: float) -> None:
    with pytest.raises(DataError, match="No scale"):
        LinkingConstants(slope, intercept)
