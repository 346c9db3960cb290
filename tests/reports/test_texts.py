"""The catalogues are complete and sound; numbers and dates read as each language writes them."""

import datetime as dt
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

import reports
from reports.levels import Level
from reports.model import KPI_NAMES
from reports.texts import CATALOGUES, SOURCE_LANGUAGE, catalogue_characters, catalogue_file, texts_in
from seedtest.settings import Language

KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
PLACEHOLDER = re.compile(r"%\(\w+\)s")
MONDAY = dt.date(2025, 10, 27)
LANGUAGES: tuple[Language, ...] = ("ko", "en")


@pytest.fixture(scope="module")
def messages() -> set[str | tuple[str, ...]]:
    """Every message that the code, the figures and the document look up."""
    with (CATALOGUES / "babel.cfg").open() as written:
        methods, options = parse_mapping_cfg(written)  # type: ignore[no-untyped-call]  # Babel's own gap
    found = extract_from_dir(Path(reports.__file__).parent, methods, options, KEYWORDS)
    return {message for _, _, message, _, _ in found}


def test_every_message_has_a_korean_text_and_no_text_is_left_over(
    messages: set[str | tuple[str, ...]],
) -> None:
    with catalogue_file("ko").open("rb") as written:
        catalogue = read_po(written, locale="ko")
    known = {message.id: message for message in catalogue if message.id}
    assert messages == set(known)
    assert not [message.id for message in known.values() if message.fuzzy]
    empty = [key for key, message in known.items() if not "".join(message.string or ())]
    assert not empty


def test_a_text_fills_in_the_same_values_as_its_message() -> None:
    with catalogue_file("ko").open("rb") as written:
        for message in read_po(written, locale="ko"):
            singular, plural = (message.id, message.id) if isinstance(message.id, str) else message.id
            said = message.string if isinstance(message.string, str) else "".join(message.string or ())
            assert set(PLACEHOLDER.findall(said)) == set(PLACEHOLDER.findall(plural)), message.id
            assert set(PLACEHOLDER.findall(singular)) <= set(PLACEHOLDER.findall(plural)), message.id


def test_korean_texts_do_not_depend_on_the_last_letter_of_a_value() -> None:
    """Particles such as 은/는 change with the word before: after a name of the data none may stand."""
    with catalogue_file("ko").open("rb") as written:
        said = [str(message.string) for message in read_po(written, locale="ko")]
    assert not [each for each in said if re.search(r"%\((topic|item)\)s[은는이가을를와과]", each)]


def test_the_source_language_needs_no_catalogue() -> None:
    assert not catalogue_file(SOURCE_LANGUAGE).exists()
    assert texts_in("en").gettext("Your goals") == "Your goals"


@pytest.mark.parametrize(("language", "said"), [("ko", "3일"), ("en", "3 days")])
def test_plurals_follow_the_language(language: Language, said: str) -> None:
    assert texts_in(language).ngettext("%(n)s day", "%(n)s days", 3) == said


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    texts = texts_in("en")
    assert texts.number(-0.126) == "−0.13"
    assert texts.number(-0.001, signed=True) == "0.00"
    assert texts.number(0.5, signed=True) == "+0.50"
    assert texts.number(12345, 0) == "12,345"
    assert texts.percent(0.734) == "73%"


def test_dates_and_times_read_as_each_language_writes_them() -> None:
    moment = dt.datetime(2025, 11, 2, 21, 30, tzinfo=dt.timezone(dt.timedelta(hours=9)))
    assert texts_in("ko").day(MONDAY) == "2025년 10월 27일"
    assert texts_in("en").day(MONDAY) == "27 October 2025"
    assert texts_in("ko").day_month(MONDAY) == "10월 27일"
    assert texts_in("en").weekday(MONDAY) == "Mon"
    assert texts_in("ko").minute(moment) == "2025년 11월 2일 12:30 UTC"
    assert texts_in("ko").seconds(4_560) == "4.6초"
    assert texts_in("en").seconds(45_600) == "46 s"


@pytest.mark.parametrize("language", LANGUAGES)
def test_levels_and_kpis_have_words_of_their_own(language: Language) -> None:
    texts = texts_in(language)
    assert len({texts.level(level) for level in Level}) == len(Level)
    assert len({texts.kpi_name(name) for name in KPI_NAMES}) == len(KPI_NAMES)
    assert texts.kpi_value(None) == "N/A"


def test_the_common_part_of_the_font_has_the_letters_of_all_texts() -> None:
    assert set("이렇게 읽어요") - {" "} <= catalogue_characters("ko")
    assert not re.search("[가-힣]", "".join(catalogue_characters("en") - set("년월일화수목금토시분초")))
