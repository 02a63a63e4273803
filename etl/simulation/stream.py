"""The plant as one stream, by arrival: the same, however it is cut."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import IO

import polars as pl

from etl.simulation.events import draw_day
from etl.simulation.faults import ARRIVES, LATEST_S, deliver
from etl.simulation.options import SimulatorOptions
from etl.simulation.plant import EARLIEST_S, Traits, draw_traits
from sql.errors import InputError
from sql.plant.zones import zone

DAY = timedelta(days=1)
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.3fZ"
KEPT_DAYS = 4


@dataclass(slots=True)
class Stream:
    """A plant that began options.hours before the anchor and has no end.

    A day of it is a pure function of the plant and the day, so that the history and
    what comes live after it are one, and a process that was killed goes on anywhere.
    """

    options: SimulatorOptions
    anchor: datetime
    _traits: Traits = field(init=False)
    _days: dict[date, pl.DataFrame] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Settle what was left to the anchor, to the millisecond."""
        anchor = self.anchor.astimezone(UTC)
        self.anchor = anchor.replace(microsecond=anchor.microsecond // 1000 * 1000)
        self.options = self.options.settled(self.anchor)
        self._traits = draw_traits(self.options)

    @property
    def begin(self) -> datetime:
        """The first instant of the history."""
        return self.anchor - timedelta(hours=self.options.hours)

    def local_day(self, instant: datetime) -> date:
        """The local day of an instant."""
        return instant.astimezone(zone(self.options.timezone)).date()

    def day(self, day: date) -> pl.DataFrame:
        """What arrives of the shifts that start on a local day, by arrival."""
        if day not in self._days:
            number = (day - self.local_day(self.begin)).days + 1
            events, segments = draw_day(self.options, self._traits, day, number)
            frame = deliver(events, segments, self.options, self.anchor, day)
            while len(self._days) >= KEPT_DAYS:
                self._days.pop(next(iter(self._days)))
            self._days[day] = frame.filter(pl.col("time") >= self.begin)
        return self._days[day]

    def arrivals(self, after: datetime, until: datetime) -> pl.DataFrame:
        """All events of the plant that arrive in (after, until], in their order."""
        first = (
            self.local_day(max(after, self.begin) - timedelta(seconds=LATEST_S)) - DAY
        )
        # Who comes early to a shift that starts at midnight belongs to the day after.
        last = self.local_day(until + timedelta(seconds=EARLIEST_S))
        parts = []
        while first <= last:
            frame = self.day(first)
            arrived = (pl.col(ARRIVES) > after) & (pl.col(ARRIVES) <= until)
            parts.append(frame.filter(arrived))
            first += DAY
        return pl.concat(parts).sort(ARRIVES, maintain_order=True)

    def history(self) -> Iterator[pl.DataFrame]:
        """What arrived until the anchor, a day at a time, in order of arrival."""
        after = self.begin
        while after < self.anchor:
            until = min(after + DAY, self.anchor)
            yield self.arrivals(after, until)
            after = until


def simulate(
    options: SimulatorOptions, anchor: datetime, events: int | None = None
) -> Iterator[pl.DataFrame]:
    """The history of a plant before the anchor in the columns of an event file.

    With a number of events, exactly so many of them from the start of a history that
    is as long as that needs; InputError if the anchor cannot be a time zone's instant.
    """
    if anchor.tzinfo is None:
        raise InputError("simulate: the anchor must be an instant with a time zone")
    stream = Stream(options.sized(events) if events else options, anchor)
    left = events
    for frame in stream.history():
        part = frame.drop(ARRIVES)
        if left is not None:
            part = part.head(left)
            left -= part.height
        if part.height:
            yield part
        if left == 0:
            return
    if left:
        raise InputError(f"simulate: the history ended {left} events too early")


def write(frames: Iterator[pl.DataFrame], path: str | os.PathLike[str]) -> int:
    """Write events to a file, CSV or (named .ndjson or .jsonl) NDJSON; how many."""
    with open(path, "wb") as file:
        if str(path).endswith((".ndjson", ".jsonl")):
            return write_ndjson(frames, file)
        return write_csv(frames, file)


def write_csv(frames: Iterator[pl.DataFrame], file: IO[bytes]) -> int:
    """Write events as CSV with a header, times in UTC; how many."""
    written = 0
    for frame in frames:
        header = written == 0
        frame.write_csv(file, include_header=header, datetime_format=TIME_FORMAT)
        written += frame.height
    return written


def write_ndjson(frames: Iterator[pl.DataFrame], file: IO[bytes]) -> int:
    """Write events as NDJSON, one object a line, times in UTC; how many."""
    written = 0
    for frame in frames:
        time = pl.col("time").dt.strftime(TIME_FORMAT)
        frame.with_columns(time).write_ndjson(file)
        written += frame.height
    return written
