"""Workers, workstations and cameras: what people say of ids."""

from __future__ import annotations

from typing import Any

from sql.errors import BadSetting, UnknownCamera
from sql.plant.calendar_store import Connection
from sql.plant.sites import check_identifier, require_site, rows_of, site_key_of
from sql.queries import load

EXPECTED = ("always", "learned", "never")


def set_worker(
    conn: Connection,
    site_id: str,
    worker_id: str,
    *,
    name: str | None = None,
    pseudonym: str | None = None,
) -> None:
    """Register a worker if need be, and name him; None leaves a name as it is.

    Raises UnknownSite and BadSetting.
    """
    check_identifier("worker", worker_id)
    values = {
        "site_key": site_key_of(conn, site_id),
        "worker_id": worker_id,
        "name": name,
        "pseudonym": pseudonym,
    }
    conn.execute(load("sites")["set_worker"], values)


def set_workstation(
    conn: Connection, site_id: str, workstation_id: str, *, name: str | None = None
) -> None:
    """Register a workstation if need be, and name it; UnknownSite and BadSetting."""
    check_identifier("workstation", workstation_id)
    values = {
        "site_key": site_key_of(conn, site_id),
        "workstation_id": workstation_id,
        "name": name,
    }
    conn.execute(load("sites")["set_workstation"], values)


def expect_cameras(
    conn: Connection, site_id: str, cameras: str, expected: str, who: str
) -> list[str]:
    """Say when cameras are to send (EXPECTED), from now on; the ids of those.

    cameras is an id, * in it for anything. UnknownSite, UnknownCamera, BadSetting.
    """
    if expected not in EXPECTED:
        raise BadSetting(f"{expected!r} is none of {', '.join(EXPECTED)}")
    values = {
        "site_key": site_key_of(conn, site_id),
        "cameras": cameras,
        "expected": expected,
        "who": who,
    }
    query = load("sites")["expect_cameras"]
    found = [row["camera_id"] for row in rows_of(conn, query, values)]
    if not found:
        raise UnknownCamera(
            f"Site {site_id} has no camera {cameras!r}: one is known once it has sent. "
            "`floorpulse camera list` shows them"
        )
    return found


def list_cameras(conn: Connection, site_id: str | None = None) -> list[dict[str, Any]]:
    """Cameras of one site or of all: expectation, last event, record; UnknownSite."""
    return _listed(conn, "cameras", site_id)


def list_workers(conn: Connection, site_id: str | None = None) -> list[dict[str, Any]]:
    """Workers of one site or of all, with their names; UnknownSite."""
    return _listed(conn, "workers", site_id)


def list_workstations(
    conn: Connection, site_id: str | None = None
) -> list[dict[str, Any]]:
    """Workstations of one site or of all, with their names; UnknownSite."""
    return _listed(conn, "workstations", site_id)


def _listed(conn: Connection, query: str, site_id: str | None) -> list[dict[str, Any]]:
    require_site(conn, site_id)
    return rows_of(conn, load("sites")[query], {"site_id": site_id})
