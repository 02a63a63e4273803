"""Judges every site's models and brings its alerts up to date: every 15 minutes, and so
with the first slot after every hour has closed. Measures the disk on the way.
"""

from scheduler.by_site import by_site
from scheduler.job import Detail, Job, Work
from sql.errors import DriftError
from sql.model_health.drift import check_drift
from sql.queries import load
from sql.storage import note_room


def run(work: Work) -> Detail:
    """Check the sites; one that fails does not keep the others from theirs."""
    note_room(work.conn)
    sites = work.conn.execute(load("scheduler")["sites"]).fetchall()
    checked = by_site(
        work, [s for _, s in sites], lambda s: check_drift(work.conn, s, stop=work.stop)
    )
    if checked.failed:
        raise DriftError(
            f"{len(checked.failed)} sites could not be checked: {checked.said}"
        )
    return {"sites": checked.total}


JOB = Job("drift", 900, run)
