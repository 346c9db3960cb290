"""The figures of a weekly report: what they draw, say and look like, whatever the learner's data are."""

import re
import statistics
import time
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.figures import Figures, draw_figures
from reports.figures.item_map import about_right, item_map
from reports.figures.kpi_overview import TRACK, kpi_overview
from reports.figures.lettering import drawable, fitted, text_width
from reports.figures.practice_calendar import practice_calendar
from reports.figures.response_times import response_times
from reports.figures.style import DARK, HEAT, LABEL, LIGHT, SMALL, STRONG_HEAT, Role
from reports.figures.theta_trend import theta_trend
from reports.figures.topic_profile import topic_profile
from reports.model import KPI_NAMES, AbilityTrend, Items, Kpis, WeekKpis
from reports.texts import texts_in
from seedtest.settings import Language
from tests.reports.drawings import SVG, middles, only, outlines, parsed, words
from tests.reports.figures_examples import (
    MONDAYS,
    answered_items,
    drawn,
    empty_report,
    full_report,
    topic,
)

LANGUAGES: tuple[Language, ...] = ("ko", "en")
EN = texts_in("en")
HOSTILE = (
    '<script>alert("1")</script> & more',
    "مثلثات والهندسة",
    "😀 emoji 👩‍👩‍👧 topic",
    "x" * 200,
    "turned \u202e around \x00\x07",
    'fill: #1b2430; style="fill: #1b2430" transform="rotate(-0 1 1)"',
    "$x^2$ %(n)s 100% font-family: 'NanumGothic'; ",
)


def test_each_kpi_stands_on_its_own_range_with_that_of_last_week() -> None:
    figure = kpi_overview(full_report("en"), EN)
    # I_t is on a range from −1 to 1.
    now = np.array([(0.13 + 1) / 2, 0.28, 0.71, 0.58, 0.09])
    before = np.array([(-0.08 + 1) / 2, 0.31, 0.5, 0.62, 0.41, 0.22])
    for name, shares in (("this-week", now), ("last-week", before)):
        assert middles(figure, name)[:, 0] == pytest.approx(TRACK.x + TRACK.width * shares, abs=0.05)
    for name in KPI_NAMES:
        assert EN.kpi_name(name) in words(figure)


def test_an_unknown_kpi_is_not_available_and_never_zero() -> None:
    figure = kpi_overview(full_report("en"), EN)
    assert words(figure).count("N/A") == 1
    assert len(outlines(figure, "unknown")) == 1
    assert "Recovery: N/A (last week 0.50" in figure.alt_text
    nothing = kpi_overview(empty_report("en"), EN)
    assert words(nothing).count("N/A") == 6
    assert not outlines(nothing, "value")


def test_a_legend_names_only_the_weeks_that_are_drawn() -> None:
    report = full_report("en")
    assert {"this week", "last week"} <= set(words(kpi_overview(report, EN)))
    first = (*(WeekKpis(monday, Kpis()) for monday in MONDAYS[:-1]), report.kpi_history[-1])
    shown = words(kpi_overview(replace(report, kpi_history=first), EN))
    assert ("this week" in shown, "last week" in shown) == (True, False)
    nothing = words(kpi_overview(empty_report("en"), EN))
    assert ("this week" in nothing, "last week" in nothing) == (False, False)


def test_a_kpi_of_zero_is_drawn_as_known() -> None:
    nothing = empty_report("en")
    history = (*nothing.kpi_history[:-1], WeekKpis(MONDAYS[-1], Kpis(S=0.0)))
    figure = kpi_overview(replace(nothing, kpi_history=history), EN)
    assert middles(figure, "this-week")[0, 0] == pytest.approx(TRACK.x, abs=0.05)
    assert words(figure).count("N/A") == 5


def test_the_trend_breaks_where_a_week_has_no_theta() -> None:
    figure = only(theta_trend(full_report("en"), EN))
    assert [len(line) for line in outlines(figure, "trend")] == [3, 4]
    assert len(outlines(figure, "ribbon")) == 2 + 3
    assert "1 week has no θ." in figure.alt_text
    assert "27 Oct: 0.62 ± 0.24" in figure.alt_text


