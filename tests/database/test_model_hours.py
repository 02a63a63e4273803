"""Sums by hour against numpy on the raw values, on every engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from scheduler.refresh import refresh_with
from sql.connect import Connection
from tests.support.database import put

BEGIN = datetime(2026, 3, 2, 22, tzinfo=UTC)
NOW = BEGIN + timedelta(hours=6)
OPTIONAL = ("count", "model_version", "camera_id")
KINDS = ("working", "idle", "absent", "product_count")


def events(count: int, seed: int) -> pl.DataFrame:
    """Random events of 6 hours over a UTC midnight, some without model or camera."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, count)
    second = np.sort(rng.uniform(0, 6 * 3600, count)).round(3)
    return pl.DataFrame(
        {
            "time": [(BEGIN + timedelta(seconds=float(s))).isoformat() for s in second],
            "site_id": ["plant"] * count,
            "worker_id": [f"W{i}" for i in rng.integers(0, 5, count)],
            "workstation_id": ["S"] * count,
            "event_type": [KINDS[k] for k in kind],
            "confidence": rng.beta(8, 2, count).round(4).astype(str),
            "count": [str(rng.integers(1, 5)) if k == 3 else None for k in kind],
            "model_version": [("v1", "v2", None)[k] for k in rng.integers(0, 3, count)],
            "camera_id": [("c1", "c2", None)[k] for k in rng.integers(0, 3, count)],
        },
        schema_overrides=dict.fromkeys(
            ("count", "model_version", "camera_id"), pl.String
        ),
    )


def roll_up(conn: Connection, now: datetime = NOW) -> int:
    refresh_with(conn, "plant", now)
    row = conn.execute(
        "select floor.roll_up_models(site_key) from floor.sites"
    ).fetchone()
    assert row is not None
    return int(row[0])


def expected(frame: pl.DataFrame) -> dict[tuple[object, ...], list[float]]:
    """Hour, model and camera: the raw confidences."""
    rows = frame.with_columns(
        pl.col("time").str.to_datetime(time_zone="UTC").dt.truncate("1h"),
        pl.col("confidence").cast(pl.Float32).cast(pl.Float64),
    )
    keys = ["time", "model_version", "camera_id"]
    return {
        tuple(key): group["confidence"].to_list() for key, group in rows.group_by(keys)
    }


ROWS = """
    select h.hour, m.model_version, c.camera_id, h.events, h.confidence_sum,
        h.confidence_squares, floor.sample_deviation(
            h.events, h.confidence_sum, h.confidence_squares),
        array[b00, b01, b02, b03, b04, b05, b06, b07, b08, b09, b10, b11, b12, b13, b14,
              b15, b16, b17, b18, b19]
    from floor.model_hourly h
    left join floor.models m using (model_key)
    left join floor.cameras c using (camera_key)
"""


def check(conn: Connection, frame: pl.DataFrame) -> None:
    raw = expected(frame)
    rows = conn.execute(ROWS).fetchall()
    assert {tuple(row[:3]) for row in rows} == set(raw)
    for *key, count, total, squares, deviation, histogram in rows:
        values = np.array(raw[tuple(key)])
        assert count == len(values)
        assert total == pytest.approx(values.sum(), abs=1e-9)
        assert squares == pytest.approx((values**2).sum(), abs=1e-9)
        if count > 1:
            assert deviation == pytest.approx(values.std(ddof=1), abs=1e-6)
        bins = np.minimum(19, np.floor(values.astype(np.float32) * np.float32(20)))
        assert histogram == np.bincount(bins.astype(int), minlength=20).tolist()


def test_moments_and_histograms_are_those_of_the_raw_values(
    dsn: str, conn: Connection
) -> None:
    frame = events(3000, 1)
    put(dsn, frame)
    assert roll_up(conn) >= 6
    check(conn, frame)
    assert roll_up(conn) <= 1, "what did not change is not done again"


def test_late_and_split_batches_end_in_the_same_sums(
    dsn: str, conn: Connection
) -> None:
    frame = events(1200, 2)
    order = np.random.default_rng(3).permutation(frame.height)
    for part in np.array_split(order, 4):
        put(dsn, frame[part.tolist()])
        roll_up(conn)
    check(conn, frame)
    days = conn.execute(
        "select count(*), sum(events) from floor.model_daily"
    ).fetchone()
    hours = conn.execute(
        "select count(distinct (date_trunc('day', hour), model_key, camera_key)),"
        " sum(events) from floor.model_hourly"
    ).fetchone()
    assert days == hours


