"""Keeps every site's calendar 35 days ahead of the clock."""

from datetime import UTC, datetime, timedelta

from scheduler.job import Detail, Job, Work
from sql.plant.calendar_store import DAYS_AHEAD, ensure_calendar
from sql.queries import load

# Less than what an extension makes, so that most runs find nothing to do.
ASKED = timedelta(days=DAYS_AHEAD - 1)


def run(work: Work) -> Detail:
    """Extend what is too short; a site at a time, each in its own transactions."""
    now = datetime.now(UTC)
    extended = 0
    for site_key, _ in work.conn.execute(load("scheduler")["sites"]).fetchall():
        if work.stop.is_set():
            break
        extended += ensure_calendar(work.conn, site_key, now, now + ASKED)
    return {"extended": extended}


JOB = Job("calendar", 3_600, run)
