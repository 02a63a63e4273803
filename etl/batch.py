"""What every source hands to the door: text columns, and where each row came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

ORIGIN_SCHEMA = pl.Schema({"row": pl.UInt32, "line": pl.Int64, "raw": pl.Binary})
BROKEN_SCHEMA = pl.Schema({"row": pl.UInt32, "message": pl.String})
Origin = Callable[[pl.Series], pl.DataFrame]


@dataclass(frozen=True)
class Batch:
    """Rows as they came, numbered from 0 in their order.

    texts: `row` and any of shape.FIELDS as text, null where absent; broken: `row` and
    `message` of what is no event at all, parked as broken_code; origin: for some rows
    (UInt32), their line numbers and raw bytes in ORIGIN_SCHEMA, and `source` where each
    has one of its own; site: of rows that name none, broken ones among them.
    """

    texts: pl.DataFrame
    origin: Origin
    broken: pl.DataFrame = field(default_factory=BROKEN_SCHEMA.to_frame)
    broken_code: str = "malformed"
    site: str | None = None

    @property
    def records(self) -> int:
        """How many rows were read."""
        return self.texts.height + self.broken.height


def batch_of(texts: pl.DataFrame) -> Batch:
    """A batch of a frame without raw bytes of its own: they are its rows as JSON."""

    def origin(rows: pl.Series) -> pl.DataFrame:
        wanted = numbered.filter(pl.col("row").is_in(rows.implode()))
        fields = pl.struct(pl.exclude("row")).struct.json_encode()
        return wanted.select(
            "row",
            line=pl.col("row").cast(pl.Int64) + 1,
            raw=fields.cast(pl.Binary),
        )

    numbered = texts if "row" in texts.columns else texts.with_row_index("row")
    return Batch(numbered, origin)