def test_a_round_confidence_begins_its_bin(dsn: str, conn: Connection) -> None:
    tenths = [i / 20 for i in range(21)]
    count = len(tenths)
    frame = pl.DataFrame(
        {
            "time": [(BEGIN + timedelta(seconds=i)).isoformat() for i in range(count)],
            "site_id": ["plant"] * count,
            "worker_id": ["W"] * count,
            "workstation_id": ["S"] * count,
            "event_type": ["working"] * count,
            "confidence": [str(c) for c in tenths],
        }
    )
    put(dsn, frame)
    roll_up(conn)
    row = conn.execute("select histogram from analytics.confidence_hourly").fetchone()
    assert row is not None
    assert row[0] == [1] * 19 + [2]


def test_views_say_mean_deviation_and_quantiles(dsn: str, conn: Connection) -> None:
    frame = events(4000, 4)
    put(dsn, frame)
    roll_up(conn)
    raw: dict[tuple[object, object], list[float]] = {}
    for (hour, model, _), values in expected(frame).items():
        raw.setdefault((hour, model), []).extend(values)
    rows = conn.execute(
        "select hour, model_version, events, mean, stddev, p05, p50"
        " from analytics.confidence_hourly"
    ).fetchall()
    assert len(rows) == len(raw)
    for hour, model, count, mean, stddev, p05, p50 in rows:
        values_of = np.array(raw[hour, model])
        assert count == len(values_of)
        assert mean == pytest.approx(values_of.mean(), abs=1e-9)
        assert stddev == pytest.approx(values_of.std(ddof=1), abs=1e-6)
        assert abs(p05 - np.quantile(values_of, 0.05)) < 0.05
        assert abs(p50 - np.quantile(values_of, 0.5)) < 0.05


def test_mix_and_rate_count_all_events(dsn: str, conn: Connection) -> None:
    frame = events(2000, 5)
    put(dsn, frame)
    roll_up(conn)
    said = conn.execute(
        "select sum(working_events), sum(idle_events), sum(absent_events)"
        " from analytics.state_mix_hourly"
    ).fetchone()
    kinds = frame["event_type"].value_counts()
    counts = dict(kinds.iter_rows())
    assert said == tuple(counts[k] for k in KINDS[:3])
    units = conn.execute(
        "select sum(units_seen), sum(count_events) from analytics.rate_hourly"
    ).fetchone()
    assert units == (
        frame["count"].cast(pl.Int64).sum(),
        counts["product_count"],
    )


def test_tails_are_the_last_hundred(dsn: str, conn: Connection) -> None:
    frame = events(3000, 6).with_columns(
        model_version=pl.lit("v1"), camera_id=pl.lit("c1")
    )
    put(dsn, frame)
    roll_up(conn)
    last = BEGIN + timedelta(hours=5)
    rows = conn.execute(
        "select camera_key, confidences from floor.model_tails where hour = %s"
        " order by camera_key",
        (last,),
    ).fetchall()
    wanted = frame["confidence"].cast(pl.Float32).tail(100).to_list()
    assert [key < 0 for key, _ in rows] == [True, False]
    for _, confidences in rows:
        assert np.array(confidences, dtype=np.float32).tolist() == wanted


def test_an_upgrade_counts_what_was_there(fresh_dsn: str, dsn: str) -> None:
    """A database with events from before 0005 is counted by the first roll-up."""
    from sql.connect import connect
    from sql.migrate import migrate

    frame = events(500, 7)
    put(dsn, frame)
    migrate(fresh_dsn)
    put(fresh_dsn, frame)
    with connect(fresh_dsn) as conn:
        refresh_with(conn, "plant", NOW)
        conn.execute("delete from floor.model_touched")
        text = _migration_tail()
        conn.execute(text.encode())
        conn.execute("select floor.roll_up_models(site_key) from floor.sites")
        check(conn, frame)


def _migration_tail() -> str:
    from importlib.resources import files

    text = files("sql").joinpath("migrations/0005_model_health.sql").read_text()
    return text[text.index("insert into floor.model_touched") :]
