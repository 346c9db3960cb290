"""The document: one Quarto source, filled so that every section says something and every value is text."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reports.advice import NoAdvice, Reference, RegularPractice, Rest, WeakTopic
from reports.document import SOURCE, Document, document_of
from reports.levels import Level
from reports.markdown import escaped, name
from reports.model import AbilitySource, AbilityTrend, GoalStatus, Kpis, WeeklyReport
from reports.rendering.files import FILTER, TYPST_TEMPLATE
from reports.rendering.pandoc import Pandoc, Setup
from reports.texts import texts_in
from reports.wording import Wording, fit_counts, is_tall, longest_streak, trend_change
from seedtest.settings import Language
from tests.reports.document_examples import goals, many_topics, rich_report, without_se
from tests.reports.figures_examples import NOON, TOPICS, empty_report, full_report, trend_points

SECTIONS = (
    "next", "ability", "key-metrics", "trend", "items", "goals",
    "topics", "calendar", "times", "linking", "data",
)  # fmt: skip
LANGUAGES: tuple[Language, ...] = ("ko", "en")


def sections(document: Document) -> dict[str, str]:
    """The text of each section, by the heading's id."""
    parts = re.split(r"^## .*\{#([\w-]+)\}$", document.text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def shown(text: str) -> str:
    """The text of a filled document with its character references resolved."""
    return re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), text)


def test_the_source_is_a_quarto_document_without_executable_cells() -> None:
    source = SOURCE.read_text("utf-8")
    _, header, body = source.split("---\n", 2)
    stated = YAML(typ="safe").load(header)
    assert set(stated["format"]) == {"html", "typst"}
    assert stated["format"]["html"]["embed-resources"] is True
    assert stated["execute"] == {"enabled": False}
    assert not re.search(r"^\s*(`{3,}|~{3,})\s*\{", body, flags=re.MULTILINE)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("make", [rich_report, empty_report, many_topics, without_se])
def test_every_section_is_there_and_says_what_it_means_or_why_it_is_empty(
    make: Callable[[Language], WeeklyReport], language: Language
) -> None:
    found = sections(document_of(make(language)))
    assert tuple(found) == SECTIONS
    for section, text in found.items():
        assert section == "data" or "::: means" in text or "::: empty" in text, section


def test_a_learner_of_whom_nothing_is_known_sees_no_hole() -> None:
    document = document_of(empty_report("en"))
    found = sections(document)
    for section in ("next", "ability", "trend", "items", "goals", "topics", "calendar", "times", "linking"):
        assert "::: empty" in found[section], section
    assert found["key-metrics"].count("Why N&#47;A") == 6
    assert "did not practise this week" in document.text
    assert re.findall(r"figures/([\w-]+)\.svg", document.text) == ["kpi-overview"]


def test_all_figures_are_referred_to_with_their_alternative_text() -> None:
    document = document_of(rich_report("en"))
    for figure in document.figures:
        assert f"(figures/{figure.name}.svg){{fig-alt=" in document.text
        assert escaped(figure.alt_text) in document.text


def test_every_recommendation_states_its_reason() -> None:
    report = rich_report("en")
    advice = sections(document_of(report))["next"]
    assert advice.count("::: advice") == advice.count("[Why]{.term}") == len(report.recommendations)
    weak = shown(advice).replace("\u00a0", " ")
    assert "Your level in this topic is −0.41 ± 0.31, from 22 answers." in weak
    assert "0.57 was to be expected at your level over all topics (0.62): you are 0.98 below that." in weak


def test_a_weak_topic_may_be_measured_against_all_learners_and_have_no_items() -> None:
    weak = WeakTopic(TOPICS[2], -0.9, 0.3, 1, Reference.COHORT, 0.02, 0.02, 0.92, ())
    advice = shown(sections(document_of(replace(rich_report("en"), recommendations=(weak,))))["next"])
    assert "from 1 answer: 0.92 below the mean of all learners (0.02)" in advice
    assert "A few more questions of this topic" in advice


def test_a_month_without_practice_has_no_rhythm() -> None:
    pause = RegularPractice(None, 4.0, days_since_last=29, active_days=0)
    advice = shown(sections(document_of(replace(rich_report("en"), recommendations=(pause,))))["next"])
    assert "You did not practise in the last four weeks." in advice
    assert "In the four weeks before, you practised about once in 4.0 days." in advice
    assert "practised on" not in advice


