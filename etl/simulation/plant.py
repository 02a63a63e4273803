"""Who works where and when: segments of a shift, drawn for all its people at once."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from etl.simulation.options import PlantShift, SimulatorOptions, local_instant
from sql.plant.zones import zone

WORKING, IDLE, ABSENT, PRODUCT_COUNT, LEFT = range(5)
SLOW_START_S = 1_800.0
WORK_S, IDLE_S = 380.0, 75.0
WALK_SHARE = 0.15
SHORTEST_S = 2.0
# Before a shift nobody comes earlier.
EARLIEST_S = 120

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Traits:
    """What stays with people, benches and cameras: factors and offsets."""

    pace: Floats
    idling: Floats
    bench_pace: Floats
    camera_offset: Floats


@dataclass(frozen=True, slots=True)
class Segments:
    """States over [start_s, end_s), seconds from origin_us; worker and bench from 0."""

    origin_us: int
    worker: Ints
    bench: Ints
    state: Ints
    start_s: Floats
    end_s: Floats

    def where(self, mask: NDArray[np.bool_]) -> "Segments":
        """The segments that the mask picks."""
        return Segments(
            self.origin_us,
            self.worker[mask],
            self.bench[mask],
            self.state[mask],
            self.start_s[mask],
            self.end_s[mask],
        )


@dataclass(frozen=True, slots=True)
class Hours:
    """A shift on one day as its people keep it, seconds from the start of the shift."""

    arrive_s: Floats
    leave_s: Floats
    break_at_s: Floats
    break_s: Floats

    @property
    def net_s(self) -> Floats:
        """Time at the benches, the break taken out."""
        return self.leave_s - self.arrive_s - self.break_s


def draw_traits(options: SimulatorOptions) -> Traits:
    """The people and benches of the plant: the same ones every day."""
    rng = np.random.default_rng([options.seed, 0])
    offset = rng.normal(0, 0.008, options.stations)
    return Traits(
        pace=rng.uniform(0.75, 1.25, options.workers),
        idling=rng.uniform(0.55, 1.6, options.workers),
        bench_pace=rng.uniform(0.7, 1.4, options.stations),
        camera_offset=offset - offset.mean(),
    )


def crew_of(options: SimulatorOptions, shift: int) -> Ints:
    """The workers of a shift: every one is assigned to one shift for good."""
    return np.arange(shift, options.workers, len(options.shifts), dtype=np.int64)


def draw_shift(
    options: SimulatorOptions,
    traits: Traits,
    day: date,
    *,
    shift: int,
    idle_factor: float,
    rng: np.random.Generator,
) -> Segments:
    """What the people of one shift do on one day."""
    plan = options.shifts[shift]
    where = zone(options.timezone)
    origin = local_instant(day, plan.start_min, where)
    ends = local_instant(day, plan.start_min + plan.length_min, where)
    crew = crew_of(options, shift)
    hours = draw_hours(plan, (ends - origin).total_seconds(), len(crew), rng)
    pairs = draw_pairs(options, traits.idling[crew] * idle_factor, hours, crew, rng)
    rows, bench, state, start, end = place_break(pairs, hours)
    keep = end - start >= SHORTEST_S
    shifted = hours.arrive_s[rows]
    return Segments(
        round(origin.timestamp() * 1_000_000),
        crew[rows][keep],
        bench[keep],
        state[keep],
        (start + shifted)[keep],
        (end + shifted)[keep],
    )


def draw_hours(
    plan: PlantShift, length_s: float, people: int, rng: np.random.Generator
) -> Hours:
    """When each arrives, leaves and takes the break; few stay at the bench over it."""
    arrive = rng.uniform(-EARLIEST_S, 240, people)
    leave = length_s + rng.uniform(-180, 120, people)
    begins = (plan.break_start_min - plan.start_min) * 60 + rng.uniform(-60, 90, people)
    length = plan.break_length_min * 60 + rng.uniform(-120, 120, people)
    mood = rng.random(people)
    # Most are always away: those who stay are fewer than half of the crew.
    stays = (mood < 0.15) & (np.argsort(np.argsort(mood)) < (people - 1) // 2)
    length = np.where(stays | (plan.break_length_min == 0), 0.0, length)
    return Hours(arrive, leave, begins - arrive, np.maximum(length, 0.0))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Spells, people x pairs: a walk (or none), then work, then idling, at a bench."""

    begins_s: Floats
    walk_s: Floats
    work_s: Floats
    idle_s: Floats
    bench: Ints
    walk_seen: NDArray[np.bool_]

    def bench_at(self, seconds: Floats) -> Ints:
        """Where each person is, so many seconds into the shift without its break."""
        pair = (self.begins_s <= seconds[:, None]).sum(axis=1) - 1
        return np.asarray(self.bench[np.arange(len(pair)), pair.clip(0)])


