"""Importing files of answers: what loads, what is rejected and why, what a second import changes."""

import csv
import datetime as dt
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from seedtest.db.locks import stage_lock
from seedtest.errors import ImportFileError
from seedtest.local.importer import ImportPhase, ImportProgress, ImportSummary, import_file
from seedtest.local.importer.csv_records import Shape, read_records
from seedtest.local.importer.parse import check, parse_times, tidy
from seedtest.local.importer.source import open_source

HEADER = "user_id,item_id,correct,completed_at,response_time_ms,hints,topic_id,session_id"
NOW = dt.datetime(2026, 10, 31, tzinfo=dt.UTC)

Import = Callable[..., ImportSummary]


@pytest.fixture
def run(engine: Engine, tmp_path: Path) -> Import:
    def run(content: str | bytes | pl.DataFrame, **options: Any) -> ImportSummary:
        path = tmp_path / "answers.csv"
        if isinstance(content, pl.DataFrame):
            path = tmp_path / "answers.parquet"
            content.write_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return import_file(engine, path, **{"rejects": tmp_path / "rejected.csv"} | options)

    return run


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def snapshot(engine: Engine) -> list[tuple[Any, ...]]:
    return rows(engine, "SELECT * FROM exam_results ORDER BY id") + rows(
        engine, "SELECT * FROM question ORDER BY id"
    )


def rejected(summary: ImportSummary) -> list[list[str]]:
    assert summary.rejects is not None
    with summary.rejects.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.reader(file))[1:]


def reasons(summary: ImportSummary) -> dict[int, str]:
    return {int(line): reason for line, reason, *_ in rejected(summary)}


TWO_SESSIONS = f"""{HEADER}
ann,Q1,1,2026-09-01T10:00:00Z,12500,0,algebra,s1
ann,Q2,false,2026-09-01T10:02:00+00:00,,,geometry,s1
bob,Q1,T,2026-09-02 19:00:00+09:00,900,2,,s2
"""


def test_answers_become_attempts_of_one_result_a_session(run: Import, engine: Engine) -> None:
    summary = run(TWO_SESSIONS)
    assert (summary.rows_read, summary.attempts, summary.rows_rejected, summary.rejects) == (3, 3, 0, None)
    assert (summary.learners, summary.items, summary.sessions_new, summary.questions_new) == (2, 2, 2, 2)
    attempts = rows(
        engine,
        "SELECT user_id, item_id, correct, response_time_ms, hints, topic_id, session_id, completed_at"
        " FROM attempt_base ORDER BY session_id, ordinal",
    )
    last = dt.datetime(2026, 9, 1, 10, 2, tzinfo=dt.UTC)
    assert attempts == [
        ("ann", "Q1", True, 12500, 0, "algebra", "s1", last),
        ("ann", "Q2", False, None, None, "geometry", "s1", last),
        ("bob", "Q1", True, 900, 2, "algebra", "s2", dt.datetime(2026, 9, 2, 10, tzinfo=dt.UTC)),
    ]


def test_a_session_spans_its_first_to_its_last_answer_in_the_order_of_time(
    run: Import, engine: Engine
) -> None:
    run(
        f"{HEADER}\nann,Q2,1,2026-09-01T10:30:00Z,,,,s1\nann,Q3,1,2026-09-01T10:10:00Z,,,,s1\n"
        "ann,Q1,1,2026-09-01T10:30:00Z,,,,s1\n"
    )
    ((created, updated, status, result),) = rows(
        engine, "SELECT created_at, updated_at, status, result_json FROM exam_results"
    )
    assert (created.minute, updated.minute, status, result["source"]) == (
        10,
        30,
        "completed",
        "seedtest-import",
    )
    assert [answer["question_id"] for answer in result["questions"]] == ["Q3", "Q2", "Q1"]


def test_the_same_file_again_changes_nothing(run: Import, engine: Engine) -> None:
    run(TWO_SESSIONS)
    before = snapshot(engine)
    again = run(TWO_SESSIONS)
    assert snapshot(engine) == before
    assert (again.attempts_new, again.attempts_known, again.sessions_unchanged, again.questions_new) == (
        0,
        3,
        2,
        0,
    )


