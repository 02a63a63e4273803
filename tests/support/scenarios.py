"""Histories that hypothesis makes up: events, settings, shifts, and how they arrive.

Small on purpose, and crowded around what is hard: instants that meet, hours, local
midnights, clock changes, ends of holds and of shifts. All of 2025, so always past.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.reference import Event, Truth, admit
from tests.support.wallclock import (
    ALWAYS,
    HOUR,
    NEVER,
    SECOND,
    Calendar,
    Settings,
    Shift,
    micros,
    moment,
    read_time,
)

MINUTE = 60 * SECOND
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return micros(datetime(year, month, day, hour, minute, tzinfo=UTC))


# Clock changes, or a local midnight where there are none.
ANCHORS = {
    "UTC": [at(2025, 6, 30)],
    "Europe/Berlin": [at(2025, 3, 30, 1), at(2025, 10, 26, 1)],
    "Asia/Kolkata": [at(2025, 6, 29, 18, 30)],
    "Australia/Lord_Howe": [at(2025, 4, 5, 15), at(2025, 10, 4, 15, 30)],
    "America/New_York": [at(2025, 3, 9, 7), at(2025, 11, 2, 6)],
    "America/Santiago": [at(2025, 4, 6, 3), at(2025, 9, 7, 4)],
}
ROTAS = [
    [],
    [Shift("day", EVERY_DAY, 6 * 60, 480, ((7 * 60, 45), (12 * 60, 60)))],
    [
        Shift("early", EVERY_DAY, 6 * 60, 480, ((6 * 60, 15), (9 * 60 + 30, 45))),
        Shift("late", EVERY_DAY, 14 * 60, 480, ((18 * 60, 45), (21 * 60, 60))),
        Shift("night", EVERY_DAY, 22 * 60, 480, ((0, 60), (2 * 60 + 15, 30))),
    ],
    [Shift("night", EVERY_DAY, 22 * 60, 270, ((23 * 60 + 45, 30), (60, 60)))],
    [
        Shift("short", EVERY_DAY, 2 * 60, 45, ((2 * 60 + 15, 10),)),
        Shift("crew", (5,), 3 * 60, 1380, ((90, 20), (8 * 60, 240))),
        Shift("crew", (6, 0), 2 * 60 + 45, 600, ((4 * 60, 120),)),
    ],
    [Shift("round", EVERY_DAY, 2 * 60 + 30, 1440, ((60, 30), (2 * 60 + 30, 10)))],
]


@dataclass(frozen=True)
class Load:
    """A batch: events, each with its time as text."""

    events: tuple[tuple[Event, str], ...]


@dataclass(frozen=True)
class Refresh:
    now: int


@dataclass(frozen=True)
class Change:
    """`site set --valid-from`."""

    settings: Settings


@dataclass(frozen=True)
class ChangeShift:
    """`shift change --valid-from`: another length, no breaks, on all its weekdays."""

    name: str
    length_min: int
    valid_from: int


@dataclass(frozen=True)
class EndShift:
    """`shift end --valid-from`."""

    name: str
    valid_from: int


Step = Load | Refresh | Change | ChangeShift | EndShift


@dataclass(frozen=True)
class Scenario:
    """A site's life: what stands before the first event, then step by step."""

    settings: Settings
    shifts: tuple[Shift, ...]
    steps: tuple[Step, ...]
    now: int
    arrivals: tuple[Event, ...] = field(repr=False)

    def truth(self) -> Truth:
        """What must come out."""
        changes = [s.settings for s in self.steps if isinstance(s, Change)]
        shifts = list(self.shifts)
        for step in self.steps:
            if isinstance(step, ChangeShift | EndShift):
                held = in_force(shifts, step.name, step.valid_from)
                shifts = ended(shifts, step.name, step.valid_from)
                if isinstance(step, ChangeShift):
                    shifts += [changed(shift, step) for shift in held]
        calendar = Calendar([self.settings, *changes], shifts)
        return Truth(admit(self.arrivals).events, calendar, self.now)


