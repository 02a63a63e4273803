"""Workers and workstations: the names that people give to ids."""

from __future__ import annotations

from typing import Any

from sql.plant.calendar_store import Connection
from sql.plant.sites import check_identifier, rows_of, site_key_of
from sql.queries import load


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


def list_workers(conn: Connection, site_id: str | None = None) -> list[dict[str, Any]]:
    """Workers of one site or of all, with their names; UnknownSite."""
    return _listed(conn, "workers", site_id)


def list_workstations(
    conn: Connection, site_id: str | None = None
) -> list[dict[str, Any]]:
    """Workstations of one site or of all, with their names; UnknownSite."""
    return _listed(conn, "workstations", site_id)


def _listed(conn: Connection, query: str, site_id: str | None) -> list[dict[str, Any]]:
    if site_id is not None:
        site_key_of(conn, site_id)
    return rows_of(conn, load("sites")[query], {"site_id": site_id})