def test_the_same_answers_give_the_same_ids_in_any_order_and_database(run: Import, engine: Engine) -> None:
    run(TWO_SESSIONS)
    ids = rows(engine, "SELECT id, session_id FROM exam_results ORDER BY id")
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE exam_results"))
    head, *body = TWO_SESSIONS.splitlines(keepends=True)
    run(head + "".join(reversed(body)))
    assert rows(engine, "SELECT id, session_id FROM exam_results ORDER BY id") == ids


def test_a_later_file_adds_answers_to_a_session(run: Import, engine: Engine) -> None:
    run(TWO_SESSIONS)
    later = run(f"{HEADER}\nann,Q3,1,2026-09-01T10:01:00Z,,,,s1\nann,Q2,0,2026-09-01T10:02:00Z,,,,s1\n")
    assert (later.attempts_new, later.attempts_known, later.sessions_changed) == (1, 1, 1)
    items = rows(engine, "SELECT item_id FROM attempt_base WHERE session_id = 's1' ORDER BY ordinal")
    assert items == [("Q1",), ("Q3",), ("Q2",)]


def test_a_corrected_answer_takes_over_what_it_says_and_keeps_the_rest(run: Import, engine: Engine) -> None:
    run(TWO_SESSIONS)
    later = run("user_id,item_id,correct,completed_at,session_id\nann,Q1,0,2026-09-01T10:00:00Z,s1\n")
    assert (later.attempts_new, later.attempts_known, later.attempts_corrected) == (0, 1, 1)
    query = "SELECT correct, response_time_ms, topic_id FROM attempt_base WHERE user_id = 'ann'"
    query += " AND item_id = 'Q1'"
    assert rows(engine, query) == [(False, 12500, "algebra")]


def test_answers_that_look_alike_are_kept_apart_by_their_number(run: Import, engine: Engine) -> None:
    once = "ann,Q1,1,2026-09-01T10:00:00Z,,,,s1\n"
    assert run(f"{HEADER}\n{once * 2}").attempts_new == 2
    assert run(f"{HEADER}\n{once * 3}").attempts_new == 1
    assert run(f"{HEADER}\n{once}").attempts_new == 0
    assert rows(engine, "SELECT count(*) FROM attempt") == [(3,)]


NO_SESSION = "user_id,item_id,correct,completed_at\n"


def timeline(*minutes: int, user: str = "ann") -> str:
    start = dt.datetime(2026, 9, 1, 8, tzinfo=dt.UTC)
    times = (start + dt.timedelta(minutes=each) for each in minutes)
    return "".join(
        f"{user},Q{minute},1,{time.isoformat()}\n" for minute, time in zip(minutes, times, strict=True)
    )


def sessions(engine: Engine) -> list[list[str]]:
    grouped = "SELECT array_agg(item_id ORDER BY ordinal) FROM attempt_base GROUP BY session_id"
    return [items for (items,) in rows(engine, f"{grouped} ORDER BY min(completed_at)")]


def test_without_session_ids_a_session_ends_after_half_an_hour(run: Import, engine: Engine) -> None:
    summary = run(NO_SESSION + timeline(0, 30, 61) + timeline(70, user="bob"))
    assert sessions(engine) == [["Q0", "Q30"], ["Q61"], ["Q70"]]
    assert any("30 minutes" in note for note in summary.notes)


