"""Checking rows of text: typed answers, or the first reason why a row is none.

Limits, all stated in the reasons: identifiers up to 255 characters without control characters, times
from 1990 to a year from now, response times as the attempt view takes them (0 to one day), hints as it
takes them too.
"""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from seedtest.db.views import MAX_HINTS, MAX_RESPONSE_SECONDS

EARLIEST = dt.datetime(1990, 1, 1, tzinfo=dt.UTC)
# A clock may be wrong and a trial may be dated ahead; an answer of the year after next is a typing error.
LATEST_AHEAD = dt.timedelta(days=366)
MAX_ID_CHARACTERS = 255
MAX_RESPONSE_MS = MAX_RESPONSE_SECONDS * 1000
CONTROL_CHARACTER = r"[\x00-\x1f\x7f]"

TRUTH = {"1": True, "true": True, "t": True, "yes": True, "y": True}
FALSEHOOD = {"0": False, "false": False, "f": False, "no": False, "n": False}

WITH_OFFSET = ("%+", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
WITHOUT_OFFSET = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
# Digits of a number of seconds, milliseconds … since 1970 in our century → how many make a second.
EPOCH_UNITS = {10: 1, 13: 1_000, 16: 1_000_000, 19: 1_000_000_000}

TEXTS = ("user_id", "item_id", "topic_id", "session_id")
TYPED = (
    "user_id",
    "item_id",
    "correct",
    "completed_at",
    "response_time_ms",
    "hints",
    "topic_id",
    "session_id",
)


@dataclass(frozen=True)
class Checked:
    """The good rows with their types, and a reason (null for a good row) for every row given."""

    answers: pl.DataFrame
    reasons: pl.Series
    n_without_offset: int
    n_ahead: int


@dataclass(frozen=True)
class Rule:
    """What makes a row bad, and the words for it."""

    is_broken: pl.Expr
    reason: pl.Expr


def words(*parts: str | pl.Expr) -> pl.Expr:
    """Join texts and columns; pl.format would do, but polars 2.1 panics in it on an empty chunk."""
    return pl.concat_str(*(pl.lit(part) if isinstance(part, str) else part for part in parts))


def tidy(frame: pl.DataFrame, headers: dict[str, str]) -> pl.DataFrame:
    """Return the columns that matter under our names, trimmed, empty ones null."""
    trimmed = frame.select(pl.col(header).str.strip_chars().alias(ours) for ours, header in headers.items())
    missing = [pl.lit(None, pl.String).alias(name) for name in TYPED if name not in headers]
    return trimmed.select(pl.when(pl.all() != "").then(pl.all())).with_columns(missing)


def check(rows: pl.DataFrame, now: dt.datetime, *, has_times: bool) -> Checked:
    """Type the rows of `tidy` and find what is wrong with each."""
    times, n_without_offset = parse_times(rows["completed_at"])
    typed = rows.with_columns(
        times.alias("time"),
        pl.col("correct")
        .str.to_lowercase()
        .replace_strict(TRUTH | FALSEHOOD, default=None, return_dtype=pl.Boolean)
        .alias("truth"),
        pl.col("response_time_ms").cast(pl.Float64, strict=False).alias("ms"),
        pl.col("hints").cast(pl.Float64, strict=False).alias("hint_count"),
    )
    reasons = _first_reasons(typed, _rules(now, has_times=has_times))
    good = typed.filter(reasons.is_null())
    answers = good.select(
        *TEXTS,
        pl.col("truth").alias("correct"),
        pl.col("time").alias("completed_at"),
        pl.col("ms").round().cast(pl.Int32).alias("response_time_ms"),
        pl.col("hint_count").cast(pl.Int32).alias("hints"),
    )
    n_ahead = int((answers["completed_at"] > now).sum())
    return Checked(answers, reasons, n_without_offset, n_ahead)


def parse_times(texts: pl.Series) -> tuple[pl.Series, int]:
    """Read ISO 8601 times and epoch numbers as UTC; also return how many gave no offset."""
    frame = pl.DataFrame({"text": texts.str.replace("([0-9]) +([0-9])", "${1}T${2}")})
    text = pl.col("text")
    times = _fill(frame, pl.Series([None] * texts.len(), dtype=pl.Datetime("us", "UTC")), WITH_OFFSET)
    n_missing = times.null_count()
    times = _fill(frame, times, WITHOUT_OFFSET)
    n_without_offset = n_missing - times.null_count()
    if times.null_count() == texts.null_count():
        return times, n_without_offset
    for digits, units in EPOCH_UNITS.items():
        seconds = pl.when(text.str.contains(rf"^\d{{{digits}}}$")).then(text.cast(pl.Int64, strict=False))
        micros = seconds * (1_000_000 // units) if units <= 1_000_000 else seconds // (units // 1_000_000)
        times = times.fill_null(frame.select(micros.cast(pl.Datetime("us", "UTC"))).to_series())
    return times, n_without_offset


def _fill(frame: pl.DataFrame, times: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    """Read what is still missing in one format after the other; usually the first does."""
    for each in formats:
        if times.null_count() == 0:
            break
        zone = None if each == "%+" or each.endswith("z") else "UTC"
        read = pl.col("text").str.to_datetime(each, strict=False, time_unit="us", time_zone=zone)
        times = times.fill_null(frame.select(read.dt.convert_time_zone("UTC")).to_series())
    return times


def _first_reasons(typed: pl.DataFrame, rules: list[Rule]) -> pl.Series:
    """Return the reason of the first rule that each row breaks; words are made for bad rows only."""
    is_bad = typed.select(
        pl.any_horizontal(rule.is_broken.fill_null(value=False) for rule in rules)
    ).to_series()
    reasons = pl.Series("reason", [None] * typed.height, pl.String)
    if not is_bad.any():
        return reasons
    worded = typed.filter(is_bad).select(
        *(rule.is_broken.alias(f"is broken {k}") for k, rule in enumerate(rules)),
        *(rule.reason.alias(f"reason {k}") for k, rule in enumerate(rules)),
    )
    first = pl.coalesce(
        pl.when(pl.col(f"is broken {k}")).then(pl.col(f"reason {k}")) for k in range(len(rules))
    )
    return reasons.scatter(is_bad.arg_true(), worded.select(first).to_series())


def _rules(now: dt.datetime, *, has_times: bool) -> list[Rule]:
    rules = [Rule(pl.col(name).is_null(), pl.lit(f"{name} is missing")) for name in ("user_id", "item_id")]
    for name in TEXTS:
        rules += _text_rules(name)
    rules.append(_unreadable("correct", "truth", "0, 1, true, false, t, f, yes or no"))
    if has_times:
        rules += _time_rules(now)
    return [*rules, *_number_rules()]


def _text_rules(name: str) -> list[Rule]:
    text = pl.col(name)
    return [
        Rule(
            text.str.contains(CONTROL_CHARACTER),
            pl.lit(f"{name} holds a control character, such as NUL or a line end within quotes"),
        ),
        Rule(
            text.str.len_chars() > MAX_ID_CHARACTERS,
            words(
                f"{name} has ", text.str.len_chars(), f" characters; at most {MAX_ID_CHARACTERS} are allowed"
            ),
        ),
    ]


def _unreadable(name: str, value: str, expected: str) -> Rule:
    text = pl.col(name)
    shown = pl.coalesce(words("'", text.str.head(40), "'"), pl.lit("missing"))
    return Rule(pl.col(value).is_null(), words(f"{name} is ", shown, f"; expected {expected}"))


def _time_rules(now: dt.datetime) -> list[Rule]:
    time, latest = pl.col("time"), now + LATEST_AHEAD
    shown = time.dt.to_string("%Y-%m-%dT%H:%M:%SZ")
    return [
        _unreadable("completed_at", "time", "an ISO 8601 time such as 2026-09-01T10:00:00Z"),
        Rule(time < EARLIEST, words("completed_at ", shown, f" is before {EARLIEST:%Y-%m-%d}")),
        Rule(time > latest, words("completed_at ", shown, f" is after {latest:%Y-%m-%d}, a year from now")),
    ]


def _number_rules() -> list[Rule]:
    ms, hints = pl.col("ms"), pl.col("hint_count")
    return [
        _out_of_range("response_time_ms", ~ms.is_between(0, MAX_RESPONSE_MS), f"0 to {MAX_RESPONSE_MS:,} ms"),
        _out_of_range(
            "hints",
            ~(hints.is_between(0, MAX_HINTS) & (hints == hints.floor())),
            f"a whole number from 0 to {MAX_HINTS:,}",
        ),
    ]


def _out_of_range(name: str, is_outside: pl.Expr, expected: str) -> Rule:
    text = pl.col(name)
    reason = words(f"{name} is '", text.str.head(40), f"'; expected {expected}")
    return Rule(text.is_not_null() & is_outside.fill_null(value=True), reason)
