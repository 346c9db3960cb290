"""Planted trouble shows in the calibration's artifacts and log, with what to do about it."""

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL
from sqlalchemy.engine import Engine

from flows.mirt_calibrate import mirt_calibrate
from seedtest.settings import LinkingName
from tests.calibrating import TODAY, add_cohort
from tests.db.exam_results import add_results, result
from tests.flows.snapshots import scalar
from tests.prefect_requests import ask

LARGEST_PAGE = 500_000
REVERSED, DRIFTED = "Q05", "Q06"
# Beside the sound items stand one that everybody gets right and one that two learners answered.
EXPECTED = {"easy": "left out", "rare": "too few answers"}
KEYS = ("", "-summary", "-review", "-figures", "-excluded", "-anchors")


@pytest.fixture
def answered(environment: None, engine: Engine) -> Engine:
    """A sound cohort of 240 learners and 16 items, six of them anchors."""
    add_cohort(engine)
    return engine


def artifact(key: str) -> str:
    """Return what the newest artifact of this key holds."""
    wanted = {"artifacts": {"key": {"any_": [f"mirt-calibrate{key}"]}}, "limit": 1}
    [found] = ask("POST", f"{PREFECT_API_URL.value()}/artifacts/latest/filter", wanted)
    return str(found["data"])


def review() -> dict[str, dict[str, Any]]:
    """Return the newest review's rows by item and flag."""
    return {f"{row['item_id']}: {row['flag']}": row for row in json.loads(artifact("-review"))}


def to_look_at() -> str:
    return artifact("-summary").split("## To look at")[1].split("\n|")[0].replace("\\", "")


def images(page: str) -> list[bytes]:
    found = re.findall(r"!\[(.+)\]\(data:image/png;base64,([^)]+)\)", page)
    assert all(len(alt) > 20 for alt, _ in found)
    return [base64.b64decode(data) for _, data in found]


def test_of_sound_items_only_the_odd_ones_are_shown_and_no_learner_is_named(answered: Engine) -> None:
    mirt_calibrate(date=TODAY)
    assert set(review()) == {f"{item_id}: {flag}" for item_id, flag in EXPECTED.items()}
    assert "This is the first fit." in artifact("-figures")
    assert len(images(artifact("-figures"))) == 3
    mirt_calibrate(date=TODAY)
    page = artifact("-figures")
    assert len(images(page)) == 4
    assert all(image.startswith(b"\x89PNG") for image in images(page))
    assert len(page) < LARGEST_PAGE
    assert page.count("*Look for*") == 4
    for key in KEYS:
        assert re.search(r"\bu\d{3}\b|stranger", artifact(key)) is None


@pytest.mark.parametrize(("linking", "what"), [("mean-sigma", "Dropped"), ("fixed", "Not held")])
def test_a_drifted_anchor(answered: Engine, log: list[str], linking: LinkingName, what: str) -> None:
    with answered.begin() as connection:
        moved = "jsonb_set(meta, '{irt,b}', to_jsonb((meta #>> '{irt,b}')::float + 2))"
        connection.execute(sa.text(f"UPDATE question SET meta = {moved} WHERE id = '{DRIFTED}'"))
    mirt_calibrate(date=TODAY, linking=linking)
    row = review()[f"{DRIFTED}: anchor not used"]
    assert "it drifts by -" in row["detail"]
    assert "take its anchor tag away" in row["what_to_do"]
    assert f"{what}: {DRIFTED}." in artifact("-figures")
    assert f"Anchor not used: 1 item, {DRIFTED} (it drifts by" in to_look_at()
    assert any(line.startswith(f"To review: Anchor not used: 1 item, {DRIFTED}") for line in log)


def test_an_item_with_negative_discrimination_and_one_that_everybody_gets_right(
    answered: Engine, log: list[str]
) -> None:
    with answered.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE exam_results SET result_json = jsonb_set(result_json, '{questions}', ("
                " SELECT jsonb_agg(CASE WHEN q ->> 'question_id' = :item"
                " THEN q || jsonb_build_object('is_correct', NOT (q ->> 'is_correct')::boolean) ELSE q END)"
                " FROM jsonb_array_elements(result_json -> 'questions') AS q))"
            ),
            {"item": REVERSED},
        )
    summary = mirt_calibrate(date=TODAY)
    assert summary.facts["items to review"] == "3"
    for item_id, reason, advice in (
        (REVERSED, "discrimination is negative", "Check the key and the wording"),
        ("easy", "all answers are right", "It measures nobody here"),
    ):
        row = review()[f"{item_id}: left out"]
        assert row["detail"] == reason
        assert row["what_to_do"].startswith(advice)
        sentence = f"Left out: 1 item, {item_id} ({reason}). {advice}"
        assert sentence in to_look_at()
        assert any(line.startswith(f"To review: {sentence}") for line in log)


def test_a_disconnected_block(answered: Engine, log: list[str]) -> None:
    rng = np.random.default_rng(3)
    theta = rng.normal(size=60)
    island = [
        result(
            *(
                {"question_id": f"X{n}", "is_correct": bool(right)}
                for n, right in enumerate(rng.random(5) < 1 / (1 + np.exp(-2 * theta[user])))
            ),
            user_id=f"x{user:02}",
            exam_id=1,
        )
        for user in range(60)
    ]
    with answered.begin() as connection:
        add_results(connection, *island)
    summary = mirt_calibrate(date=TODAY)
    assert summary.facts["parts without a common learner"].startswith("2 parts, of 17, 5 items")
    for n in range(5):
        row = review()[f"X{n}: not connected"]
        assert row["detail"] == "part 2 of 2: 5 items, 60 learners"
        assert row["what_to_do"].startswith("Give some learners items of both parts")
        assert row["answers"] == 60
    assert "The items fall into 2 parts without a common learner" in to_look_at()
    assert any("have some learners answer items of both" in line for line in log)


def test_a_fit_that_does_not_converge(
    answered: Engine, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRT_MAX_ITERATIONS", "3")
    summary = mirt_calibrate(date=TODAY)
    verdict = "The fit did not converge in 3 iterations, last change "
    [told] = [line for line in log if line.startswith(verdict)]
    assert "provisional. Raise MIRT_MAX_ITERATIONS" in told
    assert to_look_at().strip().startswith(f"- {verdict}")
    assert summary.facts["convergence"].startswith("did not converge in 3 iterations")
    assert verdict in artifact("-figures")
    assert scalar(answered, "SELECT metrics ->> 'converged' FROM mirt_fit_meta") == "false"
