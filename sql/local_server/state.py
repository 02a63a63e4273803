"""What floorpulse remembers of its local server, and the lock on the home folder."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import platformdirs

from sql.errors import ServerError

# Below the range from which systems hand out ports to outgoing connections.
PORTS = range(15432, 32000)


@dataclass
class ServerRecord:
    """The content of `server.json` in the home folder, readable by its owner only.

    `initialised`: the data folder was made. `ready`: role and database are in it.
    `timescaledb`: the version of the extension that the database holds, if any.
    """

    id: str
    port: int
    password: str
    superuser_password: str
    data_folder: str
    socket_folder: str = ""
    initialised: bool = False
    ready: bool = False
    timescaledb: str | None = None

    @property
    def noted(self) -> bool:
        """Whether the record was written once, so that its data is known to be ours."""
        return bool(self.socket_folder)

    @property
    def data(self) -> Path:
        """The data folder of the server."""
        return Path(self.data_folder)

    def dsn(self) -> str:
        """Return the URI of the database `floorpulse` for its owner."""
        return self._uri("floorpulse", self.password, "floorpulse")

    def superuser_dsn(self, database: str = "postgres") -> str:
        """Return the URI of a database for the superuser `postgres`."""
        return self._uri("postgres", self.superuser_password, database)

    def _uri(self, user: str, password: str, database: str) -> str:
        place = f"127.0.0.1:{self.port}/{quote(database, safe='')}"
        return f"postgresql://{user}:{quote(password, safe='')}@{place}"


def home_folder(home: Path | str | None = None) -> Path:
    """Return the home folder: as given, FLOORPULSE_HOME or the user's data folder."""
    chosen = home or os.environ.get("FLOORPULSE_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_data_path("floorpulse", appauthor=False)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    for _ in range(200):
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerError(
        f"No port of 127.0.0.1 between {PORTS.start} and {PORTS.stop} is free: end the "
        "programs that hold them"
    )


def new_record(home: Path) -> ServerRecord:
    """Return the record of a server that is yet to be made."""
    return ServerRecord(
        id=secrets.token_hex(6),
        port=free_port(),
        password=secrets.token_urlsafe(24),
        superuser_password=secrets.token_urlsafe(24),
        data_folder=str(home / "data"),
    )


def read_record(home: Path) -> ServerRecord | None:
    """Return the record of the home folder, None when there is none yet."""
    path = home / "server.json"
    try:
        text = read_text(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ServerError(
            f"Cannot read {path} ({error.strerror}): run this as the account that "
            "made it, or set FLOORPULSE_HOME to a folder of your own"
        ) from error
    try:
        record = ServerRecord(**json.loads(text))
        record.data_folder = str(home / record.data_folder)
        return record
    except (ValueError, TypeError) as error:
        raise ServerError(
            f"{path} is damaged: restore it from a backup; it holds the passwords of "
            "the data folder beside it"
        ) from error


def write_record(home: Path, record: ServerRecord) -> None:
    """Write the record, whole or not at all, and only when it has changed.

    A data folder inside the home is noted relative to it, so that homes can move.
    """
    fields = dataclasses.asdict(record)
    if record.data.is_relative_to(home):
        fields["data_folder"] = str(record.data.relative_to(home))
    text = json.dumps(fields, indent=2) + "\n"
    write_if_changed(home / "server.json", text)


def read_text(path: Path) -> str:
    """Return the text of a file that may name folders in any encoding."""
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def write_if_changed(path: Path, text: str) -> None:
    """Replace a file of mode 0600 atomically unless it holds the text already."""
    with contextlib.suppress(FileNotFoundError):
        if read_text(path) == text:
            return
    making = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(
            descriptor, "w", encoding="utf-8", errors="surrogateescape"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        making.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            making.unlink()
        raise ServerError(
            f"Cannot write {path} ({error.strerror}): free some space there, or mend "
            "its permissions, and run this again"
        ) from error


def make_home(home: Path) -> None:
    """Make the home folder; of root's, others may pass through but not look."""
    try:
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True)
    except FileExistsError:
        pass
    except OSError as error:
        raise ServerError(
            f"Cannot make the home folder {home} ({error.strerror}): make it writable, "
            "or set FLOORPULSE_HOME to another folder"
        ) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise ServerError(
            f"The home folder {home} is not writable: mend its permissions, or set "
            "FLOORPULSE_HOME to another folder"
        )


def say(message: str) -> None:
    """Report progress where progress goes: on stderr."""
    print(f"floorpulse: {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def home_lock(home: Path) -> Iterator[int]:
    """Hold the home folder: of several processes one at a time changes the server.

    Gives the lock's file descriptor: a child that inherits it holds the lock too,
    should this process be killed.
    """
    path = home / "server.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ServerError(
            f"Cannot write to the home folder {home} ({error.strerror}): mend its "
            "permissions, or set FLOORPULSE_HOME to another folder"
        ) from error
    try:
        began = time.monotonic()
        told = False
        while not _try_lock(descriptor):
            if not told and time.monotonic() - began > 3:
                say("waiting for another process that starts or stops the server")
                told = True
            time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
