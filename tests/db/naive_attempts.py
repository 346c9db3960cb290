"""A second, plain reading of result_json, and result_json of any content to read both ways."""

import json
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from hypothesis import strategies as st

TRUE, FALSE = {"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"}
TOPICS = {"Q1": "algebra", "Q2": ""}


def text_of(value: Any) -> str | None:
    """The text of a JSON text or number; None for anything else."""
    if isinstance(value, Decimal):
        return format(abs(value) if value == 0 else value, "f")
    return value if isinstance(value, str) else None


def truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, Decimal):
        return True if value == 1 else False if value == 0 else None
    text = value.strip(" \t\r\n").lower() if isinstance(value, str) else ""
    return True if text in TRUE else False if text in FALSE else None


def number(value: Any) -> Decimal | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return Decimal(value)
    return value if isinstance(value, Decimal) else None


def known_hints(value: Any) -> int | None:
    answered = truth(value)
    hints = number(value) if number(value) is not None else None if answered is None else Decimal(answered)
    return int(hints) if hints is not None and 0 <= hints <= 1_000_000 else None


def known_ms(value: Any) -> int | None:
    seconds = number(value)
    if seconds is None or not 0 <= seconds <= 86_400:
        return None
    return int(seconds.scaleb(3).quantize(Decimal(1), ROUND_HALF_UP))


def naive_attempts(document: str) -> list[tuple[Any, ...]]:
    """(ordinal, item_id, correct, response_time_ms, hints, hint_used, topic_id) in plain Python."""
    parsed = json.loads(document, parse_int=Decimal, parse_float=Decimal)
    questions = parsed.get("questions") if isinstance(parsed, dict) else None
    rows = []
    for ordinal, answer in enumerate(questions if isinstance(questions, list) else [], 1):
        item_id = text_of(answer.get("question_id")) if isinstance(answer, dict) else None
        if item_id:
            said = [truth(answer.get(key)) for key in ("is_correct", "correct")]
            hints = known_hints(answer.get("used_hints"))
            topic_id = text_of(answer.get("topic")) or TOPICS.get(item_id) or None
            correct = next((known for known in said if known is not None), False)
            ms = known_ms(answer.get("time_spent_sec"))
            rows.append(
                (ordinal, item_id, correct, ms, hints, None if hints is None else hints > 0, topic_id)
            )
    return rows


TEXTS = st.sampled_from(
    ["", "Q1", "Q2", "true", "No", "12.5", "-1", "1e3", "😀", "\"q\" 'q' \\", "%(x)s", "a:b", "2026-11-01"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
NUMBERS = st.sampled_from(
    [
        "0",
        "1",
        "-0",
        "1.0",
        "1.50",
        "0.0",
        "-3",
        "86400",
        "86400.0001",
        "0.0005",
        "2147483648",
        "1e400",
        "1e131000",
        "1e-16000",
    ]
)
PADDED = st.sampled_from(['" true"', '"N\\t\\n"', '" 1"', '"\\u00a0yes"'])
LITERALS = NUMBERS | PADDED | st.sampled_from(["null", "true", "false", '"true"', '"no"', '"2"', '"12.5"'])
SCALARS = (
    LITERALS
    | st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(json.dumps)
    | TEXTS.map(json.dumps)
    | TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False))
)
KEYS = ("question_id", "is_correct", "correct", "time_spent_sec", "used_hints", "topic", "questions")


def array(elements: list[str]) -> str:
    return f"[{', '.join(elements)}]"


def json_object(members: dict[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in members.items()) + "}"


VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(array)
        | st.dictionaries(st.sampled_from(KEYS) | TEXTS, inner, max_size=3).map(json_object)
    ),
    max_leaves=4,
)
ANSWERS = st.fixed_dictionaries(
    {"question_id": TEXTS.map(json.dumps) | SCALARS}, optional=dict.fromkeys(KEYS[1:6], LITERALS | VALUES)
).map(json_object)
# Named twice, so that most of what is drawn has something to read.
QUESTIONS = st.lists(st.one_of(ANSWERS, ANSWERS, VALUES), min_size=1, max_size=6).map(array)
RESULTS = QUESTIONS.map(lambda questions: json_object({"questions": questions}))
DOCUMENTS = st.one_of(RESULTS, RESULTS, VALUES)
