"""The operators' pages: what they state is what the database holds, and every link opens its object."""

import datetime as dt
import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin

import boto3
import httpx
import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from reports.bucket import ReportBucket
from reports.operator_pages import Page, Troubles, cohort_pages, item_bank_page, publish_pages
from reports.operator_pages.bank_page import FOLDER, INDEX_KEY, fit_key
from reports.operator_pages.cohort import load_cohort
from reports.operator_pages.cohort_page import index_key
from reports.operator_pages.item_bank import load_item_bank
from seedtest.calibration_review import review_table
from seedtest.db.schema import Question
from seedtest.failures import UserFailure
from seedtest.item_review import WAITING
from seedtest.report_keys import report_key
from seedtest.settings import Settings
from tests import calibrating
from tests.amazon import REGION
from tests.reports import operator_data
from tests.reports.document_examples import HOSTILE
from tests.reports.weeks import MONDAY, add_kpis

SETTINGS = Settings()
WEEK_BEFORE = MONDAY - dt.timedelta(days=7)
LARGEST_BYTES = 2_000_000
AWKWARD = (*HOSTILE, ".", "..", "a/b?c#d", "100%", "a%2Fb", "a&b=c+d", "```", "'\" onclick=alert(1) x='")
"""Ids that mean something in HTML, in markdown, in an address or in a folder."""


