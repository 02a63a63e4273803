"""Model versions side by side against scipy on the raw values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from etl.batch import batch_of
from etl.validations.load import Sender, ValidationReport, admit
from sql.connect import Connection
from tests.support.cli import floorpulse, json_of
from tests.support.database import put

BEGIN = datetime(2026, 3, 2, 6, tzinfo=UTC)
STATES = ("working", "idle", "absent", "product_count")
IDENTITY = ("time", "site_id", "worker_id", "workstation_id", "event_type")


def canary(seed: int, hours: int = 30, each: int = 40) -> pl.DataFrame:
    """Events of v1 on two cameras, and of v2, a little better, on a third."""
    rng = np.random.default_rng(seed)
    n = hours * each * 3
    camera = rng.integers(0, 3, n)
    kind = rng.choice(4, n, p=[0.6, 0.2, 0.1, 0.1])
    mean = np.where(camera == 2, 0.9, 0.86)
    seconds = np.sort(rng.integers(0, hours * 3600 * 1000, n)) / 1000
    return pl.DataFrame(
        {
            "time": [BEGIN + timedelta(seconds=s) for s in seconds.tolist()],
            "camera_id": [f"cam{c}" for c in camera],
            "event_type": [STATES[k] for k in kind],
            "confidence": np.clip(rng.normal(mean, 0.05), 0, 1).astype(np.float32),
            "count": np.where(kind == 3, rng.integers(1, 9, n), 0),
            "model_version": np.where(camera == 2, "v2", "v1"),
        }
    ).with_columns(
        site_id=pl.lit("plant"),
        worker_id=pl.format("W{}", pl.col("camera_id")),
        workstation_id=pl.lit("S1"),
    )


def store(dsn: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Put events in and refresh; returns them as text."""
    texts = frame.with_columns(
        pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        pl.col("confidence", "count").cast(pl.String),
    )
    put(dsn, texts)
    floorpulse(dsn, "refresh", "--site", "plant", "--now", "2026-03-04T00:00Z")
    return texts


def compared(dsn: str, *more: str) -> dict[str, dict[str, Any]]:
    told = json_of(dsn, "model", "compare", "plant", "v1", "v2", *more)
    return {row["measure"]: row for row in told["rows"]}


def check(row: dict[str, Any], expected: tuple[float, ...], tolerance: float) -> None:
    names = ("a", "b", "difference", "difference_low", "difference_high")
    assert [row[n] for n in names] == pytest.approx(expected, abs=tolerance)


def welch(a: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    return a.mean(), b.mean(), b.mean() - a.mean(), interval.low, interval.high


def newcombe(a: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """From scipy's Wilson intervals, as Newcombe's method 10 has it."""
    share = [float(s.mean()) for s in (a, b)]
    wilson = [
        stats.binomtest(int(s.sum()), len(s)).proportion_ci(0.95, "wilson")
        for s in (a, b)
    ]
    low = np.hypot(share[1] - wilson[1].low, wilson[0].high - share[0])
    high = np.hypot(wilson[1].high - share[1], share[0] - wilson[0].low)
    d = share[1] - share[0]
    return (*share, d, d - low, d + high)


def test_side_by_side_is_scipys(dsn: str, conn: Connection) -> None:
    frame = canary(1)
    texts = store(dsn, frame)
    rng = np.random.default_rng(2)
    verdicts = texts.sample(300, seed=3).select(*IDENTITY, "model_version")
    right = rng.random(300) < 0.9
    said = verdicts.drop("model_version").with_columns(
        verdict=pl.Series(np.where(right, "right", "wrong"))
    )
    report = ValidationReport()
    admit(conn, batch_of(said), Sender("test", "Ann"), report)
    assert report.stored == 300, report.told
    rows = compared(dsn)
    parts = [frame.filter(pl.col("model_version") == v) for v in ("v1", "v2")]
    values = [p["confidence"].cast(pl.Float64).to_numpy() for p in parts]
    check(rows["confidence_mean"], welch(*values), 1e-9)
    assert rows["confidence_mean"]["differs"] is True
    assert rows["confidence_stddev"]["b"] == pytest.approx(values[1].std(ddof=1))
    states = [p.filter(pl.col("event_type") != "product_count") for p in parts]
    for state in STATES[:3]:
        hits = [(s["event_type"] == state).to_numpy() for s in states]
        check(rows[f"{state}_share"], newcombe(*hits), 1e-12)
        assert rows[f"{state}_share"]["a_sample"] == states[0].height
    hourly = [
        p.group_by("camera_id", pl.col("time").dt.truncate("1h"))
        .agg(pl.col("count").sum())["count"]
        .to_numpy()
        for p in parts
    ]
    check(rows["units_per_camera_hour"], welch(*hourly), 1e-5)
    assert rows["units_per_camera_hour"]["a_sample"] == len(hourly[0])
    of = verdicts["model_version"].to_numpy()
    check(rows["accuracy"], newcombe(right[of == "v1"], right[of == "v2"]), 1e-12)
    share = rows["event_share"]
    assert share["b"] == pytest.approx(parts[1].height / frame.height)
    assert share["difference"] is None


@pytest.mark.plain
def test_the_list_tells_when_and_how_much(dsn: str) -> None:
    late = canary(4).with_columns(pl.col("time") + timedelta(hours=2))
    early = canary(5).filter(pl.col("model_version") == "v1")
    store(dsn, pl.concat([early, late.filter(pl.col("model_version") == "v2")]))
    v2, v1 = json_of(dsn, "model", "list")["models"]
    assert [m["model_version"] for m in (v2, v1)] == ["v2", "v1"]
    assert datetime.fromisoformat(v1["first_seen_at"]) == early["time"].min()
    last = late.filter(pl.col("model_version") == "v2")["time"].max()
    assert datetime.fromisoformat(v2["last_seen_at"]) == last
    assert v1["recent_share"] + v2["recent_share"] == pytest.approx(1)
    assert (v1["recent_cameras"], v2["recent_cameras"]) == (2, 1)
    assert v2["recent_share"] == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.plain
def test_of_little_or_nothing_there_is_no_interval(dsn: str) -> None:
    few = pl.concat([canary(6).filter(pl.col("model_version") == "v1").head(3)])
    new = canary(7).filter(pl.col("model_version") == "v2").head(1)
    store(dsn, pl.concat([few, new]))
    rows = compared(dsn)
    mean = rows["confidence_mean"]
    assert (mean["a_sample"], mean["b_sample"], mean["differs"]) == (3, 1, None)
    assert rows["accuracy"]["a"] is None
    window = ("--from", "2026-01-01T00:00Z", "--to", "2026-01-02T00:00Z")
    assert compared(dsn, *window)["event_share"]["a"] is None
    for arguments, code, words in (
        (("v1", "v9"), 1, "no model version 'v9'. It has v2, v1"),
        (("v1", "v1"), 2, "two versions"),
        (("v1", "v2", "--from", "2026-03-02T06:30Z"), 2, "UTC hour"),
    ):
        result = floorpulse(
            dsn, "model", "compare", "plant", *arguments, exit_code=code
        )
        assert words in result.stderr


@pytest.mark.plain
def test_the_quantile_of_t(conn: Connection) -> None:
    for freedom in (10, 10.5, 17, 30, 99.5, 1e4, 1e9):
        row = conn.execute("select floor.t_quantile(%s)", (freedom,)).fetchone()
        assert row is not None
        assert row[0] == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-4)
        if freedom >= 30:
            assert row[0] == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-6)
