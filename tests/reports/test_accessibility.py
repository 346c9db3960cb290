"""Reports in a real browser: WCAG 2.2 AA, narrow screens, both colour schemes, no request to anyone."""

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from reports.model import WeeklyReport
from reports.rendering import Format, render
from tests.reports.document_examples import (
    HOSTILE,
    hostile_report,
    many_topics,
    with_a_goal_in,
)
from tests.reports.figures_examples import empty_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# A browser in a container has no sandbox of its own, and nothing to ask of the network.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
REFLOW_PX = 320
"""WCAG 2.2, 1.4.10: at this width nothing may need scrolling in two directions."""
LEARNERS = {
    "rich-ko": with_a_goal_in("trigonometry", "ko"),
    "rich-en": with_a_goal_in("trigonometry", "en"),
    "empty-ko": empty_report("ko"),
    "empty-en": empty_report("en"),
    "many-ko": many_topics("ko"),
    "long-en": hostile_report(HOSTILE[-1], "en"),
}
# Text beyond its box, which a page that does not scroll sideways would cut off.
OVERFLOWING = """() => [...document.querySelectorAll('main *, header *, footer *')]
  .filter(each => !each.closest('svg') && each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0
                  && getComputedStyle(each).display !== 'inline')
  .map(each => each.outerHTML.slice(0, 120))"""
# Words whose letters stand in more than one line, though they would have room in one.
BROKEN_WORDS = r"""() => [...document.querySelectorAll('table th, table td')].flatMap(cell => {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), broken = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const word of node.data.matchAll(/[^\s-]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) broken.push(word[0]);
    }
  }
  return broken;
})"""
SMALL_TARGETS = """() => [...document.querySelectorAll('a:not(.skip), summary')]
  .filter(each => { const box = each.getBoundingClientRect(); return box.width < 24 || box.height < 24; })
  .map(each => each.outerHTML.slice(0, 120))"""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports as files, as a learner would keep them."""
    folder = tmp_path_factory.mktemp("reports")
    for name, report in LEARNERS.items():
        (folder / f"{name}.html").write_bytes(page_of(report))
    return folder


def page_of(report: WeeklyReport) -> bytes:
    (made,) = render(report, [Format.HTML])
    return made.content


def opened(browser: Browser, path: Path, width: int, scheme: str = "light", *, checked: bool = False) -> Page:
    """Open a report; `checked` lets axe into a page whose policy admits no script."""
    page = browser.new_page(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=checked,
    )
    page.goto(path.as_uri())
    page.evaluate("document.fonts.ready")
    return page


@pytest.mark.parametrize(
    ("learner", "scheme"),
    [*product(("rich-ko", "rich-en"), ("light", "dark")), ("empty-en", "light"), ("many-ko", "dark")],
)
def test_axe_finds_no_violation(browser: Browser, folder: Path, learner: str, scheme: str) -> None:
    page = opened(browser, folder / f"{learner}.html", 360, scheme, checked=True)
    found = Axe().run(page, options={"runOnly": RULES})
    assert not found.response["violations"], found.generate_report()
    undecided = [node for rule in found.response["incomplete"] for node in rule["nodes"]]
    assert all(node["html"].startswith(("<text", "<svg")) for node in undecided)
    page.close()


@pytest.mark.parametrize(("learner", "width"), list(product(LEARNERS, (REFLOW_PX, 768, 1440))))
def test_nothing_is_cut_off_or_needs_scrolling_sideways(
    browser: Browser, folder: Path, learner: str, width: int
) -> None:
    page = opened(browser, folder / f"{learner}.html", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERFLOWING) == []
    page.close()


@pytest.mark.parametrize("learner", ["rich-ko", "rich-en"])
def test_no_word_of_a_table_is_broken_on_a_phone(browser: Browser, folder: Path, learner: str) -> None:
    page = opened(browser, folder / f"{learner}.html", 360)
    assert "trigonometry" in page.locator("#goals table").inner_text()
    assert page.evaluate(BROKEN_WORDS) == []
    page.close()


def test_a_page_makes_no_request_and_breaks_no_rule_of_its_own(browser: Browser, folder: Path) -> None:
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto((folder / "rich-ko.html").as_uri())
    page.emulate_media(color_scheme="dark")
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith("data:")] == [(folder / "rich-ko.html").as_uri()]
    assert said == []
    page.close()


@pytest.mark.parametrize("learner", ["rich-ko", "rich-en"])
def test_all_text_is_set_in_the_fonts_that_the_page_brings(
    browser: Browser, folder: Path, learner: str
) -> None:
    page = opened(browser, folder / f"{learner}.html", 768)
    page.evaluate("document.querySelector('details')?.setAttribute('open', '')")
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    nodes = session.send("DOM.querySelectorAll", {"nodeId": root, "selector": "body, body *"})["nodeIds"]
    used = {
        (font["familyName"], font["isCustomFont"])
        for node in nodes
        for font in session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    }
    assert all(is_ours for _, is_ours in used), used
    assert used
    page.close()


def test_the_first_stop_of_the_keyboard_leads_past_the_contents(browser: Browser, folder: Path) -> None:
    page = opened(browser, folder / "rich-en.html", 768)
    page.keyboard.press("Tab")
    link = page.locator(":focus")
    assert link.inner_text() == "Skip to the report"
    box = link.bounding_box()
    assert box
    assert box["x"] >= 0
    link.press("Enter")
    assert page.evaluate("document.activeElement.id") == "report"
    page.close()


def test_links_and_switches_are_large_enough_to_hit(browser: Browser, folder: Path) -> None:
    page = opened(browser, folder / "many-ko.html", 360)
    assert page.evaluate(SMALL_TARGETS) == []
    page.close()


def test_a_long_table_opens_by_keyboard(browser: Browser, folder: Path) -> None:
    page = opened(browser, folder / "many-ko.html", 360)
    row = page.locator("details th[scope=row]").last
    assert not row.is_visible()
    page.locator("summary").press("Enter")
    assert row.is_visible()
    page.close()


def test_dark_and_light_are_two_schemes_of_one_page(browser: Browser, folder: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page = opened(browser, folder / "rich-en.html", 768, scheme)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert grounds == ["rgb(241, 244, 248)", "rgb(11, 14, 19)"]
