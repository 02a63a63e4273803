"""What was wrong with parked events, put right on their way back through the door.

Only what the door will read is changed: the bytes that came stay in the books, and
beside them how they were read the second time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from etl.shape.codes import WRONG_TYPE
from etl.shape.rules import FIELDS
from etl.shape.time import civil_columns
from sql.errors import BadSetting
from sql.plant.wall_clock import SECOND

NUMBERS = ("confidence", "count", "duration_s")
WORDS = tuple(name for name in FIELDS if name not in (*NUMBERS, "time"))
_LONGEST_SHIFT_S = 100 * 366 * 86_400
_MOST_WORDS = 10_000
# Past these, a product of two decimals is the noise of binary fractions.
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Mend:
    """How to read parked events this time; raises BadSetting for what cannot be.

    replace: field of WORDS to what stands there ('' where nothing does) to what should;
    shift_s: added to every time; scale: field of NUMBERS to what it is multiplied by.
    """

    replace: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shift_s: float = 0.0
    scale: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _known("replace", self.replace, WORDS)
        _known("scale", self.scale, NUMBERS)
        for name, factor in self.scale.items():
            if not math.isfinite(factor) or factor <= 0:
                raise BadSetting(f"scale: {name} is multiplied by a number above 0")
        if not abs(self.shift_s) <= _LONGEST_SHIFT_S:
            raise BadSetting("shift: a hundred years at the most, in seconds")
        if sum(map(len, self.replace.values())) > _MOST_WORDS:
            raise BadSetting(f"replace: {_MOST_WORDS:,} texts at the most at once")

    def told(self) -> dict[str, Any] | None:
        """For the books; None where it changes nothing."""
        said = {
            "replace": {name: dict(words) for name, words in self.replace.items()},
            "shift_s": self.shift_s,
            "scale": dict(self.scale),
        }
        return {name: value for name, value in said.items() if value} or None

    def apply(self, texts: pl.DataFrame) -> pl.DataFrame:
        """The texts of a batch as they should have come."""
        mended: list[pl.Expr] = []
        for name, words in self.replace.items():
            mended.append(_replaced(texts, name, words))
        for name, factor in self.scale.items():
            if name in texts.columns:
                mended.append(_scaled(name, factor))
        if self.shift_s and "time" in texts.columns:
            mended.append(_shifted(round(self.shift_s * SECOND)))
        return texts.with_columns(mended)


def _known(what: str, said: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in said:
        if name not in names:
            raise BadSetting(f"{what}: {name!r} is none of {', '.join(names)}")


def _replaced(texts: pl.DataFrame, name: str, words: Mapping[str, str]) -> pl.Expr:
    column = pl.col(name) if name in texts.columns else pl.lit(None, dtype=pl.String)
    said = column.fill_null("").str.strip_prefix(WRONG_TYPE)
    found = said.replace_strict(
        list(words), list(words.values()), default=None, return_dtype=pl.String
    )
    return pl.coalesce(found, column).alias(name)


def _scaled(name: str, factor: float) -> pl.Expr:
    number = pl.col(name).cast(pl.Float64, strict=False) * factor
    exact = number.round_sig_figs(_DIGITS).cast(pl.String)
    return pl.coalesce(exact, pl.col(name)).alias(name)


def _shifted(by_us: int) -> pl.Expr:
    """Times with an offset as UTC; those without stay what a wall clock showed."""
    wall_us, offset_us = civil_columns(pl.col("time"))
    instant = pl.from_epoch(wall_us - offset_us.fill_null(0) + by_us, "us")
    form = "%Y-%m-%dT%H:%M:%S%.6f"
    zone = pl.when(offset_us.is_not_null()).then(pl.lit("Z")).otherwise(pl.lit(""))
    return pl.coalesce(instant.dt.strftime(form) + zone, "time").alias("time")


UNCHANGED = Mend()
