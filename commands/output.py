"""What commands print: tables for people, one JSON object for programs.

Results go to stdout; progress, notes and errors to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

# Not a terminal: nobody folds lines for us, so none is cut.
WIDE = 240
DASH = "\u2013"
# What a column takes beside its text, airy and dense; what a text may be folded to.
AIRY, DENSE = 3, 2
NARROWEST_TEXT = 20


def console(*, stderr: bool = False) -> Console:
    """Where people read; wide where the output is a file or a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDE
    return Console(stderr=stderr, width=width, highlight=False)


def note(text: str) -> None:
    """A remark that is no result."""
    print(text, file=sys.stderr)


def complain(text: str) -> None:
    """An error, red on a terminal."""
    from rich.text import Text

    console(stderr=True).print(Text(f"Error: {text}", style="bold red"), soft_wrap=True)


def print_json(result: Mapping[str, Any]) -> None:
    """One JSON object on stdout; times are ISO 8601 in UTC."""
    print(json.dumps(result, default=_jsonable, ensure_ascii=False, allow_nan=False))


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def print_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Iterable[str] | None = None,
    *,
    title: str | None = None,
    empty: str = "Nothing there.",
) -> None:
    """Rows as a table, columns in the order given or as the first row has them."""
    if not rows:
        note(empty)
        return
    names = list(columns or rows[0])
    cells = [[shown(name, row.get(name)) for name in names] for row in rows]
    numeric = [any(_is_number(row.get(name)) for row in rows) for name in names]
    out = console()
    heads, beside = _heads(names, cells, numeric, out.width)
    if not heads:
        _print_one_by_one(names, cells, title)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    if beside == DENSE:
        table.padding, table.pad_edge = (0, 1, 0, 0), False
    for head, is_number in zip(heads, numeric, strict=True):
        side: Literal["left", "right"] = "right" if is_number else "left"
        table.add_column(head, justify=side, overflow="fold", no_wrap=is_number)
    for line in cells:
        table.add_row(*map(Text, line))
    out.print(table)


def _heads(
    names: Sequence[str],
    cells: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    width: int,
) -> tuple[list[str], int]:
    """The heads of a table that fits: in one line, or broken at their underscores; and
    what a column takes beside its text.

    No heads where nothing fits: a table that breaks its numbers is no table.
    """
    widest = [max(map(len, column)) for column in zip(*cells, strict=True)]
    needed = [
        w if is_number else min(w, NARROWEST_TEXT)
        for w, is_number in zip(widest, numeric, strict=True)
    ]
    broken = [name.replace("_", "_\n") for name in names]
    for heads, beside in ((list(names), AIRY), (broken, DENSE)):
        of_heads = [max(map(len, head.split("\n"))) for head in heads]
        if sum(map(max, needed, of_heads)) + beside * len(names) + 1 <= width:
            return heads, beside
    return [], AIRY


def _print_one_by_one(
    names: Sequence[str], cells: Sequence[Sequence[str]], title: str | None
) -> None:
    """A line per field, a paragraph per row, as psql does where a row is too wide."""
    if title:
        print(title)
    width = max(map(len, names))
    for line in cells:
        print()
        for name, text in zip(names, line, strict=True):
            print(f"{name.ljust(width)}  {text}")


def print_fields(fields: Mapping[str, Any]) -> None:
    """One thing, a line per field."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print(f"{name.ljust(width)}  {shown(name, value)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(name: str, value: Any) -> str:
    """A value as people read it: durations in hours, ratios in percent, NULL a dash."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, float):
        return _number(name, value)
    if isinstance(value, list):
        return printable(", ".join(map(str, value)))
    return printable(str(value))


def printable(text: str) -> str:
    """Text that moves no cursor: a parked line may hold any bytes."""
    if text.isprintable():
        return text
    parts = (c if c.isprintable() else repr(c)[1:-1] for c in text)
    return "".join(parts)


def _number(name: str, value: float) -> str:
    if name.endswith("utilization"):
        return f"{value * 100:.1f} %"
    if name.endswith("_per_s"):
        return f"{value:g}"
    if name.endswith("_s"):
        return duration(value)
    return f"{value:.2f}"


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds: 1:05:09."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
