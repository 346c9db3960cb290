"""The words, numbers and dates of the reports in the learner's language.

Messages are written in English where they are used; `catalogues/<language>/LC_MESSAGES/reports.po` holds the
others. A catalogue is read as it is, once a process: there is nothing to compile;
`catalogues/babel.cfg` says how it is brought up to date.
"""

import datetime as dt
import gettext
import io
from functools import cache
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from reports.levels import Level
from seedtest.errors import ConfigurationError
from seedtest.settings import Language

SOURCE_LANGUAGE: Language = "en"
"""The language that the messages are written in; it needs no catalogue."""
CATALOGUES = Path(__file__).parent / "catalogues"
DOMAIN = "reports"
MINUS = "\u2212"
_ALWAYS = "".join(map(chr, range(0x20, 0x7F))) + "−±×·–…≤≥°½✓θΣ‘’“”년월일화수목금토시분초"
"""Of numbers, dates, identifiers, and signs of the figures."""
_DAY_MONTH = {"ko": "M월 d일", "en": "d MMM"}
_DAY = {"ko": "y년 M월 d일", "en": "d MMMM y"}
_MINUTE = {"ko": "y년 M월 d일 HH:mm", "en": "d MMMM y, HH:mm"}


def N_(message: str) -> str:  # noqa: N802 (gettext's customary name)
    """Mark a message for the catalogues where it is not yet looked up."""
    return message


class Texts:
    """Messages, numbers and dates in one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._locale = Locale.parse(language)
        self._messages = _messages(language)

    def gettext(self, message: str, /, **values: object) -> str:
        """Return the message in the language, its `%(name)s` filled in."""
        found = self._messages.gettext(message)
        return found % values if values else found

    def ngettext(self, singular: str, plural: str, n: int, /, **values: object) -> str:
        """Return the form of the message for n, with `%(n)s` and the other values filled in."""
        found = self._messages.ngettext(singular, plural, n)
        return found % {"n": self.number(n, 0), **values}

    def number(self, value: float, digits: int = 2, *, signed: bool = False) -> str:
        """Return a number with just so many decimals; signed: with its plus too."""
        rounded = round(value, digits) or 0.0
        places = "#,##0" + ("." + "0" * digits if digits else "")
        shown = format_decimal(abs(rounded), format=places, locale=self._locale)
        sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
        return sign + shown

    def percent(self, share: float, digits: int = 0) -> str:
        """Return a share in [0, 1] as a percentage."""
        places = "#,##0" + ("." + "0" * digits if digits else "") + "%"
        return format_percent(share, format=places, locale=self._locale)

    def seconds(self, ms: float) -> str:
        """Return a time in ms as seconds, to a tenth below ten."""
        secs = ms / 1000
        return self.gettext("%(secs)s s", secs=self.number(secs, 1 if secs < 10 else 0))

    def day(self, day: dt.date) -> str:
        """Return a day with its year."""
        return format_date(day, format=_DAY[self.language], locale=self._locale)

    def day_month(self, day: dt.date) -> str:
        """Return a day without its year, short enough for an axis."""
        return format_date(day, format=_DAY_MONTH[self.language], locale=self._locale)

    def minute(self, moment: dt.datetime) -> str:
        """Return a time to the minute, in UTC."""
        utc = moment.astimezone(dt.UTC)
        return f"{format_datetime(utc, format=_MINUTE[self.language], locale=self._locale)} UTC"

    def weekday(self, day: dt.date) -> str:
        """Return the short name of the day of the week."""
        return format_date(day, format="EEE", locale=self._locale)

    def kpi_name(self, name: str) -> str:
        """Return what a learner knows a KPI by."""
        return self.gettext(_KPI_NAMES[name])

    def kpi_value(self, value: float | None) -> str:
        """Return the value of a KPI, or that there is none."""
        return self.gettext("N/A") if value is None else self.number(value)

    def level(self, level: Level) -> str:
        """Return the word for a level."""
        return self.gettext(_LEVELS[level])


_LEVELS = {
    Level.BEGINNING: N_("Beginning"),
    Level.ELEMENTARY: N_("Elementary"),
    Level.DEVELOPING: N_("Developing"),
    Level.AVERAGE: N_("Average"),
    Level.GOOD: N_("Good"),
    Level.VERY_GOOD: N_("Very good"),
    Level.EXCELLENT: N_("Excellent"),
    Level.OUTSTANDING: N_("Outstanding"),
}
_KPI_NAMES = {
    "I_t": N_("Improvement"),
    "E_t": N_("Speed gain"),
    "R_t": N_("Recovery"),
    "A_t": N_("Engagement"),
    "P": N_("Chance of reaching your goal"),
    "S": N_("Risk of a break"),
}


@cache
def texts_in(language: Language) -> Texts:
    """Return the texts of a language; the catalogue is read once."""
    return Texts(language)


def catalogue_file(language: str) -> Path:
    """Return the path of a language's messages."""
    return CATALOGUES / language / "LC_MESSAGES" / f"{DOMAIN}.po"


@cache
def catalogue_characters(language: Language) -> frozenset[str]:
    """Return the characters that any report in the language may show beside the names in its data."""
    catalogue = _catalogue(next(path.name for path in CATALOGUES.iterdir() if path.is_dir()))
    characters = set(_ALWAYS)
    for message in catalogue:
        said = message.id if language == SOURCE_LANGUAGE else message.string
        characters.update(said if isinstance(said, str) else "".join(said or ()))
    return frozenset(c for c in characters if c.isprintable())


def _catalogue(language: str) -> Catalog:
    path = catalogue_file(language)
    if not path.is_file():
        raise ConfigurationError(
            f"Reports in {language!r} need {path}, which is not there: reinstall, or choose another language."
        )
    with path.open("rb") as written:
        return read_po(written, locale=language, domain=DOMAIN)


def _messages(language: Language) -> gettext.NullTranslations:
    if language == SOURCE_LANGUAGE:
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, _catalogue(language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
