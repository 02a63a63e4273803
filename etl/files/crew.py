"""Several processes that load files side by side, a part of a file at a time.

Each has connections of its own and commits for itself; what they share is the database,
whose unique key decides. A process ends when the one that started it is gone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import psycopg

from etl.files.load import LoadError, LoadProgress, LoadReport, load_file
from etl.files.parts import Part, parts_of
from etl.files.reading import Reading
from sql.errors import DsnError, FloorpulseError
from sql.refusals import refusal

Tell = Callable[[LoadProgress], None]


@dataclass
class FileResult:
    """What became of a file: its counts, and what was wrong with it, if anything.

    database: it was the database that failed, so that others would fail as well.
    """

    report: LoadReport
    error: str | None = None
    database: bool = False


def load_all(
    dsn: str,
    paths: Sequence[str],
    reading: Reading,
    *,
    dry_run: bool,
    progress: Callable[[str], AbstractContextManager[Tell | None]],
) -> list[FileResult]:
    """Load one file after another in this process; see Crew.load."""
    results = []
    for path in paths:
        try:
            with progress(path) as tell:
                report = load_file(
                    dsn, path, reading=reading, dry_run=dry_run, progress=tell
                )
            result = FileResult(report)
        except (FloorpulseError, psycopg.Error) as error:
            result = failed(path, error)
        results.append(result)
        if result.database:
            break
    return results


def failed(path: str, error: Exception) -> FileResult:
    """A file that was not loaded to its end, with the counts of what stays."""
    report = error.report if isinstance(error, LoadError) else LoadReport(source=path)
    said = refusal(error) if isinstance(error, psycopg.Error) else str(error)
    return FileResult(report, said, is_of_database(error))


def is_of_database(error: Exception) -> bool:
    """Whether it was the database that failed, and not what was to be loaded."""
    cause = error.__cause__ if isinstance(error, LoadError) else error
    return isinstance(cause, psycopg.Error | DsnError)


@dataclass(frozen=True)
class _Task:
    """A file, or a part of it."""

    file: int
    path: str
    part: Part | None


@dataclass
class Crew:
    """How to load, by how many; tell gets the rows that are done, over all files."""

    dsn: str
    reading: Reading
    jobs: int
    dry_run: bool = False
    tell: Callable[[int], None] = lambda _: None
    _stop: threading.Event = field(default_factory=threading.Event)

    def load(self, paths: Sequence[str]) -> list[FileResult]:
        """Load all of them; one that cannot be read does not stop the others."""
        tasks = deque(_spread(self._tasks(paths), self.jobs))
        done: list[list[tuple[int, FileResult]]] = [[] for _ in paths]
        rows = dict.fromkeys(tasks, 0)
        lock = threading.Lock()

        def progressed(task: _Task, count: int) -> None:
            with lock:
                rows[task] = count
                self.tell(sum(rows.values()))

        def work(process: subprocess.Popen[str]) -> None:
            while not self._stop.is_set():
                try:
                    task = tasks.popleft()
                except IndexError:
                    return
                result = _order(process, task, partial(progressed, task))
                start = task.part.start if task.part else 0
                done[task.file].append((start, result))
                if result.database:
                    self._stop.set()

        with self._processes(min(self.jobs, len(tasks))) as processes:
            threads = [threading.Thread(target=work, args=[p]) for p in processes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return [_joined(path, parts) for path, parts in zip(paths, done, strict=True)]

    def _tasks(self, paths: Sequence[str]) -> list[_Task]:
        tasks = []
        for file, path in enumerate(paths):
            parts: list[Part | None] = [*parts_of(path, self.reading)]
            tasks += [_Task(file, path, part) for part in parts or [None]]
        return tasks

    @contextmanager
    def _processes(self, count: int) -> Iterator[list[subprocess.Popen[str]]]:
        orders = {
            "dsn": self.dsn,
            "reading": self.reading.as_json(),
            "dry_run": self.dry_run,
        }
        processes = [_started(orders) for _ in range(count)]
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()
                process.communicate()


def _spread(tasks: list[_Task], jobs: int) -> Iterator[_Task]:
    """Neighbours far apart in the queue: each process has a range of chunks."""
    length = -(-len(tasks) // jobs) if tasks else 1
    for at in range(length):
        yield from tasks[at::length]


def _started(orders: dict[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "etl.files.crew_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for us: it ends them by the end of their stdin.
        start_new_session=True,
    )
    _send(process, orders)
    return process


def _send(process: subprocess.Popen[str], what: dict[str, Any]) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()


def _order(
    process: subprocess.Popen[str], task: _Task, tell: Callable[[int], None]
) -> FileResult:
    """Have a task done; what became of it."""
    part = asdict(task.part) if task.part else None
    try:
        _send(process, {"path": task.path, "part": part})
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in process.stdout:
            said = json.loads(line)
            if "rows" in said:
                tell(said["rows"])
                continue
            report = LoadReport(**said["report"])
            return FileResult(report, said["error"], said["database"])
    except BrokenPipeError:
        pass
    gone = f"{task.path}: the process that loaded it is gone; load the file again"
    return FileResult(LoadReport(source=task.path), gone, database=True)


def _joined(path: str, parts: list[tuple[int, FileResult]]) -> FileResult:
    """One result of a file's parts, in their order."""
    whole = FileResult(LoadReport(source=path))
    for _, part in sorted(parts, key=lambda item: item[0]):
        whole.report.join(part.report)
        whole.report.source = part.report.source
        if len(parts) == 1:
            whole.report.load_id = part.report.load_id
        whole.error = whole.error or part.error
        whole.database |= part.database
    return whole