def test_overlapping_exports_without_session_ids_store_each_answer_once(run: Import, engine: Engine) -> None:
    run(NO_SESSION + timeline(0, 10, 20, 100, 110))
    overlapping = run(NO_SESSION + timeline(10, 20, 25, 110, 200))
    assert (overlapping.attempts_new, overlapping.attempts_known) == (2, 3)
    assert sessions(engine) == [["Q0", "Q10", "Q20", "Q25"], ["Q100", "Q110"], ["Q200"]]
    assert run(NO_SESSION + timeline(0, 10, 20, 25, 100, 110, 200)).attempts_new == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=15),
    st.lists(st.integers(0, 200), min_size=1, max_size=15),
)
def test_any_two_overlapping_exports_end_as_their_union(
    run: Import, engine: Engine, first: list[int], second: list[int]
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE exam_results, question"))
    run(NO_SESSION + timeline(*first))
    run(NO_SESSION + timeline(*second))
    expected = sum(max(first.count(minute), second.count(minute)) for minute in {*first, *second})
    assert rows(engine, "SELECT count(*) FROM attempt") == [(expected,)]
    before = snapshot(engine)
    assert run(NO_SESSION + timeline(*second)).attempts_new == 0
    assert snapshot(engine) == before


BAD_ROWS = {
    ",Q1,1,2026-09-01T10:00:00Z,,,,": "user_id is missing",
    "ann,  ,1,2026-09-01T10:00:00Z,,,,": "item_id is missing",
    "ann,Q1,,2026-09-01T10:00:00Z,,,,": "correct is missing",
    "ann,Q1,maybe,2026-09-01T10:00:00Z,,,,": "correct is 'maybe'",
    "ann,Q1,2,2026-09-01T10:00:00Z,,,,": "correct is '2'",
    "ann,Q1,1,,,,,": "completed_at is missing",
    "ann,Q1,1,yesterday,,,,": "completed_at is 'yesterday'",
    "ann,Q1,1,2026-02-30T10:00:00Z,,,,": "completed_at is '2026-02-30T10:00:00Z'",
    "ann,Q1,1,1989-12-31T23:59:59Z,,,,": "before 1990-01-01",
    "ann,Q1,1,2999-01-01T00:00:00Z,,,,": "a year from now",
    "ann,Q1,1,2026-09-01T10:00:00Z,-1,,,": "response_time_ms is '-1'",
    "ann,Q1,1,2026-09-01T10:00:00Z,86400001,,,": "response_time_ms is '86400001'",
    "ann,Q1,1,2026-09-01T10:00:00Z,fast,,,": "response_time_ms is 'fast'",
    "ann,Q1,1,2026-09-01T10:00:00Z,NaN,,,": "response_time_ms is 'NaN'",
    "ann,Q1,1,2026-09-01T10:00:00Z,,-1,,": "hints is '-1'",
    "ann,Q1,1,2026-09-01T10:00:00Z,,1.5,,": "hints is '1.5'",
    "ann,Q1,1": "3 columns instead of 8",
    "ann,Q1,1,2026-09-01T10:00:00Z,,,,s,more": "9 columns instead of 8",
    "an\0n,Q1,1,2026-09-01T10:00:00Z,,,,": "user_id holds a control character",
    "ann,Q1,1,2026-09-01T10:00:00Z,,,top\0ic,": "topic_id holds a control character",
    f"ann,{'Q' * 256},1,2026-09-01T10:00:00Z,,,,": "item_id has 256 characters",
    'ann,"Q1,1,2026-09-01T10:00:00Z,,,,': "not CSV",
}


def test_bad_rows_are_rejected_with_line_and_reason_and_the_good_ones_load(
    run: Import, engine: Engine
) -> None:
    good = "ann,Q1,1,2026-09-01T10:00:00Z,,,,s1"
    lines = [line for bad in BAD_ROWS for line in (good, bad)]
    summary = run("\n".join([HEADER, *lines, good]) + "\n")
    assert summary.rows_rejected == len(BAD_ROWS)
    assert summary.attempts == len(BAD_ROWS) + 1
    assert summary.rows_read == 2 * len(BAD_ROWS) + 1
    found = reasons(summary)
    assert list(found) == [3 + 2 * k for k in range(len(BAD_ROWS))]
    for reason, expected in zip(found.values(), BAD_ROWS.values(), strict=True):
        assert expected in reason
    assert rows(engine, "SELECT count(*) FROM attempt") == [(summary.attempts,)]


def test_the_rejects_file_holds_the_row_as_it_was_and_can_be_mended_and_imported(
    run: Import, tmp_path: Path
) -> None:
    summary = run(f'{HEADER},remark\nann,Q1,?,2026-09-01T10:00:00Z,,,,s1,"said ""no"""\n')
    (row,) = rejected(summary)
    assert row[2:] == ["ann", "Q1", "?", "2026-09-01T10:00:00Z", "", "", "", "s1", 'said "no"']
    assert summary.rejects is not None
    mended = summary.rejects.read_text()
    still_bad = run(mended, rejects=tmp_path / "again.csv")
    assert still_bad.rejects is not None
    assert still_bad.rejects.read_text() == mended
    assert run(mended.replace(",?,", ",0,"), rejects=tmp_path / "again.csv").attempts_new == 1


def test_bytes_that_are_no_text_cost_their_row_only(run: Import) -> None:
    good = b"ann,Q1,1,2026-09-01T10:00:00Z,,,algebra,s1\n"
    bad = b"ann,Q2,1,2026-09-01T10:00:00Z,,,alg\xe8bre,s1\n"
    content = HEADER.encode() + b"\n" + good + bad + good
    summary = run(content)
    assert (summary.attempts, reasons(summary)) == (2, {3: "bytes that are not text in the file's encoding"})
    assert any("--encoding windows-1252" in note for note in summary.notes)
    assert summary.rejects is not None
    assert b"alg\xe8bre" in summary.rejects.read_bytes()
    assert run(content, encoding="windows-1252").rows_rejected == 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_delimiters_byte_order_marks_and_line_ends_are_understood(
    tmp_path: Path, delimiter: str, mark: bytes, line_end: str
) -> None:
    path = tmp_path / "answers.csv"
    path.write_bytes(mark + TWO_SESSIONS.replace(",", delimiter).replace("\n", line_end).encode())
    source = open_source(path, None, "utf-8-sig")
    frame = pl.concat(batch.frame for batch in source.batches(100))
    assert frame.rows() == [tuple(line.split(",")) for line in TWO_SESSIONS.splitlines()[1:]]
    assert source.columns == tuple(HEADER.split(","))


def test_quoted_fields_may_hold_delimiters_quotes_and_line_ends(run: Import, engine: Engine) -> None:
    head = "user_id,item_id,correct,completed_at,remark"
    body = '"ann, the first","Q""1""",1,2026-09-01T10:00:00Z,"two\nlines"\n\nbob,Q2,x,2026-09-01T10:00:00Z,\n'
    summary = run(f"{head}\n{body}")
    assert rows(engine, "SELECT user_id, item_id FROM attempt") == [("ann, the first", 'Q"1"')]
    assert list(reasons(summary)) == [5]


def test_small_batches_read_the_same_as_one(run: Import, engine: Engine) -> None:
    body = "".join(
        f'ann,"Q{k}",{k % 2},2026-09-01T10:{k % 60:02}:00Z,"{"note" * (k % 7)}{chr(10) * (k % 3)}"\n'
        for k in range(90)
    )
    content = (
        "user_id,item_id,correct,completed_at,remark\n" + body + 'ann,"Q,1\nann,Q,x,2026-09-01T10:00:00Z,'
    )
    one = run(content)
    found, before = rejected(one), snapshot(engine)
    small = run(content, batch_rows=3)
    assert (small.rows_read, small.attempts_known, small.attempts_new) == (one.rows_read, 90, 0)
    assert rejected(small) == found
    assert snapshot(engine) == before


@settings(deadline=None)
@given(
    st.lists(st.lists(st.text(max_size=8), min_size=3, max_size=3), min_size=1, max_size=20),
    st.integers(0, 40),
)
def test_records_come_back_as_written_however_the_text_is_cut(table: list[list[str]], cut: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    lines = io.StringIO(text.getvalue(), newline="\n").readlines()
    first = read_records(lines[:cut], 1, Shape(",", 3), is_last=False)
    rest = read_records(lines[first.used_lines :], 1 + first.used_lines, Shape(",", 3), is_last=True)
    assert first.rows + rest.rows == table
    assert not first.rejects + rest.rejects


def test_headers_can_be_mapped(run: Import, engine: Engine) -> None:
    content = "learner,item_id,score,when\nann,Q1,1,2026-09-01T10:00:00Z\n"
    names = {"user_id": "learner", "correct": "score", "completed_at": "when"}
    assert run(content, mapping=names).attempts == 1
    with pytest.raises(
        ImportFileError, match=r"no column answer \(for correct\).*It has: learner, item_id.*--map"
    ):
        run(content, mapping=names | {"correct": "answer"})
    with pytest.raises(ImportFileError, match="--map names 'points'"):
        run(content, mapping={"points": "score"})


def test_a_missing_column_is_named_with_those_that_are_there(run: Import, engine: Engine) -> None:
    with pytest.raises(
        ImportFileError, match=r"no column correct\. It has: user_id, item_id, completed_at\..*--map"
    ):
        run("user_id,item_id,completed_at\nann,Q1,2026-09-01T10:00:00Z\n")
    assert snapshot(engine) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("answers.csv", b"", "is empty"),
        ("answers.csv", b"\n\n", "first line is blank"),
        ("answers.csv", b"\x00\x01\x02\xff\xfe" * 50, "bytes that are no text"),
        ("answers.csv", b"PK\x03\x04rest", "ZIP archive or an Excel workbook"),
        ("answers.csv", b"\x1f\x8brest", "compressed"),
        ("answers.csv", b"PAR1rest", "is a Parquet file"),
        ("answers.csv", b"user_id,user_id\n", "two columns named 'user_id'"),
        ("answers.xlsx", b"rest", r"extension \.xlsx is not known"),
        ("answers", b"rest", r"extension \(none\) is not known"),
        ("answers.parquet", b"user_id,item_id\n", "not a readable Parquet file"),
    ],
)
def test_a_file_that_cannot_be_one_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImportFileError, match=message):
        open_source(path, None, "utf-8-sig")


