"""Loads, refreshes and changes at one time end where one after another would."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from scheduler.refresh import materialize_closed_hours
from sql.connect import connect
from sql.plant.sites import SiteChange, set_site
from tests.reference import Event, Truth, admit
from tests.support.compare import all_differences
from tests.support.plant import Plant, line, since
from tests.support.wallclock import (
    DAY,
    HOUR,
    SECOND,
    Calendar,
    Settings,
    Shift,
    moment,
)

pytestmark = pytest.mark.parametrize("engine", ["plain", "community"], indirect=True)
START = 20_241 * DAY  # 2 June 2025, a Monday
NOW = START + 70 * HOUR
FIRST = Settings({"timezone": "Europe/Berlin"})
LATER = [
    Settings({"max_state_s": 1200}, START + 20 * HOUR),
    Settings({"gap_state": "idle"}, START + 10 * HOUR),
    Settings({"min_confidence": 0.8}, START + 30 * HOUR),
]
SHIFTS = [Shift("day", (0, 1, 2, 3, 4), 360, 720, ((720, 30),))]


def happenings(chance: random.Random, number: int) -> list[Event]:
    """No two of one identity: which one comes first is anybody's guess here."""
    kinds = ["working", "idle", "absent", "product_count"]
    found = []
    for _ in range(number):
        kind = chance.choice(kinds)
        made = chance.randrange(1, 5) if kind == "product_count" else 0
        time = chance.randrange(START, NOW, SECOND)
        worker, bench = f"W{chance.randrange(9)}", f"S{chance.randrange(5)}"
        confidence = chance.choice([0.75, 0.85, 0.9])
        found.append(Event(time, worker, bench, kind, confidence, made))
    return admit(found).events


def sender(plant: Plant, events: list[Event], seed: int) -> Callable[[], None]:
    """Two thirds of all events in an order of its own, in files of many sizes."""

    def send() -> None:
        chance = random.Random(seed)
        mine = chance.sample(events, len(events) * 2 // 3)
        while mine:
            size = chance.choice([1, 30, 400])
            batch, mine = mine[:size], mine[size:]
            texts = [line(plant.site, e, moment(e.time).isoformat()) for e in batch]
            plant.load(texts)

    return send


def refresher(plant: Plant, seed: int) -> Callable[[], None]:
    """To and fro in time, two of them at one site."""

    def refresh() -> None:
        chance = random.Random(seed)
        for _ in range(12):
            plant.refresh(START + chance.randrange(20, 75) * HOUR)

    return refresh


def changer(plant: Plant) -> Callable[[], None]:
    def change() -> None:
        for statement in LATER:
            with connect(plant.dsn) as conn:
                values = SiteChange(**statement.values)  # type: ignore[arg-type]
                set_site(conn, plant.site, values, since(statement.valid_from))

    return change


def test_all_at_once(dsn: str, tmp_path: Path) -> None:
    """Two sites, and the job that materializes what has closed."""
    plants = {name: Plant(dsn, name, tmp_path) for name in ("busy", "other")}
    events = {}
    works: list[Callable[[], object]] = [partial(materialize_closed_hours, dsn)] * 3
    for seed, (name, plant) in enumerate(plants.items()):
        plant.settle(FIRST, SHIFTS)
        events[name] = happenings(random.Random(seed), 900)
        works += [sender(plant, events[name], 10 * seed + i) for i in range(3)]
        works += [refresher(plant, 10 * seed + i) for i in range(2)]
        works.append(changer(plant))
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()
    for name, plant in plants.items():
        lines = [line(name, e, moment(e.time).isoformat()) for e in events[name]]
        plant.load(lines)
        plant.refresh(NOW)
    for name in plants:
        truth = Truth(events[name], Calendar([FIRST, *LATER], SHIFTS), NOW)
        with connect(dsn) as conn:
            assert all_differences(conn, name, truth) == []
