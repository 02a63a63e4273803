"""From simulated events to a request, and what its export and people's verdicts cost.

`python -m benchmarks.retraining [--dsn URI] [--events 1000000]` prints every check of a
plant whose light changes on day 11, and ends with 1 where the request does not come
with the first check after its alert has held 48 hours; then the table of costs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

from benchmarks.load import fresh
from benchmarks.retraining_cost import costs
from etl.simulation.options import LIGHTING_CHANGE, PlantShift, SimulatorOptions
from sql.connect import Connection, connect, resolve_dsn
from sql.model_health.retraining import list_requests, show
from tests.support.drift import BEGIN, DriftPlant

EVERY = timedelta(hours=8)
HELD = timedelta(hours=48)
PLANT = SimulatorOptions(
    site="plant",
    workers=3,
    stations=2,
    timezone="UTC",
    shifts=(PlantShift("early", 6 * 60, 480, 13 * 60, 45),),
    confidence_sd=0.06,
    changes=(LIGHTING_CHANGE,),
)


def until_requested(dsn: str, conn: Connection) -> datetime | None:
    """Days 11 to 14 of the plant, a check every 8 hours; when the request came."""
    plant = DriftPlant(dsn, conn, PLANT)
    plant.tell(1, 10)
    for day in range(11, 15):
        plant.tell(day, day)
        for hour in (14, 22, 30):
            now = BEGIN + timedelta(days=day - 1, hours=hour)
            plant.check(now)
            raised = "select ops.raise_retraining(site_key, %s) from floor.sites"
            conn.execute(raised, (now,))
            found = len(list_requests(conn, "plant", None))
            print(f"{now:%Y-%m-%d %H:%M}  alerts {len(plant.alerts())}  open {found}")
            if found:
                return now
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it once; 1 where the request comes early, late or never."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", help="a server where databases may be created")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("request", "costs"))
    asked = parser.parse_args(arguments)
    server = asked.dsn or resolve_dsn()
    late = asked.only != "costs" and not in_time(server)
    if asked.only != "request":
        print("\n| what | measured |\n|---|---|")
        for what, measured in costs(server, asked.events):
            print(f"| {what} | {measured} |", flush=True)
    return int(late)


def in_time(server: str) -> bool:
    """Whether the request comes with the first check after 48 hours of its alert."""
    with fresh(server) as dsn, connect(dsn) as conn:
        came = until_requested(dsn, conn)
        if came is None:
            return False
        alerts = show(conn, 1)["evidence"]["alerts"]
    held = [alert for alert in alerts if alert["held"]]
    since = min(datetime.fromisoformat(alert["since"]) for alert in held)
    print(
        f"{', '.join(alert['signal'] for alert in held)} since {since:%Y-%m-%d %H:%M}"
    )
    return timedelta(0) <= came - since - HELD < EVERY


if __name__ == "__main__":
    sys.exit(main())
