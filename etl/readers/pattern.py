"""Logs without columns: what a line says is found by a pattern."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from etl.readers.lines import TOO_LONG, Spans, block_of, line_spans, numbered
from etl.readers.open import LONGEST_LINE, Block, require_utf8

_NO_MATCH = "the line does not look like one of this log"


@dataclass(frozen=True)
class PatternReader:
    """Lines of a log: the named groups of a pattern are its columns.

    split: a line as the lines it would be if each said one thing.
    """

    name: str
    pattern: str
    site: str | None = None
    split: Callable[[str], list[str]] | None = None

    def read(self, data: bytes, line: int, *, last: bool) -> Block:
        """Take whole lines from the front of `data`: see Reader."""
        body = data if last else data[: data.rfind(b"\n") + 1]
        require_utf8(body, self.name, line)
        spans = line_spans(body)
        bounds = zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)
        lines: list[str | None] = []
        owners: list[int] = []
        for at, (start, end) in enumerate(bounds):
            said = self._said(body[start:end])
            lines += said
            owners += [at] * len(said)
        spans = Spans(spans.starts[owners], spans.ends[owners])
        text = pl.col("line")
        groups = text.str.extract_groups(self.pattern).struct
        names = re.compile(self.pattern).groupindex
        read = pl.DataFrame({"line": lines}, schema={"line": pl.String}).select(
            *(groups.field(name).alias(name) for name in names),
            is_match=text.str.contains(self.pattern).fill_null(False),
        )
        rows = np.flatnonzero(read["is_match"].to_numpy())
        broken = {
            int(row): TOO_LONG if lines[row] is None else _NO_MATCH
            for row in np.flatnonzero(~read["is_match"].to_numpy())
        }
        texts = read.filter("is_match").drop("is_match")
        texts = numbered(texts, rows, self.site)
        return block_of(body, line, texts, broken, lambda: spans)

    def _said(self, line: bytes) -> list[str | None]:
        if len(line) > LONGEST_LINE:
            return [None]
        text = line.decode()
        return [text] if self.split is None else [*self.split(text)]
