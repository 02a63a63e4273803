"""A job's work site by site."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import psycopg

from scheduler.job import Work
from sql.errors import FloorpulseError


@dataclass
class Outcome:
    """What came of it: the sum over the sites, and what failed, by site."""

    total: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """The failures in one line."""
        return "; ".join(f"{site}: {error}" for site, error in self.failed.items())


def by_site(work: Work, site_ids: Iterable[str], do: Callable[[str], int]) -> Outcome:
    """Do it for each site; one that fails does not keep the others from theirs.

    Ends early where the job is to stop or its connection is gone; a failure while it is
    to stop is raised.
    """
    outcome = Outcome()
    for site_id in site_ids:
        if work.stop.is_set() or work.conn.closed:
            break
        try:
            outcome.total += do(site_id)
        except (psycopg.Error, FloorpulseError) as error:
            if work.stop.is_set():
                raise
            outcome.failed[site_id] = str(error).strip()
    return outcome