def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="There is no file"):
        open_source(tmp_path / "nowhere.csv", None, "utf-8-sig")
    with pytest.raises(ImportFileError, match="is a folder"):
        open_source(tmp_path, None, "utf-8-sig")


def test_an_unknown_encoding_is_refused(run: Import) -> None:
    with pytest.raises(ImportFileError, match="no encoding named 'klingon'"):
        run(TWO_SESSIONS, encoding="klingon")


def test_utf16_with_its_mark_is_read(run: Import) -> None:
    assert run(TWO_SESSIONS.encode("utf-16")).attempts == 3


def test_a_file_with_a_header_alone_imports_nothing(run: Import) -> None:
    summary = run(HEADER)
    assert (summary.rows_read, summary.attempts, summary.first_answer) == (0, 0, None)


def test_the_rejects_never_replace_another_file(run: Import, tmp_path: Path) -> None:
    precious = tmp_path / "precious.csv"
    precious.write_text("do not lose me")
    with pytest.raises(ImportFileError, match="is no rejects file"):
        run(TWO_SESSIONS, rejects=precious)
    with pytest.raises(ImportFileError, match="is no rejects file"):
        run(TWO_SESSIONS, rejects=tmp_path / "answers.csv")
    assert precious.read_text() == "do not lose me"


