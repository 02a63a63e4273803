"""Event files as records: CSV and NDJSON, broken lines apart from their neighbours."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.batch import Batch
from etl.readers.header import open_reader, parse_mapping
from etl.readers.open import LONGEST_LINE, has_long_line, require_utf8
from etl.readers.source import Source
from sql.errors import BadSetting, InputError

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence\n"
ROW = "2026-11-01T06:00:00Z,plant,{},S1,working,0.9\n"


def read(content: bytes | str, name: str = "f.csv", site: str | None = None) -> Batch:
    """The one block of a small file."""
    data = content.encode() if isinstance(content, str) else content
    opening = open_reader(data, name, {}, site)
    block = opening.reader.read(data[opening.bytes :], opening.lines + 1, last=True)
    assert block.consumed == len(data) - opening.bytes
    return block.batch


def column(batch: Batch, name: str) -> list[str | None]:
    values: list[str | None] = batch.texts[name].to_list()
    return values


def broken(batch: Batch) -> list[tuple[int, int, bytes, str]]:
    """Row, line, raw bytes and message of what is no record."""
    origin = batch.origin(batch.broken["row"])
    return (
        batch.broken.join(origin, on="row")
        .select("row", "line", "raw", "message")
        .rows()
    )


def test_a_plain_file() -> None:
    batch = read(HEADER + ROW.format("W1") + ROW.format("W2"))
    assert column(batch, "worker_id") == ["W1", "W2"]
    assert column(batch, "row") == [0, 1]
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
    assert column(batch, "row") == [0, 2]
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


def test_unknown_columns_are_ignored_with_a_notice() -> None:
    data = (
        b"a,timestamp,worker_id,b,workstation_id,event_type,confidence\n1,2,3,4,5,6,7"
    )
    opening = open_reader(data, "f.csv", {}, "plant")
    assert opening.notices == ["columns ignored: a, b"]
    batch = opening.reader.read(data[opening.bytes :], 2, last=True).batch
    assert batch.texts.drop("row").row(0, named=True) == {
        "time": "2",
        "worker_id": "3",
        "workstation_id": "5",
        "event_type": "6",
        "confidence": "7",
        "site_id": "plant",
    }


def test_time_goes_before_its_alias() -> None:
    header = HEADER.replace("site_id", "timestamp")
    opening = open_reader(header.encode(), "f.csv", {}, "plant")
    assert opening.notices == ["columns ignored: timestamp"]


def test_blank_lines_before_the_header_are_none_of_it() -> None:
    batch = read("\r\n\n" + HEADER + "x,y\n" + ROW.format("W1"))
    assert column(batch, "worker_id") == ["W1"]
    assert [line for _, line, *_ in broken(batch)] == [4]


def test_unknown_names_of_objects_are_ignored_with_a_notice() -> None:
    data = objects({"b": 1}, {"a": 1, "\ud800": 2}).encode()
    opening = open_reader(data, "f.ndjson", {}, None)
    assert opening.notices == ["columns ignored: b, a, \\ud800"]


def test_the_site_option_is_for_rows_that_name_none() -> None:
    content = HEADER + ROW.format("W1") + ROW.format("W2").replace("plant", "")
    assert column(read(content, site="other"), "site_id") == ["plant", "other"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00rest\xff\xfe", "not UTF-8: line 1"),
        (b"PK\x03\x04\x00\x00\x00\x00\n", "line 1 holds NUL bytes"),
        (b"\xff\xfet\x00i\x00m\x00e\x00\n\x00", "is UTF-16"),
        (b"x" * 100_000, "first line is longer than 64 kB"),
        (b"hello world\n", "has no column"),
        (b"{}\n", "has no column"),
        (b"time;worker_id;confidence\n", "is it separated by commas?"),
        (
            HEADER.replace(",site_id", "").encode(),
            "no column site_id; its columns",
        ),
        (HEADER.replace(",site_id", "").encode(), "name the site with --site"),
        (HEADER.replace("worker_id", "worker").encode(), "--map worker=worker_id"),
        (HEADER.replace("site_id", "time").encode(), "two columns for time"),
        ((HEADER + ROW.format("W1")).replace("\n", "\r").encode(), "LF or CRLF"),
        (b"time,\x00,site_id\n", "line 1 holds NUL bytes"),
    ],
)
def test_what_is_no_event_file_is_refused_and_says_why(
    content: bytes, said: str
) -> None:
    with pytest.raises(InputError, match=r"f\.csv") as error:
        read(content)
    assert said in error.value.message


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n", HEADER.encode()])
@pytest.mark.parametrize("name", ["f.csv", "f.ndjson", "f"])
def test_an_empty_file_has_no_rows(content: bytes, name: str) -> None:
    if name == "f.ndjson" and content == HEADER.encode():
        return
    assert read(content, name).records == 0


def test_wrong_encoding_says_line_and_byte() -> None:
    content = (HEADER + ROW.format("W1") + ROW.format("Müller")).encode("latin-1")
    with pytest.raises(InputError, match=r"line 3, byte 29 of the line is 0xfc"):
        read(content)
    with pytest.raises(InputError, match=r"line 3, byte 30 of the line is 0xfc"):
        read(content.replace(b"M\xfcller", b'"M\xfcller"'))


def test_utf8_is_checked_across_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.readers.open._UTF8_PIECE", 3)
    require_utf8("aé😀ü\nbcdé".encode(), "f", 1)
    with pytest.raises(InputError, match=r"line 2, byte 3 of the line is 0xff"):
        require_utf8("aé😀ü\né".encode() + b"\xff", "f", 1)
    with pytest.raises(InputError, match="line 1, byte 2 "):
        require_utf8("a😀".encode()[:-1], "f", 1)


def test_long_lines_are_never_missed() -> None:
    lines = b"x" * 1000 + b"\n"
    assert not has_long_line(lines * 500)
    for at in (0, 1, 77, 300):
        found = lines * at + b"y" * (LONGEST_LINE + 1) + b"\n" + lines * (300 - at)
        assert has_long_line(found)


def test_mappings() -> None:
    assert parse_mapping(["ts=time", "worker_id=operator"]) == {
        "ts": "time",
        "operator": "worker_id",
    }
    assert parse_mapping(["time=timestamp", "time=time"]) == {
        "timestamp": "time",
        "time": "time",
    }
    for wrong in ("ts", "=time", "ts=", "a=b"):
        with pytest.raises(BadSetting):
            parse_mapping([wrong])


def test_mapped_columns_go_before_the_fields_own_name() -> None:
    data = (HEADER.replace("worker_id", "operator").strip() + ",worker_id\n").encode()
    opening = open_reader(data, "f.csv", {"operator": "worker_id"}, None)
    row = ROW.format("W1").strip().encode() + b",other\n"
    batch = opening.reader.read(row, 2, last=True).batch
    assert column(batch, "worker_id") == ["W1"]
    with pytest.raises(InputError, match="no column 'x' that --map speaks of"):
        open_reader(HEADER.encode(), "f.csv", {"x": "time"}, None)


EVENT = {
    "time": "2026-11-01T06:00:00Z",
    "site_id": "plant",
    "worker_id": "W1",
    "workstation_id": "S1",
    "event_type": "working",
    "confidence": 0.9,
}


def objects(*changes: dict[str, object]) -> str:
    return "".join(json.dumps(EVENT | change) + "\n" for change in changes)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("confidence", 0.9, "0.9"),
        ("confidence", 1, "1"),
        ("confidence", "0.9", "0.9"),
        ("confidence", None, None),
        ("confidence", True, "\x00true"),
        ("confidence", float("nan"), "nan"),
        ("count", 3.0, "3.0"),
        ("count", 2**64 - 1, str(2**64 - 1)),
        ("count", 10**30, "1e+30"),
        ("worker_id", 10**30, "\x001e+30"),
        ("count", [1], "\x00[1]"),
        ("worker_id", 7, "7"),
        ("worker_id", 7.5, "\x007.5"),
        ("worker_id", {"id": 1}, '\x00{"id": 1}'),
        ("worker_id", "\ud800", "\x00\\ud800"),
        ("worker_id", "é\x00", "é\x00"),
        ("time", 1761359400.5, "\x001761359400.5"),
    ],
)
def test_json_values_as_text(field: str, value: object, text: str | None) -> None:
    batch = read(objects({field: value}), "f.ndjson")
    assert column(batch, field) == [text]


def test_lines_that_are_no_objects_are_parked_one_by_one() -> None:
    bad = ["{", "[1]", "null", '"x"', "nul\x00", "[" * 50_000, "{}}"]
    content = objects({}) + "\n".join(bad) + "\n  \n\n" + objects({"worker_id": "W2"})
    batch = read(content, "f.ndjson")
    assert column(batch, "worker_id") == ["W1", "W2"]
    assert column(batch, "row") == [0, 8]
    assert [(line, raw.decode()) for _, line, raw, _ in broken(batch)] == [
        (at + 2, text) for at, text in enumerate(bad)
    ]
    assert {message for *_, message in broken(batch)} == {"the line is no JSON object"}


def test_bytes_that_are_no_text_are_parked_in_ndjson() -> None:
    content = objects({}).encode() + b'{"worker_id": "\xff"}\n' + objects({}).encode()
    batch = read(content, "f.ndjson")
    assert batch.texts.height == 2
    assert broken(batch)[0][2] == b'{"worker_id": "\xff"}'


def test_the_last_of_duplicate_names_counts_and_aliases_fill_in() -> None:
    content = '{"worker_id": "a", "worker_id": "b", "timestamp": "x"}\r\n'
    batch = read(content, "f.ndjson")
    assert column(batch, "worker_id") == ["b"]
    assert column(batch, "time") == ["x"]


def test_a_json_array_is_refused() -> None:
    with pytest.raises(InputError, match="one JSON array"):
        read("[{}]", "f.json")


@pytest.mark.parametrize(
    "pack",
    [lambda data: data, gzip.compress, zstandard.compress],
    ids=["", "gz", "zst"],
)
def test_content_is_the_same_however_it_is_packed(tmp_path: Path, pack: object) -> None:
    content = b"".join(b"%d,%d\n" % (i, i * i) for i in range(300_000))
    path = tmp_path / "f"
    path.write_bytes(pack(content))  # type: ignore[operator]
    found = b""
    with Source(str(path), 100_000) as source:
        while data := source.fill():
            found += data
            source.take(len(data), data.count(b"\n"))
        assert source.offset == len(content)
        assert source.line == 300_001
    assert found == content


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_a_damaged_file_says_so(tmp_path: Path, pack: object, damage: str) -> None:
    content = b"".join(b"%d,%d\n" % (i, i * i) for i in range(100_000))
    packed = bytearray(pack(content))  # type: ignore[operator]
    if damage == "cut":
        packed = packed[: len(packed) // 2]
    else:
        packed[len(packed) // 2 : len(packed) // 2 + 50] = bytes(50)
    path = tmp_path / "f.csv"
    path.write_bytes(packed)
    with (
        Source(str(path)) as source,
        pytest.raises(InputError, match="damaged or cut short after"),
    ):
        source.fill()


def test_several_frames_are_one_content(tmp_path: Path) -> None:
    for pack in (gzip.compress, zstandard.compress):
        path = tmp_path / "f"
        path.write_bytes(pack(b"one\n") + pack(b"two\n"))
        with Source(str(path)) as source:
            assert source.fill() == b"one\ntwo\n"


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
