"""The statistics behind the signals against numpy and scipy on raw values."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy.special import rel_entr
from scipy.stats import median_abs_deviation

from sql.connect import Connection
from sql.plant.calendar import Break
from sql.plant.calendar_store import ensure_calendar
from sql.plant.shifts import Pattern, add_shift
from sql.plant.sites import SiteChange, set_site, site_key_of
from tests.support.hours import BEGIN, DAY, HourlyPlant, Seen

TO = BEGIN + timedelta(days=30)
BINS = ", ".join(["0"] * 20)


def scipy_psi(current: np.ndarray, baseline: np.ndarray) -> float:
    """Relative entropy there and back, of shares that are smoothed."""
    p = (current + 0.5) / (current.sum() + 0.5 * len(current))
    q = (baseline + 0.5) / (baseline.sum() + 0.5 * len(baseline))
    return float((rel_entr(p, q) + rel_entr(q, p)).sum())


@pytest.mark.parametrize("bins", [3, 20])
def test_psi(conn: Connection, bins: int) -> None:
    rng = np.random.default_rng(bins)
    for _ in range(20):
        current, baseline = rng.integers(0, 900, (2, bins))
        row = conn.execute(
            "select floor.psi(%s::float8[], %s::float8[])",
            (current.tolist(), baseline.tolist()),
        ).fetchone()
        assert row is not None
        assert row[0] == pytest.approx(scipy_psi(current, baseline), rel=1e-12)


def test_quantiles_are_off_by_less_than_a_bin(conn: Connection) -> None:
    rng = np.random.default_rng(5)
    for a, b in ((8, 2), (2, 2), (40, 3), (1, 9)):
        values = rng.beta(a, b, 700)
        histogram = np.histogram(values, 20, (0, 1))[0]
        for quantile in (0.05, 0.5, 0.95):
            row = conn.execute(
                "select floor.confidence_quantile(%s, %s)",
                (histogram.tolist(), quantile),
            ).fetchone()
            assert row is not None
            assert abs(row[0] - np.quantile(values, quantile)) < 0.05


def test_a_week_is_learnt_as_numpy_has_it(conn: Connection) -> None:
    """Medians by hour of the local week; distances from the other weeks' median."""
    set_site(conn, "plant", SiteChange(timezone="Europe/Berlin"))
    shift = Pattern(tuple(range(7)), 6 * 60, 600, (Break(12 * 60, 30),))
    add_shift(conn, "plant", "day", shift)
    site_key = site_key_of(conn, "plant")
    ensure_calendar(conn, site_key, BEGIN, TO)
    rng = np.random.default_rng(6)
    hours = [BEGIN + timedelta(hours=h) for h in range(30 * 24)]
    units = {hour: int(rng.poisson(50)) for hour in hours if rng.random() > 0.1}
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into floor.model_hourly select %(site)s, %(hour)s, 1, 7, %(hour)s,"
            f" %(hour)s, 1, 1, 0, 0, %(units)s, 0, 0, {BINS}",
            [{"site": site_key, "hour": h, "units": u} for h, u in units.items()],
        )
    learn = "select ops.learn_weeks(%s, 'week', %s, 'Europe/Berlin', '{7,-1}')"
    conn.execute(learn, (site_key, TO))
    weeks: dict[int, dict[datetime, int]] = defaultdict(dict)
    for hour, count in units.items():
        local = hour + timedelta(
            hours=2 if hour >= datetime(2026, 3, 29, 1, tzinfo=UTC) else 1
        )
        if 6 <= local.hour < 16:
            weeks[local.weekday() * 24 + local.hour][hour] = count
    medians = {w: np.median(list(v.values())) for w, v in weeks.items() if len(v) >= 3}
    rows = conn.execute(
        "select week_hour, units from floor.model_weeks"
        " where camera_key = 7 and units is not null"
    ).fetchall()
    assert dict(rows) == medians
    residuals = {
        hour: count - np.median([u for h, u in values.items() if h != hour])
        for values in weeks.values()
        if len(values) >= 3
        for hour, count in values.items()
    }
    days: dict[object, float] = defaultdict(float)
    for hour, residual in residuals.items():
        days[hour.date()] += float(residual)

    def deviation(values: np.ndarray) -> float:
        around_0 = np.concatenate([values, -values])
        median = median_abs_deviation(around_0, scale="normal")
        return float(max(median, np.sqrt(np.pi / 2) * np.abs(values).mean()))

    scale = conn.execute(
        "select hour_deviation, day_deviation, day_hours from floor.model_scales"
        " where camera_key = 7"
    ).fetchone()
    assert scale == pytest.approx(
        (
            deviation(np.array(list(residuals.values()))),
            deviation(np.array(list(days.values()))),
            len(residuals) / len(days),
        ),
        rel=1e-4,
    )


def test_a_window_is_compared_with_like_hours_of_like_cameras(
    conn: Connection,
) -> None:
    """With as many events of the baseline, hour of the day by hour; what holds more
    events now than the baseline does is left out.
    """
    plant = HourlyPlant(conn)
    rng = np.random.default_rng(8)
    days = list(range(1, 13))
    plant.put(
        Seen(
            BEGIN + timedelta(days=day - 1, hours=hour),
            camera,
            events=int(rng.integers(1, 90)) * (40 if (day, hour) == (12, 9) else 1),
            mean=0.6 + 0.01 * hour + (0.1 if camera == "c1" else 0),
        )
        for day in days
        for hour in range(6, 14)
        for camera in ("c1", "c2")
    )
    now = BEGIN + timedelta(days=11, hours=14)
    plant.check(now)
    bins = ", ".join(f"b{i:02d}" for i in range(20))
    rows = conn.execute(
        "select camera_id, extract(hour from hour)::int, hour >= %s, events,"  # noqa: S608
        f" confidence_sum, array[{bins}] from floor.model_hourly"
        " join floor.cameras using (camera_key) where hour < %s or hour >= %s",
        (now - DAY, now.replace(hour=0) - DAY, now - DAY),
    ).fetchall()
    sums: dict[tuple[Any, ...], np.ndarray] = defaultdict(lambda: np.zeros(22))
    for camera, hour, is_now, *values, histogram in rows:
        sums[camera, hour, is_now] += np.array([*values, *histogram])
    wanted: dict[str | None, list[np.ndarray]] = {}
    for camera, hour, is_now in list(sums):
        current, base = sums[camera, hour, True], sums[camera, hour, False]
        if is_now and base[0] >= current[0]:
            for name in (camera, None):
                said = wanted.setdefault(name, [np.zeros(22), np.zeros(22)])
                said[0] += current
                said[1] += base * current[0] / base[0]
    found = conn.execute(
        "select camera_id, events, total, histogram, events, base_total, base_histogram"
        " from ops.confidence_sums(%s, %s) left join floor.cameras using (camera_key)"
        " where span = 'day'",
        (plant.site_key, now),
    ).fetchall()
    assert len(found) == 3
    for camera, *parts in found:
        flat = np.concatenate([np.atleast_1d(part) for part in parts])
        assert flat == pytest.approx(np.concatenate(wanted[camera]), rel=1e-9)
