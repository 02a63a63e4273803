"""The first line of a file: what it maps, ignores and refuses."""

from __future__ import annotations

import pytest

from etl.readers.header import open_reader, parse_mapping
from sql.errors import BadSetting, InputError
from tests.support.readers import HEADER, ROW, column, read


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
