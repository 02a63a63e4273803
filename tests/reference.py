"""metrics.md by brute force: plain Python, integers of microseconds, nothing of ours.

Slow and simple on purpose. It shares no code, no calendar and no SQL with the product,
so that the two can only agree by both being right. Times are microseconds since 1970.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, date, datetime, time
from functools import cached_property

from tests.support.wallclock import (
    ALWAYS,
    HOUR,
    SECOND,
    Calendar,
    Place,
    Slice,
    micros,
)

RANK = {"working": 0, "idle": 1, "absent": 2}

# worker, workstation, UTC hour, production date, shift
Bucket = tuple[str, str, int, date, str | None]
Row = dict[str, float | int | None]


def real(number: float) -> float:
    """The number as PostgreSQL's real keeps it."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


@dataclass(frozen=True)
class Event:
    """One event as sent. `duration_us` is None where the silence cap holds."""

    time: int
    worker: str
    workstation: str
    kind: str
    confidence: float
    count: int = 0
    duration_us: int | None = None

    @property
    def identity(self) -> tuple[str, str, str, int]:
        return (self.worker, self.workstation, self.kind, self.time)

    @property
    def content(self) -> tuple[float, int, int | None]:
        return (real(self.confidence), self.count, self.duration_us)


@dataclass(frozen=True)
class Piece:
    """A stretch of one state of one worker, in one slice."""

    worker: str
    workstation: str
    state: str
    start: int
    end: int
    begins: bool
    place: Place

    @property
    def hour(self) -> int:
        return self.start - self.start % HOUR


@dataclass(frozen=True)
class Count:
    """A product count that passed the gate."""

    worker: str
    workstation: str
    time: int
    units: int
    units_working: int
    place: Place

    @property
    def hour(self) -> int:
        return self.time - self.time % HOUR


@dataclass
class Sums:
    """The measures of one bucket, microseconds and counts."""

    working: int = 0
    idle: int = 0
    absent: int = 0
    breaks: int = 0
    events: int = 0
    units: int = 0
    units_working: int = 0

    def plus(self, other: Sums) -> Sums:
        mine, theirs = astuple(self), astuple(other)
        return Sums(*(a + b for a, b in zip(mine, theirs, strict=True)))

    def metrics(self, wall_clock: int) -> Row:
        """The worker's row of metrics.md for a window of this many microseconds."""
        observed = self.working + self.idle + self.absent
        return {
            "working_s": self.working / SECOND,
            "idle_s": self.idle / SECOND,
            "absent_s": self.absent / SECOND,
            "break_s": self.breaks / SECOND,
            "unobserved_s": (wall_clock - observed - self.breaks) / SECOND,
            "utilization": ratio(self.working, self.working + self.idle),
            "observed_utilization": ratio(self.working, observed),
            "units": self.units,
            "units_working": self.units_working,
            "units_per_hour": per_hour(self.units_working, self.working),
            "units_per_observed_hour": per_hour(self.units, observed),
        }


@dataclass
class Admitted:
    """What the door makes of events in their order of arrival."""

    events: list[Event] = field(default_factory=list)
    duplicates: int = 0
    conflicts: int = 0


def admit(arrivals: Iterable[Event]) -> Admitted:
    """The first of an identity stays; others are duplicates, or conflicts as well."""
    result, first = Admitted(), dict[tuple[str, str, str, int], Event]()
    for event in arrivals:
        kept = first.get(event.identity)
        if kept is None:
            first[event.identity] = event
            result.events.append(event)
        else:
            result.duplicates += 1
            result.conflicts += kept.content != event.content
    return result


@dataclass(frozen=True)
class Where:
    """A window of UTC hours or of production dates, [from, to), of one shift or all."""

    hours: tuple[int, int] | None = None
    dates: tuple[date, date] | None = None
    shift: str | None = None

    @property
    def reach(self) -> tuple[int, int]:
        """Instants that surely hold the window."""
        if self.hours:
            return self.hours
        assert self.dates
        low, high = (micros(datetime.combine(d, time(), UTC)) for d in self.dates)
        return low - 48 * HOUR, high + 48 * HOUR

    def takes(self, at: int, place: Place) -> bool:
        return self._takes(at, place.production_date, place.shift)

    def has(self, bucket: Bucket) -> bool:
        return self._takes(*bucket[2:])

    def _takes(self, at: int, day: date, shift: str | None) -> bool:
        if self.shift is not None and shift != self.shift:
            return False
        if self.hours:
            return self.hours[0] <= at < self.hours[1]
        assert self.dates
        return self.dates[0] <= day < self.dates[1]


