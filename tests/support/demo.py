"""The plant of `floorpulse up --demo`, told up to now and no further."""

from __future__ import annotations

import threading

from etl.simulation.options import SimulatorOptions
from etl.simulation.simulator import Told, run
from scheduler.refresh import refresh_site


def load_demo(dsn: str, hours: float = 72.0) -> None:
    """Simulate the default plant with this much history, then stop."""
    stop = threading.Event()

    def until_caught_up(told: Told) -> None:
        if told.caught_up:
            stop.set()

    run(dsn, SimulatorOptions(hours=hours), stop, until_caught_up)


def refresh_demo(dsn: str) -> None:
    """Cut and aggregate all that was told."""
    refresh_site(dsn, "demo")
