"""Putting a fit on a reference scale, or saying why not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from seedtest.errors import CalibrationError, DataError
from seedtest.irt import (
    Abilities,
    ItemParameters,
    LinkingConstants,
    LinkingMethod,
    Prior,
    StabilityRule,
    link,
    linked_elsewhere,
    probability,
)
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
    with pytest.raises(CalibrationError, match="'tucker'; choose one of mean-sigma, mean-mean, haebara"):
        link(FREE, FREE, "tucker")


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 0.0), (np.nan, 0.0), (1.0, np.inf)])
def test_constants_must_make_a_scale(slope: float, intercept: float) -> None:
    with pytest.raises(DataError, match="No scale"):
        LinkingConstants(slope, intercept)


def twenty(seed: int = 1, se: float = 0.1) -> ItemParameters:
    rng = np.random.default_rng(seed)
    items = ItemParameters.from_values(
        [f"q{i:02}" for i in range(20)], rng.lognormal(0, 0.3, 20), rng.standard_normal(20), n=200
    )
    errors = np.full(20, se)
    return replace(items, se_a=errors, se_b=errors)


def shaken(items: ItemParameters, rng: np.random.Generator, sd: float) -> ItemParameters:
    return replace(items, a=items.a + sd * rng.standard_normal(20), b=items.b + sd * rng.standard_normal(20))


@pytest.mark.parametrize("method", list(LinkingMethod))
def test_standard_errors_of_the_constants_are_those_of_repeated_linking(method: LinkingMethod) -> None:
    rng = np.random.default_rng(5)
    free = twenty(se=0.05)
    reference = LinkingConstants(1.2, 0.4).apply_items(free)
    errors = np.full(20, 0.05)
    linking = link(free, replace(reference, se_a=errors, se_b=errors), method)
    found = [
        link(shaken(free, rng, 0.05), shaken(reference, rng, 0.05), method, None).constants
        for _ in range(400)
    ]
    slopes, intercepts = np.array([(c.slope, c.intercept) for c in found if c is not None]).T
    assert linking.se_slope == pytest.approx(slopes.std(), rel=0.15)
    assert linking.se_intercept == pytest.approx(intercepts.std(), rel=0.15)


def test_a_reference_known_exactly_adds_no_error_and_an_unknown_fit_has_none() -> None:
    free = twenty()
    exact = ItemParameters.from_values(free.item_ids, free.a, free.b)
    assert link(free, exact).se_intercept < link(free, free).se_intercept
    assert np.isnan(link(exact, free).se_intercept)


def test_items_with_held_discrimination_still_give_errors() -> None:
    rasch = replace(twenty(), a=np.ones(20), se_a=np.full(20, np.nan))
    linking = link(rasch, rasch, "haebara")
    assert 0 < linking.se_intercept < 0.1


@pytest.mark.parametrize("method", ["haebara", "stocking-lord"])
def test_curves_are_closest_at_the_constants_found(method: str) -> None:
    rng = np.random.default_rng(6)
    free, reference = twenty(), shaken(LinkingConstants(1.3, -0.5).apply_items(twenty()), rng, 0.1)
    constants = link(free, reference, method).constants
    assert constants is not None
    theta = np.linspace(-6, 6, 61)
    weights = np.exp(-(theta**2) / 2)

    def loss(point: FloatArray) -> float:
        linked = LinkingConstants(float(point[0]), float(point[1])).apply_items(free)
        gap = probability(linked, theta) - probability(reference, theta)
        if method == "stocking-lord":
            gap = gap.sum(axis=0, keepdims=True)
        return float((gap**2 @ weights).sum())

    options: Any = {"xatol": 1e-9, "fatol": 1e-13}
    best = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options=options)
    assert (constants.slope, constants.intercept) == pytest.approx(tuple(best.x), abs=1e-5)


@pytest.mark.parametrize("method", list(LinkingMethod))
def test_drifting_anchors_are_dropped_with_the_reason(method: LinkingMethod) -> None:
    rng = np.random.default_rng(7)
    free = twenty()
    reference = shaken(free, rng, 0.05)
    reference.b[[3, 11]] += [1.5, -1.2]
    linking = link(free, reference, method)
    assert {e.id for e in linking.dropped} == {"q03", "q11"}
    assert all("it drifts by" in e.reason for e in linking.dropped)
    assert linking.constants is not None
    assert linking.constants.intercept == pytest.approx(0, abs=0.1)
    of_q03 = next(anchor for anchor in linking.stability if anchor.item_id == "q03")
    assert (of_q03.kept, of_q03.drifts) == (False, True)
    assert of_q03.displacement == pytest.approx(-1.5, abs=0.2)
    unguarded = link(free, reference, method, None)
    assert (unguarded.dropped, len(unguarded.used_ids)) == ((), 20)


def test_no_more_anchors_are_dropped_than_the_rule_allows() -> None:
    free = twenty()
    reference = shaken(free, np.random.default_rng(8), 0.02)
    reference.b[:3] += [0.8, -0.8, 0.7]
    linking = link(free, reference, stability=StabilityRule(smallest_share_kept=0.9))
    assert len(linking.used_ids) == 18
    assert any(anchor.kept and anchor.drifts for anchor in linking.stability)
    few = link(free.select(np.arange(20) < 5), reference, stability=StabilityRule())
    assert len(few.used_ids) == 5


def test_anchors_that_all_disagree_still_contradict_the_fit() -> None:
    free = twenty()
    other = replace(free, b=np.random.default_rng(9).standard_normal(20))
    linking = link(free, other)
    assert linking.constants is None
    assert "contradictory" in (linking.reason or "")


def spread_anchors(rng: np.random.Generator) -> tuple[ItemParameters, ItemParameters]:
    """27 anchors from very easy to very hard, and a fit that estimated them with their standard errors."""
    b = np.linspace(-3.0, 3.0, 27)
    reference = ItemParameters.from_values([f"q{i:02}" for i in range(27)], 1.0, b)
    errors = 0.08 + 0.035 * b**2
    noise = errors * rng.standard_normal(27)
    return replace(reference, b=b + noise, se_b=errors, se_a=np.full(27, 0.1)), reference


def dropped_ids(free: ItemParameters, reference: ItemParameters, rule: StabilityRule) -> set[str]:
    return {exclusion.id for exclusion in link(free, reference, stability=rule).dropped}


def test_extreme_anchors_that_only_look_displaced_are_kept() -> None:
    rng = np.random.default_rng(10)
    by_size_alone = StabilityRule(largest_error_multiple=1e-9)
    lost, lost_before = 0, 0
    for _ in range(200):
        free, reference = spread_anchors(rng)
        lost += len(dropped_ids(free, reference, StabilityRule()))
        lost_before += len(dropped_ids(free, reference, by_size_alone))
    # One in 370 stable items lies beyond three standard errors by chance.
    assert lost <= 200 * 27 / 370 < lost_before / 5


@pytest.mark.parametrize("drift", [1.0, -1.0])
def test_an_anchor_that_drifted_by_a_logit_goes_and_no_other(drift: float) -> None:
    rng = np.random.default_rng(11)
    for place in range(9, 18):
        free, reference = spread_anchors(rng)
        reference.b[place] += drift
        assert dropped_ids(free, reference, StabilityRule()) == {f"q{place:02}"}


def test_the_error_of_the_reference_explains_a_displacement_too() -> None:
    free, rng = twenty(se=0.05), np.random.default_rng(12)
    reference = shaken(free, rng, 0.02)
    reference.b[3] += 1.0
    assert dropped_ids(free, reference, StabilityRule()) == {"q03"}
    unsure = replace(reference, se_b=np.where(np.arange(20) == 3, 0.5, np.nan))
    linking = link(free, unsure)
    assert linking.dropped == ()
    of_q03 = next(anchor for anchor in linking.stability if anchor.item_id == "q03")
    assert of_q03.error == pytest.approx(0.5, abs=0.01)
    assert not of_q03.drifts


def test_errors_that_nobody_knows_excuse_nothing() -> None:
    free = replace(twenty(), se_a=np.full(20, np.nan), se_b=np.full(20, np.nan))
    reference = shaken(free, np.random.default_rng(13), 0.02)
    reference.b[3] += 1.0
    assert dropped_ids(free, reference, StabilityRule()) == {"q03"}


def test_a_reference_with_guessing_is_compared_where_it_expects_half_right() -> None:
    free = twenty()
    guessed = replace(
        free, c=np.where(np.arange(20) == 4, 0.2, 0.0), b=np.where(np.arange(20) == 4, 1.0, free.b)
    )
    without = replace(free, b=np.where(np.arange(20) == 4, 1.0 + np.log(1 - 2 * 0.2) / free.a, free.b))
    theta = np.array([without.b[4]])
    assert probability(guessed.select(np.arange(20) == 4), theta)[0, 0] == pytest.approx(0.5)
    of_q04 = next(a for a in link(without, guessed, "haebara").stability if a.item_id == "q04")
    assert of_q04.displacement == pytest.approx(0.0, abs=0.05)


def test_a_link_from_elsewhere_is_described_and_not_searched() -> None:
    reference = LinkingConstants(1.5, 0.5).apply_items(FREE)
    linking = linked_elsewhere(FREE, reference, LinkingConstants(1.5, 0.75))
    assert (linking.constants, linking.method) == (LinkingConstants(1.5, 0.75), None)
    assert linking.used_ids == FREE.item_ids
    assert [anchor.displacement for anchor in linking.stability] == pytest.approx([0.25] * 4)


@given(slope=st.floats(0.25, 4.0), intercept=st.floats(-3.0, 3.0))
def test_the_inverse_leads_back(slope: float, intercept: float) -> None:
    constants = LinkingConstants(slope, intercept)
    back = constants.inverse.apply_items(constants.apply_items(FREE))
    np.testing.assert_allclose(back.b, FREE.b, atol=1e-9)
    np.testing.assert_allclose(back.a, FREE.a)


@pytest.mark.parametrize(
    "wrong",
    [{"fewest_kept": 1}, {"largest_z": 0.0}, {"largest_error_multiple": 0.0}, {"smallest_share_kept": 1.5}],
)
def test_a_rule_without_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(CalibrationError, match="anchors"):
        StabilityRule(**wrong)  # type: ignore[arg-type]  # one field at a time
