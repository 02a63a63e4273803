"""What raises an alert besides drift: silence, late metrics, failing jobs, the disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sql import storage
from sql.connect import Connection
from sql.model_health.drift import Thresholds, set_thresholds
from sql.plant.registry import expect_cameras
from tests.support.hours import BEGIN, DAY, HOUR, HourlyPlant, Seen

pytestmark = pytest.mark.plain
LAST = 29


def at(hour: float, day: int = LAST) -> datetime:
    """An hour of the 29th day, the same weekday as the 22nd and the 15th."""
    return BEGIN + (day - 1) * DAY + hour * HOUR


@pytest.fixture
def plant(conn: Connection) -> HourlyPlant:
    """Two cameras that sent in every hour of the shift (6 to 14, a break at 10) on the
    same weekday of the weeks before; today, the 29th day, up to 09:00.
    """
    plant = HourlyPlant(conn)
    plant.put(
        Seen(at(6 + n, day), camera, events=20)
        for day in (LAST - 21, LAST - 14, LAST - 13, LAST - 7, LAST - 6, LAST)
        for n in range(3 if day == LAST else 8)
        for camera in ("c1", "c2")
    )
    return plant


def silent(plant: HourlyPlant) -> set[tuple[str, str, str]]:
    """Alerts: signal, subject and state."""
    rows = plant.conn.execute(
        "select signal, subject, alert_state from analytics.alerts"
    ).fetchall()
    return {(str(a), str(b), str(c)) for a, b, c in rows}


def test_a_silent_site_fires_and_resolves(plant: HourlyPlant) -> None:
    """Half an hour without an event, the break from 10:00 to 10:30 left out."""
    plant.check(at(9.45))
    assert silent(plant) == set()
    plant.put([Seen(at(9), c, events=10, minutes=45) for c in ("c1", "c2")])
    for hour in (10.1, 10.6):
        plant.check(at(hour))
        assert silent(plant) == set(), "15 minutes before the break, 6 after it"
    plant.check(at(10.8))
    assert silent(plant) == {("silent_site", "site", "open")}
    plant.put([Seen(at(10), c, events=5, minutes=55) for c in ("c1", "c2")])
    for hour in (10.95, 11.2):
        plant.check(at(hour))
    assert silent(plant) == {("silent_site", "site", "resolved")}


def test_a_silent_camera_fires_while_the_other_sends(plant: HourlyPlant) -> None:
    plant.put([Seen(at(hour), "c2") for hour in (9, 10, 11)])
    for hour in (9.9, 11.1, 11.9):
        plant.check(at(hour))
    assert silent(plant) == {("silent_camera", "c1", "open")}
    plant.put([Seen(at(hour), "c1", events=20) for hour in (12, 13)])
    plant.put([Seen(at(hour), "c2", events=20) for hour in (12, 13)])
    for hour in (13, 13.25):
        plant.check(at(hour))
    assert silent(plant) == {("silent_camera", "c1", "resolved")}


def away(plant: HourlyPlant, *days: int) -> None:
    """Nobody was at the bench of c1 from 07:00 to 09:00 on these days."""
    plant.conn.execute(
        "delete from floor.model_hourly h using floor.cameras c where c.camera_key ="
        " h.camera_key and c.camera_id = 'c1' and h.hour = any (%s)",
        ([at(hour, day) for day in days for hour in (7, 8)],),
    )


@pytest.mark.parametrize("often", [False, True])
def test_a_camera_that_is_often_silent_may_be(plant: HourlyPlant, often: bool) -> None:
    """Once may be an outage; what was twice is no news, nor 3.5 times as long."""
    away(plant, LAST - 7, *([LAST - 14] if often else []))
    plant.put([Seen(at(hour), "c2") for hour in (9, 10, 11, 12)])
    plant.check(at(12.9))
    assert silent(plant) == (set() if often else {("silent_camera", "c1", "open")})


def test_a_camera_that_never_comes_back_is_told_of(plant: HourlyPlant) -> None:
    """Often away for a shift: what it may miss is used up within days."""
    every = [day for day in range(1, LAST) if (LAST - day) % 7 in (0, 1)]
    plant.put(
        Seen(at(6 + n, day), camera, events=20)
        for day in (*every, *range(LAST, LAST + 9))
        for n in range(8)
        for camera in ("c1", "c2")
        if camera == "c2" or (day < LAST and day not in every[::3])
    )
    plant.conn.execute(
        "delete from floor.model_hourly h using floor.cameras c where c.camera_key ="
        " h.camera_key and c.camera_id = 'c1' and (h.hour >= %s or h.hour::date ="
        " any (%s))",
        (at(0), [at(0, day).date() for day in every[::3]]),
    )
    plant.conn.execute(
        "select floor.roll_up_model_days(%s, array(select generate_series("
        "%s::timestamptz, %s, '1 day')))",
        (plant.site_key, at(0, 1), at(0, LAST + 9)),
    )
    told = []
    for day in range(LAST, LAST + 9):
        plant.check(at(13.9, day))
        told.append(("silent_camera", "c1", "open") in silent(plant))
    assert not told[0]
    assert told[-1], "and it stays, though in most of these hours nobody expects it"


def test_what_is_silent_stays_so_over_the_begin_of_a_shift(plant: HourlyPlant) -> None:
    """The first half hour of the next shift ends no alert."""
    plant.put([Seen(at(hour), "c2") for hour in range(9, 14)])
    plant.check(at(11.9))
    assert silent(plant) == {("silent_camera", "c1", "open")}
    tomorrow = LAST + 1
    plant.put([Seen(at(6, tomorrow), "c2", minutes=25)])
    for hour in (6.1, 6.3, 6.4):
        plant.check(at(hour, tomorrow))
    assert silent(plant) == {("silent_camera", "c1", "open")}
    plant.put([Seen(at(6, tomorrow), "c1", minutes=30)])
    for hour in (6.6, 6.8):
        plant.check(at(hour, tomorrow))
    assert silent(plant) == {("silent_camera", "c1", "resolved")}


@pytest.mark.parametrize(("cameras", "hours"), [(1, 7), (6, 10), (25, 30), (90, 50)])
def test_where_many_are_away_each_may_be(
    plant: HourlyPlant, cameras: int, hours: float
) -> None:
    """One camera was silent twice for two hours, all of them once for a week."""
    plant.conn.execute(
        "with made as (insert into floor.cameras (site_key, camera_id)"
        " select %s, 'm' || n from generate_series(1, %s) n returning camera_key)"
        " insert into floor.camera_silences select %s, m.camera_key, '2026-03-01',"
        " array_fill(1.0, array[24]), 180000, 7200, '{}', '{}' from made m",
        (plant.site_key, cameras, plant.site_key),
    )
    rows = plant.conn.execute(
        "select distinct missed_s / 3600 from ops.allowed_silences(%s, 1800)",
        (plant.site_key,),
    ).fetchall()
    assert rows == [(hours,)]


def expect(plant: HourlyPlant, camera: str, expected: str) -> list[str]:
    return expect_cameras(plant.conn, "plant", camera, expected, "ann")


def test_a_camera_that_is_always_expected_is_told_of_plainly(
    plant: HourlyPlant,
) -> None:
    """Half an hour of any shift, the break left out, whatever its record says."""
    away(plant, LAST - 7, LAST - 14)
    assert expect(plant, "c1", "always") == ["c1"]
    plant.put([Seen(at(9), "c2"), Seen(at(9), "c1", minutes=45), Seen(at(10), "c2")])
    for hour, wanted in ((10.6, set()), (10.8, {("silent_camera", "c1", "open")})):
        plant.check(at(hour))
        assert silent(plant) == wanted


def test_a_camera_that_never_sent_may_be_expected(plant: HourlyPlant) -> None:
    plant.conn.execute("select floor.register_cameras(%s, '{c9}')", (plant.site_key,))
    expect(plant, "c9", "always")
    plant.check(at(6.4))
    assert silent(plant) == set()
    plant.check(at(6.6))
    assert silent(plant) == {("silent_camera", "c9", "open")}


def test_a_camera_that_is_never_expected_is_no_alert(plant: HourlyPlant) -> None:
    """Its alert is over at once, and none comes."""
    plant.put([Seen(at(hour), "c2") for hour in (9, 10, 11, 12)])
    plant.check(at(10.9))
    assert silent(plant) == {("silent_camera", "c1", "open")}
    expect(plant, "c*", "never")
    assert silent(plant) == {("silent_camera", "c1", "resolved")}
    plant.check(at(12.9))
    assert silent(plant) == {("silent_camera", "c1", "resolved")}
    said = plant.conn.execute("select who, action, detail from ops.audit_log")
    camera = {"camera": "c1", "expected": "never"}
    assert said.fetchall()[0] == ("ann", "camera expect", camera)


def test_outside_shifts_or_with_late_metrics_nobody_is_silent(
    plant: HourlyPlant,
) -> None:
    plant.check(at(14.1))
    plant.check(at(20))
    assert silent(plant) == set()
    now = at(10, LAST + 1)
    plant.check(now - HOUR / 4)
    assert silent(plant) == {("silent_site", "site", "open")}
    plant.conn.execute(
        "update ops.alerts set state = 'resolved', resolved_at = now() - interval '9 y'"
    )
    plant.conn.execute("select ops.check_drift(%s)", (now,))
    assert ("freshness", "metrics", "open") in silent(plant)
    assert ("silent_site", "site", "open") not in silent(plant)


def test_a_longer_silence_can_be_allowed(plant: HourlyPlant) -> None:
    set_thresholds(plant.conn, "plant", Thresholds(silent_after_s=3 * 3600), "test")
    plant.check(at(11.9))
    assert silent(plant) == set()
    plant.check(at(12.9))
    assert silent(plant) == {("silent_site", "site", "open")}


def test_metrics_are_not_judged_by_the_first_check_after_a_pause(
    plant: HourlyPlant,
) -> None:
    """The refresh of a scheduler that has just begun may still be catching up."""
    set_thresholds(plant.conn, "plant", Thresholds(silent_after_s=86_400), "test")
    plant.check(at(8))
    for hour in (11, 11.25, 11.3, 11.35):
        plant.conn.execute("select ops.check_drift(%s)", (at(hour),))
        late = ("freshness", "metrics", "open") in silent(plant)
        assert late == (hour > 11)
    for hour in (11.5, 11.75):
        plant.check(at(hour))
    assert silent(plant) == {("freshness", "metrics", "resolved")}


@pytest.fixture
def now(plant: HourlyPlant) -> datetime:
    """The clock's, for what can be seen only now."""
    del plant
    return datetime.now(UTC)


