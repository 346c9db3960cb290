"""The operators' pages in a real browser: WCAG 2.2 AA, three widths, both schemes, nothing cut off."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy.engine import Engine

from reports.operator_pages import Troubles, cohort_pages, item_bank_page
from seedtest.failures import UserFailure
from seedtest.settings import Settings
from tests.reports import operator_data
from tests.reports.test_accessibility import ARGUMENTS, CHROMIUM, REFLOW_PX, RULES, SMALL_TARGETS, opened
from tests.reports.test_operator_pages import AWKWARD, awkward_database
from tests.reports.weeks import MONDAY

PAGES = ("week", "bank", "awkward-week", "awkward-bank", "empty-week")
WIDTHS = (360, 768, 1440)
SEEN = [
    *product(("week", "bank"), WIDTHS, ("light", "dark")),
    *product(("awkward-week", "awkward-bank", "empty-week"), (360,), ("light",)),
]
UNFOLD = "document.querySelectorAll('details').forEach(each => { each.open = true })"
# Text beyond its box; what scrolls by itself may be wider.
OVERFLOWING = """() => [...document.querySelectorAll('main *, header *, footer *')]
  .filter(each => !each.closest('svg, .scroll') && each.scrollWidth > each.clientWidth + 1
                  && each.clientWidth > 0 && getComputedStyle(each).display !== 'inline')
  .map(each => each.outerHTML.slice(0, 120))"""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def folder(prepared: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as files."""
    folder, settings = tmp_path_factory.mktemp("pages"), Settings()
    troubles = Troubles(
        [UserFailure("u001", "P is 7"), UserFailure(AWKWARD[-1], AWKWARD[0])], ["TimeoutError"]
    )
    with prepared.connect() as connection, connection.begin() as transaction:
        # Every link costs axe time, and says no more than the others.
        connection.execute(sa.text("DELETE FROM weekly_kpi WHERE user_id > 'u024'"))
        operator_data.store_reports(connection, [f"u{n:03}" for n in range(20)], "html", "pdf")
        for kind in ("", "awkward-"):
            if kind:
                awkward_database(connection)
            (cohort,) = cohort_pages(connection, MONDAY, settings, troubles)
            bank = item_bank_page(connection, settings)
            assert bank is not None
            (folder / f"{kind}week.html").write_bytes(cohort.content)
            (folder / f"{kind}bank.html").write_bytes(bank.content)
        (empty,) = cohort_pages(connection, MONDAY.replace(year=2020, month=1, day=6), settings)
        (folder / "empty-week.html").write_bytes(empty.content)
        transaction.rollback()
    return folder


def unfolded(browser: Browser, path: Path, width: int, scheme: str = "light") -> Page:
    page = opened(browser, path, width, scheme, checked=True)
    page.evaluate(UNFOLD)
    return page


@pytest.mark.parametrize(("name", "width", "scheme"), SEEN)
def test_axe_finds_no_violation(browser: Browser, folder: Path, name: str, width: int, scheme: str) -> None:
    page = unfolded(browser, folder / f"{name}.html", width, scheme)
    found = Axe().run(page, options={"runOnly": RULES})
    assert not found.response["violations"], found.generate_report()
    page.close()


@pytest.mark.parametrize(("name", "width"), list(product(PAGES, (REFLOW_PX, *WIDTHS))))
def test_nothing_is_cut_off(browser: Browser, folder: Path, name: str, width: int) -> None:
    page = unfolded(browser, folder / f"{name}.html", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(SMALL_TARGETS) == []
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_nobody_for_anything(browser: Browser, folder: Path, name: str) -> None:
    page, path = browser.new_page(), folder / f"{name}.html"
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert said == []
    page.close()