def in_force(shifts: list[Shift], name: str, when: int) -> list[Shift]:
    """The versions of this name at an instant, or else the next to be."""
    left = [s for s in shifts if s.name == name and s.valid_to > when]
    begins = max(when, min((s.valid_from for s in left), default=when))
    return [s for s in left if s.valid_from <= begins < s.valid_to]


def changed(shift: Shift, step: ChangeShift) -> Shift:
    return replace(
        shift,
        length_min=step.length_min,
        breaks=(),
        valid_from=step.valid_from,
        valid_to=NEVER,
    )


def ended(shifts: list[Shift], name: str, when: int) -> list[Shift]:
    """These versions with those of this name ended."""
    cut = [
        replace(s, valid_to=min(s.valid_to, when)) if s.name == name else s
        for s in shifts
    ]
    return [s for s in cut if s.valid_from < s.valid_to]


@st.composite
def instants(draw: st.DrawFn, anchor: int, hours: list[int]) -> int:
    """Mostly on a grid of five minutes, sometimes a hair beside it."""
    grid = draw(st.sampled_from(hours)) * HOUR + draw(st.integers(0, 12)) * 5 * MINUTE
    hair = draw(st.sampled_from([0] * 12 + [-1, 1, SECOND, 7_654_321]))
    return anchor + grid + hair


@st.composite
def first_events(draw: st.DrawFn, anchor: int, hours: list[int]) -> Event:
    """Any event, at some instant."""
    kind = draw(st.sampled_from(["working"] * 3 + ["idle", "absent", "product_count"]))
    made = kind == "product_count"
    durations = [None] * 7 + [0.000001, 0.5, 2.3, 60, 600, 3599.999999, 7200, 86400]
    duration = None if made else draw(st.sampled_from(durations))
    return Event(
        draw(instants(anchor, hours)),
        draw(st.sampled_from(["W1", "W1", "W2", "w3"])),
        draw(st.sampled_from(["S1", "S1", "S2", "S10", "s1"])),
        kind,
        draw(st.sampled_from([0.9] * 9 + [0.69999999, 0.7, 0.6999999, 0.8, 0.5, 1])),
        draw(st.sampled_from([1, 2, 7, 1_000_000])) if made else 0,
        round(duration * SECOND) if duration else None,
    )


@st.composite
def next_events(
    draw: st.DrawFn, anchor: int, hours: list[int], before: Event, cap_s: int
) -> Event:
    """Another event, placed by an earlier one: with it, as its hold ends, after."""
    event = draw(first_events(anchor, hours))
    hold = before.duration_us or cap_s * SECOND
    after = [0, 0, hold, hold, hold - 1, hold + 1, 5 * MINUTE, HOUR, 6 * HOUR]
    return replace(
        event,
        time=before.time + draw(st.sampled_from(after)),
        worker=draw(st.sampled_from([before.worker, before.worker, event.worker])),
        workstation=draw(st.sampled_from([before.workstation, event.workstation])),
    )


@st.composite
def happenings(
    draw: st.DrawFn, anchor: int, hours: list[int], cap_s: int
) -> list[Event]:
    """Events that have to do with one another."""
    found = [draw(first_events(anchor, hours))]
    for _ in range(draw(st.integers(1, 22))):
        if draw(st.booleans()):
            before = draw(st.sampled_from(found))
            found.append(draw(next_events(anchor, hours, before, cap_s)))
        else:
            found.append(draw(first_events(anchor, hours)))
    return found


@st.composite
def conflicting(draw: st.DrawFn, event: Event) -> Event:
    """The same identity, perhaps with other content."""
    changed = [event, replace(event, confidence=0.91)]
    if event.kind == "product_count":
        changed.append(replace(event, count=999_999))
    else:
        changed.append(replace(event, duration_us=600 * SECOND))
    return draw(st.sampled_from(changed))


