"""Whether this container does its work: exit 0 if so, else 1 and one line that says why.

web: the server answers on its port. scheduler: the database has a fresh heartbeat (a
standby is well while another one leads).
"""

import os
import sys
import urllib.error
import urllib.request

HEARTBEAT = "select ok from analytics.jobs where job = 'heartbeat'"


def web() -> str | None:
    """What is wrong with the server; None if it is well."""
    url = f"http://127.0.0.1:{os.environ.get('FLOORPULSE_PORT', '8050')}/api/v1/health"
    try:
        with urllib.request.urlopen(url, timeout=4) as answer:  # noqa: S310
            return None if answer.status == 200 else f"{url}: status {answer.status}"
    except (urllib.error.URLError, OSError) as error:
        return f"{url}: {error}"


def scheduler() -> str | None:
    """What is wrong with the schedulers; None if one of them leads."""
    from sql.connect import connect, resolve_dsn  # noqa: PLC0415
    from sql.errors import FloorpulseError  # noqa: PLC0415

    try:
        with connect(resolve_dsn()) as conn:
            row = conn.execute(HEARTBEAT).fetchone()
    except FloorpulseError as error:
        return error.message
    return None if row and row[0] else "no scheduler leads: its heartbeat is late"


if __name__ == "__main__":
    wrong = {"web": web, "scheduler": scheduler}[sys.argv[1]]()
    if wrong is not None:
        sys.exit(wrong)
