"""What people say of events: verdicts, each taken or parked by itself."""

from __future__ import annotations

import codecs
import csv
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import orjson
import polars as pl

from etl.batch import Batch
from etl.door.keys import Arrival, KeyBook
from etl.readers.csv import CsvReader
from etl.readers.open import LONGEST_LINE, require_utf8
from etl.readers.source import Source
from etl.shape.rules import sites_named
from etl.validations.rules import (
    FIELDS,
    REQUIRED,
    Refusal,
    Verdict,
    verdict_of,
    with_times,
)
from sql.connect import Connection
from sql.errors import InputError
from sql.plant.sites import rows_of, site_key_of
from sql.queries import load

EXAMPLES = 20
RETRIED_AT_ONCE = 10_000


@dataclass
class ValidationReport:
    """What became of lines: read = stored + duplicates + unanswered + parked.

    unanswered have an empty verdict; parked is by code; told says of the first parked
    (EXAMPLES of them) where they stand and why.
    """

    read: int = 0
    stored: int = 0
    duplicates: int = 0
    unanswered: int = 0
    parked: dict[str, int] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Sender:
    """Where verdicts come from, and who says those that name nobody."""

    source: str
    who: str


def load_validations(
    conn: Connection, path: str, who: str, site: str | None = None
) -> ValidationReport:
    """Take the verdicts of a CSV file (plain, .gz, .zst; `-` is stdin).

    site is that of lines that name none. Each site of a block is a transaction; loading
    a file again changes nothing. InputError for a file that is none of verdicts, or
    cannot be read to its end: what came before stays.
    """
    report = ValidationReport()
    with Source(path) as source:
        # A file name is bytes; the books hold text.
        name = os.fsencode(source.name).decode("utf-8", "backslashreplace")
        sender = Sender(name, who)
        reader, header_bytes = _open(source.fill(), source.name, site)
        source.take(header_bytes, 1)
        while source.fill():
            block = reader.read(source.data, source.line, last=source.ended)
            if not block.consumed:
                raise InputError(
                    f"{source.name}: line {source.line} is longer than a block"
                )
            admit(conn, block.batch, sender, report)
            source.take(block.consumed, block.lines)
    return report


def admit(
    conn: Connection, batch: Batch, sender: Sender, report: ValidationReport
) -> list[Refusal]:
    """Take a batch of verdicts (columns: FIELDS as text), add to the report.

    Returns what was parked. conn is in autocommit.
    """
    arrival = KeyBook(conn).arrive(sites_named(batch.texts))
    rules = {name: site.rules for name, site in arrival.sites.items()}
    said = with_times(batch.texts, rules)
    # Nobody has filled in this line yet; without the column it would be malformed.
    answered = said.filter(pl.col("verdict").ne_missing(pl.lit("")))
    report.read += batch.records
    report.unanswered += said.height - answered.height
    found = [verdict_of(row, arrival.at) for row in answered.iter_rows(named=True)]
    refused = [item for item in found if isinstance(item, Refusal)]
    refused += [Refusal(r, "malformed", m, None) for r, m in batch.broken.iter_rows()]
    by_site: dict[str, list[Verdict]] = {}
    for item in found:
        if isinstance(item, Verdict):
            by_site.setdefault(item.site_id, []).append(item)
    for site_id in sorted(by_site):
        refused += _admit_site(conn, arrival, by_site[site_id], sender, report)
    refused.sort(key=lambda item: item.row)
    _park(conn, batch, refused, sender, report)
    return refused


def _admit_site(
    conn: Connection,
    arrival: Arrival,
    verdicts: Sequence[Verdict],
    sender: Sender,
    report: ValidationReport,
) -> list[Refusal]:
    """One site's verdicts, in a transaction; those on events that nobody knows."""
    site_id = verdicts[0].site_id
    site_key = arrival.sites[site_id].site_key
    if site_key is None:
        said = f"there is no site '{site_id}'"
        return [Refusal(v.row, "unknown_site", said, site_id) for v in verdicts]
    columns = {
        "rows": [v.row for v in verdicts],
        "workers": [v.worker_id for v in verdicts],
        "workstations": [v.workstation_id for v in verdicts],
        "times": [v.time for v in verdicts],
        "types": [v.event_type for v in verdicts],
        "verdicts": [v.verdict for v in verdicts],
        "labels": [v.right_label for v in verdicts],
        "by": [v.validated_by or sender.who for v in verdicts],
        "at": [v.validated_at for v in verdicts],
        "notes": [v.note for v in verdicts],
    }
    whole = {"site_key": site_key, "now": arrival.at, "source": sender.source}
    rows = conn.execute(load("validations")["admit"], columns | whole).fetchall()
    unknown = []
    for row, outcome, nearest in rows:
        report.stored += outcome == "stored"
        report.duplicates += outcome == "duplicate"
        if outcome == "unknown_event":
            hint = f"; the nearest is at {nearest.isoformat()}" if nearest else ""
            said = "no event has this site, worker, workstation, event_type and time"
            unknown.append(Refusal(row, outcome, said + hint, site_id))
    return unknown


