"""The simulator through the door: history, live, resumed, and refused."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from etl.simulation.options import PlantShift, SimulatorOptions
from etl.simulation.simulator import Told, open_plant, run
from etl.simulation.stream import Stream
from sql.connect import Connection
from sql.errors import BadSetting, InputError
from sql.plant.shifts import list_shifts
from sql.plant.sites import register_site
from tests.support.local_server import wait_until

pytestmark = pytest.mark.plain
# At work around the clock, so that something happens whenever the test runs.
ALWAYS = (PlantShift("always", 0, 1_440, 0, 0),)
PLANT = SimulatorOptions(workers=40, timezone="UTC", hours=6, shifts=ALWAYS, tick_s=0.1)


class Run(threading.Thread):
    """A simulator in a thread."""

    def __init__(self, dsn: str, options: SimulatorOptions) -> None:
        super().__init__()
        self.args = (dsn, options)
        self.stop = threading.Event()
        self.live = threading.Event()
        self.told: list[Told] = []

    def run(self) -> None:
        run(*self.args, self.stop, self.note)

    def note(self, told: Told) -> None:
        self.told.append(told)
        if told.caught_up:
            self.live.set()


@contextmanager
def simulated(dsn: str, options: SimulatorOptions = PLANT) -> Iterator[Run]:
    thread = Run(dsn, options)
    thread.start()
    try:
        assert thread.live.wait(20)
        yield thread
    finally:
        thread.stop.set()
        thread.join(10)
        assert not thread.is_alive()


def stored(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute(
        "select e.time, w.worker_id, b.workstation_id, e.event_type, e.count,"
        "  round(e.confidence::numeric, 4)::float8"
        " from floor.events e join floor.workers w using (worker_key)"
        " join floor.workstations b using (workstation_key) order by 1, 2, 3, 4"
    ).fetchall()


def counts(conn: Connection) -> tuple[int, ...]:
    row = conn.execute(
        "select read, stored, duplicates, conflicts, parked, lines_done"
        " from ingest.loads where source = 'simulator'"
    ).fetchone()
    assert row is not None
    return tuple(row)


def expected(
    conn: Connection, options: SimulatorOptions = PLANT
) -> list[tuple[object, ...]]:
    """What the plant in the database must have sent so far."""
    plant = open_plant(conn, options, register_site(conn, options.site))
    stream = Stream(plant.options, plant.anchor)
    until = stream.begin + timedelta(milliseconds=plant.told_ms)
    frame = stream.arrivals(stream.begin, until).sort(
        "time", "worker_id", "workstation_id"
    )
    kinds = {"working": 0, "idle": 1, "absent": 2, "product_count": 3}
    rows = frame.select(
        "time", "worker_id", "workstation_id", "event_type", "count", "confidence"
    ).iter_rows()
    return sorted(
        (at, worker, bench, kinds[kind], count or 0, confidence)
        for at, worker, bench, kind, count, confidence in rows
    )


def test_history_then_live(dsn: str, conn: Connection) -> None:
    begin = datetime.now(UTC)
    with simulated(dsn) as thread:
        history = len(stored(conn))
        wait_until(lambda: len(stored(conn)) > history, 30)
    assert thread.told[0].begin == pytest.approx(
        begin - timedelta(hours=6), abs=timedelta(seconds=5)
    )
    assert history > 500
    assert stored(conn) == expected(conn)
    read, new, *others = counts(conn)
    assert read == new == len(stored(conn)) == others.pop()
    assert others == [0, 0, 0]


def test_a_second_run_goes_on_without_gap_or_duplicate(
    dsn: str, conn: Connection
) -> None:
    with simulated(dsn):
        pass
    before = len(stored(conn))
    time.sleep(3)
    with simulated(dsn):
        time.sleep(1)
    assert len(stored(conn)) > before
    assert stored(conn) == expected(conn)
    assert counts(conn)[2:5] == (0, 0, 0)


def test_zone_and_shifts_of_the_site_are_set(dsn: str, conn: Connection) -> None:
    options = SimulatorOptions(timezone="Europe/Berlin", hours=1)
    with simulated(dsn, options):
        pass
    zone = conn.execute("select timezone from floor.settings_spans").fetchall()
    assert zone == [("Europe/Berlin",)]
    shifts = [
        (s["name"], s["start"], s["length_min"], s["breaks"], len(s["weekdays"]))
        for s in list_shifts(conn, "demo")
    ]
    assert sorted(shifts) == [
        ("early", "06:00", 480, ["13:00+45m"], 7),
        ("late", "14:00", 480, ["18:00+45m"], 7),
    ]
    assert conn.execute("select count(*) from floor.restatements").fetchone() == (0,)


def test_auto_zone_stays_what_it_was(dsn: str, conn: Connection) -> None:
    options = SimulatorOptions(hours=1)
    with simulated(dsn, options):
        pass
    chosen = conn.execute("select timezone from floor.settings_spans").fetchall()
    conn.execute(
        "update ingest.loads set options = replace(options, %s, 'Asia/Tokyo')",
        chosen[0],
    )
    plant = open_plant(conn, options, register_site(conn, "demo"))
    assert plant.options.timezone == "Asia/Tokyo"


def test_another_plant_on_the_same_site_is_refused(dsn: str) -> None:
    with simulated(dsn):
        pass
    other = replace(PLANT, workers=7, speed=3.0)
    with pytest.raises(
        BadSetting, match=r"another plant already \(workers 40, not 7\)"
    ):
        run(dsn, other, threading.Event())


def test_two_processes_on_one_site_are_refused(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.simulation.simulator.LOCK_EVERY_S", 0.05)
    with simulated(dsn), pytest.raises(InputError, match="another process"):
        run(dsn, PLANT, threading.Event())


def test_a_site_with_real_events_is_refused(dsn: str, conn: Connection) -> None:
    with simulated(dsn):
        pass
    conn.execute("delete from ingest.loads")
    with pytest.raises(BadSetting, match="events that no simulator sent"):
        run(dsn, PLANT, threading.Event())


def test_speed_replays_the_history(dsn: str, conn: Connection) -> None:
    options = replace(PLANT, hours=1, speed=1200.0)
    begin = time.monotonic()
    with simulated(dsn, options) as thread:
        assert time.monotonic() - begin > 2.5
    assert len(thread.told) > 10
    assert stored(conn) == expected(conn, options)


def test_a_live_plant_rests_between_ticks(dsn: str) -> None:
    with simulated(dsn) as thread:
        before = len(thread.told)
        time.sleep(1)
        assert 0 < len(thread.told) - before <= 1 / PLANT.tick_s


def test_faults_reach_the_database(dsn: str, conn: Connection) -> None:
    options = replace(PLANT, duplicates=0.1, shuffle=True)
    with simulated(dsn, options):
        pass
    read, new, duplicates, conflicts, parked, _ = counts(conn)
    assert read == new + duplicates
    assert duplicates > 20
    assert (conflicts, parked) == (0, 0)
