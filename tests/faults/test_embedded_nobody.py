"""The local server started by an ordinary account: everything stands in its home."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.local_server.account import find_binaries
from tests.support import local_server as local

# Python itself may lie where the account cannot enter: load first, then become it.
DAY = """
import os, sys
from sql import embedded
from sql.connect import connect

os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
dsn = embedded.start()
with connect() as connection:
    assert connection.execute("select current_user").fetchone() == ("floorpulse",)
status = embedded.status()
print(status.data_folder, status.account)
assert embedded.stop() and embedded.status().state == "stopped"
"""


def run(home: Path, uid: int, **env: str) -> tuple[int, str, str]:
    """Run a day as that account without groups; return exit code and outputs."""
    settings = {"HOME": str(home), "FLOORPULSE_TIMESCALEDB": "none", **env}
    settings["FLOORPULSE_HOME"] = env.get("FLOORPULSE_HOME", "")
    process = local.run_python(DAY, uid, env=settings, cwd="/")
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.fixture
def nobody() -> Iterator[tuple[Path, int]]:
    """A home folder of nobody's and nobody's id."""
    if os.geteuid() != 0:
        pytest.skip(
            "only root can become another account; the other tests are not root"
        )
    uid = pwd.getpwnam("nobody").pw_uid
    with local.open_folder() as folder:
        home = folder / "n"
        home.mkdir(mode=0o700)
        os.chown(home, uid, uid)
        probe = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(find_binaries())]
        done = subprocess.run(probe, check=False, user=uid)
        if done.returncode != 0:
            pytest.skip("this installation lies where nobody cannot enter")
        yield home, uid


def test_everything_is_in_the_home(nobody: tuple[Path, int]) -> None:
    home, uid = nobody
    code, output, errors = run(home, uid, LANG="xx_YY.UTF-8")
    assert code == 0, errors
    place = home / ".local" / "share" / "floorpulse"
    assert output.strip() == f"{place / 'data'} nobody"
    assert stat.S_IMODE((place / "server.json").stat().st_mode) == 0o600
    assert {path.lstat().st_uid for path in home.rglob("*")} == {uid}


def test_a_home_that_is_not_writable(nobody: tuple[Path, int]) -> None:
    home, uid = nobody
    home.chmod(0o500)
    _, _, errors = run(home, uid)
    assert "Cannot make the home folder" in errors
    (home / "fp").mkdir(mode=0o755)
    _, _, errors = run(home, uid, FLOORPULSE_HOME=str(home / "fp"))
    assert "is not writable" in errors


def test_data_of_another_account(nobody: tuple[Path, int]) -> None:
    home, uid = nobody
    code, _, errors = run(home, uid, FLOORPULSE_HOME=str(home / "fp"))
    assert code == 0, errors
    os.chown(home / "fp" / "data", 0, 0)
    _, _, errors = run(home, uid, FLOORPULSE_HOME=str(home / "fp"))
    assert "belongs to root" in errors


def test_passwords_of_another_account(nobody: tuple[Path, int]) -> None:
    home, uid = nobody
    (home / "server.json").touch(0o600)
    _, _, errors = run(home, uid, FLOORPULSE_HOME=str(home))
    assert "run this as the account that made it" in errors


def test_an_id_without_a_name(nobody: tuple[Path, int]) -> None:
    home, _ = nobody
    os.chown(home, 54321, 54321)
    _, _, errors = run(home, 54321)
    assert "User id 54321 has no entry in /etc/passwd" in errors
