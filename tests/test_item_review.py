"""What the review of a calibration finds: planted trouble, and nothing in sound items."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from seedtest.irt import AnchorStability, Calibration, ItemParameters, Responses, calibrate
from seedtest.irt.connectivity import connectivity
from seedtest.irt.exclusions import Exclusion, ExclusionKind
from seedtest.irt.fit import classical_statistics, mean_squares
from seedtest.item_review import Evidence, headlines, review
from tests.fits import NO_ITEMS
from tests.irt.simulation import simulate

SOUND = simulate(seed=5, n_users=800, n_items=20)


def evidence(frame: pl.DataFrame, last: ItemParameters = NO_ITEMS) -> tuple[Evidence, Calibration]:
    answers = Responses.from_frame(frame)
    fit = calibrate(answers, item_priors=None)
    found = Evidence(
        items=fit.items,
        prior=fit.prior,
        last=last,
        exclusions=fit.exclusions,
        dropped_anchors=(),
        stability=(),
        connectivity=connectivity(answers),
        classical=classical_statistics(answers),
        mean_squares=mean_squares(answers, fit),
    )
    return found, fit


def flags(found: Evidence) -> dict[str, set[str]]:
    table = review(found)
    return {key: set(part["flag"]) for (key,), part in table.group_by("item_id")}


def planted(correct: pl.Expr) -> pl.DataFrame:
    return SOUND.frame.with_columns(
        correct=pl.when(pl.col("item_id") == "i007").then(correct).otherwise("correct")
    )


def test_sound_items_are_not_flagged() -> None:
    assert flags(evidence(SOUND.frame)[0]) == {}


@pytest.mark.parametrize(
    ("correct", "reason"),
    [
        (~pl.col("correct"), "discrimination is negative"),
        (pl.lit(value=True), "all answers are right"),
        (pl.lit(value=False), "all answers are wrong"),
    ],
)
def test_an_item_left_out_comes_with_its_reason_and_advice(correct: pl.Expr, reason: str) -> None:
    row = review(evidence(planted(correct))[0]).filter(item_id="i007", flag="left out").row(0, named=True)
    assert row["detail"] == reason
    assert row["what_to_do"] not in ("", "Look at its answers.")
    assert row["answers"] == 800


def test_random_answers_are_found_by_discrimination_and_point_biserial() -> None:
    random = np.random.default_rng(8).random(SOUND.frame.height) < 0.5
    frame = SOUND.frame.with_columns(
        correct=pl.when(pl.col("item_id") == "i007").then(pl.Series(random)).otherwise("correct")
    )
    found = flags(evidence(frame)[0])
    assert set(found) == {"i007"}
    assert found["i007"] & {"left out", "low discrimination"}


def test_items_of_another_block_are_named() -> None:
    other = simulate(seed=6, n_users=100, n_items=6).frame.select(
        user_id="other-" + pl.col("user_id"), item_id="other-" + pl.col("item_id"), correct="correct"
    )
    found = flags(evidence(pl.concat([SOUND.frame, other]))[0])
    assert {item for item, why in found.items() if "not connected" in why} == {
        f"other-i00{n}" for n in range(6)
    }


def test_a_changed_difficulty_is_found_when_errors_do_not_explain_it() -> None:
    last = evidence(SOUND.frame)[1].items
    moved = replace(last, b=last.b + np.where(np.array(last.item_ids) == "i003", 1.0, 0.05))
    assert flags(evidence(SOUND.frame, moved)[0]) == {"i003": {"difficulty changed"}}
    uncertain = replace(moved, se_b=np.full(len(moved), 0.6))
    assert flags(evidence(SOUND.frame, uncertain)[0]) == {}


def test_items_far_from_the_learners_are_found_on_the_published_scale() -> None:
    found, _ = evidence(SOUND.frame)
    stretched = replace(
        found, items=replace(found.items, b=found.items.b + 5.0), prior=replace(found.prior, mean=5.0)
    )
    assert flags(stretched) == {}
    assert set.union(*flags(replace(stretched, prior=found.prior)).values()) == {"too hard"}


def test_dropped_anchors_keep_their_reason() -> None:
    dropped = (Exclusion(ExclusionKind.ITEM, "Q1", "drifts by 1.2 logits", 50),)
    found = replace(evidence(SOUND.frame)[0], dropped_anchors=dropped)
    assert review(found).row(0)[:3] == ("Q1", "anchor not used", "drifts by 1.2 logits")


def test_an_anchor_that_drifts_and_yet_carried_the_linking_is_named() -> None:
    kept = AnchorStability("i003", 0.8, 0.1, 6.0, kept=True, drifts=True)
    dropped = replace(kept, item_id="i004", kept=False)
    found = replace(evidence(SOUND.frame)[0], stability=(kept, dropped))
    [row] = review(found).rows(named=True)
    assert (row["item_id"], row["flag"]) == ("i003", "anchor drifts")
    assert row["detail"] == "0.80 logits below its reference, 0.10 standard error"
    assert row["answers"] == 800


def test_items_that_wait_for_answers_hide_nothing_more_serious() -> None:
    exclusions = tuple(
        Exclusion(ExclusionKind.ITEM, f"Q{n}", reason, n)
        for n, reason in enumerate(["fewer than 5 answers", "all answers are wrong", "fewer than 5 answers"])
    )
    table = review(replace(evidence(SOUND.frame)[0], exclusions=exclusions))
    assert table["flag"].to_list() == ["left out", "too few answers", "too few answers"]
    wrong, few = headlines(table)
    assert wrong == (
        "Left out: 1 item, Q1 (all answers are wrong). "
        "Check the key; if it is right, the item is too hard for these learners."
    )
    assert few.startswith(
        "Too few answers: 2 items, such as Q0 (fewer than 5 answers). Wait for more answers"
    )


def test_misfit_to_a_rasch_model_is_found() -> None:
    frame = planted(~pl.col("correct"))
    answers = Responses.from_frame(frame)
    fitted = mean_squares(answers, calibrate(answers, model="Rasch"))
    assert "misfit" in flags(replace(evidence(frame)[0], mean_squares=fitted))["i007"]
