"""`floorpulse load`: files of events through the door."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.following import followed, rows_done
from commands.options import Json, option
from commands.output import console, note, print_json, print_table
from commands.session import ready_dsn

if TYPE_CHECKING:
    from etl.files.crew import FileResult
    from etl.files.load import LoadProgress, LoadReport
    from etl.files.reading import Reading

    Tell = Callable[[LoadProgress], None]

COUNTS = ("read", "stored", "duplicates", "conflicts")
ROWS_PARKED = 3
# Files that are told one by one.
LISTED = 30


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
    preset: Annotated[
        str | None,
        option(
            "--preset",
            "Whose export it is: sessions, ai-events, home-assistant, "
            "machine-states or mtconnect.",
        ),
    ] = None,
    codes: Annotated[
        str | None,
        option(
            "--codes",
            "What the states of a log mean (TOML), with --preset.",
            metavar="FILE",
        ),
    ] = None,
    jobs: Annotated[
        int,
        option("--jobs", "How many processes load side by side.", min=1, max=64),
    ] = 1,
    follow: Annotated[
        bool, option("--follow", "Go on with what one file grows by, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float,
        option("--every", "Seconds between looks, with --follow.", min=0.05, max=3600),
    ] = 1.0,
    dry_run: Annotated[
        bool, option("--dry-run", "Store nothing; tell what would be parked, and why.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Load files of events; twice is harmless, and what was cut off is continued.

    Exit code 3: done, but rows were parked or in conflict.
    """
    from etl.files.found import found
    from etl.files.reading import reading_asked
    from etl.readers.preset_codes import read_codes
    from sql.errors import BadSetting

    read = None if codes is None else partial(read_codes, codes)
    reading = reading_asked(site, timezone, mapping or [], preset, read)
    if follow:
        if len(file) != 1 or jobs > 1 or dry_run:
            raise BadSetting("--follow is for one file, without --jobs and --dry-run")
        results = [followed(ready_dsn(), file[0], reading, every)]
        _end(results, as_json=as_json, dry_run=False)
        return
    paths, notices = found(file)
    for notice in notices:
        note(notice)
    if jobs > 1 and "-" in paths:
        raise BadSetting("stdin is one stream: --jobs is for files")
    results = _load(paths, reading, jobs, dry_run=dry_run)
    _end(results, as_json=as_json, dry_run=dry_run)


def _end(results: list[FileResult], *, as_json: bool, dry_run: bool) -> None:
    """Tell what became of the files, and leave with the code that says it."""
    from sql.errors import InputError

    _report(results, as_json=as_json, dry_run=dry_run)
    if failed := [result.error for result in results if result.error]:
        raise InputError(failed[0] if len(failed) == 1 else _all_failed(failed))
    if any(r.report.parked or r.report.conflicts for r in results):
        raise typer.Exit(ROWS_PARKED)


def _load(
    paths: Sequence[str], reading: Reading, jobs: int, *, dry_run: bool
) -> list[FileResult]:
    """What became of each file; one that cannot be read does not stop the others."""
    from etl.files.crew import Crew, load_all

    dsn = ready_dsn()
    if jobs > 1:
        with rows_done(f"{jobs} processes") as tell:
            return Crew(dsn, reading, jobs, dry_run, tell).load(paths)
    return load_all(dsn, paths, reading, dry_run=dry_run, progress=_progress)


def _all_failed(errors: Sequence[str]) -> str:
    said = "\n".join(errors[:LISTED])
    more = f"\n... and {len(errors) - LISTED:,} more" if len(errors) > LISTED else ""
    return f"{len(errors):,} files were not loaded to their end:\n{said}{more}"


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


def _report(results: list[FileResult], *, as_json: bool, dry_run: bool) -> None:
    """Counts over all files, then what a person should know."""
    reports = [result.report for result in results]
    totals: dict[str, Any] = {
        name: sum(getattr(r, name) for r in reports) for name in COUNTS
    }
    totals["parked"] = parked = _codes(reports)
    if as_json:
        files = [
            asdict(r.report) | ({"error": r.error} if r.error else {}) for r in results
        ]
        errors = [r.error for r in results if r.error]
        error = {"error": errors[0]} if errors else {}
        print_json(totals | {"dry_run": dry_run, "files": files} | error)
        return
    _remark(reports)
    if not any(r.read for r in reports) and any(r.error for r in results):
        return  # the error says it all
    if not reports:
        return
    rows = [{name: totals[name] for name in COUNTS} | {"parked": sum(parked.values())}]
    if 1 < len(reports) <= LISTED:
        rows = [_row(r) for r in reports] + [{"file": "in all"} | rows[0]]
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


def _remark(reports: list[LoadReport]) -> None:
    """What a person should know of each file; of many files the first of it."""
    remarks = []
    for report in reports:
        if report.resumed:
            said = "continued where an earlier load was cut off"
            remarks.append(f"{report.source}: {said}")
        for remark in [*report.notices, *report.warnings]:
            remarks.append(f"{report.source}: {remark}")
    for remark in remarks[:LISTED]:
        note(remark)
    if len(remarks) > LISTED:
        note(f"... and {len(remarks) - LISTED:,} more remarks; --json has them all")


def _row(report: LoadReport) -> dict[str, Any]:
    counts = {name: getattr(report, name) for name in COUNTS}
    return {"file": report.source} | counts | {"parked": sum(report.parked.values())}


def _codes(reports: list[LoadReport]) -> dict[str, int]:
    total: dict[str, int] = {}
    for report in reports:
        for code, rows in report.parked.items():
            total[code] = total.get(code, 0) + rows
    return total
