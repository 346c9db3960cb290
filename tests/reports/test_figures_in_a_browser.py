"""The figures as a browser sets them: every label within its drawing, and none upon another."""

import base64
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright

from reports.figures import CSS, Figure
from reports.fonts import web_fonts
from reports.model import AbilityTrend, Items, WeeklyReport
from tests.reports.figures_examples import answered_items, drawn, empty_report, full_report, topic

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# A browser in a container has no sandbox of its own, and nothing to ask of the network.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
TOUCHING_PX = 1.0
"""Boxes of letters are a little larger than what is seen of them."""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]

# Boxes of the letters themselves: the line box of a text is higher than what is seen.
BOXES = """() => [...document.querySelectorAll('svg text')].map(text => {
  const box = text.getBBox(), size = parseFloat(getComputedStyle(text).fontSize);
  const baseline = parseFloat(text.getAttribute('y'));
  return {text: text.textContent, left: box.x, right: box.x + box.width,
          top: baseline - 0.76 * size, bottom: baseline + 0.2 * size};
})"""


@dataclass(frozen=True)
class Label:
    text: str
    left: float
    right: float
    top: float
    bottom: float

    def covers(self, other: "Label") -> bool:
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > TOUCHING_PX and down > TOUCHING_PX


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser.new_page(viewport={"width": 360, "height": 800})
        browser.close()


def crowded() -> WeeklyReport:
    """Long names, many topics and items, days with thousands of answers, slow answers."""
    draw, report = np.random.default_rng(3), full_report("ko")
    names = ("아주 " * 60, "x" * 200, *(f"T{n}" for n in range(198)))
    return replace(
        report,
        items=Items(answered_items(draw, 3000)),
        topics=tuple(replace(topic(name, n, draw), attempts=9000 - n) for n, name in enumerate(names)),
        days=tuple(replace(day, attempts=day.attempts * 290) for day in report.days),
        response_times=tuple(
            week if week.median_ms is None else replace(week, q3_ms=9.9e6) for week in report.response_times
        ),
    )


def sparse() -> WeeklyReport:
    report = full_report("en")
    return replace(
        empty_report("en"),
        ability_trend=AbilityTrend(report.ability_trend.points[-1:], "v1"),
        items=Items(report.items.answered[:1]),
        topics=report.topics[:1],
    )


REPORTS = {"ko": full_report("ko"), "en": full_report("en"), "crowded": crowded(), "sparse": sparse()}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_labels_are_whole_and_apart(page: Page, report: WeeklyReport) -> None:
    for figure in drawn(report):
        labels = shown(page, figure)
        assert len(labels) >= 8
        for label in labels:
            assert label.left >= -TOUCHING_PX, f"{label} of {figure.name} is cut on the left"
            assert label.right <= figure.width_px + TOUCHING_PX, (
                f"{label} of {figure.name} is cut on the right"
            )
            assert label.top >= 0, f"{label} of {figure.name} is cut above"
            assert label.bottom <= figure.height_px, f"{label} of {figure.name} is cut below"
        for one, other in combinations(labels, 2):
            assert not one.covers(other), f"{one} of {figure.name} lies upon {other}"


def shown(page: Page, figure: Figure) -> list[Label]:
    fonts = "".join(
        f"@font-face{{font-family:'{font.family}';font-weight:{font.weight};"
        f"src:url(data:font/woff2;base64,{base64.b64encode(font.woff2).decode()})}}"
        for font in web_fonts(frozenset(figure.svg))
    )
    page.set_content(f"<!doctype html><style>{fonts}{CSS}</style>{figure.svg}")
    page.evaluate("document.fonts.ready")
    return [Label(**label) for label in page.evaluate(BOXES)]
