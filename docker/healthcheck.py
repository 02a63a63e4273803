"""Whether this container does its work: exit 0 if so, else 1 and a line says why.

web: the server answers on its port. scheduler: the database has a fresh heartbeat (a
standby is well while another one leads).
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

HEARTBEAT = "select ok from analytics.jobs where job = 'heartbeat'"


def web() -> str | None:
    """What is wrong with the server; None if it is well."""
    port = int(os.environ.get("FLOORPULSE_PORT", "8050"))
    connection = HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/api/v1/health")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"port {port}: {error}"
    finally:
        connection.close()
    return None if status == 200 else f"port {port}: status {status}"


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