def test_rejects_of_an_earlier_import_go_when_nothing_is_rejected(run: Import) -> None:
    old = run(TWO_SESSIONS + "ann,Q9,?,,,,,\n").rejects
    assert old is not None
    assert run(TWO_SESSIONS).rejects is None
    assert not old.exists()


def test_parquet_loads_what_csv_loads(run: Import, engine: Engine, tmp_path: Path) -> None:
    run(TWO_SESSIONS)
    before = snapshot(engine)
    frame = pl.read_csv(TWO_SESSIONS.encode(), infer_schema=False).with_columns(
        pl.Series("completed_at", ["2026-09-01T10:00:00Z", "2026-09-01T10:02:00Z", "2026-09-02T10:00:00Z"])
        .str.to_datetime()
        .dt.convert_time_zone("Asia/Seoul"),
        pl.Series("correct", [True, False, True]),
        pl.col("response_time_ms", "hints").cast(pl.Float64),
        pl.lit([["x"]]).alias("ignored"),
    )
    summary = run(frame, batch_rows=2)
    assert (summary.rows_read, summary.attempts_new, summary.attempts_known) == (3, 0, 3)
    assert snapshot(engine) == before


def test_parquet_rows_are_rejected_by_their_number(run: Import) -> None:
    frame = pl.DataFrame(
        {
            "user_id": [1, 2, None],
            "item_id": [7.0, 8.0, 9.0],
            "correct": [1.0, 0.5, 0.0],
            "completed_at": [dt.datetime(2026, 9, 1, 10)] * 3,  # noqa: DTZ001 (naive times are the case tested)
        }
    )
    summary = run(frame)
    assert (summary.attempts, list(reasons(summary))) == (1, [2, 3])
    assert any("taken as UTC" in note for note in summary.notes)


