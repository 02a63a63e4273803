"""NDJSON as records: values as text, and lines that are no objects."""

from __future__ import annotations

import json

import pytest

from etl.readers.header import open_reader
from sql.errors import InputError
from tests.support.readers import broken, column, read

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


def test_unknown_names_of_objects_are_ignored_with_a_notice() -> None:
    data = objects({"b": 1}, {"a": 1, "\ud800": 2}).encode()
    opening = open_reader(data, "f.ndjson", {}, None)
    assert opening.notices == ["columns ignored: b, a, \\ud800"]


def test_lines_that_are_no_objects_are_parked_one_by_one() -> None:
    bad = ["{", "[1]", "null", '"x"', "nul\x00", "[" * 50_000, "{}}"]
    content = objects({}) + "\n".join(bad) + "\n  \n\n" + objects({"worker_id": "W2"})
    batch = read(content, "f.ndjson")
    assert column(batch, "worker_id") == ["W1", "W2"]
    assert batch.texts["row"].to_list() == [0, 8]
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
