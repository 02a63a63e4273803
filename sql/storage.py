"""Room on the disk of the local server; nobody can ask a remote one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sql.connect import Connection
from sql.queries import load

LEAST_SHARE, LEAST_BYTES = 0.05, 2 << 30


@dataclass(frozen=True, slots=True)
class Room:
    """The disk that holds a folder, in bytes; below `least` is trouble."""

    folder: Path
    free: int
    total: int

    @property
    def least(self) -> int:
        return max(LEAST_BYTES, int(self.total * LEAST_SHARE))

    @property
    def low(self) -> bool:
        return self.free < self.least


def room_of(folder: Path) -> Room:
    """How much room there is."""
    usage = shutil.disk_usage(folder)
    return Room(folder, usage.free, usage.total)


def note_room(conn: Connection) -> Room | None:
    """Measure the disk of the local server and keep what was found, for alerts.

    None, and nothing kept, where `conn` is to another server.
    """
    # Not at the top: with a DSN, nothing of the local server need work here.
    from sql import embedded  # noqa: PLC0415

    status = embedded.status()
    local = (str(status.socket_folder), "127.0.0.1", "localhost")
    if status.data_folder is None or conn.info.port != status.port:
        return None
    if conn.info.host not in local:
        return None
    try:
        room = room_of(status.data_folder)
    except OSError:
        return None  # another account's folder
    said = {"folder": str(room.folder), "free": room.free, "total": room.total}
    conn.execute(load("drift")["note_room"], said | {"least": room.least})
    return room
