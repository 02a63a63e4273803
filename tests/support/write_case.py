"""Writes the expectation of a case of our own, as the reference computes it.

    python -m tests.support.write_case tests/cases/NAME

A case says in `why` what it is for; check the numbers by hand before committing them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.reference import Row, admit
from tests.support.cases import Case
from tests.support.wallclock import SECOND, moment

WORKER = [
    *("working_s", "idle_s", "absent_s", "units", "units_working"),
    *("utilization", "observed_utilization", "units_per_hour"),
]
WORKSTATION = [
    *("occupied_s", "operating_s", "units", "scheduled_s"),
    *("utilization", "throughput"),
]


def expectation(case: Case) -> dict[str, Any]:
    """Everything that a case.json expects."""
    admitted, truth, where = admit(case.arrivals), case.truth(), case.window
    return {
        "stored": len(admitted.events),
        "duplicates": admitted.duplicates,
        "conflicts": admitted.conflicts,
        "worker_hourly": [
            {
                "worker_id": worker,
                "workstation_id": workstation,
                "hour": utc(hour),
                "production_date": day.isoformat(),
                "shift": shift,
                "working_s": sums.working / SECOND,
                "idle_s": sums.idle / SECOND,
                "absent_s": sums.absent / SECOND,
                "units": sums.units,
                "units_working": sums.units_working,
            }
            for (worker, workstation, hour, day, shift), sums in sorted(
                truth.worker_hourly.items(), key=str
            )
        ],
        "worker_metrics": {
            worker: picked(row, WORKER)
            for worker, row in truth.worker_metrics(where).items()
        },
        "workstation_metrics": {
            bench: picked(row, WORKSTATION)
            for bench, row in truth.workstation_metrics(where).items()
        },
        "factory_metrics": picked(truth.factory_metrics(where)),
    }


def utc(us: int) -> str:
    return moment(us).strftime("%Y-%m-%dT%H:%M:%SZ")


def picked(row: Row, names: list[str] | None = None) -> Row:
    """These columns, ratios to six digits."""
    return {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in row.items()
        if names is None or name in names
    }


def main() -> None:
    for folder in sys.argv[1:]:
        case = Case(Path(folder))
        spec = case.spec | {"expect": expectation(case)}
        text = json.dumps(spec, indent=1, ensure_ascii=False)
        (case.folder / "case.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
