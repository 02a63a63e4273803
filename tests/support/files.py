"""Event files of any size, and loading them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from etl.files.load import LoadReport, load_file
from etl.files.reading import Reading

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence\n"
START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
SMALL_BLOCK = 100_000
ROWS = 10_000  # several blocks of SMALL_BLOCK


def line(i: int, site: str = "plant", confidence: str = "0.9") -> str:
    time = (START + timedelta(seconds=i)).isoformat()
    return f"{time},{site},W{i % 9},S{i % 4},working,{confidence}\n"


def many(rows: int = ROWS, sites: int = 1) -> str:
    return HEADER + "".join(line(i, f"plant-{i % sites}") for i in range(rows))


def load(dsn: str, path: Path, **options: Any) -> LoadReport:
    said = {n: options.pop(n) for n in ("site", "timezone", "mapping") if n in options}
    report = load_file(dsn, str(path), reading=Reading(**said), **options)
    parked = sum(report.parked.values())
    assert report.read == report.stored + report.duplicates + parked
    return report


def counts(report: LoadReport) -> tuple[int, int, int, dict[str, int]]:
    return report.stored, report.duplicates, report.conflicts, report.parked
