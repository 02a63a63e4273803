"""Ids become keys: what is registered is looked up once, what is new is registered.

Everything here runs in short transactions, on a connection of its own, before the
batch's transaction: sites, workers, workstations, models, cameras, chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from etl.shape.codes import REJECT_SCHEMA
from etl.shape.rules import DEFAULT_RULES, SiteRules
from etl.shape.time import ZoneSpan
from sql import queries
from sql.connect import Connection
from sql.plant.wall_clock import DAY, moment

# Column of the events, column of its key, and which kind of thing it names.
_KINDS = (
    ("worker_id", "worker_key", "workers"),
    ("workstation_id", "workstation_key", "workstations"),
    ("model_version", "model_key", "models"),
    ("camera_id", "camera_key", "cameras"),
)
# Only these two can be unknown: nobody registers models and cameras by hand.
_STRICT = (
    ("worker_id", "workers", "unknown_worker"),
    ("workstation_id", "workstations", "unknown_workstation"),
)
STRICT_KINDS = frozenset(kind for _, kind, _ in _STRICT)
# Days without events between two ranges that are worth two calls to the database.
_QUIET_DAYS = 7


@dataclass(frozen=True)
class Site:
    """A site as the door knows it; site_key None: nobody registered it yet."""

    site_id: str
    site_key: int | None = None
    strict: bool = False
    rules: SiteRules = DEFAULT_RULES


@dataclass(frozen=True)
class Arrival:
    """The database's clock when a batch was shaped, and the sites it speaks of."""

    at: datetime
    strict_sites: bool
    sites: dict[str, Site]


def arrival_of(rows: Sequence[tuple[Any, ...]], site_ids: Sequence[str]) -> Arrival:
    """What the query `arrival` found."""
    if not rows:
        raise LookupError("floor.installation is empty")
    at, strict_sites, *_ = rows[0]
    known = {
        site_id: Site(
            site_id, key, strict, SiteRules(_spans(zones, starts, ends), days, kept_us)
        )
        for _, _, site_id, key, strict, days, kept_us, zones, starts, ends in rows
        if site_id is not None
    }
    return Arrival(at, strict_sites, {site: Site(site) for site in site_ids} | known)


class KeyBook:
    """Keys that are known already, by site and kind; keys never change."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._queries = queries.load("door")
        self._known: dict[tuple[str, int], dict[str, int]] = {}
        self._days: set[int] = set()

    def arrive(self, site_ids: Sequence[str]) -> Arrival:
        """Ask for the time and the rules of sites; asked anew for each batch."""
        asked = self._conn.execute(self._queries["arrival"], {"site_ids": site_ids})
        return arrival_of(asked.fetchall(), site_ids)

    def known(self, kind: str, site_key: int) -> Mapping[str, int]:
        """Keys of workers, workstations, models or cameras that were met already."""
        return self._known.setdefault((kind, site_key), {})

    def learn(self, kind: str, site_key: int, keys: Mapping[str, int]) -> None:
        """Keys that somebody else has looked up or registered."""
        self._known.setdefault((kind, site_key), {}).update(keys)

    def has_chunk(self, day: int) -> bool:
        """Whether the chunk of a UTC day, counted from 1970, was met already."""
        return day in self._days

    def site_key(self, site: Site) -> int:
        """The site's key; registers the site on sight."""
        if site.site_key is not None:
            return site.site_key
        query = self._queries["register_site"]
        row = self._conn.execute(query, {"site_id": site.site_id}).fetchone()
        if row is None:
            raise LookupError(site.site_id)
        return int(row[0])

    def admitted(
        self, events: pl.DataFrame, site_key: int
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """A strict site's events whose ids are registered, and the rest as rejects."""
        rejects = REJECT_SCHEMA.to_frame()
        for column, kind, code in _STRICT:
            keys = self._keys(kind, site_key, events[column], may_register=False)
            known = events[column].is_in(list(keys))
            rejects = rejects.vstack(_unknown(events.filter(~known), code, column))
            events = events.filter(known)
        return events, rejects

    def keyed(self, events: pl.DataFrame, site_key: int) -> pl.DataFrame:
        """One site's events with keys instead of ids; what is new is registered."""
        found = []
        for column, key, kind in _KINDS:
            keys = self._keys(kind, site_key, events[column], may_register=True)
            found.append(_looked_up(events[column], keys).alias(key))
        ids = {column for column, _, _ in _KINDS}
        return events[[n for n in events.columns if n not in ids]].hstack(found)

    def ensure_chunks(self, time_us: pl.Series, *, again: bool = False) -> None:
        """Have a chunk made for every UTC day that holds one of these times."""
        counts = (time_us // DAY).value_counts().iter_rows()
        days = sorted((d, rows) for d, rows in counts if again or d not in self._days)
        for first, last, rows in _runs(days):
            parameters = {
                "from_time": moment(first * DAY),
                "to_time": moment((last + 1) * DAY - 1),
                "rows": rows,
            }
            self._conn.execute(self._queries["ensure_chunks"], parameters)
        self._days.update(day for day, _ in days)

    def _keys(
        self, kind: str, site_key: int, ids: pl.Series, *, may_register: bool
    ) -> dict[str, int]:
        known = self._known.setdefault((kind, site_key), {})
        wanted = ids.unique().drop_nulls().to_list()
        for action in ("known", "register") if may_register else ("known",):
            missing = sorted(set(wanted) - known.keys())
            if missing:
                query = self._queries[f"{action}_{kind}"]
                parameters = {"site_key": site_key, "ids": missing}
                known.update(dict(self._conn.execute(query, parameters).fetchall()))
        return {name: known[name] for name in wanted if name in known}


def _spans(
    zones: Sequence[str], starts: Sequence[int | None], ends: Sequence[int | None]
) -> tuple[ZoneSpan, ...]:
    """Settings spans as the zones they name, equal neighbours as one."""
    merged: list[ZoneSpan] = []
    for timezone, start, end in zip(zones, starts, ends, strict=True):
        bounds = {"start_us": start, "end_us": end}
        span = ZoneSpan(
            timezone, **{name: us for name, us in bounds.items() if us is not None}
        )
        if merged and merged[-1].timezone == timezone:
            span = ZoneSpan(timezone, merged[-1].start_us, span.end_us)
            merged.pop()
        merged.append(span)
    return tuple(merged)


def _looked_up(ids: pl.Series, keys: dict[str, int]) -> pl.Series:
    if not keys:
        return pl.Series([None], dtype=pl.Int32).new_from_index(0, len(ids))
    positions = ids.cast(pl.Enum(list(keys)), strict=False).to_physical()
    return pl.Series(list(keys.values()), dtype=pl.Int32).gather(positions)


def _unknown(events: pl.DataFrame, code: str, column: str) -> pl.DataFrame:
    message = pl.format(
        "{} '{}' is not registered, and site '{}' takes registered ones only",
        pl.lit(column),
        pl.col(column),
        pl.col("site_id"),
    )
    return events.select(
        "row", pl.lit(code).alias("code"), message.alias("message"), "site_id"
    )


def _runs(days: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """First day, last day and rows of each run of days, days since 1970."""
    first = last = None
    rows = 0
    for day, count in days:
        if first is not None and last is not None and day - last > _QUIET_DAYS:
            yield first, last, rows
            first, rows = None, 0
        first = day if first is None else first
        last, rows = day, rows + count
    if first is not None and last is not None:
        yield first, last, rows
