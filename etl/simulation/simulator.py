"""The simulator as a process: a plant's history through the door, then live.

A plant is told by arrival: what arrived until an instant is in the database, and the
instant moves in the transaction that stores the events. So history and live are one
stream, and a process that was killed goes on where it ended.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event

import polars as pl
import psycopg

from etl.batch import batch_of
from etl.door.admit import Door, Progress
from etl.simulation.faults import ARRIVES
from etl.simulation.options import AUTO_ZONE, SimulatorOptions
from etl.simulation.stream import TIME_FORMAT, Stream
from sql.connect import Connection
from sql.errors import BadSetting, DsnError, InputError
from sql.plant.calendar import Break
from sql.plant.shifts import Pattern, add_shift, list_shifts
from sql.plant.sites import SiteChange, register_site, set_site, timezone_of
from sql.queries import load

SOURCE = "simulator"
STEP = timedelta(days=1)
LOCK_TRIES, LOCK_EVERY_S = 10, 0.5
RECONNECT_S = (0.5, 5.0)
EVERY_DAY = tuple(range(7))

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """How far a plant is told: all that arrived until then; events of this run."""

    begin: datetime
    until: datetime
    now: datetime
    events: int

    @property
    def caught_up(self) -> bool:
        """Whether the plant is live."""
        return self.until >= self.now


def whole_ms(at: datetime) -> datetime:
    """The millisecond that an instant lies in: how far a plant is told is kept so."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def silently(told: Told) -> None:
    """Tell nobody of the progress."""
    del told


def run(
    dsn: str,
    options: SimulatorOptions,
    stop: Event,
    on_progress: Callable[[Told], None] = silently,
) -> None:
    """Tell a plant until stop is set: first what is missing up to now, then live.

    The first run of a site fixes the plant: its time zone and shifts are set, and its
    history begins options.hours before. Later runs go on with it. A database that goes
    away is waited for. Raises BadSetting where the site is another plant, InputError
    where another process tells it, and what connecting raises.
    """
    opened, delay_s = False, RECONNECT_S[0]
    while not stop.is_set():
        try:
            with telling(dsn, options) as teller:
                opened, delay_s = True, RECONNECT_S[0]
                teller.tell(stop, on_progress)
        except (psycopg.OperationalError, psycopg.InterfaceError, DsnError) as error:
            if not opened:
                raise
            fields = {"action": "simulator_reconnects", "error": str(error).strip()}
            _log.warning("no database", extra=fields)
            stop.wait(delay_s)
            delay_s = min(delay_s * 2, RECONNECT_S[1])


class Teller:
    """One session of telling: the door, the stream, and how far it is told."""

    def __init__(self, door: Door, stream: Stream, plant: "Plant") -> None:
        self._door, self._stream, self._plant = door, stream, plant
        self._until = stream.begin + timedelta(milliseconds=plant.told_ms)
        self._sent = plant.sent

    def tell(self, stop: Event, on_progress: Callable[[Told], None]) -> None:
        """Send what has arrived, a day at a time at most, until stop is set."""
        sent_before = self._sent
        from_time, from_s = self._until, time.monotonic()
        speed = self._stream.options.speed
        while not stop.is_set():
            now = target = whole_ms(datetime.now(UTC))
            if speed > 1:
                told = timedelta(seconds=(time.monotonic() - from_s) * speed)
                target = min(now, whole_ms(from_time + told))
            self._advance(min(self._until + STEP, target))
            events = self._sent - sent_before
            on_progress(Told(self._stream.begin, self._until, now, events))
            if self._until >= target:
                stop.wait(self._stream.options.tick_s)

    def _advance(self, until: datetime) -> None:
        """Send what arrives up to an instant; it and the events are one transaction."""
        if until <= self._until:
            return
        arrived = self._stream.arrivals(self._until, until)
        if arrived.height:
            prepared = self._door.prepare(batch_of(as_text(arrived)))
            told_ms = (until - self._stream.begin) // timedelta(milliseconds=1)
            sent = self._sent + arrived.height
            progress = Progress(self._plant.load_id, told_ms, sent, b"")
            self._door.commit(prepared, SOURCE, progress)
            self._sent = sent
        self._until = until


