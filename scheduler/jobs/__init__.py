"""Every job of the scheduler, one module each."""

from scheduler.job import Job
from scheduler.jobs import (
    calendar,
    chunks,
    drift,
    heartbeat,
    materialize,
    notify,
    prune,
    refresh,
    retention,
    retraining,
    tallies,
)

REFRESH = refresh.JOB
JOBS: tuple[Job, ...] = (
    heartbeat.JOB,
    chunks.JOB,
    calendar.JOB,
    refresh.JOB,
    materialize.JOB,
    tallies.JOB,
    drift.JOB,
    notify.JOB,
    retraining.JOB,
    retention.JOB,
    prune.JOB,
)
