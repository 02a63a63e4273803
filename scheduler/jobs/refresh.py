"""Dirty ranges into activity and aggregates: every 10 s, and when events came."""

import psycopg

from scheduler.job import Detail, Job, Work
from scheduler.refresh import refresh_with
from sql.errors import FloorpulseError, RefreshError
from sql.queries import load


def run(work: Work) -> Detail:
    """Refresh the sites; one that fails does not keep the others from theirs."""
    rows = 0
    failed: dict[str, str] = {}
    sites = work.conn.execute(load("scheduler")["sites"]).fetchall()
    wanted = [s for _, s in sites if work.sites is None or s in work.sites]
    for site_id in wanted:
        if work.stop.is_set() or work.conn.closed:
            break
        try:
            rows += refresh_with(work.conn, site_id).rows
        except (psycopg.Error, FloorpulseError) as error:
            if work.stop.is_set():
                raise
            failed[site_id] = str(error).strip()
    if failed:
        said = "; ".join(f"{site}: {error}" for site, error in failed.items())
        raise RefreshError(f"{len(failed)} of {len(wanted)} sites failed: {said}")
    return {"sites": len(wanted), "rows": rows}


JOB = Job("refresh", 10, run)