def test_a_session_of_another_learner_is_rejected(run: Import, engine: Engine) -> None:
    run(TWO_SESSIONS)
    before = snapshot(engine)
    summary = run(
        f"{HEADER}\n"
        "eve,Q1,1,2026-09-01T10:05:00Z,,,,s1\n"
        "eve,Q1,1,2026-09-01T10:05:00Z,,,,s9\n"
        "bob,Q1,1,2026-09-01T10:06:00Z,,,,s9\n",
        batch_rows=1,
    )
    assert (summary.attempts_new, summary.rows_rejected) == (1, 2)
    assert "another learner in the database" in reasons(summary)[2]
    assert "another learner, from line 3" in reasons(summary)[4]
    assert rejected(summary)[1][2:6] == ["bob", "Q1", "1", "2026-09-01T10:06:00Z"]
    assert [row for row in snapshot(engine) if row in before] == before


def test_a_session_of_the_platform_is_never_touched(run: Import, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO exam_results (session_id, user_id, result_json)"
                " VALUES ('s1', 'ann', '{\"questions\": []}'), ('s2', 'bob', '[]')"
            )
        )
    before = snapshot(engine)
    summary = run(TWO_SESSIONS)
    assert (summary.attempts, summary.rows_rejected, summary.questions_new) == (0, 3, 0)
    assert all("platform's own" in reason for reason in reasons(summary).values())
    assert snapshot(engine) == before


def test_questions_of_the_platform_are_never_overwritten(run: Import, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO question (id, content, meta) VALUES ('Q1', 'What?', '{\"x\": 1}')")
        )
    assert run(TWO_SESSIONS).questions_new == 1
    assert rows(engine, "SELECT id, content, topic_id, meta FROM question ORDER BY id") == [
        ("Q1", "What?", None, {"x": 1}),
        ("Q2", "Imported item Q2", "geometry", {}),
    ]


def test_a_failure_in_the_middle_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text(HEADER + "\n" + "ann,Q1,1,2026-09-01T10:00:00Z,,,,s1\nann,Q1,?,,,,,\n" * 20)

    def fail_while_storing(progress: ImportProgress) -> None:
        if (progress.phase, progress.done) == (ImportPhase.STORING, progress.total):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(engine, path, rejects=tmp_path / "rejected.csv", progress=fail_while_storing)
    assert snapshot(engine) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["answers.csv"]


def test_progress_runs_from_the_beginning_to_the_end_of_the_file(run: Import) -> None:
    seen: list[ImportProgress] = []
    run(TWO_SESSIONS * 50, progress=seen.append, batch_rows=5)
    reading = [each for each in seen if each.phase is ImportPhase.READING]
    assert reading[-1].done == reading[-1].total
    assert [each.done for each in reading] == sorted(each.done for each in reading)
    assert len(reading) > 5


