"""What a job is, and what it is given to work with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event

from sql.connect import Connection

#: What a run did, for the column detail of its row in ops.job_runs.
Detail = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Work:
    """What a run gets.

    conn is in autocommit and the run's alone; sites are those that events came from
    (None: any); stop says when to end early.
    """

    dsn: str
    conn: Connection
    sites: frozenset[str] | None
    stop: Event


@dataclass(frozen=True, slots=True)
class Job:
    """Something done again and again, on every multiple of interval_s since 1970."""

    name: str
    interval_s: int
    run: Callable[[Work], Detail]

    def slot_of(self, at_s: float) -> int:
        """The slot that a moment (seconds since 1970) lies in."""
        return int(at_s // self.interval_s) * self.interval_s
