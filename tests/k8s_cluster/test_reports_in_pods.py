"""Weekly reports by the image that renders them, stored where the database says they are."""

import re

import sqlalchemy as sa
from sqlalchemy.engine import Engine, RowMapping

from seedtest.report_keys import report_key
from tests.k8s_cluster.cluster import Cluster
from tests.k8s_cluster.conftest import WEEK
from tests.k8s_cluster.runs import Operator
from tests.k8s_cluster.storage import Bucket

NAME = "generate-weekly-report"
# Two runs of what a week's learners are dealt out to.
LEARNERS_PER_RUN = 30
# The text's, and that of signs which it lacks.
TEXT_FONT, SIGN_FONT = "NanumGothic", "DejaVuSans"


def rows(answers: Engine) -> list[RowMapping]:
    query = "SELECT * FROM report_artifacts WHERE week_start = :week ORDER BY user_id, format"
    with answers.connect() as connection:
        return list(connection.execute(sa.text(query), {"week": WEEK}).mappings())


def reported(answers: Engine) -> set[str]:
    """The learners who have KPIs of the week."""
    with answers.connect() as connection:
        query = sa.text("SELECT user_id FROM weekly_kpi WHERE week_start = :week")
        return set(connection.scalars(query, {"week": WEEK}))


def fonts(pdf: bytes) -> set[str]:
    """The names of the fonts that a PDF brings with it."""
    return {name.decode() for name in re.findall(rb"/BaseFont\s*/([^\s/]+)", pdf)}


def test_every_learner_has_both_reports_and_every_row_its_object(
    calibrated: Operator, cluster: Cluster, answers: Engine, bucket: Bucket
) -> None:
    run = calibrated.start(NAME, week=str(WEEK))
    run.reaches("Completed")
    (pod,) = cluster.pods_of(str(run.id))
    assert "/seedtest-report-runner:" in pod["spec"]["containers"][0]["image"]
    stored = rows(answers)
    assert {(row["user_id"], row["format"]) for row in stored} == {
        (user, format_) for user in reported(answers) for format_ in ("html", "pdf")
    }
    for row in stored:
        content = bucket.content(report_key(row["user_id"], WEEK, row["format"]))
        assert len(content) == row["file_size_bytes"]
        assert content.startswith({"html": b"<!DOCTYPE html>", "pdf": b"%PDF"}[row["format"]])


def test_the_image_brings_the_reports_fonts(calibrated: Operator, answers: Engine, bucket: Bucket) -> None:
    user = min(reported(answers))
    calibrated.start(NAME, week=str(WEEK), user=user).reaches("Completed")
    found = fonts(bucket.content(report_key(user, WEEK, "pdf")))
    assert any(TEXT_FONT in name for name in found), found
    assert all(TEXT_FONT in name or SIGN_FONT in name for name in found), found


def test_a_large_week_is_dealt_out_to_several_pods(
    calibrated: Operator, cluster: Cluster, answers: Engine
) -> None:
    variables = {"env": {"REPORT_LEARNERS_PER_RUN": str(LEARNERS_PER_RUN)}, "cpu_request": "100m"}
    before = {row["user_id"]: row["generated_at"] for row in rows(answers)}
    calibrated.start(NAME, variables, week=str(WEEK), format="html", force=True).reaches("Completed")
    pods = cluster.listed("pods", "--selector", f"app={NAME}-shard")
    assert len(pods) >= len(reported(answers)) // LEARNERS_PER_RUN
    made = {row["user_id"]: row["generated_at"] for row in rows(answers) if row["format"] == "html"}
    assert all(made[user] > before[user] for user in before)