def test_imports_take_turns(run: Import, engine: Engine) -> None:
    done = threading.Event()

    def import_in_background() -> None:
        run(TWO_SESSIONS)
        done.set()

    with stage_lock(engine, "import", wait_secs=0):
        thread = threading.Thread(target=import_in_background)
        thread.start()
        assert not done.wait(0.3)
        assert rows(engine, "SELECT count(*) FROM exam_results") == [(0,)]
    thread.join(timeout=10)
    assert rows(engine, "SELECT count(*) FROM exam_results") == [(2,)]


def test_long_sessions_and_times_ahead_are_noted(run: Import) -> None:
    ahead = (dt.datetime.now(dt.UTC) + dt.timedelta(days=30)).isoformat()
    notes = run(f"{HEADER}\nann,Q1,1,2026-09-01T10:00:00Z,,,,s1\nann,Q2,1,{ahead},,,,s1\n").notes
    assert any("1 sessions last over a day" in note for note in notes)
    assert any("1 answers are dated after now" in note for note in notes)


def test_an_unknown_format_is_refused(run: Import) -> None:
    with pytest.raises(ImportFileError, match="no format 'excel'"):
        run(TWO_SESSIONS, format="excel")


def test_start_and_days_are_refused_for_attempts(run: Import) -> None:
    with pytest.raises(ImportFileError, match="belong to --format mathe"):
        run(TWO_SESSIONS, days=3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-09-01T10:00:00Z", "2026-09-01T10:00:00+00:00"),
        ("2026-09-01T10:00:00.123456+09:00", "2026-09-01T01:00:00.123456+00:00"),
        ("2026-09-01 10:00:00 +0900", "2026-09-01T01:00:00+00:00"),
        ("2026-09-01T10:00:00+09", "2026-09-01T01:00:00+00:00"),
        ("2026-09-01T10:00+09:00", "2026-09-01T01:00:00+00:00"),
        ("2026-09-01 10:00:00", "2026-09-01T10:00:00+00:00"),
        ("2026-09-01T10:00", "2026-09-01T10:00:00+00:00"),
        ("2026-09-01", "2026-09-01T00:00:00+00:00"),
        ("1788256800", "2026-09-01T10:00:00+00:00"),
        ("1788256800123", "2026-09-01T10:00:00.123000+00:00"),
        ("1788256800123456", "2026-09-01T10:00:00.123456+00:00"),
        ("1788256800123456789", "2026-09-01T10:00:00.123456+00:00"),
        ("01.09.2026 10:00", None),
        ("12345", None),
    ],
)
def test_times_are_read_in_their_usual_forms(text: str, expected: str | None) -> None:
    times, _ = parse_times(pl.Series([text]))
    assert times.to_list() == [expected and dt.datetime.fromisoformat(expected)]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=5),
            st.text(max_size=5),
            st.one_of(st.sampled_from(["0", "1", "TRUE", "no"]), st.text(max_size=4)),
            st.one_of(st.datetimes().map(dt.datetime.isoformat), st.text(max_size=12)),
            st.one_of(st.integers().map(str), st.floats().map(str), st.text(max_size=4)),
            st.one_of(st.integers(-2, 3).map(str), st.text(max_size=4)),
        ),
        max_size=12,
    )
)
def test_any_text_is_either_an_answer_within_limits_or_has_a_reason(table: list[tuple[str, ...]]) -> None:
    names = ["user_id", "item_id", "correct", "completed_at", "response_time_ms", "hints"]
    frame = pl.DataFrame(table, schema=dict.fromkeys(names, pl.String), orient="row")
    checked = check(tidy(frame, {name: name for name in names}), NOW, has_times=True)
    assert checked.answers.height + checked.reasons.count() == len(table)
    good = checked.answers
    assert (
        good.select("user_id", "item_id", "correct", "completed_at").null_count().sum_horizontal().item() == 0
    )
    assert good["response_time_ms"].drop_nulls().is_between(0, 86_400_000).all()
    assert good["hints"].drop_nulls().is_between(0, 1_000_000).all()
