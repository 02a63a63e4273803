"""`floorpulse load --follow`: a file that grows, until somebody ends it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from commands.output import console, note

if TYPE_CHECKING:
    from etl.files.crew import FileResult
    from etl.files.load import LoadProgress
    from etl.files.reading import Reading


def followed(dsn: str, path: str, reading: Reading, every_s: float) -> FileResult:
    """What became of a file until Ctrl-C or SIGTERM."""
    from etl.files.crew import FileResult
    from etl.files.follow import Follower
    from etl.files.load import LoadError, LoadReport
    from sql.errors import InputError

    note(f"Following {path}; Ctrl-C ends it")
    with _until_told() as stop, rows_done("following") as rows:

        def tell(at: LoadProgress) -> None:
            rows(at.counts.read)

        try:
            return FileResult(Follower(path, reading, stop, every_s).run(dsn, tell))
        except LoadError as error:
            return FileResult(error.report, str(error))
        except InputError as error:
            return FileResult(LoadReport(source=path), str(error))


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C or SIGTERM; a second one ends the process at once."""
    stop = threading.Event()
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def told(*_: object) -> None:
        stop.set()
        for kind in kinds:
            signal.signal(kind, before[kind])

    for kind in kinds:
        signal.signal(kind, told)
    try:
        yield stop
    finally:
        for kind in kinds:
            signal.signal(kind, before[kind])


@contextmanager
def rows_done(what: str) -> Iterator[Callable[[int], None]]:
    """Tell how many rows were read, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    rows = TextColumn("{task.completed:,} rows")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), rows)
    bar_console = console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), console=bar_console) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.update(task, completed=count)
