"""The server as processes: who belongs to a data folder, does it answer, start, end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from sql.errors import ServerError
from sql.local_server.account import Account

PING_LIMIT_S = 3
# Nothing of the caller's locale or libpq settings may leak into the server.
CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def ping(host: str, port: int) -> Ping:
    """Ask the server there whether it takes connections; needs no password."""
    info = make_conninfo(
        host=host,
        hostaddr="",
        port=port,
        user="postgres",
        dbname="postgres",
        sslmode="disable",
        connect_timeout=PING_LIMIT_S,
    )
    return Ping(PGconn.ping(info.encode()))


def processes_of(data_folder: Path) -> list[int]:
    """Return the ids of all living PostgreSQL processes of a data folder.

    A server's processes work in its data folder, which identifies them for certain;
    a process id from a file could by now be anybody's.
    """
    proc = Path("/proc")
    if not proc.is_dir():
        return _processes_by_name(data_folder)
    if not data_folder.exists():
        return []
    ours = data_folder.stat()
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            program = Path(os.readlink(entry / "exe")).name
            if program.removesuffix(" (deleted)") != "postgres":
                continue
            if os.path.samestat((entry / "cwd").stat(), ours):
                found.append(int(entry.name))
    return found


def _processes_by_name(data_folder: Path) -> list[int]:
    """Return the postmaster of a data folder and its children, where no /proc is."""
    listing = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,state=,command="],
        check=True,
        capture_output=True,
        text=True,
    )
    pattern = re.compile(r"\s*(\d+)\s+(\d+)\s+([^Z\s]\S*)\s+(.*)")
    rows = [
        m.groups() for m in map(pattern.fullmatch, listing.stdout.splitlines()) if m
    ]
    servers = {pid for pid, _, _, command in rows if f"-D {data_folder}" in command}
    return [int(pid) for pid, parent, _, _ in rows if {pid, parent} & servers]


def postmaster_of(data_folder: Path) -> int | None:
    """Return the id of the living postmaster of a data folder, if there is one."""
    pid = noted_pid(data_folder)
    return pid if pid in processes_of(data_folder) else None


def noted_pid(data_folder: Path) -> int | None:
    """Return the process id in the pid file, whosever it may be by now."""
    try:
        return int((data_folder / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def clear_wreckage(data_folder: Path, socket_folder: Path) -> None:
    """End what a killed postmaster left: orphans that hold its memory, lock files.

    Only to be called under the home's lock and when no postmaster lives. The lock
    files go because the process id in them may by now be that of a stranger or a
    zombie, for which PostgreSQL would refuse to start.
    """
    end_all(lambda: processes_of(data_folder), signal.SIGQUIT)
    (data_folder / "postmaster.pid").unlink(missing_ok=True)
    for left_over in socket_folder.glob(".s.PGSQL.*"):
        left_over.unlink(missing_ok=True)


def end_all(
    find: Callable[[], list[int]], first: signal.Signals, patience_s: float = 5
) -> None:
    """Signal the processes found until none is left, in the end with SIGKILL."""
    began = time.monotonic()
    sent = False
    while pids := find():
        late = time.monotonic() - began > patience_s
        for pid in pids if late or not sent else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else first)
                os.kill(pid, signal.SIGCONT)
        sent = True
        time.sleep(0.02)


def launch(command: Sequence[str], account: Account, output: Path) -> int:
    """Start a server that outlives this process and return its process id.

    The shell in between ends at once, so that the server is nobody's child: it can
    become nobody's zombie, and no signal for a group or terminal reaches it.
    """
    with output.open("wb") as file:
        done = subprocess.run(
            ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *command],
            check=True,
            cwd="/",
            env=CLEAN_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            start_new_session=True,
            **account.run_options(),
        )
    return int(done.stdout)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
    return True


class NewLogText:
    """What the server's log files have gained since this was made."""

    def __init__(self, data_folder: Path, startup_log: Path) -> None:
        self._folder = data_folder / "log"
        self._startup_log = startup_log
        self._sizes = {path: path.stat().st_size for path in self._files()}

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.log")) if self._folder.is_dir() else []

    def read(self) -> str:
        """Return the new text, the output before the log began first."""
        parts = [self._startup_log.read_bytes()] if self._startup_log.exists() else []
        for path in self._files():
            with path.open("rb") as file:
                file.seek(self._sizes.get(path, 0))
                parts.append(file.read())
        return b"\n".join(parts).decode(errors="replace")


PORT_TAKEN = "could not create any TCP/IP sockets"


def failure_of(log: str, data_folder: Path) -> ServerError:
    """Turn the log of a server that did not start into what to do about it."""
    # Not the refusals that clients got while it was starting.
    fatal = re.findall(r"(?:FATAL|PANIC|error):\s+(?!the database system)(.*)", log)
    lines = [line for line in log.splitlines() if line.strip()]
    reason = ["no reason given", *lines, *fatal][-1]
    if "No space left on device" in log or "Disk quota exceeded" in log:
        said = f"The disk that holds {data_folder} is full: free some space"
    elif "File too large" in log:
        said = f"Files may not grow enough below {data_folder}: raise `ulimit -f`"
    elif "timescaledb" in reason:
        said = (
            f"PostgreSQL cannot load TimescaleDB ({reason}): put a build for "
            "PostgreSQL 18 into its folder, or set FLOORPULSE_TIMESCALEDB=none"
        )
    elif "configuration file" in reason or "parameter" in reason:
        wrong = re.findall(r"LOG:\s+(.*(?:parameter|line \d+).*)", log)
        said = (
            f"PostgreSQL refuses a setting ({'; '.join(wrong[:2]) or reason}): mend "
            "postgresql.local.conf in the home folder"
        )
    elif "shared memory" in reason:
        said = (
            f"PostgreSQL got too little memory ({reason}): free some, or lower "
            "shared_buffers in postgresql.local.conf in the home folder"
        )
    else:
        said = f"PostgreSQL did not start ({reason}): see {data_folder / 'log'}"
    return ServerError(f"{said}, then run this again; the data was left as it is")