def test_the_ribbon_is_one_standard_error_to_each_side() -> None:
    report = full_report("en")
    figure = only(theta_trend(report, EN))
    bars = [bar for bar in outlines(figure, "error-bars") if np.ptp(bar[:, 0]) == 0]
    heights = [np.ptp(bar[:, 1]) for bar in bars]
    ses = [point.se or 0.0 for point in report.ability_trend.points]
    assert np.divide(heights, ses) == pytest.approx(heights[0] / ses[0], rel=0.01)
    thetas = [point.theta for point in report.ability_trend.points]
    centres = [bar[:, 1].mean() for bar in bars]
    per_logit = heights[0] / 2 / ses[0]
    assert np.diff(centres) == pytest.approx(-np.diff(thetas) * per_logit, abs=0.1)


def test_thetas_estimated_later_look_different_and_are_explained() -> None:
    figure = only(theta_trend(full_report("en"), EN))
    assert len(outlines(figure, "recomputed")) == 2
    assert "estimated later from the answers of then" in words(figure)


def test_a_trend_of_later_estimates_has_no_key_for_stored_ones() -> None:
    report = full_report("en")
    estimated = AbilityTrend(report.ability_trend.points[:2], "v1")
    shown = words(only(theta_trend(replace(report, ability_trend=estimated), EN)))
    assert "θ at the end of the week" not in shown
    assert "estimated later from the answers of then" in shown


def test_an_interval_is_in_the_legend_as_it_is_drawn() -> None:
    report = full_report("en")
    points = report.ability_trend.points
    banded, apart = points[:2], points[:3:2]
    unknown = tuple(replace(point, se=None) for point in points)
    keys = {}
    for name, trend in (("banded", banded), ("apart", apart), ("unknown", unknown)):
        figure = only(theta_trend(replace(report, ability_trend=AbilityTrend(trend, "v1")), EN))
        keys[name] = ("±1 SE" in words(figure), bool(outlines(figure, "ribbon")))
    assert keys == {"banded": (True, True), "apart": (True, False), "unknown": (False, False)}


def test_a_single_theta_has_an_error_bar_and_no_line() -> None:
    report = full_report("en")
    alone = AbilityTrend(report.ability_trend.points[3:4], "v2", rescaled_from="v1")
    figure = only(theta_trend(replace(report, ability_trend=alone), EN))
    assert not outlines(figure, "trend")
    assert not outlines(figure, "ribbon")
    assert outlines(figure, "error-bars")
    assert "The scale changed" in figure.alt_text


def test_a_theta_without_standard_error_is_drawn_without_an_interval() -> None:
    report = full_report("en")
    points = tuple(replace(point, se=None) for point in report.ability_trend.points)
    figure = only(theta_trend(replace(report, ability_trend=AbilityTrend(points, "v1")), EN))
    assert not outlines(figure, "error-bars")
    assert len(outlines(figure, "trend")) == 2
    assert "27 Oct: 0.62." in figure.alt_text


def test_topics_with_theta_and_those_without_have_axes_of_their_own() -> None:
    report = full_report("en")
    figure = only(topic_profile(report, EN))
    shown = words(figure)
    with_theta = sorted((t for t in report.topics if t.theta is not None), key=lambda t: -(t.theta or 0))
    places = [shown.index(t.topic_id) for t in with_theta]
    assert places == sorted(places), "strongest first"
    assert places[-1] < shown.index("Share right, with 95% interval") < shown.index("Plane geometry")
    assert {"0%", "100%"} <= set(shown)
    assert len(middles(figure, "estimate")) == len(report.topics)


def test_each_topics_mark_is_what_its_own_answers_let_expect() -> None:
    report = full_report("en")
    figure = only(topic_profile(report, EN))
    with_theta = sorted((t for t in report.topics if t.theta is not None), key=lambda t: -(t.theta or 0))
    marks, estimates = middles(figure, "expected"), middles(figure, "estimate")[: len(with_theta)]
    assert len(marks) == len(with_theta)
    per_logit = np.ptp(estimates[:, 0]) / np.ptp([t.theta or 0 for t in with_theta])
    gaps = [(t.expected_theta or 0) - (t.theta or 0) for t in with_theta]
    assert marks[:, 0] - estimates[:, 0] == pytest.approx(per_logit * np.array(gaps), abs=0.1)
    assert "expected at your level" in words(figure)
    assert figure.alt_text.count("expected ") == len(with_theta)


def test_without_ones_level_nothing_is_expected_of_topics() -> None:
    report = full_report("en")
    topics = tuple(replace(topic, expected_theta=None) for topic in report.topics)
    figure = only(topic_profile(replace(report, topics=topics), EN))
    assert not outlines(figure, "expected")
    assert "expected" not in " ".join(words(figure))