@dataclass(frozen=True, slots=True)
class Plant:
    """The row that says what plant a site is, and how far it is told."""

    load_id: int
    anchor: datetime
    options: SimulatorOptions
    told_ms: int
    sent: int


@contextmanager
def telling(dsn: str, options: SimulatorOptions) -> Iterator[Teller]:
    """The door is open and the plant is ours alone."""
    with Door(dsn) as door:
        site_key = register_site(door.conn, options.site)
        claim(door.conn, options.site, site_key)
        plant = open_plant(door.conn, options, site_key)
        yield Teller(door, Stream(plant.options, plant.anchor), plant)


def claim(conn: Connection, site: str, site_key: int) -> None:
    """Be the only process that tells the site, while the session lives."""
    query = load("simulator")["try_lock"]
    for _ in range(LOCK_TRIES):
        row = conn.execute(query, {"site_key": site_key}).fetchone()
        if row and row[0]:
            return
        # The session of a process that was killed may live a moment longer.
        time.sleep(LOCK_EVERY_S)
    raise InputError(
        f"simulate: another process simulates site {site!r}; end it, or name another "
        "site with --site"
    )


def open_plant(conn: Connection, options: SimulatorOptions, site_key: int) -> Plant:
    """The plant of the site, made as the options say if there is none yet."""
    with conn.transaction():
        row = conn.execute(
            load("simulator")["plant"], {"site": options.site}
        ).fetchone()
        if row is None:
            make_plant(conn, options, site_key)
            row = conn.execute(
                load("simulator")["plant"], {"site": options.site}
            ).fetchone()
    if row is None:
        raise InputError(f"simulate: the plant of site {options.site!r} is gone")
    load_id, text, told_ms, sent = row
    said = json.loads(text)
    if options.timezone == AUTO_ZONE:
        options = replace(options, timezone=said["plant"]["timezone"])
    refuse_another(options, said["plant"])
    anchor = datetime.fromisoformat(said["anchor"])
    return Plant(load_id, anchor, options, told_ms, sent)


def make_plant(conn: Connection, options: SimulatorOptions, site_key: int) -> None:
    """Set the site's zone and shifts and write down the plant; BadSetting where the
    site has events already, for they are somebody's.
    """
    has_events = conn.execute(load("sites")["has_events"], {"site_key": site_key})
    row = has_events.fetchone()
    if row and row[0]:
        raise BadSetting(
            f"simulate: site {options.site!r} has events that no simulator sent; name "
            "another site with --site"
        )
    anchor = datetime.now(UTC)
    shifts = list_shifts(conn, options.site)
    if options.timezone == AUTO_ZONE and shifts:
        options = replace(options, timezone=timezone_of(conn, options.site))
    stream = Stream(options, anchor)
    options = stream.options
    set_site(conn, options.site, SiteChange(timezone=options.timezone))
    for shift in () if shifts else options.shifts:
        pause = Break(shift.break_start_min % 1_440, shift.break_length_min)
        pattern = Pattern(
            EVERY_DAY,
            shift.start_min,
            shift.length_min,
            (pause,) if shift.break_length_min else (),
        )
        add_shift(conn, options.site, shift.name, pattern)
    said = {"anchor": stream.anchor.isoformat(), "plant": options.plant()}
    row_values = {"site": options.site, "plant": json.dumps(said, sort_keys=True)}
    conn.execute(load("simulator")["begin_plant"], row_values)


def refuse_another(options: SimulatorOptions, stored: dict[str, object]) -> None:
    """BadSetting where a site is to be another plant than it is."""
    asked = json.loads(json.dumps(options.plant()))
    differs = [
        f"{name} {stored.get(name)!r}, not {value!r}"
        for name, value in asked.items()
        if stored.get(name) != value
    ]
    if differs:
        raise BadSetting(
            f"simulate: site {options.site!r} is another plant already ("
            f"{'; '.join(differs)}); use its options, or name another site with --site"
        )


def as_text(arrived: pl.DataFrame) -> pl.DataFrame:
    """Events as every source hands them to the door: text columns."""
    time_text = pl.col("time").dt.strftime(TIME_FORMAT)
    return arrived.drop(ARRIVES).with_columns(
        time_text, pl.col("confidence", "count", "duration_s").cast(pl.String)
    )
