"""Makes the database's password once, in the two forms that its readers want.

`db_password` is read by the database's entry point as root, `pgpass` by floorpulse
through libpq, which wants it to be nobody else's.
"""

import os
import secrets
import sys
from pathlib import Path

APP_ID = 10_001


def make(folder: Path) -> None:
    """Write what is missing; a password that is there stays: the database knows it."""
    password = folder / "db_password"
    if not password.exists():
        write(password, secrets.token_urlsafe(32), 0o400)
    line = f"*:*:*:floorpulse:{password.read_text()}\n"
    write(folder / "pgpass", line, 0o600)
    if os.geteuid() == 0:
        os.chown(folder / "pgpass", APP_ID, APP_ID)


def write(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all, and never readable by others in between."""
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