def test_numbers_below_zero_have_a_minus_and_in_print_a_dash_that_its_font_has() -> None:
    figure = only(theta_trend(full_report("en"), EN))
    assert "−0.5" in words(figure)
    assert "–0.5" in words(figure, "print_svg")
    assert not [word for word in words(figure) + words(figure, "print_svg") if word.startswith("-")]


def test_the_interval_of_a_share_is_wilsons() -> None:
    report = full_report("en")
    one = next(t for t in report.topics if t.theta is None)
    figure = only(topic_profile(replace(report, topics=(one,)), EN))
    line = outlines(figure, "interval")[0][:, 0]
    assert line == pytest.approx([8 + 320 * one.accuracy_low, 8 + 320 * one.accuracy_high], abs=0.05)


def test_of_200_topics_twelve_are_shown_and_the_others_counted() -> None:
    draw = np.random.default_rng(1)
    topics = tuple(replace(topic(f"T{n}", n, draw), attempts=300 - n, correct=100) for n in range(200))
    figure = only(topic_profile(replace(full_report("en"), topics=topics), EN))
    assert sum(re.fullmatch(r"T\d+", word) is not None for word in words(figure)) == 12
    said = "The 12 topics with most answers; 188 more are not shown."
    assert said in words(figure)
    assert said in figure.alt_text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_topics_name_is_text_whatever_it_holds(name: str) -> None:
    report = replace(full_report("en"), topics=(topic(name, 0, np.random.default_rng(1)),))
    figure = only(topic_profile(report, EN))
    assert drawable(name) in figure.alt_text
    shown = words(figure)[2]
    assert shown == drawable(name) or (shown.endswith("…") and drawable(name).startswith(shown[:-1].rstrip()))
    tags = {element.tag.removeprefix(SVG) for element in parsed(figure.svg).iter()}
    assert tags == {"svg", "g", "path", "text"}
    parsed(figure.print_svg)


def test_emoji_that_no_font_has_become_one_sign_in_print() -> None:
    report = replace(full_report("en"), topics=(topic("🧠🧠 학습", 0, np.random.default_rng(1)),))
    figure = only(topic_profile(report, EN))
    assert "🧠🧠 학습" in words(figure)
    assert "◇ 학습" in words(figure, "print_svg")


def test_items_are_counted_by_difficulty_right_above_and_wrong_below() -> None:
    report = full_report("en")
    figure = only(item_map(report, EN))
    right = sum(item.correct for item in report.items.answered)
    assert f"answered right: {right}" in words(figure)
    assert f"answered wrong: {60 - right}" in words(figure)
    line = middles(figure, "axis").min(axis=0)[1]
    assert (middles(figure, "right")[:, 1] < line).all()
    assert (middles(figure, "wrong")[:, 1] > line).all()
    counted = re.findall(r"(\d+) right, (\d+) wrong\.", figure.alt_text)
    assert np.sum([[int(n) for n in pair] for pair in counted], axis=0).tolist() == [right, 60 - right]


def test_items_about_right_are_highlighted_and_counted() -> None:
    report = full_report("en")
    figure = only(item_map(report, EN))
    fit = sum(about_right(item) for item in report.items.answered)
    assert f"about right for you: {fit}" in words(figure)
    assert outlines(figure, "right-about-right")
    assert outlines(figure, "theta")


def test_without_theta_no_item_is_about_right() -> None:
    report = full_report("en")
    unknown = tuple(replace(item, expected=None) for item in report.items.answered)
    figure = only(item_map(replace(report, ability=None, items=Items(unknown)), EN))
    assert not outlines(figure, "right-about-right")
    assert not outlines(figure, "theta")
    assert not any(word.startswith(("about right", "your θ")) for word in words(figure))


def test_items_far_out_are_drawn_at_the_end_and_said_to_be() -> None:
    report = full_report("en")
    far = replace(report.items.answered[0], b=-31.0)
    figure = only(item_map(replace(report, items=Items((far, *report.items.answered[1:]))), EN))
    assert "1 item beyond ±5 stands at the end." in words(figure)


def test_thousands_of_items_stay_within_the_drawing() -> None:
    items = answered_items(np.random.default_rng(2), 5000)
    figure = only(item_map(replace(full_report("en"), items=Items(items)), EN))
    for name in ("right", "wrong", "right-about-right", "wrong-about-right"):
        for part in outlines(figure, name):
            assert part.min() >= 0
            assert part[:, 1].max() <= figure.height_px


