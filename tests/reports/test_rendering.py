"""Real renderings: a self-contained page and a tagged PDF, each value the text it is, several at once."""

import io
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pypdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.document import document_of
from reports.fonts import NANUM, has_glyph, web_fonts
from reports.markdown import name
from reports.model import WeeklyReport
from reports.rendering import Format, render, template_digest
from reports.rendering.embedded import render_embedded
from reports.rendering.pandoc import Pandoc, Setup
from reports.rendering.pdf import pdf, spelled_out
from seedtest.errors import ConfigurationError, ReportError
from seedtest.settings import Language
from tests.reports.document_examples import HOSTILE, hostile_report, many_topics, rich_report, without_se
from tests.reports.figures_examples import NOON, empty_report

BOTH = (Format.HTML, Format.PDF)
FONT_FILES = ("/FontFile", "/FontFile2", "/FontFile3")
ACTIVE = {"script", "iframe", "object", "embed", "form", "input", "link", "base", "img"}
"""Elements that no report has."""


class Page(HTMLParser):
    """The elements and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag not in {"meta", "link", "br", "hr", "img", "col"}:
            self._open.append(f"{tag}.{attributes['class']}" if attributes.get("class") else tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def outline(self) -> list[tuple[str, str | None]]:
        """The elements with their classes, in order."""
        return [(tag, attributes.get("class")) for tag, attributes in self.elements]


def page_of(report: WeeklyReport) -> Page:
    return Page(rendered(report)[Format.HTML].decode())


@cache
def rendered(report: WeeklyReport) -> dict[Format, bytes]:
    return {each.format: each.content for each in render(report, BOTH)}


def pdf_of(report: WeeklyReport) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(rendered(report)[Format.PDF]))


def letters(text: str) -> str:
    """Text without spaces and signs that are not seen: where a line ends is the page's affair."""
    return re.sub(r"[\s\u200b\u2068\u2069\u00ad]", "", text)


def words_of(reader: pypdf.PdfReader) -> str:
    return letters("".join(page.extract_text() for page in reader.pages))


def test_a_report_comes_in_the_formats_asked_for_in_their_order() -> None:
    made = render(empty_report("en"), (Format.PDF, Format.HTML))
    assert [each.format for each in made] == [Format.PDF, Format.HTML]
    assert made[0].content.startswith(b"%PDF-")
    assert made[1].content.startswith(b"<!DOCTYPE html>")
    assert [each.format.content_type for each in made] == ["application/pdf", "text/html; charset=utf-8"]


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_page_asks_nothing_of_anyone(language: Language) -> None:
    html = rendered(rich_report(language))[Format.HTML].decode()
    page = Page(html)
    assert not {tag for tag, _ in page.elements} & ACTIVE
    addresses = [
        value for _, attributes in page.elements for key in ("src", "href") if (value := attributes.get(key))
    ]
    assert all(address.startswith("#") for address in addresses)
    assert set(re.findall(r"url\(\"?(\w+):", html)) == {"data"}
    assert "default-src 'none'" in html
    assert "<svg" in html
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/2000/svg", "", html)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_page_states_its_language_and_has_tables_with_scopes_and_captions(language: Language) -> None:
    page = page_of(rich_report(language))
    elements = page.elements
    assert next(attributes for tag, attributes in elements if tag == "html")["lang"] == language
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in elements if tag == "th")
    tables = sum(tag == "table" for tag, _ in elements)
    assert tables == sum(tag == "caption" for tag, _ in elements) > 3
    drawings = [attributes for tag, attributes in elements if tag == "svg"]
    assert len(drawings) == 6
    assert all(each["role"] == "img" and each["aria-label"] for each in drawings)


