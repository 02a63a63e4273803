"""How soon is a dead camera told of, and how often one that is well: three tables.

`python -m benchmarks.silence [--dsn URI] [--plants 20] [--days 60]`

Hours of simulated plants are summed up here and written where the roll-up writes them;
the alerts are those of the database. Cameras die in copies that are rolled back.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf

import numpy as np
import polars as pl

from benchmarks import drift_cost
from benchmarks.drift import show
from benchmarks.drift_plants import BEGIN, DAY, HOUR, UnchangingPlant, opened
from benchmarks.load import fresh, timed
from benchmarks.refresh import Line
from sql.connect import Connection, connect, resolve_dsn

DIES_ON = 40
WATCHED = timedelta(days=10)
AWAY_SHARE, HOLIDAY_DAYS, HOLIDAYS_IN_DAYS = 0.03, 5, 90
WITHIN = {"2 h": 2, "8 h": 8, "1 day": 24, "3 days": 72, "7 days": 168}
COUNTERS = ", ".join(["0"] * 20)

PUT = f"""
    insert into floor.model_hourly
    select %(site)s, date_trunc('hour', u.first_at), 0, c.camera_key, u.first_at,
        u.last_at, u.events, u.events, 0, 0, 0, 0, 0, {COUNTERS}
    from unnest(
        %(cameras)s::text[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[],
        %(events)s::integer[]) as u (camera_id, first_at, last_at, events)
    join floor.cameras c on c.site_key = %(site)s and c.camera_id = u.camera_id
"""
PUT_DAYS = """
    select floor.roll_up_model_days(%(site)s, array(
        select generate_series(%(from)s::timestamptz, %(to)s::timestamptz, '1 day')))
"""
REFRESHED = """
    update floor.refresh_state
    set cut_now = %(now)s, aggregated_now = %(now)s, first_event_at = %(begin)s
"""
BAD = """
    select coalesce(bool_or(c.bad), false) from ops.silence_conditions(%s, %s) c
    where c.subject = %s
"""


def as_it_is(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """People who walk to other benches, each bench with its camera."""
    del seed
    return frame


def of_two(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The same, every camera over two benches."""
    del seed
    bench = pl.col("workstation_id").str.slice(1).cast(pl.Int32)
    return frame.with_columns(camera_id=pl.format("cam-{}", (bench + 1) // 2))


def own_bench(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Everybody at a bench of his own, each with its camera."""
    del seed
    return frame.with_columns(
        camera_id="cam-" + pl.col("worker_id").str.slice(1),
        workstation_id="S" + pl.col("worker_id").str.slice(1),
    )


def absences(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Each of them away on 3 days in 100, and for five days in a row in 90."""
    rng = np.random.default_rng([seed, 9])
    whose = frame["worker_id"].str.slice(1).cast(pl.Int32).to_numpy()
    count = 1 + int(whose.max())
    away = rng.random((count, HOLIDAYS_IN_DAYS + 2)) < AWAY_SHARE
    for worker in range(count):
        first = rng.integers(0, HOLIDAYS_IN_DAYS - HOLIDAY_DAYS)
        away[worker, first : first + HOLIDAY_DAYS] = True
    day = (frame["time"] - BEGIN - 6 * HOUR).dt.total_days().clip(0).to_numpy()
    return frame.filter(pl.Series(~away[whose, day]))


LARGE = "one site of all these benches"
Change = Callable[[pl.DataFrame, int], pl.DataFrame]
PLANTS: dict[str, tuple[Change, ...]] = {
    "people walk, a bench each": (as_it_is,),
    "people walk, two benches each": (of_two,),
    "everybody at his own bench": (own_bench,),
    "people walk and are away at times": (absences,),
    "own benches, and away at times": (own_bench, absences),
    LARGE: (own_bench, absences),
}


@dataclass(frozen=True)
class Plant:
    """A site and its hours: camera_id, first_at, last_at, events."""

    site: int
    hours: pl.DataFrame

    def put(self, conn: Connection) -> None:
        """Write the hours, and sum up their days."""
        hours = self.hours
        said = {
            "site": self.site,
            "cameras": hours["camera_id"].to_list(),
            "firsts": hours["first_at"].to_list(),
            "lasts": hours["last_at"].to_list(),
            "events": hours["events"].to_list(),
            "from": BEGIN,
            "to": hours["hour"].max(),
        }
        conn.execute(PUT, said)
        conn.execute(PUT_DAYS, said)


def hours_of(
    drawn: UnchangingPlant, days: int, changes: Sequence[Change]
) -> pl.DataFrame:
    """The hours of a plant, cameras by name and site."""
    frame = pl.concat([drawn.day(number) for number in range(days)])
    for change in changes:
        frame = change(frame, drawn.seed)
    time = pl.col("time")
    frame = frame.with_columns(
        camera_id=pl.col("site_id") + "-" + pl.col("camera_id"),
        hour=time.dt.truncate("1h"),
    )
    return frame.group_by("camera_id", "hour").agg(
        time.min().alias("first_at"),
        time.max().alias("last_at"),
        pl.len().alias("events"),
    )


def plants_of(
    conn: Connection, name: str, seeds: Sequence[int], days: int
) -> list[Plant]:
    """Sites of these plants, with all their hours."""
    # One large site is made of plants with the same shifts that rest on no day.
    groups = (
        [[4 * seed - 2 for seed in seeds]] if name == LARGE else [[n] for n in seeds]
    )
    plants = []
    for group in groups:
        drawn = [UnchangingPlant(seed) for seed in group]
        site = drawn[0].open(conn, days + 1)
        hours = pl.concat([hours_of(each, days + 1, PLANTS[name]) for each in drawn])
        names = hours["camera_id"].unique().to_list()
        conn.execute("select floor.register_cameras(%s, %s)", (site, names))
        plants.append(Plant(site, hours.sort("hour", "camera_id")))
        plants[-1].put(conn)
    conn.execute("analyze")
    return plants


def learns(conn: Connection) -> bool:
    """Whether records are learnt at all (another version may be measured)."""
    rows = conn.execute("select to_regproc('ops.learn_silences') is not null")
    return bool(rows.fetchall()[0][0])


def learn(conn: Connection, site: int, now: datetime) -> None:
    """What a day's checks learn of the cameras (in one)."""
    if learns(conn):
        conn.execute("select ops.learn_silences(%s, %s, 1000)", (site, now))


def lived(conn: Connection, plants: Sequence[Plant], days: int) -> Iterator[int]:
    """Day after day checked at every hour of shifts; yields the number of each.

    No check at a whole hour reads what is written of the hours after it.
    """
    for number in range(days):
        for hour in (*range(7, 23), 25, 27, 29):
            now = BEGIN + number * DAY + hour * HOUR
            conn.execute(REFRESHED, {"now": now, "begin": BEGIN})
            for plant in plants:
                if hour == 7:
                    learn(conn, plant.site, now)
                conn.execute("select ops.settle_alerts(%s, %s)", (plant.site, now))
        yield number


def deaths(
    conn: Connection, plant: Plant, seed: int, *, in_shift: bool
) -> Iterator[float]:
    """Hours to the alert of each camera, dead from some instant of a day on."""
    rng = np.random.default_rng([seed, 11])
    for camera in sorted(plant.hours["camera_id"].unique()):
        begins = BEGIN + (DIES_ON + int(rng.integers(0, 7))) * DAY
        sent = plant.hours.filter(
            pl.col("camera_id") == camera,
            pl.col("first_at") >= begins + 7 * HOUR,
            pl.col("first_at") < begins + DAY,
            pl.col("events") >= 10,
        )
        if sent.is_empty():
            continue
        row = sent.row(int(rng.integers(0, sent.height)), named=True)
        dies = row["last_at"] if in_shift else begins + 5 * HOUR
        with conn.transaction(force_rollback=True):
            yield hours_to_alert(conn, plant, camera, dies)


def hours_to_alert(
    conn: Connection, plant: Plant, camera: str, dies: datetime
) -> float:
    """Hours from its death to the first check that finds the camera silent."""
    conn.execute(
        "delete from floor.model_hourly h using floor.cameras c where h.camera_key ="
        " c.camera_key and c.site_key = %s and c.camera_id = %s and h.first_at > %s",
        (plant.site, camera, dies),
    )
    now = dies.replace(minute=0, second=0, microsecond=0)
    span = {"site": plant.site, "from": now.replace(hour=0), "to": dies + WATCHED}
    conn.execute(PUT_DAYS, span)
    learn(conn, plant.site, now)
    while now < dies + WATCHED:
        now += HOUR / 4 if now < dies + DAY else HOUR
        if now.hour == 0 and now.minute == 0:
            learn(conn, plant.site, now)
        conn.execute(REFRESHED, {"now": now, "begin": BEGIN})
        if conn.execute(BAD, (plant.site, now, camera)).fetchall()[0][0]:
            return (now - dies) / HOUR
    return inf


def told(name: str, when: str, hours: Sequence[float]) -> Line:
    """A line of the table of deaths."""
    shares = [
        f"{text} {sum(h <= most for h in hours) / len(hours):.0%}"
        for text, most in WITHIN.items()
    ]
    never = sum(h == inf for h in hours) / len(hours)
    middle = statistics.median(hours)
    measured = f"{', '.join(shares)}; not at all {never:.0%}; median {middle:.1f} h"
    return Line(f"{name}: dies {when} ({len(hours)} cameras)", measured, "-", True)


def measure(
    server: str, name: str, seeds: Sequence[int], days: int, *, dying: bool
) -> tuple[Line, list[Line]]:
    """False alarms of these plants, and how soon dead cameras are told of."""
    with fresh(server) as dsn, connect(dsn) as conn:
        plants = plants_of(conn, name, seeds, days)
        for number in lived(conn, plants, days):
            if number % 10 == 9:
                said = opened(conn)
                print(f"{name}, day {number + 1}: {said}", file=sys.stderr, flush=True)
        found = opened(conn)
        alarms = sum(found.get(f"silent_{what}", 0) for what in ("camera", "site"))
        same = absences not in PLANTS[name]
        bar, met = ("<= 1", alarms <= 1) if same else ("-", True)
        cameras = sum(plant.hours["camera_id"].n_unique() for plant in plants)
        what = f"{name}: {len(plants)} sites, {cameras} cameras"
        wolf = Line(what, f"{alarms} alerts", bar, met)
        conn.execute("delete from ops.alerts")
        lines = []
        kinds = (("while it sends", True), ("before a shift", False)) if dying else ()
        for when, in_shift in kinds:
            hours = [
                found_after
                for seed, plant in zip(seeds, plants, strict=False)
                for found_after in deaths(conn, plant, seed, in_shift=in_shift)
            ]
            lines.append(told(name, when, hours))
        return wolf, lines


def cost(server: str) -> list[Line]:
    """What silence costs of a check, half of 200 cameras silent for four hours."""
    with fresh(server) as dsn, connect(dsn) as conn:
        part = drift_cost.make_site(conn)
        now = part["to"] - 3 * HOUR
        conn.execute(
            "delete from floor.model_hourly h"
            " where h.camera_key %% 2 = 0 and h.hour >= %s",
            (now - 4 * HOUR,),
        )
        conn.execute(
            PUT_DAYS, {"site": part["site"], "from": now - DAY, "to": part["to"]}
        )
        conn.execute(REFRESHED, {"now": now, "begin": BEGIN})
        learning = [
            took_ms(conn, "select ops.learn_silences(%s, %s)", (part["site"], now))
            for _ in range(1 + drift_cost.CAMERAS // 32 if learns(conn) else 0)
        ]
        asked = "select * from ops.silence_conditions(%s, %s)"
        judging = [took_ms(conn, asked, (part["site"], now)) for _ in range(9)]
    return [
        Line(name, f"median {statistics.median(took):.0f} ms", "-", True)
        for name, took in (
            ("who is silent, of 200 cameras, 100 of them silent", judging),
            ("once a day, 32 cameras in a check: their records", learning),
        )
        if took
    ]


def took_ms(conn: Connection, query: str, values: tuple[object, ...]) -> float:
    """Milliseconds of a query."""
    return 1000 * timed(lambda: conn.execute(query.encode(), values).fetchall())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plants", type=int, default=20)
    parser.add_argument("--days", type=int, default=58)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--no-deaths", action="store_true", help="false alarms only")
    parser.add_argument("--only", choices=("cost", *PLANTS), action="append")
    parser.add_argument("--dsn", help="a server where databases may be created")
    asked = parser.parse_args(arguments)
    if asked.days < DIES_ON + 7 + WATCHED.days:
        parser.error(f"--days: {DIES_ON + 7 + WATCHED.days} at least")
    server = asked.dsn or resolve_dsn()
    alarms, times = [], []
    seeds = range(asked.first_seed, asked.first_seed + asked.plants)
    names = asked.only or ["cost", *PLANTS]
    if "cost" in names:
        show("What silence costs of a check", cost(server))
    for name in names:
        if name == "cost":
            continue
        wolf, lines = measure(
            server, name, seeds, asked.days, dying=not asked.no_deaths
        )
        alarms.append(wolf)
        times += lines
    title = f"Cameras that are well, {asked.days} days, a check every hour"
    met = show(title, alarms)
    show("From the death of a camera to its alert, looked for 10 days", times)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
