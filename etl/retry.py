"""Parked events through the door again: after a site was mended, or mending them.

Each is read as its file was: the load remembers format, header and mapping. What comes
in is marked as retried, by whom and how it was mended; what breaks a rule again stays
parked as it came. Every retry is in the audit log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any

import polars as pl
import psycopg
from psycopg.errors import LockNotAvailable
from psycopg.types.json import Jsonb

from etl.batch import Batch
from etl.door.admit import Door
from etl.door.parts import Prepared
from etl.files.reading import Reading, reading_of
from etl.shape.mend import UNCHANGED, Mend
from sql.connect import Connection
from sql.errors import BadSetting, InputError, RetryRunning
from sql.keys import audit
from sql.queries import load

PAGE_ROWS = 10_000
LONGEST_WAIT_S = 30.0
# Formats whose parked rows are kept as JSON objects.
_AS_JSON = ("ndjson", "parquet", "mtconnect")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which parked rows; None: whatever their site, code or source."""

    site: str | None = None
    code: str | None = None
    source: str | None = None
    ids: Sequence[int] | None = None

    def values(self) -> dict[str, Any]:
        """As the queries take it."""
        return asdict(self) | {"ids": None if self.ids is None else list(self.ids)}


@dataclass
class RetryReport:
    """What became of parked rows: read = stored + duplicates + parked.

    parked, by code, are those that broke a rule again. Of a dry run, stored are those
    that would break none.
    """

    read: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    parked: dict[str, int] = field(default_factory=dict)

    def add_parked(self, codes: Mapping[str, int]) -> None:
        """Count rows that broke a rule again."""
        for code, count in codes.items():
            self.parked[code] = self.parked.get(code, 0) + count


@dataclass(frozen=True, slots=True)
class Parked:
    """One row of ingest.rejects, and the load that brought it, with its options."""

    reject_id: int
    code: str
    raw: bytes
    source: str
    load_id: int | None
    options: str

    def reading(self) -> tuple[str, str, bool]:
        """Rows that are alike in this can be read as one file.

        A quote that does not pair up would take its neighbours along: alone, it cannot.
        """
        return self.source, self.options, b'"' in self.raw and not self.is_json()

    def is_json(self) -> bool:
        """Whether it is an object of its own, and no line of a CSV."""
        return self.format() in _AS_JSON

    def is_line(self) -> bool:
        """Whether it is a line of a log, which may tell of several machines."""
        return self.format() == "lines"

    def format(self) -> str:
        """What its file was."""
        return str(_said(self.options).get("format", "ndjson"))


@dataclass(frozen=True, slots=True)
class Orders:
    """Who has rows sent again, how mended; dry_run: only to see what would become."""

    who: str
    mend: Mend = UNCHANGED
    dry_run: bool = False


def retry(dsn: str, which: Filter, orders: Orders) -> RetryReport:
    """Send what stands parked through the door again; who and how is kept.

    Raises RetryRunning where another one does not end.
    """
    report = RetryReport()
    with Door(dsn) as door, _written_down(door, which, orders, report):
        after, until = 0, _last(door)
        while page := parked_rows(
            door.conn, which, after=after, until=until, limit=PAGE_ROWS
        ):
            after = page[-1].reject_id
            page.sort(key=Parked.reading)
            for (_, _, alone), rows in groupby(page, Parked.reading):
                together = list(rows)
                for batch in [[row] for row in together] if alone else [together]:
                    _retry(door, batch, report, orders)
    return report


@contextmanager
def _written_down(
    door: Door, which: Filter, orders: Orders, report: RetryReport
) -> Iterator[None]:
    """Alone, and in the audit log however it ends; a dry run needs neither."""
    if orders.dry_run:
        yield
        return
    try:
        with door.conn.transaction():
            wait = {"wait": f"{LONGEST_WAIT_S}s"}
            door.conn.execute(load("rejects")["wait_so_long"], wait)
            door.conn.execute(load("rejects")["alone"])
    except LockNotAvailable as error:
        raise RetryRunning from error
    told: dict[str, Any] = which.values() | {"mended": orders.mend.told()}
    subject = which.site or "all sites"
    try:
        yield
    except BaseException as error:
        told |= asdict(report) | {"error": str(error) or type(error).__name__}
        # A database that is gone has the rows' own marks, and no more.
        with suppress(psycopg.Error):
            audit(door.conn, orders.who, "rejects.retry", subject, told)
        raise
    audit(door.conn, orders.who, "rejects.retry", subject, told | asdict(report))


def parked_rows(
    conn: Connection,
    which: Filter,
    *,
    after: int = 0,
    until: int | None = None,
    limit: int | None = None,
) -> list[Parked]:
    """What stands parked, in the order in which it came; reject_ids in (after, until].

    Conflicts are not among it: what they speak of is stored.
    """
    values = which.values() | {"after": after, "until": until, "limit": limit}
    rows = conn.execute(load("rejects")["parked"], values).fetchall()
    return [Parked(*row) for row in rows]


