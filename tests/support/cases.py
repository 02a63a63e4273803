"""Conformance cases: reading a folder, and what the reference makes of it."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.reference import Event, Truth, Where, admit
from tests.support.wallclock import (
    SECOND,
    Calendar,
    Settings,
    Shift,
    micros,
    read_time,
)

OWN = Path(__file__).parent.parent / "cases"
SHARED = Path(
    os.environ.get("FLOORPULSE_SHARED_CASES")
    or Path(__file__).parents[3] / "shared" / "cases"
)


def instant(text: str) -> int:
    """An ISO time with offset as microseconds."""
    return micros(datetime.fromisoformat(text))


def minutes(text: str) -> int:
    """A wall-clock time as minutes of the day."""
    hours, rest = text.split(":")
    return int(hours) * 60 + int(rest)


@dataclass(frozen=True)
class Case:
    """One folder: events.csv and case.json."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = json.loads((self.folder / "case.json").read_text())
        return spec

    @property
    def lines(self) -> tuple[str, list[str]]:
        """The header and the other lines of events.csv."""
        header, *lines = (self.folder / "events.csv").read_text().splitlines()
        return header, lines

    @property
    def shifts(self) -> list[Shift]:
        return [
            Shift(
                s["name"],
                tuple(s["weekdays"]),
                minutes(s["start"]),
                s["length_min"],
                tuple((minutes(start), length) for start, length in s["breaks"]),
            )
            for s in self.spec["shifts"]
        ]

    @property
    def arrivals(self) -> list[Event]:
        zone = self.spec["settings"].get("timezone", "UTC")
        with (self.folder / "events.csv").open(newline="") as file:
            return [read_event(row, zone) for row in csv.DictReader(file)]

    @property
    def window(self) -> Where:
        low, high = (instant(t) for t in self.spec["window"])
        return Where(hours=(low, high))

    def truth(self) -> Truth:
        calendar = Calendar([Settings(self.spec["settings"])], self.shifts)
        now = instant(self.spec["now"])
        return Truth(admit(self.arrivals).events, calendar, now)


def read_event(row: dict[str, str], zone: str) -> Event:
    """A line of an event file that breaks no rule."""
    duration = row.get("duration_s")
    return Event(
        read_time(row["time"], zone),
        row["worker_id"],
        row["workstation_id"],
        row["event_type"],
        float(row["confidence"]),
        int(row.get("count") or 0),
        round(float(duration) * SECOND) if duration else None,
    )


def cases_in(folder: Path) -> list[Case]:
    """Every case of a folder; none where the folder is missing."""
    return [Case(f.parent) for f in sorted(folder.glob("*/case.json"))]


def all_cases() -> list[Case]:
    """Shared cases, then the project's own."""
    return cases_in(SHARED) + cases_in(OWN)
