"""Messages read as columns end as they do when they are read one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from etl.batch import Batch
from etl.brokers.batch import batch_of_messages
from etl.brokers.consume import LARGEST_BATCH, _parts
from etl.brokers.rows import Rows
from etl.brokers.stream import Message
from etl.readers.flat import _BEGINNING, flat
from etl.readers.open import LONGEST_LINE
from etl.shape.rules import shape

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "time": "2026-11-20T11:00:00Z",
    "site_id": "plant",
    "worker_id": "W1",
    "workstation_id": "S1",
    "event_type": "working",
    "confidence": 0.9,
}
TEXTS = st.sampled_from(
    ["W1", "", "Zoë", "\0", "a{b", "a[b", 'a"b\\', "\n", "Inf", "\ud800", "x" * 65]
)
JUNK: st.SearchStrategy[Any] = st.one_of(
    TEXTS,
    st.sampled_from([None, True, 7, 7.0, -0.0, 10**20, 1e15, 3.5, [], {}, {"a": [1]}]),
    st.floats(),
    st.floats(0, 1),
    st.integers(-2, 2),
)
NAMES = st.sampled_from(
    [*GOOD, "count", "duration_s", "model_version", "camera_id", "timestamp", "e", "x"]
)
NUMBERS = st.fixed_dictionaries(
    {},
    optional={
        "confidence": st.floats(-0.1, 1.1),
        "count": st.integers(-1, 10**6 + 1),
        "duration_s": st.floats(-1, 86_401),
        "event_type": st.sampled_from(["product_count", "idle", "lunch"]),
        "camera_id": st.none() | TEXTS,
    },
)
EVENTS = st.one_of(NUMBERS, NUMBERS, st.dictionaries(NAMES, JUNK, max_size=2)).map(
    lambda more: GOOD | more
)
# How a sender may have written it; some write what is no JSON.
WRITERS = st.sampled_from(
    [
        lambda value: json.dumps(value).encode(),
        lambda value: json.dumps(value, indent=1).encode(),
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"),
        lambda value: json.dumps(value, ensure_ascii=False).encode("latin-1", "ignore"),
        lambda value: json.dumps(value).encode("utf-16"),
        lambda value: b" \r\n" + json.dumps(value).encode() + b"\n",
    ]
)
WHOLE = st.builds(
    lambda write, value: write(value),
    WRITERS,
    st.one_of(
        EVENTS, st.lists(EVENTS, max_size=3), st.lists(EVENTS | JUNK, max_size=3)
    ),
)
PIECES = st.sampled_from(
    [
        *(b'{"e":', b'{"e":[', b"]}\n", b"]}", b"},{", b"}", b"{", b"[", b"]", b","),
        *(b'"', b"\n", b"null", b'"worker_id":"W2"', b'"x":1', b'"confidence":Inf'),
        *(b"\\u0061", b'"confidence":NaN', b'{"confidence":1e400}', b'{"count":01}'),
        *(b"/**/", b"\xff", b"\v", b"\xef\xbb\xbf", b"\0", json.dumps(GOOD).encode()),
        *(b'{"worker_\\u0069d":"W2"}', b'{"time":null,"time":"x"}'),
        *(b'{"model_version":"\\ud83d\\ude00"}', b'{"camera_id":"\\udc00"}'),
    ]
)
CUT = st.builds(lambda whole, at: whole[at:], WHOLE, st.integers(-40, 40))
ANY = st.one_of(
    WHOLE, CUT, st.lists(PIECES, max_size=7).map(b"".join), st.binary(max_size=3)
)
MESSAGES = st.lists(WHOLE, max_size=6) | st.lists(ANY, max_size=6)


def ends(batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Events, parked rows, rows that are none, and where the latter two came from."""
    shaped = shape(batch.texts, arrival=NOW)
    parked = shaped.rejects["row"].append(batch.broken["row"]).sort()
    return shaped.events, shaped.rejects, batch.broken, batch.origin(parked)


def both_ways(payloads: Sequence[bytes], site: str | None) -> None:
    messages = [Message(p, f"x:{n}", n) for n, p in enumerate(payloads)]
    rows = Rows(site)
    for message in messages:
        rows.add(message)
    found = ends(batch_of_messages(messages, site))
    for one, other in zip(found, ends(rows.batch()), strict=True):
        assert_frame_equal(one, other)


@given(payloads=MESSAGES, site=st.sampled_from([None, "s"]))
@example(payloads=[b'{"a":1},{"b":2}'], site=None)
@example(payloads=[b'{"a":1}],"f":["', b'"]}'], site=None)
@example(payloads=[b'[{"a":1}],"f":[]', b"[]"], site=None)
@example(payloads=[b"[]", b"[[]]", b"[null]", b"{}"], site="s")
@settings(max_examples=80, deadline=None)
def test_verdicts_are_those_of_the_slow_way(
    payloads: list[bytes], site: str | None
) -> None:
    both_ways(payloads, site)


def test_the_flat_way_is_taken_where_it_can_be() -> None:
    event = json.dumps(GOOD).encode()
    read = flat([event, b"[" + event + b", " + event + b"]", b"[]"])
    assert read is not None
    assert read.sizes.tolist() == [1, 2, 0]
    assert not read.doubtful.any()
    assert read.texts["worker_id"].to_list() == ["W1"] * 3


@pytest.mark.parametrize("name", ["count", "camera_id", "unknown", "c\\u006funt"])
def test_a_name_that_comes_late_is_found(name: str) -> None:
    """The names of the beginning are tried first."""
    event = json.dumps(GOOD).encode()
    late = event[:-1] + f', "{name}": null}}'.encode()
    many = [event] * (_BEGINNING // len(event) + 1)
    assert flat([*many, late]) is not None
    both_ways([*many, late, event], None)
    both_ways([*many, late.replace(b"null", b"2")], None)


@pytest.mark.parametrize("value", ["Inf", "-Inf", "NaN", "Infinity", "1e999"])
@pytest.mark.parametrize("name", [*GOOD, "count", "duration_s", "camera_id", "x"])
def test_what_is_a_number_for_arrow_only(name: str, value: str) -> None:
    odd = json.dumps(GOOD | {name: "?"}).replace('"?"', value).encode()
    event = json.dumps(GOOD).encode()
    both_ways([event, b"[" + odd + b"]", odd], None)


def test_reading_takes_no_pandas_along() -> None:
    """0.13 s at the first message, and its memory for ever."""
    code = """
import sys
from etl.readers.flat import flat
assert flat([b'[{"time":"2026-11-20T11:00:00Z","confidence":0.5}]']) is not None
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("bad", [b"no JSON", b'{"confidence":1.50}', b'{"x":[1]}'])
def test_one_message_takes_few_others_along(bad: bytes) -> None:
    event = json.dumps(GOOD).encode()
    both_ways([event] * 50 + [bad] + [b"[" + event + b"]"] * 49, None)


def test_long_elements_of_arrays_are_found() -> None:
    event = json.dumps(GOOD).encode()
    long = json.dumps(GOOD | {"x": "y" * LONGEST_LINE}).encode()
    both_ways([b"[" + event + b"," + long + b"]", long, event], None)


def test_parts_of_many_bytes_leave_no_crumb() -> None:
    """What comes in one take is a few bytes more than two parts hold: not a third."""
    third = bytes(LARGEST_BATCH // 3 + 1)
    messages = [Message(third, "x", n) for n in range(6)]
    assert [len(part) for part in _parts(messages)] == [3, 3]
    assert [len(part) for part in _parts(messages[:4])] == [3, 1]
    assert list(_parts([])) == []
