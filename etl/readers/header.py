"""What an event file is: its format, its header, and which column is which field."""

from __future__ import annotations

import codecs
import csv
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from etl.readers.csv import CsvReader
from etl.readers.layout import EVENTS, Layout
from etl.readers.ndjson import NdjsonReader, parsed
from etl.readers.open import LONGEST_LINE, Reader, require_utf8
from etl.readers.presets import fitting
from sql.errors import BadSetting, InputError

_NDJSON_SUFFIXES = {".ndjson", ".jsonl", ".json"}
_CSV_SUFFIXES = {".csv", ".tsv", ".txt"}
_FIRST_OBJECTS = 100
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Opening:
    """How to read a file: what reads its records, and what stands before them."""

    reader: Reader
    format: str
    bytes: int
    lines: int
    notices: list[str] = field(default_factory=list)


def parse_mapping(pairs: Iterable[str], layout: Layout = EVENTS) -> dict[str, str]:
    """`--map column=name` as column of the file to field; BadSetting where it is none.

    Where only one side is a field's name, that is the field, whichever side it is on.
    """
    mapping: dict[str, str] = {}
    for pair in pairs:
        column, equals, name = (part.strip() for part in pair.partition("="))
        if not equals or not column or not name:
            raise BadSetting(f"--map {pair!r}: write column=name, such as ts=time")
        if name not in layout.fields and column in layout.fields:
            column, name = name, column
        if name not in layout.fields:
            raise BadSetting(
                f"--map {pair!r}: no field is called {name!r}; there are "
                f"{', '.join(layout.fields)}"
            )
        mapping[column] = name
    return mapping


def open_reader(
    first: bytes,
    name: str,
    mapping: Mapping[str, str],
    site: str | None,
    layout: Layout = EVENTS,
) -> Opening:
    """See from its first bytes how to read a file; InputError where it has no events"""
    if first.startswith(_UTF16):
        raise InputError(f"{name} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
    mark = byte_order_mark(first)
    if _is_ndjson(first[mark:], name):
        names = _names(mapping, layout)
        unknown = _unknown_names(first[mark:LONGEST_LINE], names)
        reader = NdjsonReader(name, names, site)
        return Opening(reader, "ndjson", mark, 0, _ignored(unknown))
    return _open_csv(first, name, mapping, site, layout)


def byte_order_mark(first: bytes) -> int:
    """How many bytes the byte order mark takes."""
    return len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0


def _is_ndjson(first: bytes, name: str) -> bool:
    begins = first[:LONGEST_LINE].lstrip()[:1]
    suffixes = [s.lower() for s in PurePath(name).suffixes if s not in (".gz", ".zst")]
    suffix = suffixes[-1] if suffixes else ""
    if suffix in _NDJSON_SUFFIXES:
        if begins == b"[":
            raise InputError(
                f"{name} is one JSON array; NDJSON has one object a line "
                f"(jq -c '.[]' makes it so)"
            )
        if begins != b"{" and b"\0" in first[:LONGEST_LINE]:
            raise InputError(f"{name} is no NDJSON: it holds NUL bytes")
        return True
    return suffix not in _CSV_SUFFIXES and begins == b"{"


def _names(mapping: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """Names in the file to fields; a mapping goes before the field's own name."""
    mapped = dict(mapping)
    own = {f: f for f in layout.fields if f not in mapped}
    rest = own | dict(layout.aliases)
    return mapped | {name: f for name, f in rest.items() if name not in mapped}


def _unknown_names(head: bytes, names: Mapping[str, str]) -> list[str]:
    """Names of the first objects that are no field's, in their order."""
    documents = (parsed(line) for line in head.splitlines()[:_FIRST_OBJECTS])
    said = {key: None for d in documents if isinstance(d, dict) for key in d}
    return [ascii(key)[1:-1] for key in said if key not in names]


def _open_csv(
    first: bytes,
    name: str,
    mapping: Mapping[str, str],
    site: str | None,
    layout: Layout,
) -> Opening:
    mark = byte_order_mark(first)
    if not first[mark:].strip():
        return Opening(CsvReader(name, {}, 1, site), "csv", len(first), 0)
    # Blank lines before the header are none of it.
    start = len(first) - len(first[mark:].lstrip(b"\r\n"))
    blank = first.count(b"\n", 0, start)
    end = first.find(b"\n", start, start + LONGEST_LINE) + 1
    if not end and len(first) - start > LONGEST_LINE:
        raise InputError(f"{name} is no CSV: its first line is longer than 64 kB")
    line = first[start : end or len(first)]
    header = _header(line, name, blank + 1)
    columns, notices = columns_of(header, name, mapping, site, layout)
    reader = CsvReader(name, columns, len(header), site)
    return Opening(reader, "csv", start + len(line), blank + 1, notices)


def _header(line: bytes, name: str, number: int) -> list[str]:
    require_utf8(line, name, number)
    if b"\0" in line:
        raise InputError(f"{name} is no CSV: line {number} holds NUL bytes")
    try:
        (header,) = csv.reader([line.decode().rstrip("\r\n")])
    except csv.Error as error:
        raise InputError(
            f"{name} is no CSV: line {number} is no header ({error}); lines end with "
            f"LF or CRLF"
        ) from error
    return [column.strip() for column in header]


def columns_of(
    header: Sequence[str],
    name: str,
    mapping: Mapping[str, str],
    site: str | None,
    layout: Layout = EVENTS,
) -> tuple[dict[str, int], list[str]]:
    """Field to position in the header, and a notice of columns that are ignored."""
    absent = [column for column in mapping if column not in header]
    if absent:
        raise InputError(
            f"{name} has no column {absent[0]!r} that --map speaks of; "
            f"it has {', '.join(header)}"
        )
    own = {f: f for f in layout.fields if f not in mapping.values()}
    fields = own | dict(mapping)
    taken = {*mapping.values(), *(column for column in header if column in own)}
    for alias, f in layout.aliases.items():
        if f not in taken and alias in header and alias not in mapping:
            fields[alias] = f
            taken.add(f)
    columns: dict[str, int] = {}
    for position, column in enumerate(header):
        if column not in fields:
            continue
        if fields[column] in columns:
            raise InputError(
                f"{name} has two columns for {fields[column]}; "
                f"--map says which one it is"
            )
        columns[fields[column]] = position
    _require(columns, header, name, site, layout)
    used = set(columns.values())
    ignored = [column for at, column in enumerate(header) if at not in used]
    return columns, _ignored(ignored)


def _ignored(names: Iterable[str]) -> list[str]:
    said = ", ".join(names)
    return [f"columns ignored: {said[:200]}"] if said else []


def _require(
    columns: Mapping[str, int],
    header: Sequence[str],
    name: str,
    site: str | None,
    layout: Layout,
) -> None:
    missing = [
        f for f in layout.required if f not in columns and not (f == "site_id" and site)
    ]
    if not missing:
        return
    hints = []
    if missing == ["site_id"]:
        hints.append("name the site with --site, over HTTP with ?site=")
    hints += [f"--preset {preset}" for preset in fitting(header) if layout is EVENTS]
    if len(header) == 1:
        hints.append("is it separated by commas?")
    taken = set(columns.values())
    free = [column for i, column in enumerate(header) if i not in taken]
    for f in missing:
        close = difflib.get_close_matches(f, free, n=1)
        if close:
            hints.append(f"--map {close[0]}={f}")
    found = ", ".join(header)[:200]
    advice = f" ({'; '.join(hints)})" if hints else ""
    raise InputError(
        f"{name} is no event file: it has no column {', '.join(missing)}; "
        f"its columns: {found}{advice}"
    )