def test_response_times_show_the_median_and_the_middle_half() -> None:
    figure = only(response_times(full_report("en"), EN))
    assert len(outlines(figure, "middle-half")) == 7
    assert [len(line) for line in outlines(figure, "trend")] == [2] * 5, "not bridged over the empty week"
    assert "27 Oct: median 30 s, middle half 21 s to 41 s, 24 answers" in figure.alt_text
    for box, dot in zip(outlines(figure, "middle-half"), middles(figure, "median"), strict=True):
        assert box[:, 1].min() < dot[1] < box[:, 1].max()


def test_the_calendar_has_every_days_number() -> None:
    report = full_report("en")
    figure = only(practice_calendar(report, EN))
    numbers = Counter(str(day.attempts) if day.attempts else "·" for day in report.days)
    shown = Counter(words(figure))
    assert all(shown[number] >= n for number, n in numbers.items())
    fields_drawn = sum(len(outlines(figure, level)) for level in HEAT)
    assert fields_drawn == len(report.days)
    assert len(outlines(figure, HEAT[0])) == numbers["·"]
    assert f"{sum(day.attempts for day in report.days)} answers on" in figure.alt_text


def test_a_learner_without_data_has_kpis_only() -> None:
    figures = draw_figures(empty_report(), texts_in("ko"))
    assert figures.kpi_overview.svg
    others = [getattr(figures, field.name) for field in fields(Figures)][1:]
    assert others == [None] * 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_can_stand_together_in_one_document(language: Language) -> None:
    for figure in drawn(full_report(language)):
        for markup in (figure.svg, figure.print_svg):
            root = parsed(markup)
            assert not any(element.get("id") for element in root.iter())
            assert "href" not in markup
            assert "url(" not in markup
            assert "<style" not in markup
            assert root.get("role") == "img"
            assert root.get("aria-label") == figure.alt_text
            assert root.get("viewBox") == f"0 0 {figure.width_px:g} {figure.height_px:g}"


def test_colours_follow_the_page_and_are_plain_in_print() -> None:
    for figure in drawn(full_report()):
        assert "var(" not in figure.print_svg
        used = set(re.findall(r"#[0-9a-f]{6}", figure.print_svg))
        assert used <= set(LIGHT.values())
        assert not re.search(r"(?<!, )#[0-9a-f]{6}", figure.svg)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert drawn(full_report()) == drawn(full_report())


def test_figures_speak_the_learners_language() -> None:
    korean = only(practice_calendar(full_report("ko"), texts_in("ko")))
    assert {"월", "일", "10월 27일"} <= set(words(korean))
    assert "10월 27일" in korean.alt_text


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    shares = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_graphics_have_enough_contrast(scheme: dict[Role, str]) -> None:
    for text in (Role.INK, Role.MUTED, Role.MAIN, Role.CONTRAST, Role.FIT):
        assert contrast(scheme[text], scheme[Role.SURFACE]) >= 4.5
    for on_band in (Role.INK, Role.MUTED):
        assert contrast(scheme[on_band], scheme[Role.GRID]) >= 4.5
    for graphic in (Role.AXIS, Role.MAIN, Role.CONTRAST, Role.FIT):
        assert contrast(scheme[graphic], scheme[Role.SURFACE]) >= 3
    for level in HEAT:
        text = Role.ON_STRONG if level in STRONG_HEAT else Role.ON_WEAK
        assert contrast(scheme[text], scheme[level]) >= 4.5


def test_a_colour_tells_its_role() -> None:
    assert len(set(LIGHT.values())) == len(LIGHT) == len(DARK) == len(Role)


@given(st.text(max_size=60), st.floats(20, 200))
def test_fitted_text_is_no_wider_than_its_room(text: str, room: float) -> None:
    shown = fitted(text, room, LABEL)
    assert text_width(shown, LABEL) <= room
    assert shown == drawable(text) or shown.endswith("…")


def test_a_cut_parts_no_emoji_or_accent() -> None:
    joined = "👩‍👩‍👧" * 3
    for room in range(14, 90):
        assert not fitted(joined, room, SMALL).removesuffix("…").endswith("\u200d")
        assert fitted("e\u0301" * 9, room, SMALL).removesuffix("…").count("e") == fitted(
            "e\u0301" * 9, room, SMALL
        ).count("\u0301")


def test_six_figures_cost_less_than_the_reports_share() -> None:
    drawn(full_report())
    costs_secs = []
    for seed in range(7):
        report = full_report(seed=seed)
        began = time.process_time()
        drawn(report)
        costs_secs.append(time.process_time() - began)
    assert statistics.median(costs_secs) < 0.12
