"""Where records lie in a block: line numbers and raw bytes of what is parked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from etl.batch import BROKEN_SCHEMA, ORIGIN_SCHEMA, Batch
from etl.readers.open import LONGEST_LINE, Block, Offsets, newlines

TOO_LONG = "the line is longer than 64 kB; its first 64 kB are kept"


@dataclass(frozen=True)
class Spans:
    """Bytes of each record that is not blank, line end excluded, in their order."""

    starts: Offsets
    ends: Offsets


def line_spans(data: bytes, ends: Offsets | None = None) -> Spans:
    """Records of `data` that end at `ends`; without, each line is one."""
    ends = newlines(data) if ends is None else ends
    if len(data) > (ends[-1] + 1 if len(ends) else 0):
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    array = np.frombuffer(data, dtype=np.uint8)
    returns = (ends > starts) & (array[np.maximum(ends - 1, 0)] == ord("\r"))
    ends = ends - returns
    filled = ends > starts
    return Spans(starts[filled], ends[filled])


def block_of(
    data: bytes,
    line: int,
    texts: pl.DataFrame,
    broken: Mapping[int, str],
    spans: Callable[[], Spans],
) -> Block:
    """All of `data` as one block; spans are asked for only when rows are parked."""

    def origin(rows: pl.Series) -> pl.DataFrame:
        found = spans()
        at = rows.to_numpy()
        starts, ends = found.starts[at], found.ends[at]
        raw = [
            data[start : min(end, start + LONGEST_LINE)]
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        lines = line + np.searchsorted(newlines(data), starts)
        return pl.DataFrame(
            {"row": rows, "line": lines, "raw": raw}, schema=ORIGIN_SCHEMA
        )

    told = pl.DataFrame(
        {"row": list(broken), "message": list(broken.values())}, schema=BROKEN_SCHEMA
    )
    return Block(Batch(texts, origin, told), len(data), data.count(b"\n"))


def numbered(
    texts: pl.DataFrame, rows: Offsets | None, site: str | None
) -> pl.DataFrame:
    """Add `row`, and the site of those that name none."""
    if rows is None:
        texts = texts.with_row_index("row")
    else:
        texts = texts.with_columns(row=pl.Series(rows, dtype=pl.UInt32))
    if site is None:
        return texts
    if "site_id" not in texts.columns:
        return texts.with_columns(site_id=pl.lit(site))
    own = pl.when(pl.col("site_id") != "").then("site_id")
    return texts.with_columns(site_id=own.fill_null(pl.lit(site)))
