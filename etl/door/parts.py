"""A batch on its way through the door: shaped, keyed, split by site, sorted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from etl.batch import Batch, Origin
from etl.door.keys import Arrival, KeyBook
from etl.shape.codes import REJECT_SCHEMA, identifier_breach
from etl.shape.rules import EVENT_SCHEMA, shape, sites_named
from etl.shape.time import NaiveTimes
from sql.plant.wall_clock import DAY

IDENTITY = ("worker_key", "time_us", "workstation_key", "event_type")
VALUES = ("confidence", "count", "duration_s")


@dataclass(frozen=True)
class Part:
    """What a batch brings to one site: one transaction.

    events: one row per identity, in the one order that all writers keep (UTC day,
    worker, time, workstation, type); repeats: later rows of an identity, with
    `position`, the index of its first row in events; rejects: REJECT_SCHEMA.
    site_id None holds rows that name no usable site.
    """

    site_id: str | None
    site_key: int | None
    events: pl.DataFrame
    repeats: pl.DataFrame
    rejects: pl.DataFrame

    @property
    def read(self) -> int:
        return self.events.height + self.repeats.height + self.rejects.height


@dataclass(frozen=True)
class Prepared:
    """A batch that is ready to be committed, part by part, in the order of site ids.

    load_id: the load that brought it, where that is not the one in progress.
    """

    parts: list[Part]
    origin: Origin
    arrival: datetime
    naive: NaiveTimes
    load_id: int | None = None


NOTHING = Part(
    None,
    None,
    EVENT_SCHEMA.to_frame(),
    EVENT_SCHEMA.to_frame(),
    REJECT_SCHEMA.to_frame(),
)


def prepare(
    batch: Batch, book: KeyBook, *, timezone: str | None, dry_run: bool
) -> Prepared:
    """Shape a batch and find its keys; registers on sight unless it is a dry run."""
    arrival = book.arrive(sites_named(batch.texts))
    rules = {site_id: site.rules for site_id, site in arrival.sites.items()}
    shaped = shape(batch.texts, arrival=arrival.at, rules=rules, timezone=timezone)
    rejects = shaped.rejects
    if not batch.broken.is_empty():
        rejects = rejects.vstack(_parked(batch))
    sites = {*shaped.events["site_id"].unique(), *rejects["site_id"].unique()}
    # Rows without a usable site go last: their part carries no site's order.
    several = len(sites) > 1
    parts = [
        _part(
            Part(
                site_id,
                None,
                _of_site(shaped.events, site_id) if several else shaped.events,
                EVENT_SCHEMA.to_frame(),
                _of_site(rejects, site_id) if several else rejects,
            ),
            arrival,
            book,
            dry_run=dry_run,
        )
        for site_id in [*sorted(sites - {None}), *(sites & {None})]
    ]
    return Prepared(parts, batch.origin, arrival.at, shaped.naive)


def _parked(batch: Batch) -> pl.DataFrame:
    """What is no event, as rejects; of the site that is named for all, if it can be."""
    site = pl.lit(batch.site, dtype=pl.String)
    return batch.broken.select(
        "row",
        code=pl.lit(batch.broken_code),
        message="message",
        site_id=pl.when(~identifier_breach(site)).then(site),
    )


def _of_site(rows: pl.DataFrame, site_id: str | None) -> pl.DataFrame:
    return rows.filter(pl.col("site_id").eq_missing(pl.lit(site_id)))


def _part(part: Part, arrival: Arrival, book: KeyBook, *, dry_run: bool) -> Part:
    """A part of shaped events as one of keyed events, unless it is a dry run."""
    if part.site_id is None or part.events.is_empty():
        return part
    site = arrival.sites[part.site_id]
    if site.site_key is None and arrival.strict_sites:
        return _rejecting(part, part.events.clear(), _unknown_site(part.events))
    if site.strict and site.site_key is not None:
        part = _rejecting(part, *book.admitted(part.events, site.site_key))
    if dry_run or part.events.is_empty():
        return part
    site_key = book.site_key(site)
    keyed = book.keyed(part.events, site_key)
    book.ensure_chunks(keyed["time_us"])
    first, repeats = _ordered(keyed)
    return replace(part, site_key=site_key, events=first, repeats=repeats)


def _rejecting(part: Part, events: pl.DataFrame, unknown: pl.DataFrame) -> Part:
    return replace(part, events=events, rejects=part.rejects.vstack(unknown))


def _unknown_site(events: pl.DataFrame) -> pl.DataFrame:
    message = pl.format(
        "site_id '{}' is not registered, and this installation wants that",
        pl.col("site_id"),
    )
    return events.select(
        "row", code=pl.lit("unknown_site"), message=message, site_id="site_id"
    )


def _ordered(keyed: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sort by chunk and key; the first line of each identity, and the later ones."""
    day_and_worker = (pl.col("time_us") // DAY) * 2**32 + pl.col("worker_key")
    ordered = keyed.sort(
        day_and_worker,
        "time_us",
        pl.col("workstation_key").cast(pl.Int64) * 4 + pl.col("event_type"),
        maintain_order=True,
    )
    is_repeat = (
        ordered.select(
            pl.all_horizontal(
                pl.col(name) == pl.col(name).shift(1) for name in IDENTITY
            )
        )
        .to_series()
        .fill_null(False)
    )
    if not is_repeat.any():
        return ordered, ordered.clear().with_columns(position=pl.lit(0, pl.Int32))
    position = (~is_repeat).cast(pl.Int32).cum_sum() - 1
    repeats = ordered.with_columns(position=position).filter(is_repeat)
    return ordered.filter(~is_repeat), repeats
