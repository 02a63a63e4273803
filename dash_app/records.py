"""The shapes in which numbers travel from the database to the screen.

Every field is a column of a query in sql/queries/dashboard.sql: seconds, fractions
of 1, None where SQL says NULL.
"""

from dataclasses import dataclass
from datetime import date, datetime, time


@dataclass(frozen=True, slots=True)
class Site:
    """A site that can be chosen. `now`: up to when its metrics count."""

    site_id: str
    name: str
    timezone: str
    shifts: list[str]
    now: datetime | None
    refreshed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Period:
    """A range resolved: production dates or a window, and what went before."""

    from_date: date | None
    to_date: date | None
    window_from: datetime | None
    window_to: datetime | None
    shift_name: str | None
    starts_at: datetime
    ends_at: datetime
    running: bool
    so_far_from: datetime | None
    so_far_to: datetime | None
    before_from_date: date | None
    before_to_date: date | None
    before_from: datetime | None
    before_to: datetime | None


@dataclass(frozen=True, slots=True)
class Kpis:
    """The figures of the cards; `*_change` against the period before."""

    weighted_utilization: float | None
    weighted_utilization_change: float | None
    average_utilization: float | None
    units: int
    units_change: float | None
    production_rate: float | None
    production_rate_change: float | None
    active_workers: int
    active_workers_change: int | None
    working_s: float
    idle_s: float
    occupied_s: float
    occupied_change: float | None
    operating_s: float
    operating_change: float | None


@dataclass(frozen=True, slots=True)
class TrendStep:
    """An hour, or a production date, of the period; brief: too little for a course."""

    hour: datetime | None
    production_date: date | None
    utilization: float | None
    units: int
    production_rate: float | None
    active_workers: int
    working_s: float
    occupied_s: float
    operating_s: float
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A shift or a break, to shade behind the trend."""

    kind: str
    shift: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One worker; `unobserved_s` counts the shifts the worker was seen in.

    brief: seen for too little to be ranked.
    """

    site_id: str
    worker_id: str
    name: str
    utilization: float | None
    units: int
    units_per_hour: float | None
    working_s: float
    idle_s: float
    absent_s: float
    break_s: float
    unobserved_s: float
    brief: bool = False


@dataclass(frozen=True, slots=True)
class HeatmapCell:
    """A workstation in an hour, or in a time of day over several days."""

    site_id: str
    workstation_id: str
    name: str
    hour: datetime | None
    time_of_day: time | None
    occupied_s: float
    scheduled_s: float
    utilization: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """How far one stage of the way of an event is, and whether that is well."""

    stage: str
    site_id: str
    last_at: datetime | None
    lag_s: float | None
    ok: bool
    progress: float | None


@dataclass(frozen=True, slots=True)
class Engine:
    """What the installation runs on."""

    server_version: str
    timescaledb_version: str | None
    hypertables: bool
    continuous_aggregates: bool

    @property
    def label(self) -> str:
        """As the footer shows it."""
        server = f"PostgreSQL {self.server_version.split()[0]}"
        if not self.hypertables:
            return f"{server}, plain"
        licence = "Community" if self.continuous_aggregates else "Apache"
        return f"{server}, TimescaleDB {self.timescaledb_version} {licence}"


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the overview page shows, of one instant."""

    site: Site | None
    timezone: str
    now: datetime | None
    period: Period
    step: str
    by_time_of_day: bool
    kpis: Kpis
    trend: list[TrendStep]
    course: list[TrendStep]
    bands: list[Band]
    leaderboard: list[LeaderboardRow]
    heatmap: list[HeatmapCell]
    last_date: date | None
