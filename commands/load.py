"""`floorpulse load`: files of events through the door."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options import Json, option
from commands.output import console, note, print_json, print_table
from commands.session import ready_dsn

if TYPE_CHECKING:
    from etl.files import LoadProgress, LoadReport
    from sql.errors import FloorpulseError

    Tell = Callable[[LoadProgress], None]

COUNTS = ("read", "stored", "duplicates", "conflicts")
ROWS_PARKED = 3


def load(
    file: Annotated[
        list[str],
        typer.Argument(
            help="CSV, NDJSON or Parquet, also .gz or .zst; a folder or a pattern "
            "stands for the files there; - is stdin."
        ),
    ],
    site: Annotated[
        str | None, option("--site", "The site of rows that name none.")
    ] = None,
    timezone: Annotated[
        str | None,
        option("--timezone", "Zone of times without an offset, whatever the site's."),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        option("--map", "A column of the file and its field.", metavar="COLUMN=NAME"),
    ] = None,
    dry_run: Annotated[
        bool, option("--dry-run", "Store nothing; tell what would be parked, and why.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Load files of events; twice is harmless, and what was cut off is continued.

    Exit code 3: done, but rows were parked or in conflict.
    """
    from etl.files_found import found
    from etl.readers_header import parse_mapping
    from sql.zones import zone

    columns = parse_mapping(mapping or [])
    if timezone is not None:
        zone(timezone)
    paths, notices = found(file)
    for notice in notices:
        note(notice)
    loads = _Loads(site, timezone, columns, dry_run)
    failed = loads.run(paths)
    _report(loads.reports, failed, as_json=as_json, dry_run=dry_run)
    if failed is not None:
        raise failed
    if any(r.parked or r.conflicts for r in loads.reports):
        raise typer.Exit(ROWS_PARKED)


@dataclass
class _Loads:
    """One run over several files: how they are read, and what became of each."""

    site: str | None
    timezone: str | None
    mapping: Mapping[str, str]
    dry_run: bool
    reports: list[LoadReport] = field(default_factory=list)

    def run(self, paths: Sequence[str]) -> FloorpulseError | None:
        """Load one file after another, up to the first that fails."""
        from etl.files import LoadError, load_file
        from sql.errors import FloorpulseError

        dsn = ready_dsn()
        for path in paths:
            try:
                with _progress(path) as tell:
                    report = load_file(
                        dsn,
                        path,
                        site=self.site,
                        timezone=self.timezone,
                        mapping=self.mapping,
                        dry_run=self.dry_run,
                        progress=tell,
                    )
            except LoadError as error:
                self.reports.append(error.report)
                return error
            except FloorpulseError as error:
                return error
            self.reports.append(report)
        return None


@contextmanager
def _progress(path: str) -> Iterator[Tell | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    name = TextColumn("{task.description}")
    rows = TextColumn("{task.fields[rows]} rows")
    with Progress(
        name, BarColumn(), DownloadColumn(), rows, console=console(stderr=True)
    ) as bar:
        task = bar.add_task("stdin" if path == "-" else path, total=None, rows=0)

        def tell(at: LoadProgress) -> None:
            rows_done = f"{at.counts.read:,}"
            bar.update(
                task, completed=at.bytes_done, total=at.bytes_total, rows=rows_done
            )

        yield tell


def _report(
    reports: list[LoadReport], failed: Exception | None, *, as_json: bool, dry_run: bool
) -> None:
    """Counts over all files, then what a person should know."""
    totals: dict[str, Any] = {
        name: sum(getattr(r, name) for r in reports) for name in COUNTS
    }
    totals["parked"] = parked = _codes(reports)
    if as_json:
        error = {"error": str(failed)} if failed is not None else {}
        files = [asdict(report) for report in reports]
        print_json(totals | {"dry_run": dry_run, "files": files} | error)
        return
    if not reports:
        return
    for report in reports:
        if report.resumed:
            note(f"{report.source}: continued where an earlier load was cut off")
        for remark in [*report.notices, *report.warnings]:
            note(f"{report.source}: {remark}")
    rows = [{name: totals[name] for name in COUNTS} | {"parked": sum(parked.values())}]
    title = "would be admitted (nothing was stored)" if dry_run else None
    print_table(rows, title=title)
    codes = [{"parked as": code, "rows": n} for code, n in sorted(parked.items())]
    if codes:
        print_table(codes)
    examples = [example for report in reports for example in report.examples]
    if examples:
        print_table(examples, title="the first of them")
    elif codes and not dry_run:
        note("`floorpulse rejects list` shows them.")


def _codes(reports: list[LoadReport]) -> dict[str, int]:
    total: dict[str, int] = {}
    for report in reports:
        for code, rows in report.parked.items():
            total[code] = total.get(code, 0) + rows
    return total
