"""The local server: PostgreSQL from a wheel, made, started, shared and ended by us.

One server per home folder. Whoever needs it calls `start`, which is quick when it
runs already; it lives on when they end, until somebody calls `stop`.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg.pq import Ping

from sql.errors import ServerError
from sql.local_server import account as accounts
from sql.local_server import config, folders, life
from sql.local_server import process as processes
from sql.local_server.account import Account
from sql.local_server.furnish import furnish
from sql.local_server.state import (
    ServerRecord,
    free_port,
    home_folder,
    home_lock,
    make_home,
    new_record,
    read_record,
    read_text,
    write_if_changed,
    write_record,
)
from sql.local_server.timescale import TimescaleBuild, check_build, find_build

# Commits still reach the system at once, so that a killed server loses none.
THROW_AWAY = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class ServerStatus:
    """What there is to know of a local server without starting it.

    `state` is one of 'not made', 'stopped', 'starting', 'running'.
    """

    state: str
    home: Path
    data_folder: Path | None
    log_folder: Path | None
    socket_folder: Path | None
    port: int | None
    account: str | None
    timescaledb: str | None


class EmbeddedServer:
    """The server of one home folder.

    `timescaledb` and `license` stand for FLOORPULSE_TIMESCALEDB and
    FLOORPULSE_LICENSE; `extra_settings` are added to postgresql's own; a server that
    is not `durable` is for tests: fast, and lost when the machine goes down.
    """

    def __init__(
        self,
        home: Path | str | None = None,
        *,
        timescaledb: Path | str | None = None,
        license: str | None = None,
        extra_settings: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> None:
        self.home = home_folder(home)
        self._timescaledb = timescaledb
        self._license = license
        self._extra_settings = dict(extra_settings or {})
        self._durable = durable

    @property
    def dsn(self) -> str:
        """The URI of the database `floorpulse`, as its owner."""
        return self._record().dsn()

    @property
    def superuser_dsn(self) -> str:
        """The URI of the database `postgres`, as the superuser."""
        return self._record().superuser_dsn()

    def _record(self) -> ServerRecord:
        record = read_record(self.home)
        if record is None:
            raise ServerError(f"No local server was made in {self.home} yet: start it")
        return record

    def start(self) -> str:
        """Make the server unless it is made, start it unless it runs; return its DSN.

        Waits for a crash recovery as long as that takes. Raises ServerError or
        BadSetting with what to do.
        """
        record = read_record(self.home)
        if record and record.ready and life.answer(record) == Ping.OK:
            return record.dsn()
        build = find_build(self._timescaledb, self._license)
        make_home(self.home)
        with home_lock(self.home) as lock:
            record = read_record(self.home) or new_record(self.home)
            account = accounts.serving_account(record.data)
            self._prepare(record, account, lock)
            if not life.wait_for_running(record):
                check_build(build, record.timescaledb)
                self._launch(record, account, build)
            self._furnish(record, build)
        return record.dsn()

    def stop(self) -> bool:
        """Shut the server down, nothing left running; False if it did not run."""
        record = read_record(self.home)
        if record is None:
            return False
        with home_lock(self.home):
            return life.shut_down(record)

    def remove(self) -> None:
        """Stop a throw-away server at once and delete all it had, data included."""
        record = self._record()
        with home_lock(self.home):
            processes.end_all(
                lambda: processes.processes_of(record.data), signal.SIGQUIT
            )
            shutil.rmtree(record.data)
            shutil.rmtree(record.socket_folder, ignore_errors=True)
            if record.data.parent != self.home:
                shutil.rmtree(record.data.parent)
            for name in ("server.json", "server.lock", "startup.log"):
                (self.home / name).unlink(missing_ok=True)

    def status(self) -> ServerStatus:
        """Tell how the server is, changing nothing."""
        record = read_record(self.home)
        if record is None or not record.initialised:
            return ServerStatus("not made", self.home, *[None] * 6)
        state = {Ping.OK: "running", Ping.REJECT: "starting"}
        return ServerStatus(
            state=state.get(life.answer(record), "stopped"),
            home=self.home,
            data_folder=record.data,
            log_folder=record.data / "log",
            socket_folder=Path(record.socket_folder),
            port=record.port,
            account=accounts.account_name(record.data.stat().st_uid)
            if record.data.exists()
            else None,
            timescaledb=record.timescaledb,
        )

    def _prepare(self, record: ServerRecord, account: Account, lock: int) -> None:
        """Have a data folder of our version and a socket folder, or say why not."""
        if not record.noted:
            record.data_folder = str(self._place(record, account) / "data")
            folders.check_nothing_there(record.data)
        record.initialised |= record.data.exists()
        if record.initialised:
            folders.check_data_folder(record.data, self.home, account)
        record.socket_folder = str(folders.socket_folder(record, account))
        # Before initdb: the passwords must be known whatever happens next.
        write_record(self.home, record)
        if not record.initialised:
            self._initialise(record, account, lock)
            record.initialised = True
            write_record(self.home, record)

    def _place(self, record: ServerRecord, account: Account) -> Path:
        """Return where the data goes: the home, unless the account cannot reach it."""
        if account.can_reach(self.home):
            return self.home
        place = accounts.own_folder() / record.id
        place.mkdir(mode=0o711, exist_ok=True)
        write_if_changed(place / "home", f"{self.home}\n")
        return place

    def _initialise(self, record: ServerRecord, account: Account, lock: int) -> None:
        """Run initdb beside the data folder and put the result in its place."""
        place = record.data.parent
        for left_over in place.glob(".making.*"):
            shutil.rmtree(left_over)
        making = place / f".making.{secrets.token_hex(4)}"
        try:
            making.mkdir(mode=0o700)
            account.give(making)
            write_if_changed(making / "password", record.superuser_password)
            account.give(making / "password")
            self._initdb(making, record.data, account, lock)
            (making / "data" / "pg_hba.conf").write_text(config.ACCESS_RULES)
            with (making / "data" / "postgresql.conf").open("a") as file:
                file.write(config.INCLUDES)
            (making / "data").rename(record.data)
        except OSError as error:
            raise ServerError(
                f"Cannot make the data folder {record.data} ({error.strerror}): free "
                "some space or mend permissions, and run this again"
            ) from error
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _initdb(self, making: Path, data: Path, account: Account, lock: int) -> None:
        command = [
            str(accounts.reachable_binaries(account) / "initdb"),
            f"--pgdata={making / 'data'}",
            "--username=postgres",
            f"--pwfile={making / 'password'}",
            "--auth=scram-sha-256",
            "--data-checksums",
            "--encoding=UTF8",
            # PostgreSQL's own C.UTF-8: needs nothing of the system's locales, and an
            # upgrade of the system cannot change the order of an index.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *([] if self._durable else ["--no-sync"]),
        ]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            cwd="/",
            env=processes.CLEAN_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            # Killed, we leave initdb behind: the next start waits for its end.
            pass_fds=[lock],
            **account.run_options(),
        )
        if done.returncode != 0:
            raise processes.failure_of(done.stdout + done.stderr, data)

    def _launch(
        self, record: ServerRecord, account: Account, build: TimescaleBuild | None
    ) -> None:
        """Start the server and return when it answers."""
        startup_log = record.data.parent / "startup.log"
        binaries = accounts.reachable_binaries(account)
        command = [str(binaries / "postgres"), "-D", str(record.data)]
        for _ in range(5):
            self._write_settings(record, account, build)
            log = processes.NewLogText(record.data, startup_log)
            pid = processes.launch(command, account, startup_log)
            if life.wait_for_answer(record, pid):
                return
            if processes.PORT_TAKEN not in log.read():
                break
            record.port = free_port()
            write_record(self.home, record)
        raise processes.failure_of(log.read(), record.data)

    def _write_settings(
        self, record: ServerRecord, account: Account, build: TimescaleBuild | None
    ) -> None:
        folder = accounts.reachable_extension(account, build.folder) if build else None
        settings = {
            "port": str(record.port),
            "unix_socket_directories": f'"{record.socket_folder}"',
            "cluster_name": f"floorpulse-{record.id}",
            "dynamic_shared_memory_type": config.shared_memory_kind(),
            **config.base_settings(config.wal_compression(accounts.find_binaries())),
            **config.memory_settings(
                config.usable_memory_bytes(), shutil.disk_usage(record.data).free
            ),
            **config.timescale_settings(build, folder),
            **({} if self._durable else THROW_AWAY),
            **self._extra_settings,
        }
        files = {"floorpulse.conf": config.render(settings)}
        own = self.home / "postgresql.local.conf"
        files[own.name] = read_text(own) if own.exists() else ""
        for name, text in files.items():
            write_if_changed(record.data / name, text)
            account.give(record.data / name)

    def _furnish(self, record: ServerRecord, build: TimescaleBuild | None) -> None:
        """Have role, database and extension; note what there is."""
        found = furnish(record)
        record.timescaledb = found.timescaledb
        record.ready = True
        write_record(self.home, record)
        if found.timescaledb and not found.loaded:
            # Somebody else made the extension, unseen until now.
            life.shut_down(record)
            check_build(build, found.timescaledb)
            raise ServerError(
                "The database needs TimescaleDB but the server does not load it: add "
                "timescaledb to shared_preload_libraries in postgresql.local.conf"
            )


def start(home: Path | str | None = None) -> str:
    """Start the server of a home folder on demand and return its DSN."""
    return EmbeddedServer(home).start()


def stop(home: Path | str | None = None) -> bool:
    """Stop the server of a home folder; False if it did not run."""
    return EmbeddedServer(home).stop()


def status(home: Path | str | None = None) -> ServerStatus:
    """Tell how the server of a home folder is."""
    return EmbeddedServer(home).status()