def test_a_job_that_fails_for_long_fires_and_resolves(
    plant: HourlyPlant, now: datetime
) -> None:
    plant.conn.execute(
        "insert into ops.jobs"
        " (job, interval_s, last_ok_at, last_finished_at, last_error)"
        " values ('prune', 60, %(long)s, %(now)s, 'disk full'),"
        " ('calendar', 3600, %(long)s, %(now)s, 'once'),"
        " ('chunks', 60, %(long)s, %(long)s, null)",
        {"now": now, "long": now - timedelta(minutes=16)},
    )
    plant.check(now)
    assert silent(plant) == {("jobs", "prune", "open")}
    (detail,) = plant.conn.execute("select detail from ops.alerts").fetchone() or ({},)
    assert detail["error"] == "disk full"
    plant.conn.execute("update ops.jobs set last_error = null, last_ok_at = now()")
    for minutes in (15, 30):
        plant.check(now + timedelta(minutes=minutes))
    assert silent(plant) == {("jobs", "prune", "resolved")}


def test_a_disk_without_room_fires_and_resolves(
    plant: HourlyPlant, now: datetime
) -> None:
    for free, wanted in ((1, "open"), (99, "open"), (99, "resolved")):
        plant.conn.execute(
            "insert into ops.storage values ('/data', %s, 50, 100, now())"
            " on conflict (folder) do update set free_bytes = excluded.free_bytes",
            (free,),
        )
        plant.check(now)
        assert silent(plant) == {("disk", "data folder", wanted)}
        now += timedelta(minutes=15)


