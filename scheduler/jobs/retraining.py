"""Raises requests to train models anew, and tells of exports: every two minutes."""

import logging

from scheduler.job import Detail, Job, Work
from scheduler.pipeline import deliver, targets
from sql.model_health.retraining import raise_requests

_log = logging.getLogger(__name__)


def run(work: Work) -> Detail:
    """Requests first: a webhook that is set wrongly keeps nobody from asking.

    Who could not be told is no failure of the job: the call has attempts of its own.
    """
    raised = raise_requests(work.conn, stop=work.stop)
    told = deliver(work.conn, targets(), stop=work.stop)
    for said in told.failed:
        _log.warning("not told: %s", said, extra={"action": "export_not_told"})
    return {
        "raised": raised,
        "delivered": told.delivered,
        "not_delivered": len(told.failed),
    }


JOB = Job("retraining", 120, run)
