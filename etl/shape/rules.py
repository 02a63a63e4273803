"""What an event must be: one set of polars expressions types and checks every row.

Files, HTTP, brokers and the simulator all hand over text columns; rules and codes are
those of the Events table of metrics.md, in its order: the first breach decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from etl.shape.civil import civil
from etl.shape.codes import (
    BREACHES,
    IDENTITY,
    MOST_UNITS,
    REJECT_SCHEMA,
    describe,
    identifier_breach,
)
from etl.shape.time import NaiveTimes, ZoneSpan, read_naive
from sql.plant.wall_clock import DAY, micros

FIELDS = (
    *IDENTITY,
    "confidence",
    "count",
    "model_version",
    "camera_id",
    "duration_s",
)
REQUIRED = FIELDS[:6]
EVENT_TYPES = ("working", "idle", "absent", "product_count")
PRODUCT_COUNT = 3
FUTURE_US = 5 * 60 * 1_000_000

EVENT_SCHEMA = pl.Schema(
    {
        "row": pl.UInt32,
        "site_id": pl.String,
        "worker_id": pl.String,
        "workstation_id": pl.String,
        "time_us": pl.Int64,
        "event_type": pl.Int16,
        "confidence": pl.Float32,
        "count": pl.Int32,
        "duration_s": pl.Float64,
        "model_version": pl.String,
        "camera_id": pl.String,
    }
)


@dataclass(frozen=True)
class SiteRules:
    """What a site says about the events it takes: zones of naive times, retention.

    Events of before kept_from_us were deleted: what comes late there cannot count.
    """

    zones: tuple[ZoneSpan, ...] = (ZoneSpan("UTC"),)
    retention_days: int | None = None
    kept_from_us: int | None = None

    def oldest_us(self, arrival_us: int) -> int | None:
        """From when on events are taken; None: of any time."""
        if self.retention_days is None:
            return self.kept_from_us
        oldest_us = arrival_us - self.retention_days * DAY
        return max(oldest_us, self.kept_from_us or oldest_us)


DEFAULT_RULES = SiteRules()
# Where the typed column of a field stands beside its text.
_READ_AS = {
    "event_type": "type_code",
    "confidence": "confidence_real",
    "count": "count_value",
    "duration_s": "duration_value",
    "model_version": "model",
    "camera_id": "camera",
}


@dataclass(frozen=True)
class Shaped:
    """Rows that may become events, typed, and rows that may not, with code and message.

    events: EVENT_SCHEMA, times in UTC microseconds; rejects: row, code, message, and
    site_id where it is usable. `row` is the position in the batch that came in.
    """

    events: pl.DataFrame
    rejects: pl.DataFrame
    naive: NaiveTimes = field(default=NaiveTimes())


def shape(
    texts: pl.DataFrame,
    *,
    arrival: datetime,
    rules: Mapping[str, SiteRules] | None = None,
    timezone: str | None = None,
) -> Shaped:
    """Type and check `texts`: `row` and any of FIELDS as text, null where absent.

    arrival is the database's clock; rules are by site_id, a site that is missing there
    has the defaults; timezone replaces the sites' zones for times without an offset.
    """
    texts = texts.with_columns(
        pl.lit(None, dtype=pl.String).alias(name)
        for name in FIELDS
        if name not in texts.columns
    )
    read = texts.with_columns(*civil(texts["time"]), *_typed_columns())
    read, naive = with_instants(read, rules or {}, timezone)
    arrival_us = micros(arrival)
    future = (read["time_us"] > arrival_us + FUTURE_US).alias("future")
    read = read.hstack([future, _expired(read, rules or {}, arrival_us)])
    bad = read.select(pl.any_horizontal(expr for _, expr in BREACHES)).to_series()
    if not bad.any():
        return Shaped(_events(read), pl.DataFrame(schema=REJECT_SCHEMA), naive)
    return Shaped(_events(read.filter(~bad)), describe(read.filter(bad)), naive)


def sites_named(texts: pl.DataFrame) -> list[str]:
    """The usable site ids of `texts`, sorted."""
    if "site_id" not in texts.columns:
        return []
    named = texts["site_id"].unique().drop_nulls()
    # In turn: handing so little to another thread costs more than the work.
    is_bad = named.to_frame().select_seq(identifier_breach(pl.col("site_id")))
    return named.filter(~is_bad.to_series()).sort().to_list()


def _typed_columns() -> list[pl.Expr]:
    """Types beside the text; null where the text is not of the type."""
    count = pl.col("count")
    exact = pl.col("confidence").cast(pl.Float64, strict=False)
    # By way of float: 3.0 is the integer 3 in JSON, and in a spreadsheet's CSV.
    as_float = count.cast(pl.Float64, strict=False)
    whole = pl.when(as_float == as_float.floor()).then(as_float)
    return [
        pl.col("event_type")
        .replace_strict(
            EVENT_TYPES, range(len(EVENT_TYPES)), default=None, return_dtype=pl.Int16
        )
        .alias("type_code"),
        # Checked as given, stored as real: 1.00000001 is above 1 before it is rounded.
        pl.when(exact.is_between(0, 1))
        .then(exact.cast(pl.Float32, strict=False).abs())
        .alias("confidence_real"),
        pl.when(count.is_null() | (count == ""))
        .then(0)
        .when(whole.is_between(0, MOST_UNITS))
        .then(whole.cast(pl.Int32, strict=False))
        .alias("count_value"),
        pl.when(pl.col("duration_s") != "")
        .then(pl.col("duration_s").cast(pl.Float64, strict=False))
        .alias("duration_value"),
        pl.when(pl.col("model_version") != "")
        .then(pl.col("model_version"))
        .alias("model"),
        pl.when(pl.col("camera_id") != "").then(pl.col("camera_id")).alias("camera"),
    ]


def with_instants(
    read: pl.DataFrame, rules: Mapping[str, SiteRules], timezone: str | None
) -> tuple[pl.DataFrame, NaiveTimes]:
    """Add `time_us`; null where the text is no time, or lies before 1970 in UTC."""
    instants = read["wall_us"] - read["offset_us"]
    is_naive = read["offset_us"].is_null() & read["wall_us"].is_not_null()
    found = NaiveTimes()
    if is_naive.any():
        naive = read.lazy().select("site_id", "wall_us").filter(is_naive).collect()
        naive = naive.with_columns(pl.col("site_id").fill_null(""))
        values, found = read_naive(naive, _zones(naive, rules, timezone))
        instants = instants.scatter(is_naive.arg_true(), values)
        if timezone is not None:
            found = replace(found, by_site={})
    in_range = pl.when(pl.col("time_us") >= 0).then(pl.col("time_us"))
    return (
        read.with_columns(instants.alias("time_us")).with_columns(time_us=in_range),
        found,
    )


def _zones(
    naive: pl.DataFrame, rules: Mapping[str, SiteRules], timezone: str | None
) -> dict[str, Sequence[ZoneSpan]]:
    sites = naive["site_id"].unique().to_list()
    if timezone is not None:
        return dict.fromkeys(sites, (ZoneSpan(timezone),))
    return {site: rules.get(site, DEFAULT_RULES).zones for site in sites}


def _expired(
    read: pl.DataFrame, rules: Mapping[str, SiteRules], arrival_us: int
) -> pl.Series:
    """Which events are older than their site keeps events: a column `expired`."""
    kept = {
        site: oldest_us
        for site, rule in rules.items()
        if (oldest_us := rule.oldest_us(arrival_us)) is not None
    }
    if not kept:
        return pl.repeat(value=False, n=read.height, eager=True).alias("expired")
    oldest = pl.col("site_id").replace_strict(
        list(kept), list(kept.values()), default=None, return_dtype=pl.Int64
    )
    is_older = (pl.col("time_us") < oldest).fill_null(value=False)
    return read.select(expired=is_older).to_series()


def _events(read: pl.DataFrame) -> pl.DataFrame:
    columns = (read[_READ_AS.get(name, name)].alias(name) for name in EVENT_SCHEMA)
    return pl.DataFrame(list(columns))