class Truth:
    """Everything metrics.md says of one site, from stored events, calendar and now."""

    def __init__(self, events: list[Event], calendar: Calendar, now: int) -> None:
        self.events, self.calendar, self.now = events, calendar, now
        self.workers = sorted({e.worker for e in events})
        self.workstations = sorted({e.workstation for e in events})

    def _gated(self, event: Event) -> bool:
        gate = real(float(str(self.calendar.setting("min_confidence", event.time))))
        return event.time <= self.now and real(event.confidence) >= gate

    @cached_property
    def states(self) -> dict[str, list[Event]]:
        """Per worker the states that hold, one per instant, in order of time."""
        by_worker: dict[str, dict[int, Event]] = defaultdict(dict)
        rank = lambda e: (RANK[e.kind], e.workstation.encode())  # noqa: E731
        for event in self.events:
            if event.kind in RANK and self._gated(event):
                held = by_worker[event.worker]
                held[event.time] = max(held.get(event.time, event), event, key=rank)
        return {w: [held[t] for t in sorted(held)] for w, held in by_worker.items()}

    def _hold_end(self, state: Event) -> int:
        if state.duration_us is not None:
            return state.time + state.duration_us
        cap = int(str(self.calendar.setting("max_state_s", state.time)))
        return state.time + cap * SECOND

    def _stretches(self, state: Event, following: Event | None) -> list[Event]:
        """The state as held, then the gap after it where it counts as idle."""
        hold_end = self._hold_end(state)
        until = following.time if following else self.now
        end = min(until, hold_end, self.now)
        found = [replace(state, duration_us=end - state.time)]
        filled = self.calendar.setting("gap_state", state.time) == "idle"
        if following and hold_end < following.time and filled:
            shift_end = self.calendar.instance_end(hold_end)
            if shift_end is not None:
                gap = min(following.time, shift_end) - hold_end
                found.append(
                    replace(state, time=hold_end, kind="idle", duration_us=gap)
                )
        return found

    @cached_property
    def slices(self) -> list[Slice]:
        """The calendar from before the first event to a day past now and the last."""
        times = [e.time for e in self.events] + [self.now]
        return self.calendar.slices(min(times) - 48 * HOUR, max(times) + 48 * HOUR)

    @cached_property
    def _starts(self) -> list[int]:
        return [s.start for s in self.slices]

    def _slice_at(self, at: int) -> int:
        return bisect_right(self._starts, at) - 1

    @cached_property
    def pieces(self) -> list[Piece]:
        found: list[Piece] = []
        for worker, states in self.states.items():
            for state, following in zip(states, [*states[1:], None], strict=True):
                stretches = self._stretches(state, following)
                for number, stretch in enumerate(stretches):
                    found += self._cut(worker, stretch, begins=number == 0)
        return found

    def timeline(
        self, worker: str, low: int, high: int
    ) -> list[tuple[str, str, int, int]]:
        """Pieces in [low, high), joined again: state, workstation, start, end."""
        states = self.states.get(worker, [])
        found: list[tuple[str, str, int, int]] = []
        for state, following in zip(states, [*states[1:], None], strict=False):
            held, *gaps = self._stretches(state, following)
            parts = [*gaps] if gaps and held.kind == "idle" else [held, *gaps]
            for part in parts:
                start = held.time if held.kind == "idle" else part.time
                end = min(part.time + (part.duration_us or 0), high)
                if max(start, low) < end:
                    row = (part.kind, part.workstation, max(start, low), end)
                    found.append(row)
        return found

    def _cut(self, worker: str, stretch: Event, begins: bool) -> Iterator[Piece]:
        start, end = stretch.time, stretch.time + (stretch.duration_us or 0)
        for part in self.slices[self._slice_at(start) :]:
            # a state that begins at now has no length yet and so no piece
            if max(start, part.start) < end:
                yield Piece(
                    worker,
                    stretch.workstation,
                    stretch.kind,
                    max(start, part.start),
                    min(end, part.end),
                    begins and part.start <= start,
                    part.place,
                )
            else:
                return

    @cached_property
    def counts(self) -> list[Count]:
        found = []
        for event in self.events:
            if event.kind == "product_count" and self._gated(event):
                states = self.states.get(event.worker, [])
                last = [s for s in states if s.time <= event.time][-1:]
                at_work = any(
                    s.kind == "working" and event.time < self._hold_end(s) for s in last
                )
                found.append(
                    Count(
                        event.worker,
                        event.workstation,
                        event.time,
                        event.count,
                        event.count if at_work else 0,
                        self.slices[self._slice_at(event.time)].place,
                    )
                )
        return found

    @cached_property
    def worker_hourly(self) -> dict[Bucket, Sums]:
        """Keyed by worker, workstation, UTC hour, production date, shift."""
        sums: dict[Bucket, Sums] = defaultdict(Sums)
        both: list[Piece | Count] = [*self.pieces, *self.counts]
        for row in both:
            place = row.place
            key = (row.worker, row.workstation, row.hour, place.production_date)
            total = sums[(*key, place.shift)]
            if isinstance(row, Count):
                total.units += row.units
                total.units_working += row.units_working
                continue
            total.events += row.begins
            name = "breaks" if place.in_break else row.state
            setattr(total, name, getattr(total, name) + row.end - row.start)
        return dict(sums)

    def union(self, rows: Iterable[Piece], states: tuple[str, ...]) -> int:
        """Length of the union of pieces of these states outside breaks."""
        total, reached = 0, ALWAYS
        for row in sorted(rows, key=lambda p: p.start):
            if row.state in states and not row.place.in_break:
                total += max(0, row.end - max(row.start, reached))
                reached = max(reached, row.end)
        return total

    def slices_of(self, where: Where) -> list[Slice]:
        cut = self.calendar.slices(*where.reach)
        return [s for s in cut if where.takes(s.start, s.place)]

    def scheduled(self, where: Where) -> int:
        """Scheduled microseconds up to now."""
        taken = [s for s in self.slices_of(where) if s.place.scheduled]
        return sum(max(0, min(s.end, self.now) - s.start) for s in taken)

    def wall_clock(self, where: Where) -> int:
        """Microseconds up to now, breaks and time outside shifts included."""
        taken = self.slices_of(where)
        return sum(max(0, min(s.end, self.now) - s.start) for s in taken)

    def worker_metrics(self, where: Where) -> dict[str, Row]:
        wall, found = self.wall_clock(where), {}
        for worker in self.workers:
            total = Sums()
            for key, part in self._buckets(where):
                if key[0] == worker:
                    total = total.plus(part)
            found[worker] = total.metrics(wall)
        return found

    def _buckets(self, where: Where) -> list[tuple[Bucket, Sums]]:
        return [(k, s) for k, s in self.worker_hourly.items() if where.has(k)]

    def workstation_metrics(self, where: Where) -> dict[str, Row]:
        scheduled, found = self.scheduled(where), {}
        for bench in self.workstations:
            rows = [
                p
                for p in self.pieces
                if p.workstation == bench and where.takes(p.start, p.place)
            ]
            on_shift = [p for p in rows if p.place.shift or p.place.around_the_clock]
            occupied = self.union(rows, ("working", "idle"))
            units = sum(
                c.units
                for c in self.counts
                if c.workstation == bench and where.takes(c.time, c.place)
            )
            inside = self.union(on_shift, ("working", "idle"))
            operating_inside = self.union(on_shift, ("working",))
            found[bench] = {
                "occupied_s": occupied / SECOND,
                "operating_s": self.union(rows, ("working",)) / SECOND,
                "scheduled_s": scheduled / SECOND,
                "units": units,
                "utilization": ratio(inside, scheduled),
                "operating_utilization": ratio(operating_inside, scheduled),
                "throughput": per_hour(units, occupied),
                "throughput_per_scheduled_hour": per_hour(units, scheduled),
            }
        return found

    def factory_metrics(self, where: Where) -> Row:
        return factory_metrics([self], where)


def factory_metrics(sites: list[Truth], where: Where) -> Row:
    """One row over all workers of all sites, each site with its own now."""
    totals: list[Sums] = []
    for site in sites:
        by_worker = dict.fromkeys(site.workers, Sums())
        for key, part in site._buckets(where):
            by_worker[key[0]] = by_worker[key[0]].plus(part)
        totals += by_worker.values()
    whole = Sums()
    for total in totals:
        whole = whole.plus(total)
    active = [t for t in totals if t.working + t.idle]
    makers = [t for t in totals if t.units_working and t.working]
    return {
        "working_s": whole.working / SECOND,
        "idle_s": whole.idle / SECOND,
        "units": whole.units,
        "active_workers": len(active),
        "average_utilization": mean([t.working / (t.working + t.idle) for t in active]),
        "weighted_utilization": ratio(whole.working, whole.working + whole.idle),
        "average_production_rate": mean(
            [t.units_working / (t.working / HOUR) for t in makers]
        ),
        "production_rate": per_hour(whole.units, whole.working),
    }


def ratio(above: int, below: int) -> float | None:
    """NULL where there is nothing to divide by."""
    return above / below if below else None


def per_hour(units: int, us: int) -> float | None:
    return units / (us / HOUR) if us else None


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
