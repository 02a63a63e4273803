"""What the local server refuses: it says why and what to do, and touches nothing."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.embedded import EmbeddedServer
from sql.errors import BadSetting, ServerError
from sql.local_server.process import processes_of
from tests.support import local_server as local
from tests.support.local_server import ask, plain_server, record_of, run_sql, snapshot

MB = 1024 * 1024


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that was made and stopped."""
    made = plain_server(tmp_path / "home")
    made.start()
    made.stop()
    yield made
    made.remove()


def refusal(server: EmbeddedServer) -> str:
    """What the server says when it does not start; its data must not change."""
    data = record_of(server.home).data
    before = snapshot(data)
    with pytest.raises(ServerError) as caught:
        server.start()
    assert snapshot(data) == before
    assert processes_of(data) == []
    return caught.value.message


def test_data_of_another_major_version(stopped: EmbeddedServer) -> None:
    version = record_of(stopped.home).data / "PG_VERSION"
    version.write_text("17\n")
    assert "is of PostgreSQL 17, this floorpulse brings 18" in refusal(stopped)
    version.write_text("18\n")
    assert ask(stopped.start(), "select 1") == 1


def test_data_that_is_gone_is_not_replaced_by_an_empty_database(
    stopped: EmbeddedServer,
) -> None:
    data = record_of(stopped.home).data
    data.rename(data.with_name("away"))
    with pytest.raises(ServerError, match="is gone"):
        stopped.start()
    assert not data.exists()
    data.with_name("away").rename(data)
    assert ask(stopped.start(), "select 1") == 1


def test_data_without_its_passwords() -> None:
    with local.open_folder() as folder:
        server = plain_server(folder)
        server.start()
        server.stop()
        (folder / "server.json").rename(folder / "kept")
        data = folder / "data"
        if not data.exists():
            data.mkdir()
        before = snapshot(data)
        with pytest.raises(ServerError, match=r"no server\.json"):
            server.start()
        assert snapshot(data) == before
        (folder / "kept").rename(folder / "server.json")
        server.remove()


def test_damaged_record(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text('{"id": ')
    with pytest.raises(ServerError, match="is damaged"):
        plain_server(tmp_path).start()


@pytest.mark.parametrize("home", ["/proc/floorpulse/home", "/dev/null/home"])
def test_home_that_cannot_be_made(home: str) -> None:
    with pytest.raises(ServerError, match="Cannot make the home folder"):
        plain_server(Path(home)).start()


def test_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(ServerError, match="FLOORPULSE_HOME to another folder"):
        plain_server(tmp_path / "home").start()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 100 MB, where this account may mount one."""
    with local.open_folder() as folder:
        options = ["-t", "tmpfs", "-o", "size=100m,mode=755", "floorpulse"]
        mount = subprocess.run(
            ["mount", *options, folder], check=False, capture_output=True, text=True
        )
        if mount.returncode != 0:
            pytest.skip(f"NO DISK TO FILL, NOT TESTED: {mount.stderr.strip()}")
        yield folder
        subprocess.run(["umount", folder], check=True)


def fill(disk: Path, leave_bytes: int) -> Path:
    """Fill a disk but for so many bytes; return the file that does it."""
    file = disk / "filling"
    with file.open("wb") as writer:
        left = shutil.disk_usage(disk).free - leave_bytes
        os.posix_fallocate(writer.fileno(), 0, left)
    return file


def test_full_disk_at_the_first_start(small_disk: Path) -> None:
    filling = fill(small_disk, 20 * MB)
    server = plain_server(small_disk / "home")
    with pytest.raises(ServerError, match=r"disk that holds .* is full: free some"):
        server.start()
    assert not list((small_disk / "home").glob(".making.*"))
    assert not (small_disk / "home" / "data").exists()
    filling.unlink()
    assert ask(server.start(), "select 1") == 1
    server.remove()


@pytest.mark.parametrize("killed", [False, True])
def test_full_disk_at_a_later_start(small_disk: Path, killed: bool) -> None:
    server = plain_server(small_disk / "home")
    run_sql(server.start(), "create table kept as select 1 as x")
    if killed:
        os.kill(local.postmaster(server.home), signal.SIGKILL)
    else:
        server.stop()
    filling = fill(small_disk, 0)
    with pytest.raises(ServerError, match=r"No space left|disk .* is full"):
        server.start()
    assert local.living(server.home) == []
    filling.unlink()
    assert ask(server.start(), "select x from kept") == 1
    server.remove()


def test_file_size_limit(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MB, 2 * MB))

    starter = local.run_python(local.STARTS, tmp_path / "home", preexec_fn=limit)
    _, errors = starter.communicate(timeout=60)
    assert starter.returncode == 1
    assert "raise `ulimit -f`" in errors
    server = plain_server(tmp_path / "home")
    assert ask(server.start(), "select 1") == 1
    server.remove()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("license", "free", "FLOORPULSE_LICENSE is 'free'"),
        ("timescaledb", "/nowhere", "FLOORPULSE_TIMESCALEDB names /nowhere"),
    ],
)
def test_wrong_settings(tmp_path: Path, option: str, value: str, said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        plain_server(tmp_path / "home", **{option: value}).start()
    assert not (tmp_path / "home").exists()