class Read(HTMLParser):
    """What a page holds: its elements, addresses, and texts."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def links(self) -> list[str]:
        """Addresses beyond the page itself."""
        return [address for address in self.addresses if not address.startswith("#")]


def index(connection: Connection, troubles: Troubles | None = None) -> Read:
    (page,) = cohort_pages(connection, MONDAY, SETTINGS, troubles)
    return Read(page.content)


def bank(connection: Connection) -> Page:
    page = item_bank_page(connection, SETTINGS)
    assert page is not None
    return page


def rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(sa.text(query), {"week": MONDAY})]


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A transaction on an empty database, rolled back after the test."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


# -- the index of a week ---------------------------------------------------------------------------


def test_the_index_counts_what_report_artifacts_holds(week: Connection) -> None:
    user_ids = list(load_cohort(week, MONDAY, lookback_days=56).learners["user_id"])
    operator_data.store_reports(week, user_ids[2:], "html")
    operator_data.store_reports(week, user_ids[10:], "pdf")
    page = index(week)
    n = len(user_ids)
    assert f"{n - 2} of {n} learners with KPIs of this week have a report" in page.text
    assert f"{n - 2} HTML reports stored" in page.text
    assert f"{n - 10} PDF reports stored" in page.text
    assert "2 learners with KPIs have no report of this week in any format" in page.text
    assert len([link for link in page.links if link.endswith("report.html")]) == n - 2
    assert len([link for link in page.links if link.endswith("report.pdf")]) == n - 10


def test_failures_stand_on_the_index_with_their_reasons(week: Connection) -> None:
    failures = [UserFailure("u001", "P is 7, not a finite number in [0, 1]"), UserFailure("<u>", "why")]
    page = index(week, Troubles(failures, ["TimeoutError: a chunk"]))
    for said in (
        "P is 7, not a finite number in [0, 1]",
        "<u>",
        "TimeoutError: a chunk",
        "failed, see above",
    ):
        assert said in page.text


def test_quartiles_and_nulls_are_those_of_the_kpis(connection: Connection) -> None:
    operator_data.add_large_cohort(connection, 300)
    text = " ".join(index(connection).text.split())
    for name, said in (("R_t", "R_t · Recovery"), ("S", "S · Risk of a break")):
        found = rows(
            connection, f"SELECT (kpis ->> '{name}')::float8 FROM weekly_kpi WHERE week_start = :week"
        )
        values = np.array([value for (value,) in found], dtype=np.float64)
        quarters = np.nanquantile(values, [0.25, 0.5, 0.75])
        n_null = int(np.isnan(values).sum())
        row = f"{said} {300 - n_null} {n_null} " + " ".join(f"{value:.2f}" for value in quarters)
        assert row in text


@pytest.mark.parametrize(
    "kpis", ['{"I_t": 1e400, "P": 1e-400, "S": "x", "R_t": true}', "[]", '"text"', "null", '{"A_t": 7}']
)
def test_kpis_that_are_none_leave_the_page_standing(connection: Connection, kpis: str) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES ('ann', :week, CAST(:k AS jsonb))"
        ),
        {"week": MONDAY, "k": kpis},
    )
    cohort = load_cohort(connection, MONDAY, lookback_days=56)
    assert len(cohort) == 1
    assert len(cohort.values("I_t")) == len(cohort.values("A_t")) == 0
    assert "0 of 1 learner with KPIs of this week have a report" in index(connection).text


def test_the_week_before_is_linked_once_it_has_reports(week: Connection) -> None:
    address = f"../{WEEK_BEFORE}/index.html"
    assert address not in index(week).links
    operator_data.store_reports(week, ["ann"], "html", week_start=WEEK_BEFORE)
    assert address in index(week).links


def test_theta_and_level_words_are_the_stored_ones(week: Connection) -> None:
    cohort = load_cohort(week, MONDAY, lookback_days=56)
    stored = rows(week, "SELECT count(*) FROM mirt_ability_latest JOIN weekly_kpi USING (user_id)"
                        " WHERE week_start = :week")  # fmt: skip
    assert stored == [(sum(cohort.levels.values()),)]
    assert stored == [(len(cohort.values("theta")),)]


# -- the item bank ---------------------------------------------------------------------------------


def test_the_review_is_that_of_the_calibration(engine: Engine) -> None:
    calibrating.add_cohort(engine)
    with engine.begin() as connection:
        moved = sa.text(
            "UPDATE question SET meta = jsonb_set(meta, '{irt,b}', to_jsonb(CAST(1.9 AS float8)))"
            " WHERE id = 'Q03'"
        )
        connection.execute(moved)
    outcome, _ = calibrating.run(engine, calibrating.plan())
    expected = review_table(outcome).filter(~pl.col("detail").str.starts_with(WAITING))
    with engine.connect() as connection:
        found = load_item_bank(connection, SETTINGS)
        page = Read(bank(connection).content)
    assert found is not None
    assert found.review.flags.rows() == expected.rows()
    assert "anchor not used" in expected["flag"].to_list()
    for item_id, _, detail, advice, _ in expected.rows():
        assert all(said in page.text for said in (item_id, detail, advice))
    assert f"{outcome.constants['slope']:.4f}" in page.text if outcome.constants else False


def test_parameters_stand_with_their_errors(week: Connection) -> None:
    text = " ".join(Read(bank(week).content).text.split())
    found = rows(
        week, "SELECT item_id, (params ->> 'b')::float8, (params ->> 'se_b')::float8 FROM mirt_item_params"
    )
    assert len(found) == 16
    for item_id, b, se in found:
        assert f"{item_id}" in text
        assert f"{b:.2f} ± {se:.2f}".replace("-", "−") in text


def test_anchors_that_were_held_are_said_to_be(connection: Connection) -> None:
    items = operator_data.add_large_bank(connection, 200, 50)
    operator_data.write_fit(connection, items, "fit-held", 0, linking_method="fixed")
    assert "The fit held the anchors" in Read(bank(connection).content).text


def test_a_fit_without_anchors_is_compared_with_the_one_before(connection: Connection) -> None:
    items = operator_data.add_large_bank(connection, 200, 50)
    moved = replace(items, b=items.b + np.where(np.arange(200) == 3, 2.0, 0.0))
    operator_data.write_fit(connection, moved, "fit-unanchored", 0, scale="last fit")
    text = " ".join(Read(bank(connection).content).text.split())
    assert "Items of the fit before, old against new" in text
    assert "+2.00 ±" in text
    assert "Difficulty changed: 1 item." in text


def test_a_first_fit_without_anchors_or_answers_has_a_page(connection: Connection) -> None:
    items = operator_data.items_drawn(40)
    operator_data.write_fit(connection, items, "fit-first", 0, scale="own")
    text = Read(bank(connection).content).text
    assert "No item of this fit can be compared" in text
    assert "40 items with parameters" in " ".join(text.split())


# -- both ------------------------------------------------------------------------------------------


def test_an_empty_database_has_an_index_and_no_item_bank(connection: Connection) -> None:
    page = index(connection)
    assert "Nobody has KPIs of this week" in page.text
    assert not [link for link in page.links if "report." in link]
    assert item_bank_page(connection, SETTINGS) is None


def test_ten_thousand_learners_stay_usable(connection: Connection) -> None:
    user_ids = operator_data.add_large_cohort(connection, 10_000)
    pages = list(cohort_pages(connection, MONDAY, SETTINGS))
    assert [page.keys[0] for page in pages] == [index_key(MONDAY), index_key(MONDAY, 2)]
    assert max(len(page.content) for page in pages) < LARGEST_BYTES
    read = [Read(page.content) for page in pages]
    assert "learners-2.html" in read[0].links
    assert "index.html" in read[1].links
    linked = [link for page in read for link in page.links if link.endswith("report.html")]
    assert linked == [
        f"../../{user_id}/{MONDAY}/report.html" for at, user_id in enumerate(user_ids) if at % 50
    ]


def test_five_thousand_items_stay_usable(connection: Connection) -> None:
    items = operator_data.add_large_bank(connection, 5_000, 1_000)
    page = bank(connection)
    assert len(page.content) < LARGEST_BYTES
    read = Read(page.content)
    assert all(item_id in read.text for item_id in items.item_ids)
    assert read.elements.count("svg") <= 32


def test_what_is_unchanged_gives_equal_bytes(week: Connection) -> None:
    pages = [[*cohort_pages(week, MONDAY, SETTINGS), bank(week)] for _ in range(2)]
    assert pages[0] == pages[1]


def awkward_database(connection: Connection) -> None:
    """Learners, items and topics with awkward ids, all with reports, and two fits."""
    for user_id in AWKWARD:
        add_kpis(connection, user_id, {"I_t": 0.1})
    operator_data.store_reports(connection, list(AWKWARD), "html", "pdf")
    operator_data.store_reports(connection, ["ann"], "html", week_start=WEEK_BEFORE)
    names = [name for name in AWKWARD if "\x00" not in name]
    items = replace(operator_data.items_drawn(len(names)), item_ids=tuple(names))
    connection.execute(
        sa.insert(Question), [{"id": name, "content": "?", "topic_id": name, "meta": {}} for name in names]
    )
    for number, shift in enumerate((0.0, 1.5)):
        moved = replace(items, b=items.b + shift * (np.arange(len(names)) % 3 == 0))
        operator_data.write_fit(connection, moved, f"fit-{number}", 1 - number, scale="last fit")


def test_awkward_ids_are_shown_as_the_text_they_are(connection: Connection) -> None:
    awkward_database(connection)
    (cohort,) = cohort_pages(connection, MONDAY, SETTINGS, Troubles([UserFailure(AWKWARD[0], AWKWARD[1])]))
    for page in (cohort, bank(connection)):
        read = Read(page.content)
        assert not {"script", "img", "iframe", "form"} & set(read.elements)
        assert not {"onclick", "onerror", "onload"} & read.attributes
        for said in ("<script>alert(1)</script>", "a/b?c#d", "100%", "```", "'\" onclick=alert(1) x='"):
            assert said in read.text


def test_every_link_opens_its_object(connection: Connection, tmp_path: Path) -> None:
    awkward_database(connection)
    (cohort,), item_bank = cohort_pages(connection, MONDAY, SETTINGS), bank(connection)
    stored = {key: page.content for page in (cohort, item_bank) for key in page.keys}
    for user_id in AWKWARD:
        stored |= {report_key(user_id, MONDAY, each): user_id.encode() for each in ("html", "pdf")}
    stored[index_key(WEEK_BEFORE)] = b"the week before"
    for key, content in stored.items():
        place = tmp_path / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    with served(tmp_path) as root, httpx.Client(trust_env=False) as client:
        for key in (index_key(MONDAY), INDEX_KEY):
            page, opened = Read(stored[key]), set()
            for link in page.links:
                address = urljoin(f"{root}/{key}", link)
                answer = client.get(address)
                assert answer.status_code == 200, f"{link} of {key}"
                found = unquote(httpx.URL(address).raw_path.decode()).removeprefix("/")
                assert answer.content == stored[found]
                opened.add(found)
            if key == index_key(MONDAY):
                assert len(opened) == 2 * len(AWKWARD) + 2


class served:  # noqa: N801 (used like a function)
    """A folder on a local web server."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_pages_are_published_with_their_copies(engine: Engine, amazon: str, bucket: str) -> None:
    with engine.begin() as connection:
        operator_data.add_large_cohort(connection, 20)
        operator_data.add_large_bank(connection, 200, 30)
    client = boto3.client("s3", endpoint_url=amazon, region_name=REGION)
    reports = ReportBucket(client, bucket, REGION)
    published = publish_pages(engine, reports, MONDAY, Troubles(), SETTINGS)
    assert published == [
        (f"Reports of the week from {MONDAY}", f"reports/_index/{MONDAY}/index.html"),
        ("Item bank", f"{FOLDER}index.html"),
    ]
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(keys) == sorted([published[0][1], INDEX_KEY, fit_key(operator_data.SECOND_RUN)])
    for key in keys:
        assert client.head_object(Bucket=bucket, Key=key)["ContentType"] == "text/html; charset=utf-8"