def test_an_unknown_chance_of_the_goal_does_not_deny_the_theta_that_is_shown() -> None:
    report = rich_report("en")
    assert report.ability
    history = tuple(replace(week, kpis=Kpis()) for week in report.kpi_history)
    metrics = shown(sections(document_of(replace(report, kpi_history=history)))["key-metrics"])
    assert "No level had been stored for you by the end of the week." in metrics
    assert "needs a level" not in metrics


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (GoalStatus.REACHED, "reached · 73% sure"),
        (GoalStatus.ON_PACE, "on pace · reached already: 73% likely"),
        (GoalStatus.BEHIND, "behind · reached already: 73% likely"),
    ],
)
def test_a_goal_says_what_its_chance_is_one_of(status: GoalStatus, said: str) -> None:
    goal = replace(goals()[0], status=status, probability=0.73)
    assert Wording(texts_in("en")).goal_status(goal) == said


def test_where_learners_lie_is_that_of_the_fits_scale() -> None:
    report = rich_report("en")
    assert report.linking
    fit = replace(report.linking, theta_mean=0.49, theta_sd=0.8)
    ability = shown(sections(document_of(replace(report, linking=fit)))["ability"])
    assert "The mean of all learners is about 0.5, and most lie between −1.1 and 2.1." in ability
    before_any_fit = shown(sections(document_of(replace(report, linking=None)))["ability"])
    assert "most lie between" not in before_any_fit


def test_topics_are_explained_as_far_as_they_are_drawn() -> None:
    report = rich_report("en")
    leans, mark = "leans towards the average of all learners", "The upright mark leans as much"
    topics = sections(document_of(report))["topics"]
    assert (leans in topics, mark in topics) == (True, True)
    unplaced = tuple(replace(topic, expected_theta=None) for topic in report.topics)
    topics = sections(document_of(replace(report, topics=unplaced)))["topics"]
    assert (leans in topics, mark in topics) == (True, False)
    unknown = tuple(replace(topic, theta=None, se=None) for topic in unplaced)
    topics = sections(document_of(replace(report, topics=unknown)))["topics"]
    assert (leans in topics, mark in topics) == (False, False)


def test_a_learner_with_nothing_weak_is_told_to_rest() -> None:
    report = replace(rich_report("en"), recommendations=(Rest(5, 42, 31),))
    advice = shown(sections(document_of(report))["next"])
    assert "None of your 5 topics with enough answers is weak." in advice
    assert "31 of 42 questions right" in advice


@pytest.mark.parametrize(
    ("why", "said"),
    [(NoAdvice.NO_ANSWERS, "no answers"), (NoAdvice.TOO_FEW_ANSWERS, "not yet enough answers")],
)
def test_without_recommendations_the_reason_is_said(why: NoAdvice, said: str) -> None:
    report = replace(full_report("en"), recommendations=(), no_advice=why)
    assert said in sections(document_of(report))["next"]


def test_theta_is_never_shown_without_its_uncertainty_where_that_is_known() -> None:
    assert "0.62 ± 0.24" in shown(sections(document_of(rich_report("en")))["ability"]).replace("\u00a0", " ")
    unknown = sections(document_of(without_se("en")))["ability"]
    assert "Its uncertainty is not known" in unknown
    assert "worked out for this report" in unknown


def test_percentiles_and_levels_are_words_of_the_language() -> None:
    ability = shown(sections(document_of(rich_report("ko")))["ability"])
    assert "[73%]{.value}" in ability
    assert "[좋음]{.own}" in ability
    assert ability.count("{.other}") == len(Level) - 1


def test_nobody_is_told_that_all_learners_are_better() -> None:
    report = rich_report("en")
    assert report.ability
    lowest = replace(report, ability=replace(report.ability, percentile=0.0))
    assert "[1%]{.value}" in shown(sections(document_of(lowest))["ability"])


def test_a_change_of_scale_is_said() -> None:
    trend = AbilityTrend(trend_points(), "v2", rescaled_from="v1")
    assert (
        "scale was set anew"
        in sections(document_of(replace(rich_report("en"), ability_trend=trend)))["trend"]
    )


