"""Dirty ranges into activity and aggregates: every 10 s, and when events came."""

from scheduler.by_site import by_site
from scheduler.job import Detail, Job, Work
from scheduler.refresh import refresh_with
from sql.errors import RefreshError
from sql.queries import load


def run(work: Work) -> Detail:
    """Refresh the sites; one that fails does not keep the others from theirs."""
    sites = work.conn.execute(load("scheduler")["sites"]).fetchall()
    wanted = [s for _, s in sites if work.sites is None or s in work.sites]
    done = by_site(work, wanted, lambda s: refresh_with(work.conn, s).rows)
    if done.failed:
        raise RefreshError(
            f"{len(done.failed)} of {len(wanted)} sites failed: {done.said}"
        )
    return {"sites": len(wanted), "rows": done.total}


JOB = Job("refresh", 10, run)
