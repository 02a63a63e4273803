"""Few events past the frames: what is taken there is what the rules make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.door.few import Known, Plain, ordered, plain, unmet
from etl.readers.ndjson import texts_of
from etl.shape.rules import FIELDS, shape
from etl.shape.time import civil_columns, instant_us
from sql.plant.wall_clock import DAY, micros

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "time": "2026-11-20T11:00:00Z",
    "site_id": "plant",
    "worker_id": "W1",
    "workstation_id": "S1",
    "event_type": "working",
    "confidence": 0.9,
}


@dataclass(frozen=True)
class Book:
    """What a door has met: a book of keys without its database."""

    days: frozenset[int] = frozenset({micros(NOW) // DAY})
    keys: Mapping[str, Mapping[str, int]] = field(
        default_factory=lambda: {
            "workers": {"W1": 1, "7": 2},
            "workstations": {"S1": 3},
            "models": {"v1": 4},
            "cameras": {"c1": 5},
        }
    )

    def known(self, kind: str, _site_key: int) -> Mapping[str, int]:
        return self.keys[kind]

    def has_chunk(self, day: int) -> bool:
        return day in self.days


KNOWN = Known("plant", 9, NOW, micros(NOW - timedelta(1)), micros(NOW), Book())  # type: ignore[arg-type]
IDS: st.SearchStrategy[object] = st.sampled_from(
    ["W1", "S1", "v1", "c1", "", "new", None, 7, 7.0, True, "\0", []]
)
NUMBERS = st.one_of(
    st.sampled_from(
        [None, True, "", "1", "0.9", -0.0, 1e-50, 0, 1, 3.0, 10**7, 86_400]
    ),
    st.floats(),
    st.floats(0, 1),
    st.integers(-1, 10**6 + 1),
)
TIMES = st.one_of(
    st.datetimes(
        datetime(2026, 11, 20, 10),  # noqa: DTZ001 - walls, with and without offset
        datetime(2026, 11, 20, 13),  # noqa: DTZ001
        timezones=st.sampled_from([None, UTC]),
    ).map(lambda time: time.isoformat()),
    st.sampled_from([None, "noon", 5, "2026-11-20", "2026-11-20T11:00:00.1234567Z"]),
)
TYPES = ["working", "idle", "absent", "product_count", "lunch", None, 3]
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "time": TIMES,
        "worker_id": IDS,
        "workstation_id": IDS,
        "model_version": IDS,
        "camera_id": IDS,
        "event_type": st.sampled_from(TYPES),
        "confidence": NUMBERS,
        "count": NUMBERS,
        "duration_s": NUMBERS,
    },
)


def by_the_rules(document: dict[str, Any]) -> dict[str, Any] | None:
    texts = texts_of([document], {name: name for name in FIELDS}).with_row_index("row")
    events = shape(texts, arrival=NOW).events
    return events.row(0, named=True) if events.height else None


@given(changes=CHANGES)
@settings(deadline=None)
def test_what_is_plain_is_what_the_rules_make_of_it(changes: dict[str, Any]) -> None:
    document = GOOD | changes
    found = plain(document, KNOWN)
    if found is None:
        return
    ruled = by_the_rules(document)
    assert ruled is not None
    book = KNOWN.book
    assert found == Plain(
        day=ruled["time_us"] // DAY,
        worker_key=book.known("workers", 9)[ruled["worker_id"]],
        time_us=ruled["time_us"],
        workstation_key=book.known("workstations", 9)[ruled["workstation_id"]],
        event_type=ruled["event_type"],
        confidence=ruled["confidence"],
        units=ruled["count"],
        duration_s=ruled["duration_s"],
        model_key=book.known("models", 9).get(ruled["model_version"]),
        camera_key=book.known("cameras", 9).get(ruled["camera_id"]),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"worker_id": 7},
        {"confidence": 1, "count": 0, "model_version": "v1", "camera_id": "c1"},
        {"event_type": "product_count", "count": 1_000_000},
        {"duration_s": 86_400, "time": "2026-11-20 12:00:00.25+01:00"},
    ],
)
def test_ordinary_events_are_plain(changes: dict[str, Any]) -> None:
    assert plain(GOOD | changes, KNOWN) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"worker_id": "new"},
        {"time": "2026-11-20T11:00:00"},
        {"time": "2026-11-20T12:00:01Z"},
        {"time": "2026-11-19T11:59:59Z"},
        {"time": "2026-11-19T13:00:00Z"},
        {"confidence": "0.9"},
        {"count": 1},
        {"event_type": "product_count"},
        {"event_type": "product_count", "count": 1, "duration_s": 5},
        {"model_version": ""},
    ],
    ids=str,
)
def test_what_is_not_surely_right_is_left_to_the_rules(changes: dict[str, Any]) -> None:
    assert plain(GOOD | changes, KNOWN) is None


def test_ids_that_nobody_met_are_all_that_a_post_may_lack() -> None:
    posts = [
        [GOOD | {"worker_id": "W9"}, GOOD | {"worker_id": 12, "camera_id": "c9"}],
        [GOOD | {"worker_id": "bad", "time": "noon"}],
        [GOOD | {"worker_id": "bad"}, GOOD | {"confidence": 2}],
        [GOOD | {"worker_id": "\0"}],
        [GOOD | {"worker_id": "x" * 65}],
        [GOOD | {"workstation_id": "S9"}],
        [GOOD],
    ]
    found = unmet(posts, KNOWN)
    assert found == {"cameras": ["c9"], "workers": ["12", "W9"], "workstations": ["S9"]}


DIGITS = st.text("0123456789", min_size=1, max_size=9)


@given(
    day=st.sampled_from(["2026-11-20", "2026-02-30", "1970-01-01", "1969-12-31"]),
    clock=st.sampled_from(["10:00", "23:59:59", "24:00:00", "10:00:60", "1000", ""]),
    fraction=st.one_of(st.just(""), DIGITS.map(lambda d: f".{d}"), st.just(",5")),
    offset=st.sampled_from(
        ["", "Z", "z", " Z", "+01", "+0130", "-23:59", "+24:00", "+01:00:30", "\n"]
    ),
    between=st.sampled_from(["T", "t", " ", "_"]),
)
@settings(deadline=None)
def test_a_time_alone_is_read_as_in_a_column(
    day: str, clock: str, fraction: str, offset: str, between: str
) -> None:
    text = f"{day}{between}{clock}{fraction}{offset}"
    alone = instant_us(text)
    if alone is None:
        return
    frame = pl.DataFrame({"time": [text]}).select(civil_columns(pl.col("time")))
    ((wall_us, offset_us),) = frame.rows()
    assert alone == wall_us - offset_us


def test_the_order_is_that_of_all_writers() -> None:
    first = Plain(1, 5, 90, 1, 1, 0.9, 0, None, None, None)
    events = [
        first._replace(day=2, worker_key=1),
        first._replace(event_type=2),
        first._replace(workstation_key=2, event_type=0),
        first,
        first._replace(worker_key=6, time_us=80),
    ]
    assert ordered(events) == [first, *events[1:3], events[4], events[0]]
    assert ordered([*events, first]) is None
