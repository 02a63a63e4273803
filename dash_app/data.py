"""The only reader: pages ask here, and here named queries ask the schema analytics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row
from psycopg_pool import PoolTimeout

from dash_app.cache import Cache
from dash_app.model_records import (
    Alert,
    Baseline,
    CameraDays,
    ConfidenceDays,
    Measure,
    ModelHealth,
    ModelKpis,
    Retraining,
    Signal,
    Version,
)
from dash_app.records import (
    Band,
    Engine,
    HeatmapCell,
    Kpis,
    LeaderboardRow,
    Overview,
    Period,
    Site,
    Stage,
    TrendStep,
)
from dash_app.selection import Selection, utc_window
from sql.errors import DsnError, FloorpulseError, NotMigrated, UnknownSite
from sql.queries import load
from sql.read_pool import LONGEST_QUERY_S, read_pool

log = logging.getLogger(__name__)

T = TypeVar("T")

POOL_SIZE = 8
WAIT_S = 4.0
KEEP_S = 30.0
KEEP_ENGINE_S = 3600.0
KEEP_HEALTH_S = 5.0
HOURLY_UP_TO = timedelta(days=8, hours=1)
HOURLY_COURSE_UP_TO = timedelta(days=2, hours=1)
HOUR_COLUMNS_UP_TO = timedelta(hours=26)


class DatabaseGone(DsnError):  # noqa: N818
    """The database does not answer."""


class Data:
    """Reads for one web process: a pool of read-only sessions and a short cache."""

    def __init__(self, dsn: str) -> None:
        self._queries = load("dashboard")
        self._cache = Cache()
        self._pool = read_pool(dsn, name="dashboard", size=POOL_SIZE, wait_s=WAIT_S)

    async def open(self) -> None:
        """Start connecting; returns at once, also when there is no database yet."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """End every session."""
        await self._pool.close()

    def forget(self) -> None:
        """Something was refreshed: answers given before no longer count."""
        self._cache.forget()

    async def sites(self) -> list[Site]:
        """All sites, in order of their names. Raises DatabaseGone, NotMigrated."""
        return await self._cache.get(
            "sites", 0.5, lambda: self._rows("sites", Site, {})
        )

    async def overview(self, selection: Selection) -> Overview:
        """Everything on the overview page. Raises UnknownSite, DatabaseGone, ..."""
        sites = await self.sites()
        site = _chosen(sites, selection.site)
        zone = _zone(sites, site)
        from_time, to_time = utc_window(selection, ZoneInfo(zone))
        asked = {
            "site": site.site_id if site else None,
            "range": selection.range,
            "shift": selection.shift,
            "from_time": from_time,
            "to_time": to_time,
        }
        periods = await self._cache.get(
            ("period", *asked.values()),
            0.5,
            lambda: self._rows("period", Period, asked),
        )
        nows = tuple((s.now, s.refreshed_at) for s in sites if site in (None, s))
        return await self._cache.get(
            (*asked.values(), periods[0], nows),
            KEEP_S,
            lambda: self._load(site, zone, _latest(nows), asked, periods[0]),
        )

    async def model_health(self, selection: Selection) -> ModelHealth:
        """Everything on the page of model health. Raises as `overview` does."""
        sites = await self.sites()
        site = _chosen(sites, selection.site)
        return await self._cache.get(
            ("model_health", site.site_id if site else None),
            KEEP_HEALTH_S,
            lambda: self._load_health(site, _zone(sites, site)),
        )

    async def freshness(self, site: str | None) -> list[Stage]:
        """How far each stage is, the slowest site of those asked for."""
        return await self._cache.get(
            ("freshness", site),
            0.5,
            lambda: self._rows("freshness", Stage, {"site": site}),
        )

    async def engine(self) -> Engine:
        """What the installation runs on. Raises DatabaseGone, NotMigrated."""
        engines = await self._cache.get(
            "engine", KEEP_ENGINE_S, lambda: self._rows("engine", Engine, {})
        )
        if not engines:
            raise NotMigrated
        return engines[0]

    async def ready(self) -> None:
        """Ask the database itself; raises DatabaseGone, NotMigrated."""
        await self._rows("engine", Engine, {})

    async def _load(
        self,
        site: Site | None,
        zone: str,
        now: datetime | None,
        asked: dict[str, Any],
        period: Period,
    ) -> Overview:
        length = period.ends_at - period.starts_at
        step = "hour" if length <= HOURLY_UP_TO else "day"
        course_step = "hour" if length <= HOURLY_COURSE_UP_TO else "day"
        by_time_of_day = length > HOUR_COLUMNS_UP_TO
        window = _window(asked["site"], period)
        heatmap_of = {**window, "by_time_of_day": by_time_of_day}
        kpis, (trend, course), bands, leaderboard, heatmap = await asyncio.gather(
            self._rows("kpis", Kpis, asked),
            self._trends(window, step, course_step),
            self._bands(site, period, step),
            self._rows("leaderboard", LeaderboardRow, window),
            self._rows("heatmap", HeatmapCell, heatmap_of),
        )
        last_date = None
        if not trend:
            last_date = await self._value("last_date", {"site": asked["site"]})
        return Overview(
            site=site,
            timezone=zone,
            now=now,
            period=period,
            step=step,
            by_time_of_day=by_time_of_day,
            kpis=kpis[0],
            trend=trend,
            course=course,
            bands=bands,
            leaderboard=leaderboard,
            heatmap=heatmap,
            last_date=last_date,
        )

    async def _load_health(self, site: Site | None, zone: str) -> ModelHealth:
        of = {"site": site.site_id if site else None}
        kpis, days, cameras, baselines, signals = await asyncio.gather(
            self._rows("model_kpis", ModelKpis, of),
            self._rows("confidence_days", ConfidenceDays, of),
            self._rows("camera_days", CameraDays, of),
            self._rows("baselines", Baseline, of),
            self._rows("signals", Signal, of),
        )
        alerts, versions, comparison, retraining = await asyncio.gather(
            self._rows("open_alerts", Alert, of),
            self._rows("versions", Version, of),
            self._rows("comparison", Measure, of) if site else _none(),
            self._rows("retraining", Retraining, of),
        )
        return ModelHealth(
            site=site,
            timezone=zone,
            kpis=kpis[0],
            days=days,
            cameras=cameras,
            baselines=baselines,
            signals=signals,
            alerts=alerts,
            versions=versions,
            comparison=comparison,
            retraining=retraining,
        )

    async def _trends(
        self, window: dict[str, Any], *steps: str
    ) -> tuple[list[TrendStep], ...]:
        """The trend in each of the steps; equal steps are asked for once."""
        asked = dict.fromkeys(steps)
        found = await asyncio.gather(
            *(self._rows("trend", TrendStep, {**window, "step": s}) for s in asked)
        )
        by_step = dict(zip(asked, found, strict=True))
        return tuple(by_step[step] for step in steps)

    async def _bands(self, site: Site | None, period: Period, step: str) -> list[Band]:
        """Nothing to shade for all sites together, or where a step is a day."""
        if site is None or step == "day":
            return []
        bounds = {
            "site": site.site_id,
            "starts_at": period.starts_at,
            "ends_at": period.ends_at,
        }
        return await self._rows("bands", Band, bounds)

    async def _rows(
        self, query: str, record: type[T], parameters: dict[str, Any]
    ) -> list[T]:
        with _told_plainly():
            async with self._pool.connection() as connection:
                cursor = connection.cursor(row_factory=class_row(record))
                await cursor.execute(self._queries[query].encode(), parameters)
                return await cursor.fetchall()

    async def _value(self, query: str, parameters: dict[str, Any]) -> Any:
        with _told_plainly():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(
                    self._queries[query].encode(), parameters
                )
                row = await cursor.fetchone()
                return row[0] if row else None


async def _none() -> list[Any]:
    """Nothing to ask for."""
    return []


def _window(site: str | None, period: Period) -> dict[str, Any]:
    """What the queries of a resolved period ask for."""
    return {
        "site": site,
        "from_date": period.from_date,
        "to_date": period.to_date,
        "window_from": period.window_from,
        "window_to": period.window_to,
        "shift": period.shift_name,
    }


def _chosen(sites: list[Site], site_id: str | None) -> Site | None:
    """The site asked for; with nothing asked the only one there is, else none: all."""
    if site_id is None:
        return sites[0] if len(sites) == 1 else None
    found = next((site for site in sites if site.site_id == site_id), None)
    if found is None:
        raise UnknownSite(f"There is no site {site_id!r}.")
    return found


def _zone(sites: list[Site], site: Site | None) -> str:
    """The zone to show times in: the site's, the one all sites share, or UTC."""
    zones = {s.timezone for s in sites if site in (None, s)}
    return zones.pop() if len(zones) == 1 else "UTC"


def _latest(
    nows: tuple[tuple[datetime | None, datetime | None], ...],
) -> datetime | None:
    return max((now for now, _ in nows if now is not None), default=None)


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Turn what the driver raises into our errors, whose text people may read."""
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise FloorpulseError(
            f"The database took longer than {LONGEST_QUERY_S} s for this range. "
            "Choose a shorter one."
        ) from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise NotMigrated from error
    except psycopg.errors.InvalidSchemaName as error:
        raise NotMigrated from error
    except psycopg.errors.NoDataFound as error:
        message = error.diag.message_primary or "There is no such site or shift"
        raise UnknownSite(f"{message[:1].upper()}{message[1:]}.") from error
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise DatabaseGone from error