@st.composite
def settings(draw: st.DrawFn, /, **fixed: object) -> dict[str, object]:
    """Some of a site's settings."""
    choices: dict[str, list[object]] = {
        "min_confidence": [0.7, 0.7, 0.5, 0.9, 0.0, 1.0],
        "max_state_s": [600, 1, 60, 3600, 86400],
        "gap_state": ["idle", "idle", "none"],
        "count_breaks": [True, False],
    }
    said = draw(st.sets(st.sampled_from(sorted(choices))))
    return fixed | {n: draw(st.sampled_from(choices[n])) for n in sorted(said)}


def as_text(event: Event, zone: str, naive: bool) -> str:
    """The time for a file: in UTC, or the wall clock where that says the same."""
    wall = moment(event.time).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    text = wall.isoformat()
    if naive and read_time(text, zone) == event.time:
        return text
    return moment(event.time).isoformat()


@st.composite
def changes(
    draw: st.DrawFn, zone: str, anchor: int, hours: list[int], shifts: tuple[Shift, ...]
) -> Step:
    """A change of settings or of a shift, of the past, of all time or of the future."""
    when = draw(st.one_of(instants(anchor, hours), st.just(ALWAYS)))
    kinds = ["settings", "settings", "zone"] + ["shorter", "end"] * bool(shifts)
    kind = draw(st.sampled_from(kinds))
    if kind == "settings":
        return Change(Settings(draw(settings(max_state_s=900)), when))
    if kind == "zone":
        other = draw(st.sampled_from([zone, "UTC", "Asia/Kolkata"]))
        return Change(Settings({"timezone": other}, when))
    shift = draw(st.sampled_from(shifts))
    if kind == "end":
        return EndShift(shift.name, when)
    return ChangeShift(shift.name, shift.length_min - 30, when)


@st.composite
def nows(draw: st.DrawFn, happened: list[Event]) -> int:
    """After everything, mostly; else around any event."""
    times = sorted(event.time for event in happened)
    after = [0, 1, 5 * MINUTE, 10 * MINUTE + 1, HOUR, 30 * HOUR]
    last = times[-1] if draw(st.integers(0, 3)) else draw(st.sampled_from(times))
    return last + draw(st.sampled_from(after))


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Any history of a few workers over a day or two, arriving in any way."""
    zone = draw(st.sampled_from(sorted(ANCHORS)))
    anchor = draw(st.sampled_from(ANCHORS[zone]))
    hours = draw(st.lists(st.integers(-16, 16), min_size=2, max_size=5))
    first = Settings(draw(settings(timezone=zone)))
    shifts = tuple(draw(st.sampled_from(ROTAS)))
    cap_s = int(str(first.values.get("max_state_s", 600)))
    happened = draw(happenings(anchor, hours, cap_s))
    again = draw(st.lists(st.sampled_from(happened), max_size=6))
    sent = draw(
        st.permutations(happened + [draw(conflicting(event)) for event in again])
    )
    extra = draw(st.lists(changes(zone, anchor, hours, shifts), max_size=2))
    extra += [Refresh(now) for now in draw(st.lists(nows(happened), max_size=3))]
    naive = draw(st.booleans()) and not any(
        isinstance(s, Change) and "timezone" in s.settings.values for s in extra
    )
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(sent) - 1)), max_size=3)))
    bounds = zip([0, *cuts], [*cuts, len(sent)], strict=True)
    batches = [
        Load(tuple((e, as_text(e, zone, naive)) for e in sent[low:high]))
        for low, high in bounds
    ]
    steps: list[Step] = list(batches)
    for step in extra:
        # after the first batch: what a change of an empty site means is another test
        steps.insert(draw(st.integers(1, len(steps))), step)
    return Scenario(first, shifts, tuple(steps), draw(nows(happened)), tuple(sent))