def test_headings_follow_in_order_and_ids_are_unique() -> None:
    page = page_of(rich_report("ko"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_page_holds_no_more_of_the_fonts_than_it_shows() -> None:
    html = rendered(rich_report("ko"))[Format.HTML]
    assert len(html) < 300_000
    assert html.count(b"@font-face") == 5
    """The catalogue's characters in two weights and its signs that only DejaVu has; the learner's own."""


@pytest.mark.heavy
@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_is_the_text_it_is_in_both_formats(text: str, language: Language) -> None:
    report = hostile_report(text, language)
    harmless = page_of(hostile_report("x" * len(text), language))
    page = page_of(report)
    assert page.outline() == harmless.outline()
    shown = name(text).replace("\u200b", "")
    assert page.texts["p.learner"] == [shown]
    assert page.texts["span.item"] == [shown]
    assert page.texts["th"].count(shown) >= 4
    reader = pdf_of(report)
    assert reader.metadata
    assert letters(shown) in letters(str(reader.metadata.title))
    if not re.search("[\u0590-\u06ff]", text):  # pypdf gives right-to-left letters in another order
        assert words_of(reader).count(letters(spelled_out(shown))) >= 6


TYPABLE = st.text(st.sampled_from("#$*_`~<>[](){}|\\\"'@&!^=+-.?:;,/%1aZ가힣 é"), min_size=1, max_size=24)


@pytest.mark.heavy
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=TYPABLE.filter(str.strip))
def test_any_text_survives_both_renderers(text: str) -> None:
    report = hostile_report(text, "en")
    made = {each.format: each.content for each in render(report, BOTH)}
    shown = name(text).replace("\u200b", "")
    assert Page(made[Format.HTML].decode()).texts["p.learner"] == [shown]
    assert letters(shown) in words_of(pypdf.PdfReader(io.BytesIO(made[Format.PDF])))


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_pdf_is_tagged_titled_and_has_bookmarks(language: Language) -> None:
    reader = pdf_of(rich_report(language))
    root: Any = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root
    assert root["/Lang"] == language
    assert b"pdfuaid" in root["/Metadata"].get_data()
    assert reader.metadata
    assert "test-user-123" in str(reader.metadata.title)
    assert reader.metadata.author == "seedtest"
    titles = re.findall(r"'/Title': '([^']+)'", str(reader.outline))
    assert len(titles) >= 12
    assert titles[0] == ("주간 학습 리포트" if language == "ko" else "Weekly report")


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_usual_report_fills_four_pages_and_begins_no_fifth(language: Language) -> None:
    report = rich_report(language)
    usual = replace(
        report,
        goals=report.goals[:1],
        topics=tuple(topic for topic in report.topics if topic.theta is not None),
        recommendations=report.recommendations[:4],
        answers_without_topic=0,
    )
    assert len(pdf_of(usual).pages) == 4


def test_a_pdf_embeds_its_fonts_and_its_korean_can_be_selected() -> None:
    reader = pdf_of(rich_report("ko"))
    fonts = {}
    pages: Any = reader.pages
    for page in pages:
        for font in page["/Resources"]["/Font"].values():
            below = font["/DescendantFonts"][0]["/FontDescriptor"]
            fonts[str(font["/BaseFont"])] = any(
                key in below for key in ("/FontFile", "/FontFile2", "/FontFile3")
            )
    assert fonts
    assert all(fonts.values())
    assert any(NANUM in each for each in fonts)
    words = words_of(reader)
    for said in ("주간학습리포트", "이렇게읽어요", "다음에는이렇게해보세요", "이차방정식", "자료에대하여"):
        assert said in words


def test_figures_of_a_pdf_carry_their_alternative_texts() -> None:
    report = rich_report("en")
    reader = pdf_of(report)
    size: Any = reader.trailer["/Size"]
    objects: list[Any] = [reader.get_object(number) for number in range(1, size)]
    alternatives = {str(each["/Alt"]) for each in objects if isinstance(each, dict) and "/Alt" in each}
    assert {figure.alt_text for figure in document_of(report).figures} <= alternatives


def test_pages_are_numbered_and_a4() -> None:
    reader = pdf_of(rich_report("en"))
    for number, page in enumerate(reader.pages, 1):
        assert f"{number} / {len(reader.pages)}" in page.extract_text()
        assert [round(side) for side in page.mediabox[2:]] == [595, 842]


@pytest.mark.parametrize("make", [many_topics, without_se])
def test_awkward_learners_render_completely(make: Callable[[Language], WeeklyReport]) -> None:
    report = make("ko")
    html = rendered(report)[Format.HTML].decode()
    assert ("<details><summary>" in html) == (len(report.topics) > 15)
    words = words_of(pdf_of(report))
    for topic in report.topics:
        assert letters(topic.topic_id) in words


def test_characters_that_no_font_has_are_spelled_out_in_print() -> None:
    assert not has_glyph("🧠")
    assert spelled_out("수학 🧠") == "수학 (brain)"
    assert spelled_out("e\u0301\u200d👩🏽") == "e\u0301\u200d(woman)"
    assert "(brain)" in words_of(pdf_of(hostile_report("수학 🧠", "ko")))


def test_fonts_are_cut_to_the_characters_and_nothing_else() -> None:
    fonts = web_fonts(frozenset("가A😀\U0001f9e0"))
    assert [(font.weight, font.characters) for font in fonts] == [
        (400, frozenset("가A")),
        (700, frozenset("가A")),
        (400, frozenset("😀")),
    ]
    assert all(font.woff2.startswith(b"wOF2") for font in fonts)
    assert web_fonts(frozenset()) == ()


@pytest.mark.heavy
def test_equal_reports_render_to_equal_bytes_wherever_they_are_rendered() -> None:
    report = rich_report("ko")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        apart = [processes.submit(render, report, BOTH) for _ in range(4)]
        for each in apart:
            assert {made.format: made.content for made in each.result(timeout=120)} == rendered(report)


def test_no_learner_is_on_a_command_line_and_no_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    render(replace(rich_report("en"), user_id="someone-of-note"), BOTH)
    lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert any("pandoc" in line for line in lines)
    assert not any("someone-of-note" in line for line in lines)
    assert not list(tmp_path.iterdir())


def test_a_pandoc_that_died_is_replaced() -> None:
    setup = Setup(filter="return {}", templates={"plain": "$body$"})
    with Pandoc(setup) as pandoc:
        before = set(psutil.Process().children())
        assert pandoc.convert("one", ["plain"], {}) == {"plain": "one\n"}
        (own,) = set(psutil.Process().children()) - before
        own.kill()
        own.wait(10)
        with pytest.raises(ReportError, match="pandoc ended"):
            pandoc.convert("two", ["plain"], {})
        assert pandoc.convert("three", ["plain"], {}) == {"plain": "three\n"}


def test_what_pandoc_or_typst_refuses_is_an_error_that_says_so() -> None:
    document = document_of(empty_report("en"))
    with pytest.raises(ReportError, match="pandoc cannot render"):
        render_embedded(replace(document, figures=(), text="![](figures/missing.svg)"), [Format.HTML])
    with pytest.raises(ReportError, match="typst cannot render"):
        pdf("#nothing-of-this-name()", {}, NOON)


def test_quarto_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="REPORT_RENDERER=quarto needs the program quarto"):
        render(empty_report("en"), BOTH, "quarto")


def test_quarto_renders_the_same_file() -> None:
    try:
        subprocess.run(["quarto", "--version"], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("Quarto is not installed")
    report = rich_report("ko")
    page, printed = render(report, BOTH, "quarto")
    assert "주간 학습 리포트" in page.content.decode()
    assert "주간학습리포트" in words_of(pypdf.PdfReader(io.BytesIO(printed.content)))


def test_the_templates_have_a_digest_of_their_own_for_each_renderer() -> None:
    assert re.fullmatch("[0-9a-f]{64}", template_digest())
    assert template_digest() == template_digest("embedded") != template_digest("quarto")
