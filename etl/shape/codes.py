"""Reject codes: which breach gives which, and what the one who mends it reads."""

from __future__ import annotations

import polars as pl

REJECT_SCHEMA = pl.Schema(
    {
        "row": pl.UInt32,
        "code": pl.String,
        "message": pl.String,
        "site_id": pl.String,
    }
)
IDENTIFIERS = ("site_id", "worker_id", "workstation_id")
# What an event is known by: of two that agree in it, the second is a duplicate.
IDENTITY = ("time", *IDENTIFIERS, "event_type")
LONGEST_IDENTIFIER = 64
LONGEST_SHOWN = 100
MOST_UNITS = 1_000_000
LONGEST_S = 86_400
# Before a value that JSON had in a type the field cannot be; begins no identifier.
WRONG_TYPE = "\x00"

_NEEDED = ("site_id", "time", "worker_id", "workstation_id", "event_type", "confidence")


def identifier_breach(column: pl.Expr) -> pl.Expr:
    """Whether an id that is there is not 1 to 64 characters without control ones."""
    length = column.str.len_chars()
    return ~length.is_between(1, LONGEST_IDENTIFIER) | column.str.contains(r"\p{Cc}")


def _identifiers_breach() -> pl.Expr:
    return pl.any_horizontal(identifier_breach(pl.col(name)) for name in IDENTIFIERS)


def _count_breach() -> pl.Expr:
    value, is_count = pl.col("count_value"), pl.col("type_code") == 3
    return value.is_null() | ((value == 0) == is_count)


def _duration_breach() -> pl.Expr:
    said = pl.col("duration_s").is_not_null() & (pl.col("duration_s") != "")
    value = pl.col("duration_value")
    fits = (value > 0) & (value <= LONGEST_S) & (pl.col("type_code") != 3)
    return said & ~fits.fill_null(False)


def _optional_breach(name: str) -> pl.Expr:
    return pl.col(name).is_not_null() & identifier_breach(pl.col(name))


# In the order of metrics.md's table: the first breach decides the code.
BREACHES: tuple[tuple[str, pl.Expr], ...] = (
    ("malformed", pl.any_horizontal(pl.col(name).is_null() for name in _NEEDED)),
    ("bad_identifier", _identifiers_breach()),
    ("bad_time", pl.col("time_us").is_null()),
    ("future_time", pl.col("future")),
    ("expired", pl.col("expired")),
    ("bad_event_type", pl.col("type_code").is_null()),
    ("bad_confidence", pl.col("confidence_real").is_null()),
    ("bad_count", _count_breach()),
    ("bad_duration", _duration_breach()),
    ("bad_identifier", _optional_breach("model") | _optional_breach("camera")),
)


def describe(bad: pl.DataFrame) -> pl.DataFrame:
    """Code and message of rows that break a rule: REJECT_SCHEMA, in their order."""
    position = pl.coalesce(
        pl.when(breach).then(i) for i, (_, breach) in enumerate(BREACHES)
    ).cast(pl.Int32)
    told = bad.with_columns(position=position)
    messages = [_malformed(), _identifier(), *_single_field(), _optional_identifier()]
    message = pl.coalesce(
        pl.when(pl.col("position") == i).then(text) for i, text in enumerate(messages)
    )
    codes = [code for code, _ in BREACHES]
    code = pl.col("position").replace_strict(
        range(len(codes)), codes, return_dtype=pl.String
    )
    site = pl.when(~identifier_breach(pl.col("site_id"))).then(pl.col("site_id"))
    return told.select("row", code.alias("code"), message.alias("message"), site)


def _shown(name: str) -> pl.Expr:
    """The value as a person can read it: no control characters, not endless."""
    text = pl.col(name).fill_null("").str.strip_prefix(WRONG_TYPE)
    return text.str.replace_all(r"\p{Cc}", "\N{REPLACEMENT CHARACTER}").str.slice(
        0, LONGEST_SHOWN
    )


def _malformed() -> pl.Expr:
    missing = pl.concat_str(
        [pl.when(pl.col(name).is_null()).then(pl.lit(name + " ")) for name in _NEEDED],
        ignore_nulls=True,
    ).str.strip_chars()
    return pl.format(
        "missing: {}; an event needs {}", missing, pl.lit(", ".join(_NEEDED))
    )


def _identifier() -> pl.Expr:
    rule = "must be 1 to 64 characters, none of them a control character"
    return pl.coalesce(
        pl.when(identifier_breach(pl.col(name))).then(
            pl.format("{} '{}' {}", pl.lit(name), _shown(name), _rule(name, rule))
        )
        for name in IDENTIFIERS
    )


def _rule(name: str, rule: str) -> pl.Expr:
    """The rule that an id breaks; 1.0 and true are no text, however short."""
    is_text = ~pl.col(name).str.starts_with(WRONG_TYPE)
    wanted = pl.lit("must be text (UTF-8) or an integer")
    return pl.when(is_text).then(pl.lit(rule)).otherwise(wanted)


def _optional_identifier() -> pl.Expr:
    rule = "must be at most 64 characters, none of them a control character"
    return pl.coalesce(
        pl.when(_optional_breach(column)).then(
            pl.format("{} '{}' {}", pl.lit(name), _shown(name), _rule(name, rule))
        )
        for column, name in (("model", "model_version"), ("camera", "camera_id"))
    )


def _single_field() -> list[pl.Expr]:
    """Messages of the breaches between the identifiers, in the order of BREACHES."""
    return [
        pl.format(
            "time '{}' is no ISO 8601 date and time from 1970 on, such as "
            "2026-11-20T06:00:00Z or 2026-11-20 06:00:00.25+01:00",
            _shown("time"),
        ),
        pl.format(
            "time '{}' is more than 5 minutes later than the database's clock",
            _shown("time"),
        ),
        pl.format("time '{}' is older than the site keeps events", _shown("time")),
        pl.format(
            "event_type '{}' must be working, idle, absent or product_count",
            _shown("event_type"),
        ),
        pl.format("confidence '{}' must be a number from 0 to 1", _shown("confidence")),
        pl.format(
            "count '{}' must be an integer from 1 to 1000000 with product_count, "
            "and absent or 0 with {}",
            _shown("count"),
            pl.lit("working, idle and absent"),
        ),
        pl.format(
            "duration_s '{}' must be more than 0 and at most 86400, and only with "
            "working, idle or absent",
            _shown("duration_s"),
        ),
    ]
