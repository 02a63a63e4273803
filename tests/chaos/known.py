"""The known set: every event, how often it is sent, when, and which way."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

from tests.reference import Event
from tests.support.wallclock import HOUR, SECOND, Settings, Shift, moment

WAYS = ("http", "file", "folder", "tcp", "nats", "mqtt")
EVENTS_PER_SITE = 25_000
WORKERS, BENCHES = 10, 7
TWICE, LATE, POISON = 0.1, 0.5, 0.0005
LATEST_US = 30 * HOUR
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
# What sites differ in: zones with half hours, gates, gaps that count, breaks that do.
SITES = (
    ({"timezone": "Europe/Berlin"}, ()),
    (
        {"timezone": "Asia/Kolkata", "max_state_s": 120, "gap_state": "idle"},
        (
            Shift("early", EVERY_DAY, 6 * 60, 480, ((9 * 60 + 30, 45),)),
            Shift("late", EVERY_DAY, 14 * 60, 480),
            Shift("night", EVERY_DAY, 22 * 60, 480, ((0, 60),)),
        ),
    ),
    (
        {"timezone": "America/New_York", "min_confidence": 0.8, "count_breaks": True},
        (Shift("day", EVERY_DAY, 7 * 60, 540, ((12 * 60, 30),)),),
    ),
)


@dataclass(frozen=True)
class Site:
    """One site: what holds there from the beginning, and what happens there."""

    name: str
    settings: Settings
    shifts: tuple[Shift, ...]
    events: list[Event] = field(repr=False)


@dataclass(frozen=True, order=True)
class Sending:
    """One payload, so many seconds after the beginning."""

    due_s: float
    payload: bytes


@dataclass(frozen=True)
class Known:
    """All of it; poison breaks a rule: each is parked, in the end."""

    sites: list[Site]
    ways: dict[str, list[Sending]]
    poison: set[bytes]

    @property
    def events(self) -> int:
        """How many there are, each counted once."""
        return sum(len(site.events) for site in self.sites)

    @property
    def sendings(self) -> int:
        """How many are sent, those that are sent twice counted twice."""
        return sum(map(len, self.ways.values()))


def known_set(seed: int, events: int, seconds: float, start_us: int) -> Known:
    """So many events, sent within so many seconds from start_us on."""
    chance = random.Random(seed)
    known = Known([], {way: [] for way in WAYS}, set())
    count = -(-events // EVENTS_PER_SITE)
    for number in range(count):
        settings, shifts = SITES[number % len(SITES)]
        site = Site(f"plant-{number}", Settings(dict(settings)), shifts, [])
        known.sites.append(site)
        share = events // count + (number < events % count)
        _fill(known, share, chance, seconds, start_us)
    for sendings in known.ways.values():
        sendings.sort()
    return known


def _fill(
    known: Known, events: int, chance: random.Random, seconds: float, start_us: int
) -> None:
    """The last site's events: no two of one identity, each on its way, some twice."""
    site = known.sites[-1]
    there: set[tuple[str, str, str, int]] = set()
    while len(there) < events:
        due_s = chance.uniform(0, seconds)
        event = _event(chance, start_us + round(due_s * SECOND))
        if event.identity in there:
            continue
        there.add(event.identity)
        site.events.append(event)
        payload = payload_of(site.name, event)
        _send(known, chance, Sending(due_s, payload))
        if chance.random() < TWICE:
            _send(known, chance, Sending(chance.uniform(due_s, seconds), payload))
        if chance.random() < POISON:
            bad = payload.replace(b'"confidence":0', b'"confidence":7')
            known.poison.add(bad)
            _send(known, chance, Sending(due_s, bad))


def _send(known: Known, chance: random.Random, sending: Sending) -> None:
    known.ways[chance.choice(WAYS)].append(sending)


def _event(chance: random.Random, now_us: int) -> Event:
    """What a camera says now, or has to say of the last 30 hours."""
    late = chance.random() < LATE
    kind = chance.choice(["working"] * 4 + ["idle"] * 2 + ["absent"] + ["count"] * 3)
    made = kind == "count"
    duration_s = None if made else chance.choice([None] * 8 + [0.5, 30, 3600])
    return Event(
        now_us - (chance.randrange(LATEST_US) if late else 0),
        f"W{chance.randrange(WORKERS)}",
        f"S{chance.randrange(BENCHES)}",
        "product_count" if made else kind,
        chance.choice([0.5, 0.75, 0.85, 0.9, 0.95]),
        chance.randrange(1, 6) if made else 0,
        None if duration_s is None else round(duration_s * SECOND),
    )


def payload_of(site: str, event: Event) -> bytes:
    """The event as JSON, the way the product writes it as well: without spaces."""
    told: dict[str, object] = {
        "time": moment(event.time).isoformat(),
        "site_id": site,
        "worker_id": event.worker,
        "workstation_id": event.workstation,
        "event_type": event.kind,
        "confidence": event.confidence,
    }
    if event.count:
        told["count"] = event.count
    if event.duration_us is not None:
        told["duration_s"] = event.duration_us / SECOND
    return json.dumps(told, separators=(",", ":")).encode()
