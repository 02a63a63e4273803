"""Which psql to run, and how to be a lesser role in it."""

from __future__ import annotations

import os
import shutil

from sql.connect import connect
from sql.errors import MissingPrivilege
from sql.local_server.account import find_binaries
from sql.queries import load


def find_psql(*, local: bool) -> str:
    """The psql of the local server's package, or for a DSN the one on PATH first.

    Nearer to the server's version is better: an old psql describes a new server badly.
    """
    own = str(find_binaries() / "psql")
    return own if local else shutil.which("psql") or own


def role_options(dsn: str, role: str) -> str:
    """PGOPTIONS that make a session the role's, with the limits its logins have.

    SET ROLE alone would leave out the time-outs and read-only mode of the role.
    """
    with connect(dsn) as conn:
        rows = conn.execute(load("cli")["role_settings"], {"role": role}).fetchall()
    if not rows:
        raise MissingPrivilege(
            f"This server has no role {role}, or you may not act as it: let a "
            "superuser run `floorpulse db migrate` once"
        )
    options = [os.environ.get("PGOPTIONS", "")]
    options += [f"-c {setting.replace(' ', chr(92) + ' ')}" for (setting,) in rows]
    return " ".join(options).strip()