def _park(
    conn: Connection,
    batch: Batch,
    refused: Sequence[Refusal],
    sender: Sender,
    report: ValidationReport,
) -> None:
    """Keep lines that were refused, as they came and as they were read."""
    if not refused:
        return
    origins = {
        row: (line, raw)
        for row, line, raw, *_ in batch.origin(
            pl.Series([item.row for item in refused], dtype=pl.UInt32)
        ).iter_rows()
    }
    wanted = batch.texts.filter(pl.col("row").is_in([item.row for item in refused]))
    fields = {row["row"]: _as_json(row) for row in wanted.iter_rows(named=True)}
    parked = [
        {
            "code": item.code,
            "message": item.message,
            "raw": origins[item.row][1],
            "fields": fields.get(item.row),
            "source": sender.source,
            "line": origins[item.row][0],
            "site_id": item.site_id,
            "said_by": sender.who,
        }
        for item in refused
    ]
    with conn.transaction(), conn.cursor() as cursor:
        cursor.executemany(load("validations")["park"], parked)
    for row in parked:
        code = str(row["code"])
        report.parked[code] = report.parked.get(code, 0) + 1
        if len(report.told) < EXAMPLES:
            report.told.append(
                {name: row[name] for name in ("line", "code", "message")}
            )


def _as_json(row: Mapping[str, Any]) -> bytes:
    return orjson.dumps(
        {name: row[name] for name in FIELDS if row.get(name) is not None}
    )


def retry(
    conn: Connection, who: str, site: str | None = None, code: str | None = None
) -> ValidationReport:
    """Try parked verdicts again: their events may have come, or been mended."""
    report = ValidationReport()
    asked = {"site": site, "code": code, "limit": RETRIED_AT_ONCE}
    rows = rows_of(conn, load("validations")["parked"], asked)
    rows = [row for row in rows if row["fields"] is not None]
    for sender in dict.fromkeys(Sender(r["source"], r["said_by"]) for r in rows):
        mine = [r for r in rows if (r["source"], r["said_by"]) == _parts(sender)]
        refused = admit(conn, _again(mine), sender, report)
        still = {(item.row, item.code) for item in refused}
        done = [
            row["parked_key"]
            for at, row in enumerate(mine)
            if (at, row["code"]) not in still
        ]
        marked = {"parked_keys": done, "who": who}
        conn.execute(load("validations")["mark_retried"], marked)
    return report


def _parts(sender: Sender) -> tuple[str, str]:
    return sender.source, sender.who


def sampled(
    conn: Connection, site: str, model: str | None, *, days: int, count: int, seed: int
) -> list[dict[str, Any]]:
    """Events that nobody has looked at, drawn at random, with verdicts to fill in.

    Columns are those that `load_validations` reads, and some for people. UnknownSite.
    """
    asked = {
        "site_key": site_key_of(conn, site),
        "model": model,
        "days": days,
        "count": count,
        "seed": seed,
    }
    rows = rows_of(conn, load("validations")["sample"], asked)
    empty = {"verdict": "", "right_label": "", "note": ""}
    return [
        row | {"time": row["time"].astimezone(UTC).isoformat()} | empty for row in rows
    ]


def _again(rows: Sequence[Mapping[str, Any]]) -> Batch:
    """Parked lines as a batch: what was read of them then."""
    said = [orjson.loads(bytes(row["fields"])) for row in rows]
    texts = pl.DataFrame(said, schema=dict.fromkeys(FIELDS, pl.String))

    def origin(wanted: pl.Series) -> pl.DataFrame:
        return pl.DataFrame(
            [(at, rows[at]["line"], bytes(rows[at]["raw"])) for at in wanted],
            schema={"row": pl.UInt32, "line": pl.Int64, "raw": pl.Binary},
            orient="row",
        )

    return Batch(texts.with_row_index("row"), origin)


def _open(first: bytes, name: str, site: str | None) -> tuple[CsvReader, int]:
    """What reads a file of verdicts, and the bytes of its header."""
    mark = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0
    end = first.find(b"\n", 0, LONGEST_LINE) + 1 or min(len(first), LONGEST_LINE)
    line = first[mark:end]
    require_utf8(line, name, 1)
    try:
        header = next(csv.reader([line.decode().rstrip("\r\n")]), [])
    except csv.Error as error:
        raise InputError(f"{name} is no CSV: line 1 is no header ({error})") from error
    columns: dict[str, int] = {}
    for at, column in enumerate(part.strip() for part in header):
        if column in FIELDS and column in columns:
            raise InputError(f"{name} has two columns {column}")
        if column in FIELDS:
            columns[column] = at
    _require(columns, header, name, site)
    return CsvReader(name, columns, len(header), site), end


def _require(
    columns: Mapping[str, int], header: Iterable[str], name: str, site: str | None
) -> None:
    missing = [
        f for f in REQUIRED if f not in columns and not (f == "site_id" and site)
    ]
    if not missing:
        return
    close = difflib.get_close_matches(missing[0], list(header), n=1)
    hint = f"; is {close[0]!r} meant as {missing[0]}?" if close else ""
    if missing == ["site_id"]:
        hint = "; name the site with --site"
    raise InputError(
        f"{name} is no file of verdicts: line 1 has no column {', '.join(missing)}; "
        f"it needs {', '.join(REQUIRED)}{hint}"
    )