def test_missing_linking_constants_state_the_reason_in_its_language() -> None:
    report = rich_report("ko")
    assert report.linking
    fit = replace(report.linking, slope=None, intercept=None, reason="fewer than 2 usable anchors")
    linking = sections(document_of(replace(report, linking=fit)))["linking"]
    assert "[fewer than 2 usable anchors]{lang=en}" in linking
    assert "기울기" not in linking.split("::: means")[1].split(":::")[1]


def test_many_topics_fold_and_stay_complete() -> None:
    topics = shown(sections(document_of(many_topics("en")))["topics"])
    assert '.folded summary="All 200 topics as a table"' in topics
    assert len(re.findall(r"^\| .*\d+/\d+ \(\d+%\)", topics, flags=re.MULTILINE)) == 200


def test_equal_reports_make_equal_documents() -> None:
    assert document_of(rich_report("ko")) == document_of(rich_report("ko"))


def test_a_change_is_clear_only_beyond_the_uncertainty_of_both_points() -> None:
    points = trend_points()
    change = trend_change(points)
    assert change
    assert change.theta == pytest.approx(0.97)
    assert change.is_clear
    near = trend_change((points[0], replace(points[-1], theta=points[0].theta + 0.1)))
    assert near
    assert not near.is_clear
    unsure = trend_change((replace(points[0], se=None, source=AbilitySource.ONLINE), points[-1]))
    assert unsure
    assert not unsure.is_clear
    assert trend_change(points[:1]) is None


def test_items_are_counted_by_how_hard_they_are_for_the_learner() -> None:
    answered = rich_report("en").items.answered
    counts = fit_counts(answered)
    assert counts
    assert counts.easy + counts.right + counts.hard == len(answered)
    assert fit_counts(tuple(replace(item, expected=None) for item in answered)) is None


def test_the_longest_run_of_days_is_found() -> None:
    assert longest_streak([True, True, False, True, True, True, False]) == 3
    assert longest_streak([]) == 0


def test_long_names_may_break_over_pages() -> None:
    assert is_tall(["a" * 120] * 4)
    assert not is_tall(TOPICS)


@pytest.fixture(scope="module")
def plain() -> Iterator[Pandoc]:
    """A pandoc that writes the text of a document, as one long line."""
    setup = Setup(filter=FILTER.read_text("utf-8"), templates={"plain": "$title$\n\n$body$"})
    with Pandoc(setup) as pandoc:
        yield pandoc


ANY_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn", "Zs", "Zl", "Zp")), max_size=18
)
SIGNS = st.text(st.sampled_from("#$*_`~<>[](){}|\\\"'@&!^=+-.:;,/%1a가 "), max_size=18)


@settings(max_examples=150, deadline=None)
@given(text=ANY_TEXT | SIGNS)
def test_pandoc_reads_any_value_as_the_text_it_is(plain: Pandoc, text: str) -> None:
    said = name(text)
    header, table = f'---\ntitle: "{escaped(said)}"\n---', f"| x | y |\n|---|---|\n| {escaped(said)} | end |"
    source = f"{header}\n\n{escaped(said)}\n\n{table}\n"
    written = plain.convert(source, ["plain"], {})["plain"]
    title, body = written.split("\n\n", 1)
    assert title == said
    assert body.startswith(f"{said}\n")
    assert written.count(said) >= 3


@pytest.mark.parametrize(
    "word",
    ["a" * 90, "geometry.triangles.congruence_rules", "이어서쓴아주아주아주긴단원의이름입니다그렇지요"],
)
def test_long_words_may_break_and_lose_nothing(word: str) -> None:
    assert "\u200b" in name(word)
    assert name(word).replace("\u200b", "") == word


def test_names_cannot_turn_the_text_around_them() -> None:
    assert name("abc\u202edef") == "abcdef"
    assert name("שלום") == "\u2068שלום\u2069"
    assert name(" \u200f ") == name("") == "–"


def test_the_time_of_the_document_is_that_of_its_data() -> None:
    report: WeeklyReport = rich_report()
    assert document_of(report).made_at == NOON
    assert TYPST_TEMPLATE.is_file()
