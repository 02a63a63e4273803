"""CSV event files: records and their fields, each with its line and its raw bytes.

Most blocks hold no quote and no broken line, and go straight to polars. A record that
breaks the rules of CSV is one malformed line; reading goes on with the next line, so
that a stray quote costs one event and not the rest of the file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from polars.exceptions import ComputeError, SchemaError

from etl.readers.lines import TOO_LONG, Spans, block_of, line_spans, numbered
from etl.readers.open import (
    LONGEST_LINE,
    Block,
    Offsets,
    has_long_line,
    newlines,
    positions,
    require_utf8,
)

_FIELD = rb'(?:"(?:[^"]|"")*+"|[^",\n][^,\n]*|)'
_RECORD = re.compile(_FIELD + rb"(?:," + _FIELD + rb")*\r?(?:\n|\Z)")
_BAD_QUOTES = "the quotes of this line do not pair up"
_BEFORE_OPENING = np.frombuffer(b',\n"', dtype=np.uint8)
_AFTER_CLOSING = np.frombuffer(b',\r\n"', dtype=np.uint8)


@dataclass(frozen=True)
class CsvReader:
    """Records of a known header: columns is field to position, width their number."""

    name: str
    columns: Mapping[str, int]
    width: int
    site: str | None = None

    def read(self, data: bytes, line: int, *, last: bool) -> Block:
        """Take whole records from the front of `data`: see Reader."""
        if b'"' in data:
            return self._read_quoted(data, line, last=last)
        body = data if last else data[: data.rfind(b"\n") + 1]
        require_utf8(body, self.name, line)
        texts = self._clean(body)
        if texts is None:
            marks = _Marks(newlines(body), positions(body, b","))
            return self._sifted(body, line, marks, None)
        texts = numbered(texts, None, self.site)
        return block_of(body, line, texts, {}, lambda: line_spans(body))

    def _read_quoted(self, data: bytes, line: int, *, last: bool) -> Block:
        marks = _quoted_marks(data, last=last)
        if marks is None:
            return self._scanned(data, line, last=last)
        body = data if last else data[: int(marks.ends[-1]) + 1]
        require_utf8(body, self.name, line)
        return self._sifted(body, line, marks, '"')

    def _clean(self, body: bytes) -> pl.DataFrame | None:
        """The fields of a block whose every line is a record; None where one is not."""
        if has_long_line(body):
            return None
        try:
            texts = self._parsed(body, None)
        except (ComputeError, SchemaError):
            return None
        whole = body.count(b",") == texts.height * (self.width - 1)
        return texts if whole else None

    def _parsed(self, body: bytes, quote: str | None) -> pl.DataFrame:
        by_position = sorted(self.columns.items(), key=lambda item: item[1])
        names = [str(i) for i in range(self.width)]
        read = pl.read_csv(
            body,
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            columns=[position for _, position in by_position],
            quote_char=quote,
            empty_string_is_null=False,
        )
        return read.rename({str(at): name for name, at in by_position})

    def _sifted(
        self, body: bytes, line: int, marks: _Marks, quote: str | None
    ) -> Block:
        """Whole records to polars, the others told apart by their number of fields."""
        spans = line_spans(body, marks.ends)
        widths = 1 + np.diff(
            np.searchsorted(marks.commas, np.stack([spans.starts, spans.ends]).T)
        ).reshape(-1)
        long = spans.ends - spans.starts > LONGEST_LINE
        broken = {int(row): TOO_LONG for row in np.flatnonzero(long)}
        for row in np.flatnonzero((widths != self.width) & ~long):
            broken[int(row)] = self._ragged(int(widths[row]))
        good = (widths == self.width) & ~long
        rows = np.flatnonzero(good)
        bounds = zip(
            spans.starts[good].tolist(), spans.ends[good].tolist(), strict=True
        )
        joined = b"\n".join(body[start:end] for start, end in bounds)
        texts = numbered(self._parsed(joined, quote), rows, self.site)
        return block_of(body, line, texts, broken, lambda: spans)

    def _scanned(self, data: bytes, line: int, *, last: bool) -> Block:
        """Record by record: where quotes are broken, only this finds the next line."""
        found = _Scan.of(data, last=last)
        body = data[: found.end]
        require_utf8(body, self.name, line)
        fields: list[list[str]] = []
        rows: list[int] = []
        for row, (start, end) in enumerate(zip(found.starts, found.ends, strict=True)):
            if row in found.broken:
                continue
            record = _fields(body[start:end])
            if record is None:
                found.broken[row] = _BAD_QUOTES
            elif len(record) != self.width:
                found.broken[row] = self._ragged(len(record))
            else:
                fields.append(record)
                rows.append(row)
        columns = {
            name: pl.Series([record[at] for record in fields], dtype=pl.String)
            for name, at in self.columns.items()
        }
        numbers = np.array(rows, dtype=np.int64)
        texts = numbered(pl.DataFrame(columns), numbers, self.site)
        spans = Spans(np.array(found.starts), np.array(found.ends))
        return block_of(body, line, texts, found.broken, lambda: spans)

    def _ragged(self, width: int) -> str:
        return f"the line has {width} fields, the header has {self.width}"


@dataclass(frozen=True)
class _Marks:
    """Where records end and fields part, quoted ones left out."""

    ends: Offsets
    commas: Offsets


def _quoted_marks(data: bytes, *, last: bool) -> _Marks | None:
    """Marks outside quotes; None where quotes do not pair up as CSV wants it."""
    quotes = positions(data, b'"')
    array = np.frombuffer(data, dtype=np.uint8)
    opening, closing = quotes[::2], quotes[1::2]
    before = array[np.maximum(opening - 1, 0)]
    after = array[np.minimum(closing + 1, len(data) - 1)]
    opens = np.isin(before, _BEFORE_OPENING) | (opening == 0)
    closes = np.isin(after, _AFTER_CLOSING) | (closing == len(data) - 1)
    if not (opens.all() and closes.all()):
        return None
    ends = _outside(newlines(data), quotes)
    open_tail = len(data) - (int(ends[-1]) + 1 if len(ends) else 0)
    if len(quotes) % 2 and (last or open_tail > LONGEST_LINE):
        return None
    if not last and not len(ends):
        return None
    return _Marks(ends, _outside(positions(data, b","), quotes))


def _outside(marks: Offsets, quotes: Offsets) -> Offsets:
    """Those with an even number of quotes before them."""
    kept: Offsets = marks[np.searchsorted(quotes, marks) % 2 == 0]
    return kept


@dataclass
class _Scan:
    """Records of a block with broken quotes: spans, and why some are no records."""

    starts: list[int]
    ends: list[int]
    broken: dict[int, str]
    end: int

    @classmethod
    def of(cls, data: bytes, *, last: bool) -> _Scan:
        found = cls([], [], {}, 0)
        while found.end < len(data):
            stop = _record_end(data, found.end)
            if not last and (stop is None or stop == len(data)):
                # The record may go on in the next block, unless it is too long already.
                if len(data) - found.end <= LONGEST_LINE:
                    break
                if data.find(b"\n", found.end) < 0:
                    break
            found.add(data, stop)
        return found

    def add(self, data: bytes, stop: int | None) -> None:
        """A record up to `stop`; without, its first line, as a broken one."""
        start = self.end
        self.end = stop or data.find(b"\n", start) + 1 or len(data)
        text_end = start + len(data[start : self.end].rstrip(b"\r\n"))
        if text_end == start:
            return
        if stop is None:
            too_long = text_end - start > LONGEST_LINE
            self.broken[len(self.starts)] = TOO_LONG if too_long else _BAD_QUOTES
        self.starts.append(start)
        self.ends.append(text_end)


def _record_end(data: bytes, start: int) -> int | None:
    """Where the record that begins at `start` ends; None where there is none."""
    # One more than a line and its end: what reaches that far is longer than allowed.
    limit = min(len(data), start + LONGEST_LINE + 3)
    found = _RECORD.match(data, start, limit)
    if found is None or found.end() == start:
        return None
    ends_line = data[found.end() - 1] == ord("\n")
    if found.end() - start - ends_line > LONGEST_LINE + 1:
        return None
    return found.end() if ends_line or found.end() == len(data) else None


def _fields(record: bytes) -> list[str] | None:
    try:
        return next(csv.reader([record.decode()]))
    except csv.Error:
        return None
