"""A site of the product, driven the way the command line drives it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import psycopg

from etl.files.load import load_file
from scheduler.refresh import refresh_site
from sql.connect import connect
from sql.errors import UnknownShift
from sql.plant.calendar import Break
from sql.plant.moments import MINUS_INFINITY, Since
from sql.plant.shifts import Pattern, ShiftChange, add_shift, change_shift, end_shift
from sql.plant.sites import SiteChange, set_site
from tests.reference import Event
from tests.support.scenarios import (
    Change,
    ChangeShift,
    EndShift,
    Load,
    Refresh,
    Scenario,
    Step,
)
from tests.support.wallclock import ALWAYS, SECOND, Settings, Shift, moment

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence,count,duration_s"


def since(us: int) -> Since:
    return MINUS_INFINITY if us == ALWAYS else moment(us)


def pattern(shift: Shift) -> Pattern:
    breaks = tuple(Break(start, length) for start, length in shift.breaks)
    return Pattern(shift.weekdays, shift.start_min, shift.length_min, breaks)


def line(site: str, event: Event, time: str) -> str:
    """An event as a line of a file."""
    seconds = "" if event.duration_us is None else f"{event.duration_us / SECOND:.6f}"
    return (
        f"{time},{site},{event.worker},{event.workstation},{event.kind},"
        f"{event.confidence!r},{event.count or ''},{seconds}"
    )


class Plant:
    """One site in the database behind `dsn`."""

    def __init__(self, dsn: str, site: str, folder: Path) -> None:
        self.dsn, self.site, self.folder = dsn, site, folder
        self.files = count()
        self.counts = [0, 0, 0]

    def settle(self, settings: Settings, shifts: Sequence[Shift]) -> None:
        """Settings and shifts before the first event: they hold from the beginning."""
        with connect(self.dsn) as conn:
            set_site(conn, self.site, SiteChange(**settings.values))  # type: ignore[arg-type]
            for shift in shifts:
                add_shift(conn, self.site, shift.name, pattern(shift))

    def load(self, lines: Sequence[str], header: str = HEADER) -> tuple[int, int, int]:
        """Loads a file of these lines: rows stored, duplicates, conflicts."""
        path = self.folder / f"{self.site}-{next(self.files)}.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        report = load_file(self.dsn, str(path))
        path.unlink()
        counts = report.stored, report.duplicates, report.conflicts
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]
        return counts

    def refresh(self, now: int) -> None:
        refresh_site(self.dsn, self.site, moment(now))

    def live(self, scenario: Scenario) -> None:
        """A whole life, step by step, to its last refresh."""
        self.settle(scenario.settings, scenario.shifts)
        for step in scenario.steps:
            self.take(step)
        self.refresh(scenario.now)

    def take(self, step: Step) -> None:
        match step:
            case Load(events):
                self.load([line(self.site, event, time) for event, time in events])
            case Refresh(now):
                self.refresh(now)
            case Change(settings):
                with connect(self.dsn) as conn:
                    values = SiteChange(**settings.values)  # type: ignore[arg-type]
                    set_site(conn, self.site, values, since(settings.valid_from))
            case _:
                with connect(self.dsn) as conn:
                    self._change_shift(conn, step)

    def _change_shift(
        self, conn: psycopg.Connection, step: ChangeShift | EndShift
    ) -> None:
        when = since(step.valid_from)
        try:
            if isinstance(step, EndShift):
                end_shift(conn, self.site, step.name, when)
            else:
                change = ShiftChange(length_min=step.length_min, breaks=())
                change_shift(conn, self.site, step.name, change, when)
        except UnknownShift:
            return  # it has ended by then; the reference leaves it so, too
