"""Judges every site's models and brings its alerts up to date: every 15 minutes, and so
with the first slot after every hour has closed. Measures the disk on the way.
"""

import psycopg

from scheduler.job import Detail, Job, Work
from sql.drift import check_drift
from sql.errors import DriftError, FloorpulseError
from sql.queries import load
from sql.storage import note_room


def run(work: Work) -> Detail:
    """Check the sites; one that fails does not keep the others from theirs."""
    note_room(work.conn)
    checked = 0
    failed: dict[str, str] = {}
    for _, site_id in work.conn.execute(load("scheduler")["sites"]).fetchall():
        if work.stop.is_set() or work.conn.closed:
            break
        try:
            checked += check_drift(work.conn, site_id, stop=work.stop)
        except (psycopg.Error, FloorpulseError) as error:
            if work.stop.is_set():
                raise
            failed[site_id] = str(error).strip()
    if failed:
        said = "; ".join(f"{site}: {error}" for site, error in failed.items())
        raise DriftError(f"{len(failed)} sites could not be checked: {said}")
    return {"sites": checked}


JOB = Job("drift", 900, run)
