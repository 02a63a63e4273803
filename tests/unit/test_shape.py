"""Every rule of metrics.md's Events table, one row at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from etl.shape.codes import WRONG_TYPE
from etl.shape.rules import Shaped, SiteRules, shape

ARRIVAL = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GOOD = {
    "time": "2026-11-20T06:00:00Z",
    "site_id": "plant",
    "worker_id": "W1",
    "workstation_id": "S1",
    "event_type": "working",
    "confidence": "0.9",
}
Row = Mapping[str, str | None]


def shaped(*rows: Row, rules: SiteRules | None = None) -> Shaped:
    """GOOD with changes, row by row."""
    texts = pl.DataFrame(
        [{**GOOD, **row} for row in rows],
        schema_overrides={name: pl.String for row in rows for name in row},
        infer_schema_length=None,
    ).with_row_index("row")
    by_site = {"plant": rules} if rules else {}
    return shape(texts, arrival=ARRIVAL, rules=by_site)


def code_of(row: Row, rules: SiteRules | None = None) -> str | None:
    """The code a row is parked with; None where it is admitted."""
    found = shaped(row, rules=rules)
    assert found.events.height + found.rejects.height == 1
    return None if found.rejects.is_empty() else found.rejects["code"][0]


def message_of(row: Row) -> str:
    message: str = shaped(row).rejects["message"][0]
    return message


def test_a_good_row_is_typed() -> None:
    event = shaped({"count": "", "duration_s": "12.5", "camera_id": "c1"}).events
    assert event.row(0, named=True) == {
        "row": 0,
        "site_id": "plant",
        "worker_id": "W1",
        "workstation_id": "S1",
        "time_us": 1_795_154_400_000_000,
        "event_type": 0,
        "confidence": pytest.approx(0.9),
        "count": 0,
        "duration_s": 12.5,
        "model_version": None,
        "camera_id": "c1",
    }
    assert event["confidence"].dtype == pl.Float32


@pytest.mark.parametrize("field", list(GOOD))
def test_a_row_without_a_needed_field_is_malformed(field: str) -> None:
    assert code_of({field: None}) == "malformed"
    assert f"missing: {field};" in message_of({field: None})


def test_no_needed_column_at_all_is_malformed() -> None:
    texts = pl.DataFrame({"row": [0], "worker_id": ["W1"]})
    found = shape(texts, arrival=ARRIVAL)
    assert found.rejects["code"].to_list() == ["malformed"]


@pytest.mark.parametrize("field", ["site_id", "worker_id", "workstation_id"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "bad_identifier"),
        ("x" * 64, None),
        ("x" * 65, "bad_identifier"),
        ("ü" * 64, None),
        ("😀" * 64, None),
        ("😀" * 65, "bad_identifier"),
        ("a\x00b", "bad_identifier"),
        ("a\nb", "bad_identifier"),
        ("a\tb", "bad_identifier"),
        ("a\x7fb", "bad_identifier"),
        ("a\x85b", "bad_identifier"),
        (WRONG_TYPE + "7.5", "bad_identifier"),
        ("7", None),
        (" W1 ", None),
        ("null", None),
        ("é, \"quoted\" 'n' \\", None),
    ],
)
def test_identifiers(field: str, value: str, code: str | None) -> None:
    assert code_of({field: value}) == code


def test_identifiers_stay_as_they_are() -> None:
    assert shaped({"worker_id": " W1 "}).events["worker_id"].to_list() == [" W1 "]


@pytest.mark.parametrize("field", ["model_version", "camera_id"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, None),
        ("", None),
        ("v1", None),
        ("x" * 64, None),
        ("x" * 65, "bad_identifier"),
        ("a\x00", "bad_identifier"),
    ],
)
def test_optional_identifiers(field: str, value: str | None, code: str | None) -> None:
    assert code_of({field: value}) == code


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("working", None),
        ("idle", None),
        ("absent", None),
        ("", "bad_event_type"),
        ("Working", "bad_event_type"),
        ("working ", "bad_event_type"),
        ("0", "bad_event_type"),
        ("unobserved", "bad_event_type"),
    ],
)
def test_event_types(value: str, code: str | None) -> None:
    assert code_of({"event_type": value}) == code


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("0", None),
        ("1", None),
        ("1.0", None),
        ("-0", None),
        ("1e-3", None),
        ("0.70000", None),
        ("1e-60", None),
        ("", "bad_confidence"),
        ("0,9", "bad_confidence"),
        (" 0.9", "bad_confidence"),
        ("90%", "bad_confidence"),
        ("1.00000001", "bad_confidence"),
        ("-0.00000001", "bad_confidence"),
        ("-1e-60", "bad_confidence"),
        ("nan", "bad_confidence"),
        ("NaN", "bad_confidence"),
        ("inf", "bad_confidence"),
        ("-inf", "bad_confidence"),
        ("true", "bad_confidence"),
        ("0x1", "bad_confidence"),
        ("1_0", "bad_confidence"),
    ],
)
def test_confidence(value: str, code: str | None) -> None:
    assert code_of({"confidence": value}) == code


@pytest.mark.parametrize("value", ["0.7", "0.1", "0.3333333333", "0.85", "1e-7"])
def test_confidence_is_the_real_nearest_to_its_text(value: str) -> None:
    assert shaped({"confidence": value}).events["confidence"][0] == np.float32(value)


def test_confidence_has_no_negative_zero() -> None:
    stored = shaped({"confidence": "-0.0"}).events["confidence"].to_numpy()
    assert not np.signbit(stored).any()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("1", None),
        ("1000000", None),
        ("3.0", None),
        ("1e3", None),
        (None, "bad_count"),
        ("", "bad_count"),
        ("0", "bad_count"),
        ("1000001", "bad_count"),
        ("-1", "bad_count"),
        ("1.5", "bad_count"),
        ("true", "bad_count"),
        (WRONG_TYPE + "true", "bad_count"),
        ("nan", "bad_count"),
        ("1e400", "bad_count"),
        ("99999999999999999999", "bad_count"),
    ],
)
def test_counts_of_products(value: str | None, code: str | None) -> None:
    assert code_of({"event_type": "product_count", "count": value}) == code


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, None),
        ("", None),
        ("0", None),
        ("0.0", None),
        ("1", "bad_count"),
        ("-1", "bad_count"),
        ("x", "bad_count"),
    ],
)
def test_counts_of_states(value: str | None, code: str | None) -> None:
    assert code_of({"count": value}) == code


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, None),
        ("", None),
        ("0.000001", None),
        ("86400", None),
        ("86400.0001", "bad_duration"),
        ("0", "bad_duration"),
        ("-5", "bad_duration"),
        ("nan", "bad_duration"),
        ("inf", "bad_duration"),
        ("10s", "bad_duration"),
    ],
)
def test_durations_of_states(value: str | None, code: str | None) -> None:
    assert code_of({"duration_s": value}) == code


def test_a_product_count_has_no_duration() -> None:
    row = {"event_type": "product_count", "count": "1"}
    assert code_of(row | {"duration_s": "5"}) == "bad_duration"
    assert code_of(row | {"duration_s": ""}) is None


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (timedelta(minutes=5), None),
        (timedelta(minutes=5, microseconds=1), "future_time"),
        (timedelta(days=365 * 5000), "future_time"),
    ],
)
def test_the_future_begins_five_minutes_after_arrival(
    ahead: timedelta, code: str | None
) -> None:
    assert code_of({"time": (ARRIVAL + ahead).isoformat()}) == code


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(days=30), None),
        (timedelta(days=30, microseconds=1), "expired"),
    ],
)
def test_retention_is_the_sites(age: timedelta, code: str | None) -> None:
    row = {"time": (ARRIVAL - age).isoformat()}
    assert code_of(row, SiteRules(retention_days=30)) == code
    assert code_of(row) is None
    assert code_of(row | {"site_id": "other"}, SiteRules(retention_days=30)) is None


def test_the_first_breach_in_the_order_of_the_table_decides() -> None:
    """Each row breaks one rule less than the row before."""
    breaches = [
        ("confidence", None, "malformed"),
        ("worker_id", "", "bad_identifier"),
        ("time", "yesterday", "bad_time"),
        ("time", "2030-01-01T00:00:00Z", "future_time"),
        ("time", "2000-01-01T00:00:00Z", "expired"),
        ("event_type", "walking", "bad_event_type"),
        ("confidence", "2", "bad_confidence"),
        ("count", "-1", "bad_count"),
        ("duration_s", "0", "bad_duration"),
        ("model_version", "\x00", "bad_identifier"),
    ]
    rules = SiteRules(retention_days=30)
    for at, (_, _, code) in enumerate(breaches):
        row: dict[str, str | None] = {}
        for field, value, _ in reversed(breaches[at:]):
            row[field] = value
        assert code_of(row, rules) == code


def test_messages_say_which_value_and_what_is_allowed() -> None:
    assert message_of({"confidence": "0,9"}) == (
        "confidence '0,9' must be a number from 0 to 1"
    )
    assert message_of({"worker_id": "a\x00b"}) == (
        "worker_id 'a\N{REPLACEMENT CHARACTER}b' must be 1 to 64 characters, "
        "none of them a control character"
    )
    for field in ("worker_id", "camera_id"):
        said = message_of({field: WRONG_TYPE + "1.0"})
        assert said == f"{field} '1.0' must be text (UTF-8) or an integer"
    assert "count 'x' must be an integer from 1" in message_of({"count": "x"})
    assert len(message_of({"time": "9" * 10_000})) < 300


def test_rows_keep_their_numbers_and_rejects_their_site() -> None:
    found = shaped({}, {"time": "x"}, {"site_id": ""}, {})
    assert found.events["row"].to_list() == [0, 3]
    assert found.rejects.select("row", "code", "site_id").rows() == [
        (1, "bad_time", "plant"),
        (2, "bad_identifier", None),
    ]


def test_no_rows_are_no_error() -> None:
    found = shape(pl.DataFrame(schema={"row": pl.UInt32}), arrival=ARRIVAL)
    assert found.events.is_empty()
    assert found.rejects.is_empty()