def draw_pairs(
    options: SimulatorOptions,
    idling: Floats,
    hours: Hours,
    crew: Ints,
    rng: np.random.Generator,
) -> Pairs:
    """Work and idle spells until well after the end of the shift."""
    longest = float(hours.net_s.max(initial=1.0))
    shape = (len(crew), int(longest / (WORK_S + IDLE_S) * 1.7) + 12)
    work = 20.0 + rng.gamma(2.0, (WORK_S - 20.0) / 2, shape)
    idle = 8.0 + rng.gamma(1.4, (IDLE_S - 8.0) / 1.4, shape) * idling[:, None]
    moves = rng.random(shape) < WALK_SHARE
    moves[:, 0] = False
    walk = np.where(moves, rng.uniform(20.0, 90.0, shape), 0.0)
    slow = np.cumsum(work + idle + walk, axis=1) - work - idle - walk < SLOW_START_S
    work = np.where(slow, work * 0.55, work)
    idle = np.where(slow, idle * 2.2 + 30.0, idle)
    total = work + idle + walk
    return Pairs(
        np.cumsum(total, axis=1) - total,
        walk,
        work,
        idle,
        draw_benches(options, crew, moves, rng),
        rng.random(shape) < 0.5,
    )


def draw_benches(
    options: SimulatorOptions,
    crew: Ints,
    moves: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Ints:
    """The bench of every spell: home, or where the last walk led (half go home)."""
    home = crew % options.stations
    elsewhere = rng.integers(0, options.stations, moves.shape)
    target = np.where(rng.random(moves.shape) < 0.5, home[:, None], elsewhere)
    target[:, 0] = home
    latest = np.where(moves, np.arange(moves.shape[1]), 0)
    latest = np.maximum.accumulate(latest, axis=1)
    return np.take_along_axis(target, latest, axis=1).astype(np.int64)


def place_break(pairs: Pairs, hours: Hours) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """Segments (row, bench, state, start, end): the spells around the break, the break
    and the leaving. A spell that the break interrupts goes on after it.
    """
    row, bench, state, start, end = spells(pairs, hours)
    at, pause_s = hours.break_at_s[row], hours.break_s[row]
    people = np.arange(len(hours.arrive_s))
    away, gone = np.full_like(people, ABSENT), np.full_like(people, LEFT)
    stays = hours.leave_s - hours.arrive_s
    back = hours.break_at_s + hours.break_s
    return (
        np.concatenate([row, row, people, people]),
        np.concatenate(
            [
                bench,
                bench,
                pairs.bench_at(hours.break_at_s),
                pairs.bench_at(hours.net_s),
            ]
        ),
        np.concatenate([state, state, away, gone]),
        np.concatenate(
            [start, np.maximum(start, at) + pause_s, hours.break_at_s, stays]
        ),
        np.concatenate([np.minimum(end, at), end + pause_s, back, stays + SHORTEST_S]),
    )


def spells(pairs: Pairs, hours: Hours) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """Segments (row, bench, state, start, end) of a shift without its break."""
    count, width = pairs.begins_s.shape
    rows = np.repeat(np.arange(count), width)
    worked = pairs.begins_s + pairs.walk_s
    rested = worked + pairs.work_s
    before = np.concatenate([pairs.bench[:, :1], pairs.bench[:, :-1]], axis=1)
    # A walk that no camera sees leaves a short gap without events.
    walked = np.where(pairs.walk_seen, worked, pairs.begins_s)
    row = np.tile(rows, 3)
    end = np.concatenate([walked, rested, rested + pairs.idle_s]).ravel()
    return (
        row,
        np.concatenate([before, pairs.bench, pairs.bench]).ravel(),
        np.repeat([ABSENT, WORKING, IDLE], count * width),
        np.concatenate([pairs.begins_s, worked, rested]).ravel(),
        np.minimum(end, hours.net_s[row]),
    )
