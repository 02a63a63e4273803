"""Mending: what the door reads is put right, whatever form it came in."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.shape.codes import WRONG_TYPE
from etl.shape.mend import UNCHANGED, Mend
from sql.errors import BadSetting


def mended(mend: Mend, **columns: list[str | None]) -> dict[str, list[Any]]:
    texts = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return mend.apply(texts).to_dict(as_series=False)


def test_an_id_is_another_one() -> None:
    mend = Mend({"worker_id": {"cam-7": "W7", "": "W0", "7.5": "W8"}})
    said = ["cam-7", "cam-70", None, "", f"{WRONG_TYPE}7.5"]
    expected = ["W7", "cam-70", "W0", "W0", "W8"]
    assert mended(mend, worker_id=said)["worker_id"] == expected


def test_a_field_that_no_event_had() -> None:
    mend = Mend({"site_id": {"": "plant"}, "camera_id": {"x": "y"}})
    expected = {"worker_id": ["W1"], "site_id": ["plant"], "camera_id": [None]}
    assert mended(mend, worker_id=["W1"]) == expected


def test_a_clock_that_was_wrong() -> None:
    said = [
        "2026-11-01T06:00:00Z",
        "2026-11-01 06:00:00.25+01:00",
        "2026-11-01T06:00",
        "noon",
        None,
    ]
    assert mended(Mend(shift_s=-3600.5), time=said)["time"] == [
        "2026-11-01T04:59:59.500000Z",
        "2026-11-01T03:59:59.750000Z",
        "2026-11-01T04:59:59.500000",
        "noon",
        None,
    ]


def test_a_unit_that_was_another() -> None:
    mend = Mend(scale={"confidence": 0.01, "count": 12, "duration_s": 0.001})
    found = mended(
        mend,
        confidence=["93", "7", "high"],
        count=["2", None, ""],
        duration_s=["1500", "2e3", None],
    )
    assert found == {
        "confidence": ["0.93", "0.07", "high"],
        "count": ["24.0", None, ""],
        "duration_s": ["1.5", "2.0", None],
    }


def test_what_changes_nothing() -> None:
    assert UNCHANGED.told() is None
    assert mended(UNCHANGED, time=["noon"]) == {"time": ["noon"]}


@pytest.mark.parametrize(
    "how",
    [
        {"replace": {"time": {"a": "b"}}},
        {"replace": {"nothing": {"a": "b"}}},
        {"scale": {"worker_id": 2.0}},
        {"scale": {"confidence": 0.0}},
        {"scale": {"confidence": float("nan")}},
        {"shift_s": float("inf")},
        {"shift_s": 1e12},
    ],
    ids=str,
)
def test_what_cannot_be(how: dict[str, Any]) -> None:
    with pytest.raises(BadSetting):
        Mend(**how)
