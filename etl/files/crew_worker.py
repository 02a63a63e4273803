"""One process of a crew: loads what it is told on stdin, tells on stdout; see crew."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from dataclasses import asdict
from typing import Any

import psycopg

from etl.files.crew import FileResult, failed
from etl.files.load import LoadProgress, load_file
from etl.files.parts import Part
from etl.files.reading import reading_of
from sql.errors import FloorpulseError


def main() -> None:
    """Load one task after another, until stdin ends."""
    told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(told,), daemon=True).start()
    orders = told.get()
    while True:
        _say(_done(orders, told.get()))


def _listen(told: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        told.put(json.loads(line))
    # Who gave the orders is done, or gone: what is not committed is undone.
    os._exit(0)


def _done(orders: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    part = Part(**task["part"]) if task["part"] else None
    try:
        report = load_file(
            orders["dsn"],
            task["path"],
            reading=reading_of(orders["reading"]),
            dry_run=orders["dry_run"],
            progress=_tell,
            part=part,
        )
    except (FloorpulseError, psycopg.Error) as error:
        return asdict(failed(task["path"], error))
    return asdict(FileResult(report))


def _tell(at: LoadProgress) -> None:
    _say({"bytes": at.bytes_done, "rows": at.counts.read})


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
