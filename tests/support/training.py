"""A request for a trainer: events of two model versions, some of them found wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from etl.batch import batch_of
from etl.validations.load import Sender, ValidationReport, admit
from sql.connect import Connection
from sql.model_health.retraining import move, request
from tests.support.database import put

TYPES = ("working", "idle", "absent")
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
COUNT = 600


def events(seed: int = 1) -> pl.DataFrame:
    """Events of the last three days, one in ten below the gate, as text."""
    rng = np.random.default_rng(seed)
    at = [BEGIN + timedelta(minutes=6 * i, microseconds=i * seed) for i in range(COUNT)]
    low = rng.random(COUNT) < 0.1
    return pl.DataFrame(
        {
            "time": [f"{t:%Y-%m-%dT%H:%M:%S.%f}Z" for t in at],
            "worker_id": [f"W{k}" for k in rng.integers(0, 5, COUNT)],
            "event_type": [TYPES[k] for k in rng.integers(0, 3, COUNT)],
            "confidence": np.where(low, "0.5", "0.9"),
            "model_version": ["v1" if k else "v2" for k in rng.integers(0, 5, COUNT)],
        }
    ).with_columns(site_id=pl.lit("plant"), workstation_id=pl.lit("S1"))


def wrong(conn: Connection, frame: pl.DataFrame) -> None:
    """Somebody finds these wrong."""
    said = frame.drop("confidence", "model_version").with_columns(
        verdict=pl.lit("wrong"), right_label=pl.lit("nothing")
    )
    report = ValidationReport()
    admit(conn, batch_of(said), Sender("test", "Ann"), report)
    assert report.stored == frame.height


def approve(dsn: str, conn: Connection) -> pl.DataFrame:
    """Request 1, approved, of v1 on stored events: those, without v2."""
    frame = events()
    put(dsn, frame)
    mine = frame.filter(pl.col("model_version") == "v1")
    wrong(conn, mine.gather_every(25))
    request(conn, "plant", "v1", "Ann", None)
    move(conn, 1, "approved", "Ann")
    return mine