def test_trouble_of_the_database_ends(plant: HourlyPlant, now: datetime) -> None:
    """What is well here is no alert, and ends one."""
    plant.check(now)
    assert silent(plant) == set()
    for subject in ("connections", "transaction ids", "old transaction"):
        plant.conn.execute(
            "select ops.raise_alert(%s, 'database', %s, 'critical', '{}', %s)",
            (plant.site_key, subject, now),
        )
    for minutes in (15, 30):
        plant.check(now + timedelta(minutes=minutes))
    assert {state for _, _, state in silent(plant)} == {"resolved"}
    assert len(silent(plant)) == 3


def test_a_database_without_connections_left_is_trouble(
    plant: HourlyPlant, now: datetime
) -> None:
    """Nine in ten of what the server allows; here: none."""
    (found,) = plant.conn.execute(
        "select pg_get_functiondef('ops.server_conditions'::regproc)"
    ).fetchall()
    limit = "0.9 * current_setting('max_connections')::integer"
    assert limit in found[0]
    plant.conn.execute(found[0].replace(limit, "0").encode())
    plant.check(now)
    assert silent(plant) == {("database", "connections", "open")}


def test_room_is_that_of_the_disk(tmp_path: Path, conn: Connection) -> None:
    room = storage.room_of(tmp_path)
    assert 0 < room.free <= room.total
    assert room.least >= storage.LEAST_BYTES
    assert storage.Room(tmp_path, room.least - 1, room.total).low
    assert not storage.Room(tmp_path, room.least, room.total).low
    assert storage.note_room(conn) is None, "not the local server"
    assert conn.execute("select count(*) from ops.storage").fetchone() == (0,)