def taken_out(
    conn: Connection, which: Filter, who: str, *, most: int | None = None
) -> tuple[bytes, int]:
    """Parked lines as a file, and how many; who took them out is in the audit log.

    BadSetting where they are more than `most`, or of files with different columns.
    """
    rows = parked_rows(conn, which, limit=None if most is None else most + 1)
    if most is not None and len(rows) > most:
        raise BadSetting(f"These are more than {most:,}: name a code or a source")
    content = exported(rows)
    told = which.values() | {"rows": len(rows)}
    audit(conn, who, "rejects.export", which.site or "all sites", told)
    return content, len(rows)


def exported(rows: Sequence[Parked]) -> bytes:
    """Parked lines as they came, header included, as one file to mend and load.

    BadSetting where they are of files with different columns.
    """
    headers = {(row.is_json(), header_of(row.options)) for row in rows}
    if len(headers) > 1:
        sources = sorted({row.source for row in rows})
        raise BadSetting(
            "These lines are of files with different columns: name one with --source, "
            f"such as {', '.join(sources[:10])}"
        )
    header = next((said for _, said in headers), b"")
    content = header.rstrip(b"\r\n") + b"\n" if header.strip() else b""
    return content + b"".join(row.raw + b"\n" for row in rows)


def header_of(options: str) -> bytes:
    """The header of the CSV file that rows with these options came from; or nothing."""
    header: str = _said(options).get("header", "")
    return header.encode()


def _said(options: str) -> dict[str, Any]:
    try:
        said = json.loads(options)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _last(door: Door) -> int:
    """The newest row there is: what is parked anew meanwhile is not taken up again."""
    row = door.conn.execute(load("rejects")["last"]).fetchone()
    return int(row[0]) if row else 0


def _retry(
    door: Door, rows: Sequence[Parked], report: RetryReport, orders: Orders
) -> None:
    """One batch: read as its file was, admitted, and marked row by row."""
    first = rows[0]
    reading = reading_of(_said(first.options))
    read = _read(rows, reading)
    if read.records != len(rows) and len(rows) > 1:
        for row in rows:
            _retry(door, [row], report, orders)
        return
    if read.records != len(rows) and not (first.is_line() and read.records):
        # Bytes that are no record, or several: they stay what they are.
        report.read += 1
        report.add_parked({first.code: 1})
        return
    batch, _ = reading.events(read)
    batch = replace(batch, texts=orders.mend.apply(batch.texts))
    prepared = door.prepare(batch, timezone=reading.timezone, dry_run=orders.dry_run)
    if orders.dry_run:
        _foresee(prepared, report)
        return
    prepared = replace(prepared, load_id=first.load_id)
    # With its mark in one transaction: killed in between, a row would come in twice, if
    # it is mended in another way next time.
    with door.conn.transaction():
        admission = door.commit(prepared, first.source)
        _mark(door, rows, admission.told, reading.width, orders)
    report.read += admission.read
    report.stored += admission.stored
    report.duplicates += admission.duplicates
    report.conflicts += admission.conflicts
    report.add_parked(admission.parked)


def _read(rows: Sequence[Parked], reading: Reading) -> Batch:
    """Parked rows as their file was read; InputError where nobody knows how."""
    first = rows[0]
    is_json, is_csv = first.is_json(), first.format() == "csv"
    header = header_of(first.options) if is_csv else b""
    if is_csv and not header.strip():
        raise InputError(
            f"Parked rows of {first.source} cannot be read again: their load does not "
            "tell their header; load the file again instead"
        )
    name = f"{first.source}.ndjson" if is_json else "parked.csv"
    data = b"\n".join(row.raw for row in rows) + b"\n"
    content = header.rstrip(b"\r\n") + b"\n" if is_csv else b""
    opening = reading.opened(content + data, name, as_json=is_json)
    return opening.reader.read(data, 1, last=True).batch


def _foresee(prepared: Prepared, report: RetryReport) -> None:
    for part in prepared.parts:
        report.read += part.read
        report.stored += part.events.height
        report.add_parked(dict(part.rejects["code"].value_counts().iter_rows()))


def _mark(
    door: Door,
    rows: Sequence[Parked],
    told: Iterable[pl.DataFrame],
    width: int,
    orders: Orders,
) -> None:
    """Rows that did not break the same rule again are no longer parked as they were.

    width: how many events a row may become; a row alone may be several lines of a log.
    """
    alone = len(rows) == 1
    again = {
        (0 if alone else int(row) // width, str(code))
        for frame in told
        for row, code in frame.select("row", "code").iter_rows()
    }
    done = [row.reject_id for at, row in enumerate(rows) if (at, row.code) not in again]
    how = orders.mend.told()
    marked = {"reject_ids": done, "who": orders.who, "mended": how and Jsonb(how)}
    door.conn.execute(load("rejects")["mark_retried"], marked)
