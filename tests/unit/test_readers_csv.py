"""CSV as records: line ends, quotes, and broken lines apart from their neighbours."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.readers.open import LONGEST_LINE
from sql.errors import InputError
from tests.support.readers import HEADER, ROW, broken, column, read


def test_a_plain_file() -> None:
    batch = read(HEADER + ROW.format("W1") + ROW.format("W2"))
    assert column(batch, "worker_id") == ["W1", "W2"]
    assert batch.texts["row"].to_list() == [0, 1]
    assert batch.records == 2


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_byte_order_marks_and_missing_last_newlines(
    end: str, mark: str, last: bool
) -> None:
    content = mark + (HEADER + ROW.format("W1") + ROW.format("")).replace("\n", end)
    batch = read(content if last else content.rstrip("\r\n"))
    assert column(batch, "worker_id") == ["W1", ""]
    assert column(batch, "confidence") == ["0.9", "0.9"]
    assert broken(batch) == []


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_are_no_rows_and_count_as_lines(end: str) -> None:
    content = HEADER + "\n" + ROW.format("W1") + "\n\n" + "x,y\n" + ROW.format("W2")
    batch = read(content.replace("\n", end))
    assert column(batch, "worker_id") == ["W1", "W2"]
    assert batch.texts["row"].to_list() == [0, 2]
    assert [(row, line, raw) for row, line, raw, _ in broken(batch)] == [(1, 6, b"x,y")]


def test_ragged_lines_are_parked_and_their_neighbours_are_not() -> None:
    batch = read(
        HEADER + ROW.format("W1") + "a,b\n" + ROW.format("W2,W3") + ROW.format("W4")
    )
    assert column(batch, "worker_id") == ["W1", "W4"]
    assert broken(batch) == [
        (1, 3, b"a,b", "the line has 2 fields, the header has 6"),
        (
            2,
            4,
            ROW.format("W2,W3").strip().encode(),
            "the line has 7 fields, the header has 6",
        ),
    ]


def test_one_field_more_and_one_less_do_not_make_up_for_each_other() -> None:
    batch = read(HEADER + "a,b,c,d,e,f,g\n" + "a,b,c,d,e\n" + ROW.format("W1"))
    assert column(batch, "worker_id") == ["W1"]
    assert [row for row, *_ in broken(batch)] == [0, 1]


def test_quoted_fields() -> None:
    batch = read(
        '"time","site_id",worker_id,workstation_id,event_type,"confidence"\n'
        '"2026-11-01T06:00:00Z","pl,ant","W ""1""\nx",S1,working,"0.9"\n'
        "a,b\n" + ROW.format("W2")
    )
    assert column(batch, "worker_id") == ['W "1"\nx', "W2"]
    assert column(batch, "site_id") == ["pl,ant", "plant"]
    assert broken(batch) == [(1, 4, b"a,b", "the line has 2 fields, the header has 6")]


def test_a_stray_quote_costs_its_own_line_only() -> None:
    lines = [ROW.format(f"W{i}") for i in range(6)]
    lines[1] = ROW.format('W"1')  # inside a field: just a character
    lines[3] = ROW.format('"W3')  # never closed
    lines[4] = ROW.format('"W4"x')  # closed too early
    batch = read(HEADER + "".join(lines))
    assert column(batch, "worker_id") == ["W0", 'W"1', "W2", "W5"]
    assert [(row, line) for row, line, *_ in broken(batch)] == [(3, 5), (4, 6)]
    assert broken(batch)[0][2] == lines[3].strip().encode()
    assert broken(batch)[0][3] == "the quotes of this line do not pair up"


def test_an_unclosed_quote_takes_no_more_than_its_line() -> None:
    rows = [ROW.format(f"W{i}") for i in range(5000)]
    batch = read(HEADER + rows[0] + ROW.format('"never') + "".join(rows[1:]))
    assert batch.texts.height == 5000
    assert [line for _, line, *_ in broken(batch)] == [3]


def test_a_line_longer_than_64_kb_is_parked_with_its_beginning() -> None:
    long = ROW.format("W" * LONGEST_LINE)
    batch = read(HEADER + ROW.format("W1") + long + ROW.format("W2"))
    assert column(batch, "worker_id") == ["W1", "W2"]
    ((row, line, raw, message),) = broken(batch)
    assert (row, line) == (1, 3)
    assert raw == long.encode()[:LONGEST_LINE]
    assert message == "the line is longer than 64 kB; its first 64 kB are kept"


@pytest.mark.parametrize(
    ("length", "parked"), [(LONGEST_LINE, 0), (LONGEST_LINE + 1, 1)]
)
@pytest.mark.parametrize("quoted", [True, False])
def test_the_longest_line_is_64_kb(length: int, parked: int, quoted: bool) -> None:
    around = ROW.format('""' if quoted else "").strip()
    worker = "W" * (length - len(around))
    line = ROW.format(f'"{worker}"' if quoted else worker)
    assert len(line) == length + 1
    batch = read(HEADER + line + ROW.format("W2"))
    assert batch.broken.height == parked
    assert batch.texts.height == 2 - parked


def test_blank_lines_before_the_header_are_none_of_it() -> None:
    batch = read("\r\n\n" + HEADER + "x,y\n" + ROW.format("W1"))
    assert column(batch, "worker_id") == ["W1"]
    assert [line for _, line, *_ in broken(batch)] == [4]


FIELD = st.text(
    st.sampled_from(['"', ",", "\n", "a", "é", " ", "😀"]) | st.characters(), max_size=8
).filter(lambda text: ("\r" not in text and text.isprintable()) or "\n" in text)


@settings(deadline=None)
@given(
    st.lists(st.lists(FIELD, min_size=6, max_size=6), min_size=1, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_the_csv_module_writes_is_read_back(
    rows: list[list[str]], end: str, quoting: int
) -> None:
    rows = [[text.replace("\r", "") for text in row] for row in rows]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows(rows)
    batch = read(HEADER + text.getvalue())
    names = HEADER.strip().split(",")
    assert batch.texts.select(names).rows() == [tuple(row) for row in rows]
    assert batch.broken.is_empty()


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_to_their_end(data: bytes) -> None:
    """Each record is a row or broken; no neighbour is lost and nothing hangs."""
    good = ROW.format("first").encode()
    try:
        batch = read(HEADER.encode() + good + data + b"\n" + good)
    except InputError:
        return
    assert column(batch, "worker_id")[0] == "first"
    rows = pl.concat([batch.texts["row"], batch.broken["row"]]).sort()
    assert rows.to_list() == list(range(batch.records))
    assert batch.origin(rows).height == batch.records
