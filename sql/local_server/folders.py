"""The folders of the local server: what may stand there, and making what must."""

from __future__ import annotations

import os
from pathlib import Path

from sql.errors import ServerError
from sql.local_server.account import Account
from sql.local_server.state import ServerRecord

MAJOR_VERSION = "18"
# A socket's path must stay below 107 bytes; ours ends in /.s.PGSQL.12345.
LONGEST_SOCKET_FOLDER = 85


def check_data_folder(data: Path, home: Path, account: Account) -> None:
    """Refuse a data folder that is gone, shut or of another major version."""
    if not account.can_reach(data.parent):
        raise ServerError(
            f"The account {account.name}, which owns the data folder {data}, cannot "
            "enter the folders above it: let it (`chmod o+x`), or move the home back"
        )
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError as error:
        raise ServerError(
            f"The data folder {data} is gone or no longer PostgreSQL's: bring it back, "
            f"or delete {home / 'server.json'} to begin with an empty database"
        ) from error
    if version != MAJOR_VERSION:
        raise ServerError(
            f"The data folder {data} is of PostgreSQL {version}, this floorpulse "
            f"brings {MAJOR_VERSION}: dump it with the floorpulse that made it, or set "
            "FLOORPULSE_HOME to another folder; nothing was changed"
        )


def check_nothing_there(data: Path) -> None:
    if data.exists():
        raise ServerError(
            f"{data} exists but no server.json with its passwords beside it: bring "
            "that back, or set FLOORPULSE_HOME to another folder; nothing was changed"
        )


def socket_folder(record: ServerRecord, account: Account) -> Path:
    """Make the socket's folder, open to the account only, where the path is short."""
    folder = record.data.parent / "run"
    too_long = len(os.fsencode(folder)) > LONGEST_SOCKET_FOLDER
    # To libpq a comma separates hosts.
    if too_long or "," in str(folder) or '"' in str(folder):
        folder = Path("/tmp", f"floorpulse-{record.id}")  # noqa: S108 - private, below
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        made = folder.lstat()
        if made.st_uid == os.geteuid():
            account.give(folder)
        elif made.st_uid != account.uid:
            raise ServerError(f"{folder} belongs to another account: remove it")
    except OSError as error:
        raise ServerError(f"Cannot make {folder}: {error.strerror}") from error
    return folder
