"""The local server and the TimescaleDB folder that comes, goes and changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.embedded import EmbeddedServer
from sql.errors import BadSetting, ServerError
from sql.local_server import account
from tests.support import local_server as local
from tests.support.local_server import ask, plain_server, run_sql
from tests.support.servers import engines_found, timescaledb_folder

INSTALLED = "select extversion from pg_extension where extname = 'timescaledb'"
OFFERED = (
    "select default_version from pg_available_extensions where name = 'timescaledb'"
)

pytestmark = pytest.mark.skipif(
    "community" not in engines_found(),
    reason=f"ENGINE NOT FOUND, NOT TESTED: no TimescaleDB in {timescaledb_folder()}",
)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Copies of spoiled builds go with the test."""
    with local.open_folder() as folder:
        monkeypatch.setattr(account, "OWN_FOLDER", folder)
        yield


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A copy of the build, to spoil."""
    copy = tmp_path / "my timescaledb"
    for name in ("extension", "lib"):
        shutil.copytree(timescaledb_folder() / name, copy / name)
    return copy


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home; whatever server it has in the end goes."""
    yield tmp_path / "home"
    plain_server(tmp_path / "home").remove()


def with_build(home: Path, build: Path | str, **options: str) -> EmbeddedServer:
    """The home's server, with this build."""
    return plain_server(home, timescaledb=build, **options)


def test_a_new_database_has_the_extension_and_its_licence(
    home: Path, build: Path
) -> None:
    dsn = with_build(home, build, license="apache").start()
    assert ask(dsn, "show timescaledb.license") == "apache"
    version = ask(dsn, INSTALLED)
    assert with_build(home, build).status().timescaledb == version
    with_build(home, build).stop()
    assert with_build(home, build).start() == dsn
    assert ask(dsn, "show timescaledb.license") == "timescale"


def test_no_worker_keeps_a_database_from_being_copied(home: Path, build: Path) -> None:
    dsn = with_build(home, build).start()
    run_sql(dsn + "?dbname=template1", "create database a template floorpulse")


def test_a_folder_that_appears_is_used_by_the_next_start(
    home: Path, build: Path
) -> None:
    dsn = plain_server(home).start()
    assert ask(dsn, OFFERED) is None
    plain_server(home).stop()
    with_build(home, build).start()
    assert ask(dsn, INSTALLED) == ask(dsn, OFFERED)


def test_a_database_migrated_plain_stays_plain(home: Path, build: Path) -> None:
    dsn = plain_server(home).start()
    run_sql(dsn, "create schema floor")
    plain_server(home).stop()
    with_build(home, build).start()
    assert ask(dsn, INSTALLED) is None
    assert ask(dsn, OFFERED) is not None
    plain_server(home).stop()
    plain_server(home).start()


def test_a_folder_that_is_gone(home: Path, build: Path) -> None:
    server = with_build(home, build)
    dsn = server.start()
    run_sql(dsn, "create table kept (at timestamptz) with (tsdb.hypertable)")
    server.stop()
    with pytest.raises(ServerError, match="no TimescaleDB folder is set or found"):
        plain_server(home).start()
    assert local.living(home) == []
    build.rename(build.with_name("away"))
    with pytest.raises(BadSetting, match="cannot be read"):
        server.start()
    build.with_name("away").rename(build)
    server.start()
    run_sql(dsn, "insert into kept values (now())")


def test_an_extension_that_was_made_unseen(home: Path, build: Path) -> None:
    """Made by somebody's hand, so that server.json does not know of it yet."""
    dsn = plain_server(home).start()
    run_sql(dsn, "create schema floor")
    plain_server(home).stop()
    with_build(home, build).start()
    run_sql(dsn, "create extension timescaledb")
    plain_server(home).stop()
    with pytest.raises(ServerError, match="was made with TimescaleDB"):
        plain_server(home).start()
    assert local.living(home) == []


def test_another_version(home: Path, build: Path) -> None:
    server = with_build(home, build)
    version = ask(server.start(), INSTALLED)
    server.stop()
    for stem in ("timescaledb", "timescaledb-tsl"):
        old = build / "lib" / f"{stem}-{version}.so"
        old.rename(build / "lib" / f"{stem}-9.9.9.so")
    control = build / "extension" / "timescaledb.control"
    control.write_text(control.read_text().replace(version, "9.9.9"))
    with pytest.raises(
        ServerError, match=rf"TimescaleDB {version}, but .* holds 9\.9\.9"
    ):
        server.start()
    assert local.living(home) == []


def test_a_build_that_is_not_whole(tmp_path: Path, build: Path) -> None:
    for library in (build / "lib").glob("timescaledb-[0-9]*"):
        library.unlink()
    with pytest.raises(BadSetting, match="no whole TimescaleDB build"):
        with_build(tmp_path / "never", build).start()


def test_a_build_that_cannot_be_loaded(tmp_path: Path, build: Path) -> None:
    (build / "lib" / "timescaledb.so").write_bytes(os.urandom(1000))
    server = with_build(tmp_path / "home", build)
    with pytest.raises(ServerError, match="cannot load TimescaleDB"):
        server.start()
    plain_server(tmp_path / "home").start()
    plain_server(tmp_path / "home").remove()
